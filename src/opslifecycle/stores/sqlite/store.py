"""Keeps registries in a SQLite file: append-only rows in a checked chain, owned by one process.

A commit is one statement, which is its own transaction: it appends a row for each record that
changed and one for the registry's state, provided that this process still owns the registry. Rows
that are no longer needed leave from the old end, some hundreds at a time; those still needed are
appended again. So the work of a commit does not grow with what is held, and the file stops growing.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Literal

from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.errors import (
    InvalidValueError,
    OwnershipLostError,
    PersistenceError,
    RegistryOwnedError,
    StoreDamagedError,
)
from opslifecycle.stores.base import Commit, Identity, Interrupted, Store, Stored
from opslifecycle.stores.sqlite import lease
from opslifecycle.stores.sqlite.chain import Chain, Writer
from opslifecycle.stores.sqlite.reader import Replay, refuse_other_layouts
from opslifecycle.stores.sqlite.schema import (
    LAYOUT,
    POSITION_BITS,
    POSITION_MASK,
    checksum_of,
    create,
)
from opslifecycle.stores.sqlite.statements import Transaction, append_rows
from opslifecycle.stores.sqlite.upgrade import OLD_LAYOUTS, upgrade
from opslifecycle.values import checks

Durability = Literal["process", "power"]

_BUSY_SECONDS = 5.0
_COMPACTED_ROWS = 512


class SqliteStore(Store):
    """Keeps one registry, by name, in a SQLite file; other processes may read it at any time.

    `durability="power"` has each commit on the disk before it is answered; `"process"` survives the
    end of the process, however sudden, but not a power cut. `interrupted` says what becomes of
    operations that were live when their process was gone; None: as the machine says.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        registry: str = "default",
        durability: Durability = "power",
        interrupted: Interrupted | None = None,
    ) -> None:
        checks.instance("path", path, str | Path)
        checks.text("registry", registry)
        if durability not in ("process", "power"):
            raise InvalidValueError("durability", f"expected process or power, got {durability!r}")
        if interrupted not in (None, "terminate", "discard"):
            reason = f"expected terminate, discard or None, got {interrupted!r}"
            raise InvalidValueError("interrupted", reason)
        self.interrupted = interrupted
        self._path = Path(path)
        self._registry = registry
        self._durability = durability
        self._database: sqlite3.Connection | None = None
        self._identity = Identity("", 0, "")
        self._number = 0
        self._fence = 0
        self._failed: str | None = None
        self._chain = Chain()
        self._renew_at_ms = 0

    @property
    def name(self) -> str:
        return str(self._path)

    # Opening ------------------------------------------------------------------------------------

    def open(self, identity: Identity) -> Stored:
        if self._database is not None:
            raise RegistryOwnedError(self.name, "another registry of this process")
        self._identity = identity
        self._failed = None
        try:
            if not self._path.parent.is_dir():
                raise PersistenceError(self.name, f"there is no folder {self._path.parent}")
            if not self._path.exists():
                create(self._path)
            elif self._path.stat().st_size == 0:
                raise StoreDamagedError(self.name, 0, "an existing file has a length of zero")
            self._database = sqlite3.connect(
                self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            return self._take_over()
        except sqlite3.Error as error:
            self._give_up()
            if _is_damage(error):
                raise StoreDamagedError(self.name, 0, str(error)) from error
            raise PersistenceError(self.name, str(error)) from error
        except OSError as error:
            self._give_up()
            raise PersistenceError(self.name, str(error.strerror)) from error
        except BaseException:
            self._give_up()
            raise

    def _take_over(self) -> Stored:
        database = self._connected()
        synchronous = "FULL" if self._durability == "power" else "NORMAL"
        database.execute(f"PRAGMA synchronous = {synchronous}")
        with Transaction(database):
            layout = refuse_other_layouts(database, self.name, LAYOUT, *OLD_LAYOUTS)
            if layout != LAYOUT:
                upgrade(database, self.name)
            return self._claim(database)

    def _claim(self, database: sqlite3.Connection) -> Stored:
        """Take the lease of the registry, and read what it holds."""
        row = database.execute(
            "SELECT number, fence, owner, expires_ms FROM registries WHERE name = ?",
            (self._registry,),
        ).fetchone()
        if row is None:
            return self._register(database)
        self._number, fence, owner, expires_ms = row
        if lease.is_held(owner, expires_ms):
            raise RegistryOwnedError(self.name, lease.holder_of(owner))
        replay = Replay(self.name, self._registry, self._identity)
        version = replay.advance(database)
        found, self._chain = replay.stored(), replay.chain
        stored = self._identity.adopt(version, found)
        self._fence = fence + 1
        database.execute(
            "UPDATE registries SET fence = ?, owner = ?, expires_ms = ? WHERE number = ?",
            (self._fence, lease.this_owner(), self._leased_until_ms(), self._number),
        )
        if stored is not found:
            self._rewrite(database, stored)
        return stored

    def _register(self, database: sqlite3.Connection) -> Stored:
        """Take a row for a registry that is new."""
        self._fence, self._chain = 1, Chain()
        owned = (self._fence, lease.this_owner(), self._leased_until_ms())
        self._number = database.execute(
            "INSERT INTO registries VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?)",
            (*self._signed(0, 0), *owned),
        ).lastrowid or 0  # fmt: skip
        return Stored({}, {}, None)

    def _rewrite(self, database: sqlite3.Connection, stored: Stored) -> None:
        """Have everything stand in the chain as this version spells it, and nothing else."""
        writer = Writer(self._number, self._chain)
        writer.base, writer.base_checksum = writer.head, writer.head_checksum
        sequences = {row: sequence for sequence, row in stored.rows.items()}
        records = stored.records.items()
        writer.put((id, sequences.pop((id, body), None), body) for id, body in records)
        for (id, body), sequence in sequences.items():
            writer.row(id, sequence, body)
        if stored.state is not None:
            writer.state(stored.state)
        append_rows(database, self._number, self._fence, writer.values)
        self._let_go(database, writer)
        writer.keep()

    # Committing ---------------------------------------------------------------------------------

    def append(self, commit: Commit) -> None:
        if self._failed is not None:
            raise PersistenceError(self.name, self._failed)
        database = self._connected()
        writer = Writer(self._number, self._chain)
        writer.put(commit.puts)
        for id in commit.erased:
            writer.erase(id)
        writer.drop_feed(commit.dropped_through)
        try:
            if SYSTEM_CLOCK.wall_ms() >= self._renew_at_ms:
                self._renew(database)
            if writer.is_long():
                with Transaction(database):
                    self._retire_oldest(database, writer)
                    writer.state(commit.state)
                    append_rows(database, self._number, self._fence, writer.values)
                    self._let_go(database, writer)
            else:
                writer.state(commit.state)
                append_rows(database, self._number, self._fence, writer.values)
        except (sqlite3.Error, ValueError, OverflowError) as error:
            if database.in_transaction or _is_fatal(error):
                # After such a failure nobody can say what is on the disk.
                self._failed = f"the store has failed: {error}"
            raise PersistenceError(self.name, str(error)) from error
        writer.keep()

    def _retire_oldest(self, database: sqlite3.Connection, writer: Writer) -> None:
        """Let some of the oldest rows go, because most of the chain is no longer needed."""
        first = self._number << POSITION_BITS
        # More than came with this commit, so that the log shrinks however large commits are.
        count = max(_COMPACTED_ROWS, 2 * (writer.head - self._chain.head))
        oldest = database.execute(
            "SELECT key, kind, id, sequence, body, checksum FROM log"
            " WHERE key > ? AND key <= ? ORDER BY key",
            (first + writer.base, first + min(writer.base + count, self._chain.head)),
        ).fetchall()
        for key, *values in oldest:
            writer.retire((key & POSITION_MASK, *values))

    def _let_go(self, database: sqlite3.Connection, writer: Writer) -> None:
        """Delete the rows before the chain's new base."""
        first = self._number << POSITION_BITS
        database.execute("DELETE FROM log WHERE key > ? AND key <= ?", (first, first + writer.base))
        database.execute(
            "UPDATE registries SET name = ?, machine = ?, version = ?, digest = ?, base = ?,"
            " base_checksum = ?, checksum = ? WHERE number = ?",
            (*self._signed(writer.base, writer.base_checksum), self._number),
        )

    def _signed(self, base: int, base_checksum: int) -> tuple[Any, ...]:
        identity = self._identity
        values = (
            self._registry, identity.machine, identity.version, identity.digest, base, base_checksum
        )  # fmt: skip
        return (*values, checksum_of(*values))

    # Owning -------------------------------------------------------------------------------------

    def _leased_until_ms(self) -> int:
        now_ms = SYSTEM_CLOCK.wall_ms()
        self._renew_at_ms = now_ms + round(lease.BEAT_SECONDS * 1000)
        return now_ms + lease.LEASE_MS

    def _renew(self, database: sqlite3.Connection) -> None:
        renewed = database.execute(
            "UPDATE registries SET expires_ms = ? WHERE number = ? AND fence = ?",
            (self._leased_until_ms(), self._number, self._fence),
        )
        if renewed.rowcount != 1:
            raise OwnershipLostError

    def heartbeat_seconds(self) -> float | None:
        return lease.BEAT_SECONDS

    def heartbeat(self) -> None:
        if self._database is None or self._failed is not None:
            return
        try:
            self._renew(self._database)
        except sqlite3.OperationalError:
            # A heartbeat that is missed once is no harm; the next commit says what is wrong.
            return

    def close(self) -> None:
        if self._database is None:
            return
        try:
            if self._failed is None:
                self._database.execute(
                    "UPDATE registries SET owner = NULL, expires_ms = 0"
                    " WHERE number = ? AND fence = ?",
                    (self._number, self._fence),
                )
                self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            # What was acknowledged is in the file already; the lease runs out by itself.
            pass
        finally:
            self._give_up()

    def _give_up(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def _connected(self) -> sqlite3.Connection:
        if self._database is None:
            raise PersistenceError(self.name, "the store is closed")
        return self._database


def _is_damage(error: Exception) -> bool:
    """Whether an error says that the file holds what no store has written."""
    code = getattr(error, "sqlite_errorcode", 0)
    damaged = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    return code & 0xFF in damaged or code == sqlite3.SQLITE_IOERR_SHORT_READ


def _is_fatal(error: Exception) -> bool:
    """Whether an error says that nothing more can be said of what the file holds."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR or _is_damage(error)
