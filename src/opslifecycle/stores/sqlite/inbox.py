"""Requests to the owner of a registry, which other processes write to its store."""

from __future__ import annotations

from pathlib import Path

from opslifecycle.errors import StoreDamagedError
from opslifecycle.stores.sqlite.connection import Connection


class Inbox:
    """The requests in one store. Methods raise PersistenceError if the store cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(self, registry: str, id: str, reason: str) -> None:
        """Request the cancellation of one record; repeating it is harmless."""
        with Connection(self._path) as database:
            database.execute(
                "INSERT INTO inbox (registry, id, reason) VALUES (?, ?, ?)", (registry, id, reason)
            )

    def take(self, registry: str) -> list[tuple[str, str]]:
        """Return the new requests as ids with reasons, and delete them.

        Raises:
            StoreDamagedError: No process has written such a request.
        """
        with Connection(self._path) as database:
            if not database.execute(
                "SELECT 1 FROM inbox WHERE registry = ? LIMIT 1", (registry,)
            ).fetchone():
                return []
            found = database.execute(
                "DELETE FROM inbox WHERE registry = ? RETURNING id, reason", (registry,)
            ).fetchall()
        for each in found:
            if not all(type(value) is str for value in each):
                raise StoreDamagedError(str(self._path), 0, f"a request of the inbox: {each!r:.80}")
        return found
