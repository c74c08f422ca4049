"""What interrupted calls leave behind is finalized before the next test begins."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest

from tests.support.logs import loggers


@pytest.fixture(autouse=True)
def _tidied(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # What ends the committer's thread is printed by nobody.
    monkeypatch.setattr(threading, "excepthook", lambda arguments: None)
    # Nor what is logged of deliveries that fail.
    for each in loggers():
        monkeypatch.setattr(each, "disabled", True)
    yield
    gc.collect()
