"""Requests to the owner of a registry, left in its store by other processes."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from opslifecycle.errors import PersistenceError


class Inbox:
    """The requests in one store; raises PersistenceError when it cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(self, registry: str, id: str, reason: str) -> None:
        """Ask for one record to be cancelled; asking again is fine."""
        with self._writing() as database:
            database.execute(
                "INSERT INTO inbox (registry, id, reason) VALUES (?, ?, ?)", (registry, id, reason)
            )

    def take(self, registry: str) -> list[tuple[str, str]]:
        """The requests that came, each once."""
        with self._writing() as database:
            if not database.execute(
                "SELECT 1 FROM inbox WHERE registry = ? LIMIT 1", (registry,)
            ).fetchone():
                return []
            found = database.execute(
                "DELETE FROM inbox WHERE registry = ? RETURNING id, reason", (registry,)
            )
            return [(id, reason) for id, reason in found.fetchall()]

    def _writing(self) -> _Connection:
        return _Connection(self._path)


class _Connection:
    """A connection that is closed when it is left, and whose errors are PersistenceErrors."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> sqlite3.Connection:
        self._database = sqlite3.connect(self._path, isolation_level=None)
        return self._database

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._database.close()
        if isinstance(error, sqlite3.Error):
            raise PersistenceError(str(self._path), str(error)) from error
