"""The interface of stores, and a store in memory."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import attrs
from opslifecycle.errors import OwnershipLostError, RegistryOwnedError, StoreVersionError
from opslifecycle.values.plain import data_of

Interrupted = Literal["terminate", "discard"]

#: One record as it now is: its id, the sequence of its feed row if it has one, and its body.
#: A plain tuple, because one is made for each record of each commit.
RecordWrite: TypeAlias = tuple[str, int | None, str]


@attrs.frozen
class Commit:
    """The changes of one group commit, which a store writes as a whole or not at all.

    Bodies and the registry's state are JSON texts, which a store does not interpret. Feed entries
    up to `dropped_through` are no longer needed.
    """

    writes: tuple[RecordWrite, ...]
    erased: tuple[str, ...]
    dropped_through: int
    state: str


@attrs.frozen
class StoreContents:
    """The contents of a store: bodies by id, feed rows by sequence number, the registry's state.

    A feed row is an id and the body that its record had when it finished. `state` is None in a new
    store.
    """

    records: Mapping[str, str]
    rows: Mapping[int, tuple[str, str]]
    state: str | None


#: What a new store holds.
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


@attrs.frozen
class SchemaVersion:
    """The machine that writes a store, and the migration of what older versions wrote.

    `migrate` returns older contents as this version stores them, or raises StoreVersionError.
    """

    machine: str
    version: int
    digest: str
    migrate: Callable[[int, StoreContents], StoreContents] | None = attrs.field(
        default=None, eq=False
    )

    def __str__(self) -> str:
        return f"{self.machine} version {self.version}"

    def refuse_unreadable(self, machine: object, version: object, where: str) -> None:
        """Raise StoreVersionError for another machine, or for a version without a migration."""
        if (machine, version) == (self.machine, self.version):
            return
        older = machine == self.machine and type(version) is int and version < self.version
        if not older or self.migrate is None:
            raise StoreVersionError(f"{machine} version {version} ({where})", str(self))

    def adopt(self, version: int, stored: StoreContents) -> StoreContents:
        """Return the contents that a readable version wrote, as this version stores them."""
        if version == self.version or self.migrate is None:
            return stored
        return self.migrate(version, stored)


class Store(ABC):
    """Base of stores. A store holds one registry; one thread at a time calls its methods."""

    #: What becomes of live operations at recovery; None: as the machine says.
    interrupted: Interrupted | None = None

    @property
    def name(self) -> str:
        """The name of the store in messages."""
        return type(self).__name__

    @property
    def is_open(self) -> bool:
        """Whether a registry of this process owns the store through this object.

        A registry whose opening fails asks before it opens, lest it close what another one owns.
        """
        return False

    @abstractmethod
    def open(self, schema: SchemaVersion) -> StoreContents:
        """Take ownership of the registry, and return the store contents.

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
        """Give up ownership; twice is harmless."""

    def heartbeat_seconds(self) -> float | None:
        """Return how often the owner must call `heartbeat`, in seconds; None for never."""
        return None

    def heartbeat(self) -> None:  # noqa: B027 - most stores have nothing to say
        """Renew the lease of the owner.

        Raises:
            OwnershipLostError: Another process has taken over the registry.
        """

    def on_ownership_lost(self, tell: Callable[[], None]) -> None:  # noqa: B027 - as above
        """Call `tell`, in any thread, when ownership is lost between two calls of the owner.

        It is called at once if that has happened already. The owner then calls `heartbeat`, which
        raises the error.
        """

    def maintain(self) -> None:  # noqa: B027 - most stores have nothing to do
        """Do work that no command should wait for. It is called between commits, often."""


#: How the keys of outbox messages begin, which stand among the records of a store.
OUTBOX_PREFIX = "effect-"


def is_outbox_key(key: str) -> bool:
    """Return whether the key of a stored record is that of an outbox message."""
    return key.startswith(OUTBOX_PREFIX)


class MemoryStore(Store):
    """A store in this process, for tests; a registry that opens it later finds the contents."""

    def __init__(self, *, interrupted: Interrupted | None = None) -> None:
        self.interrupted = interrupted
        # Held by the registry that owns the store, so nothing below needs another lock.
        self._ownership = threading.Lock()
        self._schema: SchemaVersion | None = None
        self._records: dict[str, str] = {}
        self._rows: dict[int, tuple[str, str]] = {}
        self._state: str | None = None
        # The commit that is being made: one that was interrupted is made by the next owner.
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
            stored = schema.adopt(before.version, stored)
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
        """Keep a commit; again is fine."""
        for id, sequence, body in commit.writes:
            self._records[id] = body
            if sequence is not None:
                self._rows[sequence] = (id, body)
        for id in commit.erased:
            self._records.pop(id, None)
        # Rows leave in the order in which they came, so those to go stand first.
        while self._rows and (oldest := next(iter(self._rows))) <= commit.dropped_through:
            del self._rows[oldest]
        self._state = commit.state
        self._begun = None

    def close(self) -> None:
        """See `Store.close`."""
        try:
            self._ownership.release()
        except RuntimeError:
            # Nobody owns it.
            pass
