"""Reading a SQLite store without owning anything in it, and without leaving anything behind.

A reader opens the file for reading only. If there is no write-ahead log, the file is complete, and
the reader opens it as `immutable`: SQLite then neither locks nor creates a file, so read permission
for the file and its folder is enough. Afterwards the reader checks that the file has not changed. A
reader of another user must create no files beside the store, because the owner could not open them.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import TypeVar

from opslifecycle.errors import PersistenceError, StoreDamagedError
from opslifecycle.stores.base import ArchivedRow
from opslifecycle.stores.reading import UNREADABLE, Known, Reader, StoredRegistry
from opslifecycle.stores.schema_version import SchemaVersion
from opslifecycle.stores.sqlite import archive
from opslifecycle.stores.sqlite.archive import ArchiveReader
from opslifecycle.stores.sqlite.catalog import (
    RegistryRow,
    check_schema,
    refuse_other_layouts,
    registry_names,
    registry_row,
)
from opslifecycle.stores.sqlite.connection import connect, existing, present, refuse_own_mount
from opslifecycle.stores.sqlite.failures import failure_of
from opslifecycle.stores.sqlite.files import StoreFile, check_path
from opslifecycle.stores.sqlite.lease import Ownership
from opslifecycle.stores.sqlite.log_reader import LogReader
from opslifecycle.stores.sqlite.owner import ownership_of
from opslifecycle.stores.sqlite.schema import LAYOUT

T = TypeVar("T")

#: How often a read without locks is repeated because a writer has changed the file meanwhile.
_ATTEMPTS = 3


class StoreReader(Reader):
    """A reader of the registries in a SQLite store, which does not disturb their owners.

    Repeated reads of a registry take time in proportion to its new rows. Methods raise
    PersistenceError if there is no store, and StoreDamagedError or StoreVersionError if it cannot
    be read.
    """

    def __init__(self, path: Path, schema: SchemaVersion) -> None:
        self._path = check_path(path)
        self._schema = schema
        self._readers: dict[str, LogReader] = {}
        self._known: dict[str, Known] = {}
        # The file that is known to be no mount of its own.
        self._inode: int | None = None

    def names(self) -> list[str]:
        """Return the names of the machine's registries, in the order of their creation.

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

    def archive(self, name: str) -> AbstractContextManager[ArchiveReader]:
        """Return a reader of the archive of a registry, which closes it at the end of a block."""
        number = next((row.number for row in self._rows() if row.name == name), 0)
        file = existing(self._path).path
        return closing(ArchiveReader(str(self._path), file, number))

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
            raise self._gone(name)
        return found

    def all(self) -> list[StoredRegistry]:
        """Return every registry of the machine."""
        found = [self._registry(name) for name in self.names()]
        return [each for each in found if each is not None]

    def archived(self, name: str, id: str) -> ArchivedRow | None:
        """See `Reader.archived`."""
        return self._archive(name, archive.latest, id)

    def archived_after(self, name: str, sequence: int, limit: int) -> list[ArchivedRow]:
        """See `Reader.archived_after`."""
        return self._archive(name, archive.after, sequence, limit)

    def archived_before(self, name: str, sequence: int | None, limit: int) -> list[ArchivedRow]:
        """See `Reader.archived_before`."""
        return self._archive(name, archive.before, sequence, limit)

    def check_archive(self, name: str) -> int:
        """See `Reader.check_archive`."""
        return self._archive(name, archive.check)

    def _archive(self, name: str, read: Callable[..., T], *asked: object) -> T:
        """Return what a function of the archive returns for a registry of the machine."""
        path = str(self._path)

        def look(database: sqlite3.Connection, _: StoreFile) -> T:
            row = registry_row(database, path, name)
            if row is None:
                raise self._gone(name)
            self._schema.refuse_unreadable(row.machine, row.version, path)
            return read(database, path, row.number, *asked)

        return self._read(look)

    def _gone(self, name: str) -> PersistenceError:
        reason = f"there is no registry {name!r} any more; list them again"
        return PersistenceError(str(self._path), reason)

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
        # It comes back when it is complete: an interrupt must not leave one that has read a part.
        reader = self._readers.pop(name, None)
        version = None if reader is None else _continued(reader, database, row)
        if reader is None or version is None:
            reader = LogReader(path, name, self._schema)
            version = reader.advance(database, row)
        found = reader.stored()
        self._readers[name] = reader
        try:
            stored = self._schema.adopt(version, found)
        except UNREADABLE as error:
            raise StoreDamagedError(path, reader.index.head, str(error)) from None
        owned = ownership_of(file, row)
        holder = None if owned is Ownership.FREE else row.owner or "another process"
        responds = owned is not Ownership.UNRESPONSIVE
        known = self._known.setdefault(name, {})
        return StoredRegistry(
            name, version, holder, responds, stored, path, reader.index.latest, known
        )

    def _file(self) -> StoreFile:
        """Locate the store; the mounts are looked at once for each file."""
        file = present(self._path)
        if file.inode != self._inode:
            refuse_own_mount(file, self._path)
            self._inode = file.inode
        return file

    def _read(self, read: Callable[[sqlite3.Connection, StoreFile], T]) -> T:
        """Read in one transaction; repeat a read during which a writer has changed the file."""
        for attempt in range(_ATTEMPTS + 1):
            file = self._file()
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
            # The results may mix two states of the file.
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


def _continued(reader: LogReader, database: sqlite3.Connection, row: RegistryRow) -> int | None:
    """Read on; return None if that fails, because the store was restored, or is damaged."""
    try:
        return reader.advance(database, row)
    except StoreDamagedError:
        # Rows that do not follow those that were read before may still follow each other.
        return None


def _is_quiet(file: StoreFile) -> bool:
    """Return whether the file is complete, because its write-ahead log is empty or missing."""
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
    """Return attributes of the files that change when the store is written."""
    try:
        found = os.stat(file.path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, _is_quiet(file)


def _options(file: StoreFile) -> list[str]:
    """Return the options by which a reader of another user creates no files beside the store."""
    if not hasattr(os, "geteuid"):
        return []
    own = os.geteuid() in (0, os.stat(file.path).st_uid)
    # As root, SQLite changes the owner of the files that it creates to the store's owner.
    return [] if own else ["readonly_shm=1"]
