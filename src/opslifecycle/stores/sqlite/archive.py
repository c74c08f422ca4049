"""The archive of a file: finished records that no owner holds in memory, by sequence number.

Its tables exist only in files whose machine archives. Each row has a checksum of its own, and a
trigger adds up the number and the checksums of a registry's rows. So opening a store reads none of
them; a read checks what it returns, and `check` finds rows that are missing.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from opslifecycle.errors import PersistenceError, StoreDamagedError
from opslifecycle.locks import hold, owned_lock
from opslifecycle.stores.base import ArchivedRow, Store
from opslifecycle.stores.sqlite.connection import connect
from opslifecycle.stores.sqlite.failures import failure_of
from opslifecycle.stores.sqlite.schema import POSITION_BITS, POSITION_MASK

T = TypeVar("T")

#: The low bits of a key are the sequence number, the others the registry's number.
_OBJECTS = {
    "archive": """CREATE TABLE archive (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL,
    checksum INTEGER NOT NULL
)""",
    "archive_ids": "CREATE INDEX archive_ids ON archive (id)",
    "archive_totals": """CREATE TABLE archive_totals (
    number INTEGER PRIMARY KEY,
    count INTEGER NOT NULL,
    total INTEGER NOT NULL
)""",
    "archive_added": f"""CREATE TRIGGER archive_added AFTER INSERT ON archive BEGIN
    INSERT INTO archive_totals VALUES (new.key >> {POSITION_BITS}, 1, new.checksum)
    ON CONFLICT (number) DO UPDATE SET count = count + 1, total = total + excluded.total;
