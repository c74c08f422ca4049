"""Reading a SQLite store without owning anything in it, and without leaving anything behind.

A reader opens the file for reading only. If no write-ahead log is there, all there is to know is in
the file, and SQLite is told that nothing changes (`immutable`): then it neither locks nor creates
anything, and a user who may only read the file and its folder can look. Whether something changed
after all is checked afterwards. Files that a reader of another user created beside the store would
lock its owner out.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from opslifecycle.errors import PersistenceError, StoreDamagedError
from opslifecycle.stores.base import SchemaVersion
from opslifecycle.stores.reading import UNREADABLE, Known, Reader, StoredRegistry
from opslifecycle.stores.sqlite.catalog import (
    RegistryRow,
    check_schema,
    refuse_other_layouts,
    registry_names,
    registry_row,
)
from opslifecycle.stores.sqlite.connection import connect, existing
from opslifecycle.stores.sqlite.failures import failure_of
from opslifecycle.stores.sqlite.files import StoreFile, check_path
from opslifecycle.stores.sqlite.lease import Ownership
from opslifecycle.stores.sqlite.log_reader import LogReader
from opslifecycle.stores.sqlite.owner import ownership_of
from opslifecycle.stores.sqlite.schema import LAYOUT

T = TypeVar("T")

#: How often a read that was overtaken by a writer is tried without locks.
_ATTEMPTS = 3


class StoreReader(Reader):
    """Reads a SQLite store without owning anything in it; its owners go on meanwhile.

    Reading the same registry again costs what has come since. Raises PersistenceError if there is
    no store, StoreDamagedError and StoreVersionError for one that cannot be read.
    """

    def __init__(self, path: Path, schema: SchemaVersion) -> None:
        self._path = check_path(path)
        self._schema = schema
        self._readers: dict[str, LogReader] = {}
        self._known: dict[str, Known] = {}

    def names(self) -> list[str]:
        """Return the names of the machine's registries, in the order in which they were made.

        Raises:
            StoreVersionError: All registries in the store are those of other machines.
        """
        rows = self._rows()
        own = [row.name for row in rows if row.machine == self._schema.machine]
        for row in [] if own else rows:
            self._schema.refuse_unreadable(row.machine, row.version, str(self._path))
        return own

    def others(self) -> list[str]:
        """Return the names of the registries that other machines have in the store."""
        return [row.name for row in self._rows() if row.machine != self._schema.machine]

    def registries(self) -> list[tuple[str, SchemaVersion]]:
        """Return the names of all registries in the store, each with the machine that wrote it."""
        return [
            (row.name, SchemaVersion(row.machine, row.version, row.digest)) for row in self._rows()
        ]

    def _rows(self) -> list[RegistryRow]:
        path = str(self._path)

        def read(database: sqlite3.Connection, file: StoreFile) -> list[RegistryRow]:
            found = (registry_row(database, path, name) for name in registry_names(database, path))
            return [row for row in found if row is not None]

        return self._read(read)

    def registry(self, name: str) -> StoredRegistry:
        """Return one registry at one instant.

        Raises:
            PersistenceError: There is no such registry.
        """
        found = self._registry(name)
        if found is None:
            raise PersistenceError(str(self._path), f"there is no registry {name!r} any more")
        return found

    def all(self) -> list[StoredRegistry]:
        """Return every registry of the machine."""
        found = [self._registry(name) for name in self.names()]
        return [each for each in found if each is not None]

    def _registry(self, name: str) -> StoredRegistry | None:
        return self._read(lambda database, file: self._advance(database, file, name))

    def _advance(
        self, database: sqlite3.Connection, file: StoreFile, name: str
    ) -> StoredRegistry | None:
        path = str(self._path)
        row = registry_row(database, path, name)
        if row is None:
            self._readers.pop(name, None)
            self._known.pop(name, None)
            return None
        reader = self._readers.setdefault(name, LogReader(path, name, self._schema))
        version = reader.advance(database, row)
        found = reader.stored()
        try:
            stored = self._schema.adopt(version, found)
        except UNREADABLE as error:
            raise StoreDamagedError(path, reader.index.head, str(error)) from None
        owned = ownership_of(file, row)
        holder = None if owned is Ownership.FREE else row.owner or "another process"
        responds = owned is not Ownership.UNRESPONSIVE
        known = self._known.setdefault(name, {})
        return StoredRegistry(name, holder, responds, stored, path, reader.index.latest, known)

    def _read(self, read: Callable[[sqlite3.Connection, StoreFile], T]) -> T:
        """Read in one transaction; what was overtaken by a writer is read again."""
        for attempt in range(_ATTEMPTS + 1):
            file = existing(self._path)
            quiet = attempt < _ATTEMPTS and _is_quiet(file)
            before = _stamp(file)
            try:
                result = self._read_once(read, file, immutable=quiet)
            except PersistenceError:
                if not quiet or _stamp(file) == before:
                    raise
            else:
                if not quiet or _stamp(file) == before:
                    return result
            # What was read of two states is worth nothing.
            self._readers.clear()
        raise AssertionError("the last attempt is never without locks")

    def _read_once(
        self,
        read: Callable[[sqlite3.Connection, StoreFile], T],
        file: StoreFile,
        *,
        immutable: bool,
    ) -> T:
        path = str(self._path)
        database: sqlite3.Connection | None = None
        try:
            options = ["immutable=1"] if immutable else _options(file)
            database = connect(file.path, "ro", *options)
            database.execute("PRAGMA query_only = ON")
            database.execute("PRAGMA trusted_schema = OFF")
            refuse_other_layouts(database, path, LAYOUT)
            database.execute("BEGIN")
            check_schema(database, path)
            return read(database, file)
        except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
            raise failure_of(path, file.path, error, reading=True) from error
        finally:
            if database is not None:
                database.close()


def _is_quiet(file: StoreFile) -> bool:
    """Return whether everything is in the file itself: no log has content of its own."""
    for suffix in ("-wal", "-journal"):
        try:
            if os.stat(file.beside(suffix)).st_size:
                return False
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True


def _stamp(file: StoreFile) -> tuple[int, int, int, bool] | None:
    """Return what changes when a store is written."""
    try:
        found = os.stat(file.path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, _is_quiet(file)


def _options(file: StoreFile) -> list[str]:
    """Have a reader of another user create no files beside the store."""
    if not hasattr(os, "geteuid"):
        return []
    own = os.geteuid() in (0, os.stat(file.path).st_uid)
    # SQLite gives to the owner what root creates.
    return [] if own else ["readonly_shm=1"]
