"""What interrupted calls leave behind is finalized before the next test begins."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _tidied(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # What ends the committer's thread is printed by nobody.
    monkeypatch.setattr(threading, "excepthook", lambda arguments: None)
    # Nor what is logged of deliveries that fail.
    monkeypatch.setattr(logging.getLogger("opslifecycle"), "disabled", True)
    yield
    gc.collect()
