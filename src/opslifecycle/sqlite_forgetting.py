"""Forgetting a registry: it leaves its SQLite file whole, or not at all."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from opslifecycle import lease
from opslifecycle.errors import PersistenceError, RegistryOwnedError
from opslifecycle.sqlite_layout import POSITION_BITS, POSITION_MASK
from opslifecycle.sqlite_statements import Transaction


def forget(path: Path, registry: str) -> None:
    """Remove a registry that nobody owns from its file, with everything that is kept of it.

    Raises RegistryOwnedError if somebody works with it, PersistenceError if it cannot be removed.
    """
    try:
        database = sqlite3.connect(path, isolation_level=None)
    except sqlite3.Error as error:
        raise PersistenceError(str(path), str(error)) from error
    try:
        with Transaction(database):
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
    except sqlite3.Error as error:
        raise PersistenceError(str(path), str(error)) from error
    finally:
        database.close()
