"""Keeps registries in a SQLite file: append-only rows in a checked chain, owned by one process.

Each commit is one transaction. It verifies that this process still owns the registry, appends a row
for each record that changed, and moves the head of the chain. Rows that are no longer needed leave
from the old end, a few with each commit; those still needed are appended again. So the work of a
commit does not grow with what is held, and the file stops growing.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Literal

from opslifecycle import checks, lease
from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.errors import (
    InvalidValueError,
    OwnershipLostError,
    PersistenceError,
    RegistryOwnedError,
    StoreDamagedError,
    StoreVersionError,
)
from opslifecycle.sqlite_chain import Chain, Row, Writer
from opslifecycle.sqlite_layout import APPLICATION_ID, LAYOUT, checksum_of, create, encode
from opslifecycle.sqlite_reading import read_registry
from opslifecycle.store import Commit, Identity, Interrupted, Store, Stored

Durability = Literal["process", "power"]

_BUSY_SECONDS = 5.0
_COMPACTED_MIN = 16


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
        self._fence = 0
        self._failed: str | None = None
        self._chain = Chain()

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
            if _damages(error):
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
        database.execute("BEGIN IMMEDIATE")
        try:
            self._check_layout(database)
            stored = self._claim(database)
            database.execute("COMMIT")
        except BaseException:
            _roll_back(database)
            raise
        return stored

    def _check_layout(self, database: sqlite3.Connection) -> None:
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (layout,) = database.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION_ID:
            raise StoreVersionError(f"another program ({self.name})", "opslifecycle")
        if layout != LAYOUT:
            raise StoreVersionError(f"layout {layout} ({self.name})", f"layout {LAYOUT}")

    def _claim(self, database: sqlite3.Connection) -> Stored:
        """Take the lease of the registry, and read what it holds."""
        row = database.execute(
            "SELECT fence, owner, expires_ms FROM registries WHERE name = ?", (self._registry,)
        ).fetchone()
        now_ms = SYSTEM_CLOCK.wall_ms()
        if row is None:
            self._fence = 1
            self._chain = Chain()
            database.execute(
                "INSERT INTO registries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*self._signed(None, self._chain), 1, lease.this_owner(), now_ms + lease.LEASE_MS),
            )
            return Stored({}, {}, None)
        fence, owner, expires_ms = row
        if owner is not None and expires_ms > now_ms and not lease.is_dead(owner):
            raise RegistryOwnedError(self.name, lease.holder_of(owner))
        stored, self._chain = read_registry(database, self.name, self._registry, self._identity)
        self._fence = fence + 1
        database.execute(
            "UPDATE registries SET fence = ?, owner = ?, expires_ms = ? WHERE name = ?",
            (self._fence, lease.this_owner(), now_ms + lease.LEASE_MS, self._registry),
        )
        return stored

    # Committing ---------------------------------------------------------------------------------

    def append(self, commit: Commit) -> None:
        if self._failed is not None:
            raise PersistenceError(self.name, self._failed)
        database = self._connected()
        try:
            database.execute("BEGIN IMMEDIATE")
            writer = self._written(database, commit)
            database.execute("COMMIT")
        except OwnershipLostError:
            _roll_back(database)
            raise
        except (sqlite3.Error, ValueError) as error:
            if not _roll_back(database) or _damages(error):
                # After such a failure nobody can say what is on the disk.
                self._failed = f"the store has failed: {error}"
            raise PersistenceError(self.name, str(error)) from error
        writer.keep()

    def _written(self, database: sqlite3.Connection, commit: Commit) -> Writer:
        """Append the rows of a commit and let old ones go."""
        self._refuse_if_fenced(database)
        writer = Writer(self._registry, self._chain)
        for put in commit.puts:
            writer.add("put", put.id, put.sequence, encode(put.data))
        for id in commit.erased:
            if writer.latest(id) is not None:
                writer.add("erase", id, None, None)
        writer.drop_feed(commit.dropped_through)
        self._compact(database, writer)
        database.executemany("INSERT INTO transitions VALUES (?, ?, ?, ?, ?, ?, ?)", writer.rows)
        expires_ms = SYSTEM_CLOCK.wall_ms() + lease.LEASE_MS
        database.execute(
            "UPDATE registries SET name = ?, machine = ?, version = ?, digest = ?, state = ?,"
            " base = ?, base_checksum = ?, head = ?, head_checksum = ?, checksum = ?,"
            " expires_ms = ? WHERE name = ?",
            (*self._signed(encode(commit.state), writer), expires_ms, self._registry),
        )
        return writer

    def _compact(self, database: sqlite3.Connection, writer: Writer) -> None:
        """Let a few of the oldest rows go if most of the chain is no longer needed."""
        if not writer.is_long():
            return
        count = max(_COMPACTED_MIN, 2 * len(writer.rows))
        oldest = database.execute(
            "SELECT position, kind, id, sequence, body, checksum FROM transitions"
            " WHERE registry = ? ORDER BY position LIMIT ?",
            (self._registry, count),
        ).fetchall()
        for row in (Row(*values) for values in oldest):
            writer.retire(row)
        database.execute(
            "DELETE FROM transitions WHERE registry = ? AND position <= ?",
            (self._registry, writer.base),
        )

    def _signed(self, state: str | None, chain: Chain | Writer) -> tuple[Any, ...]:
        values = (
            self._registry, self._identity.machine, self._identity.version, self._identity.digest,
            state, chain.base, chain.base_checksum, chain.head, chain.head_checksum,
        )  # fmt: skip
        return (*values, checksum_of(*values))

    def _refuse_if_fenced(self, database: sqlite3.Connection) -> None:
        row = database.execute(
            "SELECT fence FROM registries WHERE name = ?", (self._registry,)
        ).fetchone()
        if row != (self._fence,):
            raise OwnershipLostError

    # Owning -------------------------------------------------------------------------------------

    def beat_seconds(self) -> float | None:
        return lease.BEAT_SECONDS

    def beat(self) -> None:
        if self._database is None or self._failed is not None:
            return
        expires_ms = SYSTEM_CLOCK.wall_ms() + lease.LEASE_MS
        try:
            done = self._database.execute(
                "UPDATE registries SET expires_ms = ? WHERE name = ? AND fence = ?",
                (expires_ms, self._registry, self._fence),
            )
        except sqlite3.OperationalError:
            # A beat that is missed once is no harm; the next commit says what is wrong.
            return
        if done.rowcount != 1:
            raise OwnershipLostError

    def close(self) -> None:
        if self._database is None:
            return
        try:
            if self._failed is None:
                self._database.execute(
                    "UPDATE registries SET owner = NULL, expires_ms = 0"
                    " WHERE name = ? AND fence = ?",
                    (self._registry, self._fence),
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


def _roll_back(database: sqlite3.Connection) -> bool:
    """Undo a transaction; False if that failed too."""
    try:
        if database.in_transaction:
            database.execute("ROLLBACK")
    except sqlite3.Error:
        return False
    return True


def _damages(error: Exception) -> bool:
    """Whether an error says that the file, and not this call, is at fault."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
