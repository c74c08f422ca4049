"""The interface of stores, and a store in memory."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

import attrs
from opslifecycle.errors import (
    InvalidValueError,
    OwnershipLostError,
    PersistenceError,
    RegistryOwnedError,
)
from opslifecycle.values.plain import data_of

if TYPE_CHECKING:
    from opslifecycle.stores.reading import RegistryView
    from opslifecycle.stores.schema_version import SchemaVersion

#: Why a store that was closed writes nothing.
CLOSED = "the store is closed; open a new registry"
Interrupted = Literal["terminate", "discard"]

#: The current state of one record: its id, the sequence number of its feed row or None, its body.
#: A plain tuple, because every commit constructs one for each changed record.
RecordWrite: TypeAlias = tuple[str, int | None, str]


#: A finished record that only the store has: the sequence number of its feed entry, its id, the
#: version of the machine that wrote it, and its body.
ArchivedRow: TypeAlias = tuple[int, str, int, str]

#: The answer to a request of another host: the id of the request, and JSON text.
RequestAnswer: TypeAlias = tuple[str, str]


@attrs.frozen
class Commit:
    """The changes of one group commit, which a store writes as a whole or not at all.

    Bodies and the registry's state are JSON texts, which a store does not interpret. Feed entries
    up to `dropped_through` are no longer needed. Records in `archived` are among those that are
    erased; they are no store contents any more, and can be read one by one. Only stores that other
    hosts can use get `answers`.
    """

    writes: tuple[RecordWrite, ...]
    erased: tuple[str, ...]
    dropped_through: int
    state: str
    archived: tuple[ArchivedRow, ...] = ()
    answers: tuple[RequestAnswer, ...] = ()


@attrs.frozen
class StoreContents:
    """The contents of a store: bodies by id, feed rows by sequence number, the registry's state.

    A feed row is an id and the body that its record had when it finished. `state` is None in a new
    store.
    """

    records: Mapping[str, str]
    rows: Mapping[int, tuple[str, str]]
    state: str | None


#: The contents of a new store.
EMPTY = StoreContents({}, {}, None)


def commit_of(stored: StoreContents) -> Commit:
    """Return the commit that writes all contents to an empty store."""
    rows = {row: sequence for sequence, row in stored.rows.items()}
    writes = [(id, rows.pop((id, body), None), body) for id, body in stored.records.items()]
    # Rows of erased records come first, so that a later record with the same id overwrites them.
    gone = [(id, sequence, body) for (id, body), sequence in rows.items()]
    erased = tuple(id for id, _, _ in gone if id not in stored.records)
    state = stored.state or "{}"
    dropped_through = int(data_of(state).get("dropped_through", 0))
    return Commit((*gone, *writes), erased, dropped_through, state)


class Store(ABC):
    """Base of stores. A store holds one registry; one thread at a time calls its methods."""

    #: The recovery of live records: how they end, or None for the machine's own rule.
    interrupted: Interrupted | None = None

    @property
    def name(self) -> str:
        """The name of the store in messages."""
        return type(self).__name__

    @property
    def is_open(self) -> bool:
        """Whether a registry of this process owns the store through this object.

        A registry reads this before it opens the store. If opening fails, it closes the store only
        if no other registry has owned it.
        """
        return False

    @abstractmethod
    def open(self, schema: SchemaVersion) -> StoreContents:
        """Acquire ownership of the registry, and return the store contents.

        Args:
            schema: The machine that opens the store; older contents are migrated to its version.

        Raises:
            RegistryOwnedError: Another process owns the registry.
            StoreDamagedError: The contents contradict each other.
            StoreVersionError: They are of another machine, or of a version without a migration.
            PersistenceError: The store cannot be read or written.
        """

    @abstractmethod
    def append(self, commit: Commit) -> None:
        """Write a commit. It is durable when this returns.

        Raises:
            PersistenceError: Nothing of the commit was written.
            OwnershipLostError: Another process has taken over the registry.
            CommitInDoubtError: The store cannot find out whether it was written.
            StoreRolledBackError: The store no longer has commits that it had acknowledged.
        """

    @abstractmethod
    def close(self) -> None:
        """Release ownership; twice is harmless."""

    def reading(self, schema: SchemaVersion) -> RegistryView:
        """Return what reads the registry without owning it, as often as it is called.

        Args:
            schema: The machine. The reads raise what the methods of readers raise.

        Raises:
            InvalidValueError: Only the owner of the registry can read it.
        """
        reason = f"{self.name} can be read only by the registry that owns it"
        raise InvalidValueError("store", reason)

    def heartbeat_seconds(self) -> float | None:
        """Return how often the owner must call `heartbeat`, in seconds; None for never."""
        return None

    def heartbeat(self) -> None:  # noqa: B027 - most stores have nothing to say
        """Renew the lease of the owner.

        Raises:
            OwnershipLostError: Another process has taken over the registry.
        """

    def put_back(self, stored: StoreContents) -> bool:
        """Write all contents again, because the store has lost commits that it had acknowledged.

        The owner calls it after StoreRolledBackError, with what it has acknowledged.

        Returns:
            Whether the store now has the contents; False if it could not write them, or if another
            process has owned the registry since.
        """
        return False

    def on_ownership_lost(self, notify: Callable[[], None]) -> None:  # noqa: B027 - as above
        """Register a function to call when ownership is lost between two calls of the owner.

        If it is lost already, the function is called now. The owner then calls `heartbeat`, which
        raises the error.

        Args:
            notify: The function. Any thread may call it.
        """

    #: Whether commits may have archived records.
    archives: bool = False

    def archived(self, id: str) -> ArchivedRow | None:
        """Return the record with an id that was archived last; None if there is none.

        Any thread may call this and the other methods about archived records while the owner
        writes.

        Raises:
            StoreDamagedError: The record was altered.
            PersistenceError: The store is closed or cannot be read, or has no archive.
        """
        raise PersistenceError(self.name, "this store has no archive")

    def archived_after(self, sequence: int, limit: int) -> list[ArchivedRow]:
        """Return archived records after a sequence number, at most `limit`, in their order.

        Raises:
            StoreDamagedError: A record was altered.
            PersistenceError: As for `archived`.
        """
        raise PersistenceError(self.name, "this store has no archive")

    def archived_before(self, sequence: int | None, limit: int) -> list[ArchivedRow]:
        """Return archived records before a sequence number, at most `limit`, the latest first.

        Args:
            sequence: The number; None for the latest records.
            limit: How many records at most.

        Raises:
            StoreDamagedError: A record was altered.
            PersistenceError: As for `archived`.
        """
        raise PersistenceError(self.name, "this store has no archive")

    def check_archive(self) -> int:
        """Read the whole archive, and return how many records it has.

        Raises:
            StoreDamagedError: A record was altered, or records are missing.
            PersistenceError: As for `archived`.
        """
        raise PersistenceError(self.name, "this store has no archive")

    def maintain(self) -> None:  # noqa: B027 - most stores have nothing to do
        """Do work that no command should wait for. The committer calls this between commits."""


#: The beginning of the keys of outbox messages, which are stored among the records.
OUTBOX_PREFIX = "effect-"


def is_outbox_key(key: str) -> bool:
    """Return whether the key of a stored record is that of an outbox message."""
    return key.startswith(OUTBOX_PREFIX)


class MemoryStore(Store):
    """A store in this process, for tests; a registry that opens it later finds the contents."""

    archives = True

    def __init__(self, *, interrupted: Interrupted | None = None) -> None:
        self.interrupted = interrupted
        # The registry that owns the store holds it, so the other attributes need no lock.
        self._ownership = threading.Lock()
        self._schema: SchemaVersion | None = None
        self._records: dict[str, str] = {}
        self._rows: dict[int, tuple[str, str]] = {}
        self._state: str | None = None
        # Archived records in the order of their sequence numbers, and the latest one of each id.
        self._archive: list[ArchivedRow] = []
        self._archived: dict[str, int] = {}
        # The commit in progress. If it is interrupted, the next owner completes it.
        self._begun: Commit | None = None

    @property
    def is_open(self) -> bool:
        """See `Store.is_open`."""
        return self._ownership.locked()

    def open(self, schema: SchemaVersion) -> StoreContents:
        """See `Store.open`."""
        if not self._ownership.acquire(blocking=False):
            raise RegistryOwnedError("a MemoryStore", "another registry of this process")
        try:
            return self._take_over(schema)
        except BaseException:
            self.close()
            raise

    def _take_over(self, schema: SchemaVersion) -> StoreContents:
        if self._begun is not None:
            self._make(self._begun)
        stored = StoreContents(dict(self._records), dict(self._rows), self._state)
        if self._schema is not None:
            before = self._schema
            schema.refuse_unreadable(before.machine, before.version, self.name)
            stored = schema.take_over(before.version, stored, self.name)
            self._records, self._rows = dict(stored.records), dict(stored.rows)
            self._state = stored.state
        self._schema = schema
        return stored

    def append(self, commit: Commit) -> None:
        """See `Store.append`."""
        if not self._ownership.locked():
            raise OwnershipLostError
        self._begun = commit
        self._make(commit)

    def _make(self, commit: Commit) -> None:
        """Apply a commit; twice is harmless."""
        for id, sequence, body in commit.writes:
            self._records[id] = body
            if sequence is not None:
                self._rows[sequence] = (id, body)
        for id in commit.erased:
            self._records.pop(id, None)
        for row in commit.archived:
            if not self._archive or self._archive[-1][0] < row[0]:
                self._archive.append(row)
            self._archived[row[1]] = row[0]
        # Rows are evicted in the order of their insertion, so those to delete come first.
        while self._rows and (oldest := next(iter(self._rows))) <= commit.dropped_through:
            del self._rows[oldest]
        self._state = commit.state
        self._begun = None

    def archived(self, id: str) -> ArchivedRow | None:
        """See `Store.archived`."""
        sequence = self._archived.get(id)
        return None if sequence is None else self.archived_after(sequence - 1, 1)[0]

    def archived_after(self, sequence: int, limit: int) -> list[ArchivedRow]:
        """See `Store.archived_after`."""
        start = bisect_right(self._archive, sequence, key=lambda row: row[0])
        return self._archive[start : start + limit]

    def archived_before(self, sequence: int | None, limit: int) -> list[ArchivedRow]:
        """See `Store.archived_before`."""
        rows = self._archive
        end = len(rows)
        if sequence is not None:
            end = bisect_left(rows, sequence, key=lambda row: row[0])
        return rows[max(end - limit, 0) : end][::-1]

    def check_archive(self) -> int:
        """See `Store.check_archive`."""
        return len(self._archive)

    def close(self) -> None:
        """See `Store.close`."""
        try:
            self._ownership.release()
        except RecursionError:
            raise
        except RuntimeError:
            # No registry owns the store.
            pass
