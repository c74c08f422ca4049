"""Taking a registry: when it is free, when its owner has ended, and what is stored in it.

| owner in the row | lease | advisory lock | the registry is |
|---|---|---|---|
| none | | | free |
| another process | ended | | free |
| another process | valid | held, or not used | owned |
| another process | valid | gone | free, if it is still gone after half a second |

The pause lets an owner whose connection has ended connect again. It only saves time: taking a
registry raises its fencing token, which the statements of its former owner check.
"""

from __future__ import annotations

import threading

import attrs
from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.errors import RegistryOwnedError
from opslifecycle.stores.base import EMPTY, StoreContents
from opslifecycle.stores.postgres.link import Deadline, Link, within
from opslifecycle.stores.postgres.log_index import LogIndex
from opslifecycle.stores.postgres.schema import POSITION_BITS
from opslifecycle.stores.postgres.session import PATIENCE_SECONDS, Session
from opslifecycle.stores.postgres.statements import SPLIT
from opslifecycle.stores.schema_version import SchemaVersion

#: How long an owner without its advisory lock has to come back.
GRACE_SECONDS = 0.5
_LOOK_SECONDS = 0.05
#: How long a transaction of a process that hangs holds its locks.
_IDLE_MS = 5000


@attrs.frozen
class Claim:
    """A registry that this process now owns."""

    number: int
    fencing_token: int
    index: LogIndex
    stored: StoreContents


@attrs.frozen
class RegistryRow:
    """A registry's row, with what is known about its owner."""

    number: int
    machine: str
    version: int
    fencing_token: int
    owner: int | None
    #: The owner in words; None if its lease was given up.
    holder: str | None
    lease_valid: bool
    #: Whether the owner uses an advisory lock, and does not hold it.
    lock_gone: bool

    @property
    def is_owned(self) -> bool:
        """Whether a process owns the registry, as far as its lease says."""
        return self.owner is not None and self.lease_valid


#: Whether an owner `o` uses an advisory lock, and does not hold it.
_LOCK_IS_GONE = (
    # The server reads its locks once for all owners.
    "(o.session_lock AND o.owner NOT IN ("
    "  SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks"
    "  WHERE locktype = 'advisory' AND objsubid = 1 AND granted"
    "  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())))"
)


#: Whether an owner `o` lives, as far as the server knows.
OWNER_LIVES = f"(o.lease_until > clock_timestamp() AND NOT {_LOCK_IS_GONE})"


def is_free(schema: str) -> str:
    """Return the condition that a registry has no owner that lives."""
    return (
        f"NOT EXISTS (SELECT 1 FROM {schema}.owners o"
        f" WHERE o.owner = registries.owner AND {OWNER_LIVES})"
    )


def registry_row(link: Link, schema: str, name: str, deadline: Deadline) -> RegistryRow | None:
    """Return the row of a registry; None if there is none."""
    rows = link.run(
        "SELECT r.number, r.machine, r.version, r.fencing_token, r.owner, o.name,"
        " coalesce(o.lease_until > clock_timestamp(), false),"
        f" coalesce({_LOCK_IS_GONE}, false)"
        f" FROM {schema}.registries r LEFT JOIN {schema}.owners o ON o.owner = r.owner"
        " WHERE r.name = $1",
        name,
        deadline=deadline,
    )
    if not rows:
        return None
    ((number, machine, version, token, owner, holder, valid, gone),) = rows
    return RegistryRow(
        int(number or 0),
        str(machine),
        int(version or 0),
        int(token or 0),
        None if owner is None else int(owner),
        holder,
        valid == "t",
        gone == "t",
    )


