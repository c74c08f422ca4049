"""Forgetting a registry: it leaves its SQLite file whole, or not at all."""

from __future__ import annotations

from pathlib import Path

from opslifecycle.errors import RegistryOwnedError
from opslifecycle.stores.sqlite import lease
from opslifecycle.stores.sqlite.schema import POSITION_BITS, POSITION_MASK
from opslifecycle.stores.sqlite.statements import Connection, Transaction


def forget(path: Path, registry: str) -> None:
    """Remove a registry that nobody owns from its file, with everything that is kept of it.

    Raises RegistryOwnedError if somebody works with it, PersistenceError if it cannot be removed.
    """
    with Connection(path) as database, Transaction(database):
        row = database.execute(
            "SELECT number, owner, expires_ms FROM registries WHERE name = ?", (registry,)
        ).fetchone()
        if row is None:
            return
        number, owner, expires_ms = row
        if lease.is_held(owner, expires_ms):
            raise RegistryOwnedError(str(path), lease.holder_of(owner))
        first = number << POSITION_BITS
        last = first | POSITION_MASK
        database.execute("DELETE FROM log WHERE key BETWEEN ? AND ?", (first, last))
        database.execute("DELETE FROM inbox WHERE registry = ?", (registry,))
        database.execute("DELETE FROM registries WHERE number = ?", (number,))
