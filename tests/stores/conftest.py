"""Stores of every kind, and a registry on each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from opslifecycle import (
    MemoryStore,
    Registry,
    SqliteStore,
)
from opslifecycle.shell import commits

from tests.support.gate import Gate, MakeStore

if TYPE_CHECKING:
    from tests.support.postgres.databases import Database


@pytest.fixture(params=["memory", "process", "power", "postgres"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStore:
    """Makes a store on what the last one has kept."""
    if request.param == "memory":
        store = MemoryStore()
        return lambda: store
    if request.param == "postgres":
        database: Database = request.getfixturevalue("postgres")
        return database.store
    return lambda: SqliteStore(tmp_path / "store.db", durability=request.param)


@pytest.fixture(autouse=True)
def _never_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits are counted here, so none may come just because time has passed."""
    monkeypatch.setattr(commits, "DEFERRED_SECONDS", 1000.0)


@pytest.fixture
def gate(make_store: MakeStore) -> Gate:
    return Gate(make_store())


@pytest.fixture
def registry(gate: Gate) -> Iterator[Registry]:
    with Registry(store=gate) as registry:
        yield registry