END""",
}
_COLUMNS = "SELECT key, id, version, body, checksum FROM archive"


def add_archived(
    database: sqlite3.Connection, path: str, number: int, rows: Iterable[ArchivedRow]
) -> None:
    """Insert records into the archive of a registry, in a transaction of the caller."""
    if not _exists(database, path):
        for statement in _OBJECTS.values():
            database.execute(statement)
    first = number << POSITION_BITS
    database.executemany(
        "INSERT INTO archive VALUES (?, ?, ?, ?, ?)",
        (
            (first + sequence, id, version, body, _checksum(first + sequence, id, version, body))
            for sequence, id, version, body in rows
        ),
    )


def remove_archive(database: sqlite3.Connection, path: str, number: int) -> None:
    """Delete the archive of a registry, in a transaction of the caller."""
    if _exists(database, path):
        first = number << POSITION_BITS
        database.execute(
            "DELETE FROM archive WHERE key BETWEEN ? AND ?", (first, first | POSITION_MASK)
        )
        database.execute("DELETE FROM archive_totals WHERE number = ?", (number,))


def _exists(database: sqlite3.Connection, path: str) -> bool:
    """Return whether a file has an archive.

    Raises:
        StoreDamagedError: A part of it is missing, altered or foreign.
    """
    found = dict(
        database.execute(
            "SELECT name, sql FROM sqlite_master"
            " WHERE tbl_name IN ('archive', 'archive_totals') AND sql IS NOT NULL"
        ).fetchall()
    )
    if found and found != _OBJECTS:
        raise StoreDamagedError(path, 0, "the tables of the archive were altered")
    return bool(found)


def latest(database: sqlite3.Connection, path: str, number: int, id: str) -> ArchivedRow | None:
    """Return the record with an id that a registry has archived last."""
    first = number << POSITION_BITS
    rows = _rows(
        database, path,
        f"{_COLUMNS} WHERE id = ? AND key BETWEEN ? AND ? ORDER BY key DESC LIMIT 1",
        id, first, first | POSITION_MASK,
    )  # fmt: skip
    return rows[0] if rows else None


def after(
    database: sqlite3.Connection, path: str, number: int, sequence: int, limit: int
) -> list[ArchivedRow]:
    """Return records of a registry after a sequence number, in their order."""
    first = number << POSITION_BITS
    return _rows(
        database, path,
        f"{_COLUMNS} WHERE key > ? AND key <= ? ORDER BY key LIMIT ?",
        first + min(sequence, POSITION_MASK), first | POSITION_MASK, limit,
    )  # fmt: skip


def before(
    database: sqlite3.Connection, path: str, number: int, sequence: int | None, limit: int
) -> list[ArchivedRow]:
    """Return records of a registry before a sequence number, the latest first."""
    first = number << POSITION_BITS
    until = POSITION_MASK if sequence is None else min(sequence - 1, POSITION_MASK)
    return _rows(
        database, path,
        f"{_COLUMNS} WHERE key > ? AND key <= ? ORDER BY key DESC LIMIT ?",
        first, first + until, limit,
    )  # fmt: skip


def check(database: sqlite3.Connection, path: str, number: int) -> int:
    """Read every record of a registry in a transaction, and compare them with the totals.

    Raises:
        StoreDamagedError: A record was altered, or records are missing.
    """
    if not _exists(database, path):
        return 0
    first, count, total = number << POSITION_BITS, 0, 0
    rows = database.execute(f"{_COLUMNS} WHERE key BETWEEN ? AND ?", (first, first | POSITION_MASK))
    for row in rows:
        total += _checked(path, *row)[1]
        count += 1
    totals = database.execute(
        "SELECT count, total FROM archive_totals WHERE number = ?", (number,)
    ).fetchone()
    if (count, total) != (totals or (0, 0)):
        raise StoreDamagedError(path, 0, "records of the archive are missing")
    return count


def _rows(
    database: sqlite3.Connection, path: str, statement: str, *values: int | str
) -> list[ArchivedRow]:
    if not _exists(database, path):
        return []
    found = database.execute(statement, values).fetchall()
    return [_checked(path, *row)[0] for row in found]


def _checked(
    path: str, key: int, id: str, version: int, body: str, checksum: int
) -> tuple[ArchivedRow, int]:
    """Return a row and its checksum."""
    sequence = key & POSITION_MASK
    kinds = (type(id), type(version), type(body))
    if kinds != (str, int, str) or checksum != _checksum(key, id, version, body):
        rule = f"the archived record with the sequence number {sequence} was altered"
        raise StoreDamagedError(path, sequence, rule)
    return (sequence, id, version, body), checksum


class ArchiveReader:
    """Reads the archive of one registry, on a connection of its own, for any thread.

    Args:
        name: The path of the file, for messages.
        file: The file.
        number: The number of the registry.
    """

    def __init__(self, name: str, file: Path, number: int) -> None:
        self._name = name
        self._file = file
        self._number = number
        self._lock = owned_lock()
        self._database: sqlite3.Connection | None = None

    def latest(self, id: str) -> ArchivedRow | None:
        """Return the record with an id that was archived last."""
        return self._read(latest, id)

    def after(self, sequence: int, limit: int) -> list[ArchivedRow]:
        """Return records after a sequence number, in their order."""
        return self._read(after, sequence, limit)

    def before(self, sequence: int | None, limit: int) -> list[ArchivedRow]:
        """Return records before a sequence number, the latest first."""
        return self._read(before, sequence, limit)

    def check(self) -> int:
        """Read every record, and compare their number and checksums with the totals.

        The connection is one of its own, because other threads read meanwhile.
        """
        with closing(ArchiveReader(self._name, self._file, self._number)) as own:
            return own._reading(own._check)

    def close(self) -> None:
        """Close the connection; later reads open it again."""
        hold(self._lock, self._disconnect)

    def _read(self, read: Callable[..., T], *asked: object) -> T:
        """Return what a function of the archive returns for the registry."""
        found: T = hold(
            self._lock,
            self._reading,
            lambda database: read(database, self._name, self._number, *asked),
        )
        return found

    def _disconnect(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def _check(self, database: sqlite3.Connection) -> int:
        database.execute("BEGIN")
        try:
            return check(database, self._name, self._number)
        finally:
            database.execute("ROLLBACK")

    def _reading(self, read: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._database is None:
                self._database = connect(self._file, "ro")
                self._database.execute("PRAGMA query_only = ON")
            return read(self._database)
        except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
            raise failure_of(self._name, self._file, error, reading=True) from error


class ArchivingStore(Store):
    """Base of the store: how it reads its archive while it is open."""

    archives = True
    _archive: ArchiveReader | None = None

    def archived(self, id: str) -> ArchivedRow | None:
        """See `Store.archived`."""
        return self._open_archive().latest(id)

    def archived_after(self, sequence: int, limit: int) -> list[ArchivedRow]:
        """See `Store.archived_after`."""
        return self._open_archive().after(sequence, limit)

    def archived_before(self, sequence: int | None, limit: int) -> list[ArchivedRow]:
        """See `Store.archived_before`."""
        return self._open_archive().before(sequence, limit)

    def check_archive(self) -> int:
        """See `Store.check_archive`."""
        return self._open_archive().check()

    def _open_archive(self) -> ArchiveReader:
        if self._archive is None:
            raise PersistenceError(self.name, "the store is closed; open a registry on it to read")
        return self._archive


def _checksum(key: int, id: str, version: int, body: str) -> int:
    return zlib.crc32(f"{key} {version} {id} {body}".encode())
