"""A store that a server shows, and the registry that owns it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from opslifecycle import Registry, SqliteStore

from opslifecycle.operations.base import DEFAULT_MAX_COMPLETED


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The path of the store."""
    return tmp_path / "a.db"


@pytest.fixture
def max_completed() -> int:
    """How many finished operations the registry keeps; a module may say another number."""
    return DEFAULT_MAX_COMPLETED


@pytest.fixture
def registry(store: Path, max_completed: int) -> Iterator[Registry]:
    """The registry, which is open."""
    with Registry(store=SqliteStore(store), max_completed=max_completed) as registry:
        yield registry