class Claiming:
    """An attempt of a session to own one registry."""

    def __init__(self, session: Session, registry: str, schema: SchemaVersion) -> None:
        self._session = session
        self._registry = registry
        self._schema = schema
        self._tables = session.target.schema
        self._name = f"registry {registry!r} in {session.name}"
        self._deadline = within(PATIENCE_SECONDS)
        #: Whose advisory lock was gone, and since when.
        self._gone: tuple[int, int] | None = None

    def claim(self) -> Claim:
        """Take the registry, and return what is stored in it.

        Raises:
            RegistryOwnedError: Another process owns it.
            StoreVersionError: It is of another machine, or of a version without a migration.
            StoreDamagedError: Its rows contradict each other.
        """
        while True:
            with self._session.reporting(), self._session.side() as link:
                row = registry_row(link, self._tables, self._registry, self._deadline)
                if row is None:
                    claim = self._create(link)
                else:
                    self._schema.refuse_unreadable(row.machine, row.version, self._name)
                    claim = self._take(link, row) if self._is_free(row) else None
                if claim is not None:
                    return claim
            threading.Event().wait(_LOOK_SECONDS)

    def _is_free(self, row: RegistryRow) -> bool:
        """Return whether a registry may be taken; raises RegistryOwnedError if it is owned."""
        if row.owner == self._session.lease.owner:
            if row.number in self._session.owned:
                raise RegistryOwnedError(self._name, "another registry of this process")
            return True
        if row.owner is None or not row.is_owned:
            return True
        if not row.lock_gone:
            raise RegistryOwnedError(self._name, row.holder or "another process")
        now = SYSTEM_CLOCK.monotonic_ns()
        if self._gone is None or self._gone[0] != row.owner:
            self._gone = (row.owner, now)
        return now - self._gone[1] >= GRACE_SECONDS * 1e9

    def _create(self, link: Link) -> Claim | None:
        """Add a registry that is ours; None if another process was faster."""
        schema = self._schema
        rows = link.run(
            f"INSERT INTO {self._tables}.registries"
            " (name, machine, version, digest, fencing_token, owner, head, dropped_through)"
            " VALUES ($1, $2, $3::integer, $4, 1, $5::bigint, 0, 0)"
            " ON CONFLICT (name) DO NOTHING RETURNING number",
            self._registry, schema.machine, schema.version, schema.digest,
            self._session.lease.owner, deadline=self._deadline,
        )  # fmt: skip
        return Claim(int(rows[0][0] or 0), 1, LogIndex(), EMPTY) if rows else None

    def _take(self, link: Link, row: RegistryRow) -> Claim | None:
        """Take a registry and read it; None if another process was faster."""
        begin(link, self._deadline)
        rows = link.run(
            "SELECT head, dropped_through, state, version"
            f" FROM {self._tables}.registries WHERE number = $1::integer"
            " AND fencing_token = $2::bigint FOR UPDATE",
            row.number, row.fencing_token, deadline=self._deadline,
        )  # fmt: skip
        if not rows:
            link.run("ROLLBACK", deadline=self._deadline)
            return None
        ((head, dropped_through, state, version),) = rows
        index = LogIndex(int(head or 0), int(dropped_through or 0))
        found = read(link, self._tables, self._name, row.number, index, state, self._deadline)
        stored = self._schema.take_over(int(version or 0), found, self._name)
        link.run(
            f"UPDATE {self._tables}.registries SET fencing_token = fencing_token + 1,"
            " owner = $2::bigint, machine = $3, version = $4::integer, digest = $5"
            " WHERE number = $1::integer",
            row.number, self._session.lease.owner, self._schema.machine, self._schema.version,
            self._schema.digest, deadline=self._deadline,
        )  # fmt: skip
        if stored is not found:
            index = rewrite(link, self._tables, row.number, index, stored, self._deadline)
        link.run("COMMIT", deadline=self._deadline)
        return Claim(row.number, row.fencing_token + 1, index, stored)


def rewrite(
    link: Link,
    schema: str,
    number: int,
    index: LogIndex,
    stored: StoreContents,
    deadline: Deadline,
) -> LogIndex:
    """Write all contents of a registry anew, behind its present head; returns where they are."""
    fresh = LogIndex(index.head, index.dropped_through)
    changes = fresh.rewrite(stored)
    first, end = number << POSITION_BITS, (number + 1) << POSITION_BITS
    delete = f"DELETE FROM {schema}.log WHERE key >= $1::bigint AND key < $2::bigint"
    link.run(delete, first, end, deadline=deadline)
    link.run(insert_rows(schema), changes.encoded(number), deadline=deadline)
    link.run(
        f"UPDATE {schema}.registries SET head = $2::bigint, dropped_through = $3::bigint,"
        " state = $4 WHERE number = $1::integer",
        number, changes.head, changes.dropped_through, stored.state, deadline=deadline,
    )  # fmt: skip
    fresh.apply(changes)
    return fresh


def put_back(
    link: Link,
    schema: str,
    owner: tuple[int, int, int],
    index: LogIndex,
    stored: StoreContents,
    deadline: Deadline,
) -> LogIndex | None:
    """Write what an owner has acknowledged to a server that has lost some of it.

    Args:
        link: The connection.
        schema: The schema.
        owner: The number of the registry, its fencing token and its owner.
        index: Where the rows were.
        stored: What the owner has acknowledged.
        deadline: When the owner's lease ends.

    Returns:
        Where the rows are; None if the server says that the registry has another owner.
    """
    begin(link, deadline)
    rows = link.run(
        f"SELECT head FROM {schema}.registries WHERE number = $1::integer"
        " AND fencing_token = $2::bigint AND owner = $3::bigint FOR UPDATE",
        *owner, deadline=deadline,
    )  # fmt: skip
    written = rewrite(link, schema, owner[0], index, stored, deadline) if rows else None
    link.run("COMMIT", deadline=deadline)
    return written


def begin(link: Link, deadline: Deadline) -> None:
    """Begin a transaction that locks rows of registries, and that ends if this process hangs.

    The locks of a process that is suspended, or whose network is gone, would keep every other
    process from taking the registry.
    """
    link.run("BEGIN ISOLATION LEVEL READ COMMITTED", deadline=deadline)
    limit = f"SET LOCAL idle_in_transaction_session_timeout = {_IDLE_MS}"
    link.run(limit, deadline=deadline)


def insert_rows(schema: str) -> str:
    """Return the statement that inserts encoded rows into the log."""
    return (
        f"INSERT INTO {schema}.log (key, id, sequence, current, body)"
        " SELECT v[1]::bigint, v[2], nullif(v[3], '')::bigint, v[4]::boolean, v[5]"
        f" FROM {SPLIT.format('$1')} each"
    )


def read(
    link: Link,
    schema: str,
    name: str,
    number: int,
    index: LogIndex,
    state: str | None,
    deadline: Deadline,
) -> StoreContents:
    """Read the rows of a registry into its index, and return them as contents."""
    first = number << POSITION_BITS
    rows = link.run(
        f"SELECT key, id, sequence, current, body FROM {schema}.log"
        " WHERE key > $1::bigint AND key < $2::bigint ORDER BY key",
        first, (number + 1) << POSITION_BITS, deadline=deadline,
    )  # fmt: skip
    return index.load(name, rows, state)
