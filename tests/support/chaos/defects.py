"""Stores that are wrong on purpose, each in another way: the model must find every one."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import attrs
from opslifecycle import SqliteStore
from opslifecycle.stores.base import Commit

_COMMITS = 10


class Forgetful(SqliteStore):
    """Acknowledges first, and writes ten commits at a time."""

    def __init__(self, *values: Any, **options: Any) -> None:
        super().__init__(*values, **options)
        self._pending: list[Commit] = []

    def append(self, commit: Commit) -> None:
        self._pending.append(commit)
        if len(self._pending) >= _COMMITS:
            for each in self._pending:
                super().append(each)
            self._pending.clear()


class Clinging(SqliteStore):
    """Erases nothing, so that what was handed over comes back."""

    def append(self, commit: Commit) -> None:
        super().append(attrs.evolve(commit, erased=()))


class Stuck(SqliteStore):
    """Never returns from a commit, after some."""

    _left = _COMMITS

    def append(self, commit: Commit) -> None:
        self._left -= 1
        if self._left < 0:
            threading.Event().wait()
        super().append(commit)


class Noisy(SqliteStore):
    """Prints what looks like a traceback, and does its work."""

    def append(self, commit: Commit) -> None:
        print("Traceback (most recent call last):", file=sys.stderr, flush=True)
        super().append(commit)


DEFECTS: dict[str, Callable[..., SqliteStore]] = {
    "none": SqliteStore,
    "forgetful": Forgetful,
    "clinging": Clinging,
    "stuck": Stuck,
    "noisy": Noisy,
}
