"""The SQLite store: append-only rows with chained checksums, owned by one process.

A commit is one statement, which is its own transaction: it appends a row for each record that
changed and one for the registry's state, provided that this process still owns the registry. Old
rows are deleted, some hundreds at a time; those still needed are appended again. Thus neither the
duration of a commit nor the size of the file grows without limit.
"""

from __future__ import annotations

import ctypes
import sqlite3
from pathlib import Path
from typing import Literal

from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.errors import (
    InvalidValueError,
    PersistenceError,
    RegistryOwnedError,
    StoreDamagedError,
    StoreLostError,
)
from opslifecycle.stores.base import CLOSED, Commit, Interrupted, StoreContents
from opslifecycle.stores.epochs import in_new_epoch
from opslifecycle.stores.reading import RegistryView
from opslifecycle.stores.schema_version import SchemaVersion
from opslifecycle.stores.sqlite import lease
from opslifecycle.stores.sqlite.archive import ArchiveReader, ArchivingStore, add_archived
from opslifecycle.stores.sqlite.catalog import check_schema, refuse_other_layouts, registry_row
from opslifecycle.stores.sqlite.checkpoints import Checkpoints
from opslifecycle.stores.sqlite.connection import (
    BUSY_SECONDS,
    check_lock_timeout,
    connect,
    existing,
)
from opslifecycle.stores.sqlite.failures import failure_of, is_fatal
from opslifecycle.stores.sqlite.files import StoreFile, check_path, locate
from opslifecycle.stores.sqlite.log_index import LogIndex, Writer
from opslifecycle.stores.sqlite.log_reader import LogReader
from opslifecycle.stores.sqlite.owner import Owner
from opslifecycle.stores.sqlite.reader import StoreReader
from opslifecycle.stores.sqlite.schema import (
    LAYOUT,
    POSITION_BITS,
    POSITION_MASK,
    REGISTRIES_MAX,
    checksum_of,
    create,
)
from opslifecycle.stores.sqlite.statements import Transaction, append_rows
from opslifecycle.stores.sqlite.upgrade import OLD_LAYOUTS, upgrade
from opslifecycle.values import checks

Durability = Literal["process", "power"]

_COMPACTED_ROWS = 512


