"""Administration of a store: removing a registry, and declaring the store as restored."""

from __future__ import annotations

from pathlib import Path

from opslifecycle.errors import RegistryOwnedError
from opslifecycle.stores.sqlite.archive import remove_archive
from opslifecycle.stores.sqlite.catalog import RegistryRow, registry_names, registry_row
from opslifecycle.stores.sqlite.connection import Connection, existing
from opslifecycle.stores.sqlite.files import StoreFile
from opslifecycle.stores.sqlite.lease import Ownership
from opslifecycle.stores.sqlite.owner import ownership_of
from opslifecycle.stores.sqlite.place import RESTORED
from opslifecycle.stores.sqlite.schema import POSITION_BITS, POSITION_MASK
from opslifecycle.stores.sqlite.statements import Transaction


def forget(path: Path, registry: str) -> None:
    """Remove a registry without an owner, with all its rows and requests.

    Raises:
        RegistryOwnedError: A process owns the registry.
        PersistenceError: The registry cannot be removed.
    """
    file = existing(path)
    with Connection(path) as database, Transaction(database):
        row = registry_row(database, str(path), registry)
        if row is None:
            return
        _refuse_owned(path, file, row)
        first = row.number << POSITION_BITS
        last = first | POSITION_MASK
        database.execute("DELETE FROM log WHERE key BETWEEN ? AND ?", (first, last))
        remove_archive(database, str(path), row.number)
        database.execute("DELETE FROM inbox WHERE registry = ?", (registry,))
        database.execute("DELETE FROM registries WHERE number = ?", (row.number,))


def mark_restored(path: Path) -> None:
    """Declare that a store was restored from a backup.

    The feed of each registry begins a new epoch when the registry is next opened.

    Raises:
        RegistryOwnedError: A process owns one of the registries.
        PersistenceError: The store cannot be written.
    """
    file = existing(path)
    with Connection(path) as database, Transaction(database):
        for name in registry_names(database, str(path)):
            row = registry_row(database, str(path), name)
            if row is not None:
                _refuse_owned(path, file, row)
        database.execute("UPDATE registries SET place = ?", (RESTORED,))


def _refuse_owned(path: Path, file: StoreFile, row: RegistryRow) -> None:
    # No process can acquire a registry during this transaction.
    if ownership_of(file, row) is not Ownership.FREE:
        raise RegistryOwnedError(str(path), row.owner or "another process")