class SqliteStore(ArchivingStore):
    """A store of one registry, by name, in a SQLite file, which other processes can read.

    Args:
        path: The file, created readable by its owner only if it does not exist.
        registry: The name of the registry in the file.
        durability: `"power"` if a commit must survive a power cut, `"process"` if it must survive
            a kill of the process.
        interrupted: How live records end whose process has ended; None as the machine declares.
        restored: Whether the file was restored from a backup, so that the feed begins a new epoch.
            A copy is recognised without it, unless a whole volume was restored.
        lock_timeout: The number of seconds that the opening, and each commit, waits for a lock of
            another program.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        registry: str = "default",
        durability: Durability = "power",
        interrupted: Interrupted | None = None,
        restored: bool = False,
        lock_timeout: float = BUSY_SECONDS,
    ) -> None:
        checks.instance("path", path, str | Path)
        checks.flag("restored", restored)
        checks.text("registry", registry)
        if durability not in ("process", "power"):
            raise InvalidValueError("durability", f"expected process or power, got {durability!r}")
        if interrupted not in (None, "terminate", "discard"):
            reason = f"expected terminate, discard or None, got {interrupted!r}"
            raise InvalidValueError("interrupted", reason)
        self.interrupted = interrupted
        self._path = check_path(Path(path))
        self._registry = registry
        self._durability = durability
        self._restored = restored
        self._lock_timeout = check_lock_timeout(lock_timeout)
        self._file = StoreFile(self._path, None)
        self._database: sqlite3.Connection | None = None
        self._owner: Owner | None = None
        self._schema = SchemaVersion("", 0, "")
        self._failed: str | None = None
        self._failure: PersistenceError | None = None
        self._index = LogIndex()
        self._renew_at_ms = 0
        self._checkpoints = Checkpoints(self.name)

    @property
    def name(self) -> str:
        """The path of the file, for messages."""
        return str(self._path)

    @property
    def is_open(self) -> bool:
        """See `Store.is_open`."""
        return self._database is not None

    def reading(self, schema: SchemaVersion) -> RegistryView:
        """See `Store.reading`."""
        return RegistryView(StoreReader(self._path, schema), self._registry, self.name)

    # Opening ------------------------------------------------------------------------------------

    def open(self, schema: SchemaVersion) -> StoreContents:
        """See `Store.open`."""
        if self._database is not None:
            raise RegistryOwnedError(self.name, "another registry of this process")
        self._schema = schema
        self._failure = None
        self._failed = None
        self._file = StoreFile(self._path, None)
        try:
            self._file = self._found_or_made()
            self._database = connect(self._file.path, "rw", timeout=self._lock_timeout)
            self._owner = Owner(self.name, self._file)
            stored = self._take_over(self._database, self._owner)
            self._owner.confirm(self._index.head)
            self._archive = ArchiveReader(self.name, self._file.path, self._owner.number)
            return stored
        except (sqlite3.Error, UnicodeDecodeError, OverflowError, OSError) as error:
            self._give_up(clean=False)
            raise failure_of(self.name, self._file.path, error, reading=True) from error
        except BaseException:
            self._shorten_lease()
            self._give_up(clean=False)
            raise

    def _found_or_made(self) -> StoreFile:
        file = locate(self._path)
        if file.inode is None:
            if not file.path.parent.is_dir():
                raise PersistenceError(
                    self.name, f"there is no folder {self._path.parent}; create it"
                )
            create(file.path)
        return existing(self._path)

    def _take_over(self, database: sqlite3.Connection, owner: Owner) -> StoreContents:
        synchronous = "FULL" if self._durability == "power" else "NORMAL"
        database.execute(f"PRAGMA synchronous = {synchronous}")
        self._checkpoints.limit(database)
        with Transaction(database):
            layout = refuse_other_layouts(database, self.name, LAYOUT, *OLD_LAYOUTS)
            if layout != LAYOUT:
                upgrade(database, self.name, layout)
            check_schema(database, self.name)
            return self._claim(database, owner)

    def _claim(self, database: sqlite3.Connection, owner: Owner) -> StoreContents:
        """Acquire the lease of the registry, and read its contents."""
        row = registry_row(database, self.name, self._registry)
        if row is None:
            return self._register(database, owner)
        reader = LogReader(self.name, self._registry, self._schema)
        # Checked first, because a program that cannot read the store must not own it.
        renumbered = owner.admit(row, restored=self._restored)
        version = reader.advance(database, row)
        found, self._index = reader.stored(), reader.index
        stored = self._schema.take_over(version, found, self.name)
        if renumbered:
            stored = in_new_epoch(stored, self.name, self._index.head)
        database.execute(
            "UPDATE registries SET fence = ?, place = ?, owner = ?, lock = ?, expires_ms = ?"
            " WHERE number = ?",
            (*owner.columns, owner.number),
        )
        self._plan_renewal()
        if stored is not found:
            self._rewrite(database, stored)
        return stored

    def _register(self, database: sqlite3.Connection, owner: Owner) -> StoreContents:
        """Add the row of a new registry."""
        self._index = LogIndex()
        (last,) = database.execute("SELECT max(number) FROM registries").fetchone()
        number = 1 if last is None else last + 1
        if number > REGISTRIES_MAX:
            raise StoreDamagedError(self.name, 0, f"the number of a registry: {last}")
        owner.begin(number)
        database.execute(
            "INSERT INTO registries VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?, ?, ?)",
            (number, *self._signed(0, 0), *owner.columns),
        )
        self._plan_renewal()
        return StoreContents({}, {}, None)

    def _rewrite(self, database: sqlite3.Connection, stored: StoreContents) -> None:
        """Write all contents again as this version stores them."""
        writer = Writer(self._owned().number, self._index)
        writer.base, writer.base_checksum = writer.head, writer.head_checksum
        sequences = {row: sequence for sequence, row in stored.rows.items()}
        records = stored.records.items()
        writer.put((id, sequences.pop((id, body), None), body) for id, body in records)
        for (id, body), sequence in sequences.items():
            writer.row(id, sequence, body)
        if stored.state is not None:
            writer.state(stored.state)
        self._append_rows(database, writer)
        self._truncate(database, writer)
        writer.keep()

    # Committing ---------------------------------------------------------------------------------

    def append(self, commit: Commit) -> None:
        """See `Store.append`."""
        if self._failed is not None:
            raise self._failure or PersistenceError(self.name, self._failed)
        database, owner = self._connected(), self._owned()
        if not self._file.is_in_place():
            raise self._lose()
        writer = Writer(owner.number, self._index)
        writer.put(commit.writes)
        for id in commit.erased:
            writer.erase(id)
        writer.drop_feed(commit.dropped_through)
        try:
            if SYSTEM_CLOCK.monotonic_ms() >= self._renew_at_ms:
                self._renew(database, owner)
            if writer.is_long() or commit.archived:
                with Transaction(database):
                    self._append_in_steps(database, writer, commit)
            else:
                writer.state(commit.state)
                self._append_rows(database, writer)
        except (sqlite3.Error, ValueError, OverflowError) as error:
            raise self._failure_of(database, error) from error
        self._checkpoints.note(writer.head - self._index.head)
        writer.keep()
        owner.note(writer.head)

    def _append_in_steps(
        self, database: sqlite3.Connection, writer: Writer, commit: Commit
    ) -> None:
        """Append a commit that changes more than the end of the log."""
        is_long = writer.is_long()
        if is_long:
            self._retire_oldest(database, writer)
        writer.state(commit.state)
        self._append_rows(database, writer)
        if is_long:
            self._truncate(database, writer)
        if commit.archived:
            add_archived(database, self.name, self._owned().number, commit.archived)

    def _append_rows(self, database: sqlite3.Connection, writer: Writer) -> None:
        owner = self._owned()
        append_rows(database, owner.number, owner.fencing_token, writer.values)

    def _failure_of(self, database: sqlite3.Connection, error: Exception) -> PersistenceError:
        """Return the error of a commit that failed; the store may be unusable afterwards."""
        failure = failure_of(self.name, self._file.path, error, reading=False)
        if database.in_transaction or is_fatal(error):
            # After such a failure the contents of the disk are unknown.
            self._failed = f"the store has failed: {error}; check the disk, and open a new registry"
            self._give_up(clean=False)
        return failure

    def _lose(self) -> StoreLostError:
        """Stop writing, because other processes no longer find the file."""
        cause = (
            "the file was deleted or replaced while it was open, so nothing further is written, and"
            " what was acknowledged is in no file; restore the file, or open a new registry"
        )
        self._failed, self._failure = cause, StoreLostError(self.name, cause)
        if self._database is not None:
            # When it closes its last connection, SQLite removes the log by its name, which may be
            # that of another store's log by now. So this one stays open until the process ends.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._database))
            self._database = None
        self._give_up(clean=False)
        return self._failure

    def _retire_oldest(self, database: sqlite3.Connection, writer: Writer) -> None:
        """Delete some of the oldest rows, because most of the log is no longer needed."""
        first = self._owned().number << POSITION_BITS
        # More rows than this commit has added, so that the log shrinks also with large commits.
        count = max(_COMPACTED_ROWS, 2 * (writer.head - self._index.head))
        oldest = database.execute(
            "SELECT key, kind, id, sequence, body, checksum FROM log"
            " WHERE key > ? AND key <= ? ORDER BY key",
            (first + writer.base, first + min(writer.base + count, self._index.head)),
        ).fetchall()
        for key, *values in oldest:
            writer.retire((key & POSITION_MASK, *values))

    def _truncate(self, database: sqlite3.Connection, writer: Writer) -> None:
        """Delete the rows before the new beginning of the log."""
        number = self._owned().number
        first = number << POSITION_BITS
        database.execute("DELETE FROM log WHERE key > ? AND key <= ?", (first, first + writer.base))
        database.execute(
            "UPDATE registries SET name = ?, machine = ?, version = ?, digest = ?, base = ?,"
            " base_checksum = ?, checksum = ? WHERE number = ?",
            (*self._signed(writer.base, writer.base_checksum), number),
        )

    def _signed(self, base: int, base_checksum: int) -> tuple[str | int, ...]:
        schema = self._schema
        values = (
            self._registry, schema.machine, schema.version, schema.digest, base, base_checksum
        )  # fmt: skip
        return (*values, checksum_of(*values))

    # Owning -------------------------------------------------------------------------------------

    def _plan_renewal(self) -> None:
        self._renew_at_ms = SYSTEM_CLOCK.monotonic_ms() + round(lease.BEAT_SECONDS * 1000)

    def _renew(self, database: sqlite3.Connection, owner: Owner) -> None:
        self._plan_renewal()
        owner.renew(database, self._index.head)

    def _shorten_lease(self) -> None:
        if self._database is not None and self._owner is not None:
            try:
                self._owner.shorten(self._database)
            except sqlite3.Error:
                # The next attempt to open the store shortens it.
                pass

    def heartbeat_seconds(self) -> float | None:
        """See `Store.heartbeat_seconds`."""
        return lease.BEAT_SECONDS

    def heartbeat(self) -> None:
        """See `Store.heartbeat`."""
        if self._database is None or self._owner is None:
            return
        if not self._file.is_in_place():
            self._lose()
            return
        try:
            self._renew(self._database, self._owner)
        except (sqlite3.Error, PersistenceError):
            # A single missed heartbeat is harmless, and the next commit reports the cause.
            return

    def maintain(self) -> None:
        """See `Store.maintain`."""
        if self._database is not None:
            self._checkpoints.run(self._database)

    def close(self) -> None:
        """See `Store.close`."""
        if self._database is not None and not self._file.is_in_place():
            self._lose()
        self._give_up(clean=self._failed is None)

    def _give_up(self, *, clean: bool) -> None:
        """Release the lock, the lease and the connection; after an interrupt it can be repeated."""
        database, owner, archived = self._database, self._owner, self._archive
        try:
            if archived is not None:
                archived.close()
            if owner is not None:
                owner.release(database if clean else None)
            if database is not None and clean:
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            # Acknowledged commits are in the file already, and the lock is released.
            pass
        finally:
            if database is not None:
                database.close()
        self._database = self._owner = self._archive = None

    def _connected(self) -> sqlite3.Connection:
        if self._database is None:
            raise PersistenceError(self.name, CLOSED)
        return self._database

    def _owned(self) -> Owner:
        if self._owner is None:
            raise PersistenceError(self.name, CLOSED)
        return self._owner
