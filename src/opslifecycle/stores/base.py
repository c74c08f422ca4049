"""What keeps a registry: the interface that every store implements, and one in memory."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import attrs
from opslifecycle.errors import OwnershipLostError, RegistryOwnedError, StoreVersionError

Data = dict[str, Any]
Interrupted = Literal["terminate", "discard"]

#: One record as it now is: its id, the sequence of its feed row if it has one, and its body.
#: A plain tuple, because one is made for each record of each commit.
Put: TypeAlias = tuple[str, int | None, str]


@attrs.frozen
class Commit:
    """What one group of commands has changed: kept whole or not at all.

    Bodies and the registry's state are JSON texts. A store keeps them as they are; feed rows up to
    `dropped_through` are no longer needed.
    """

    puts: tuple[Put, ...]
    erased: tuple[str, ...]
    dropped_through: int
    state: str


@attrs.frozen
class Stored:
    """What a store holds: bodies by id, feed rows by sequence, and the state, None if new.

    A feed row is an id and the body that its record had when it ended.
    """

    records: Mapping[str, str]
    rows: Mapping[int, tuple[str, str]]
    state: str | None


#: What a new store holds.
EMPTY = Stored({}, {}, None)


@attrs.frozen
class Identity:
    """Which machine a store is written by, and how what an older version wrote is read.

    `migrate` gives what was stored as this version spells it, or raises StoreVersionError.
    """

    machine: str
    version: int
    digest: str
    migrate: Callable[[int, Stored], Stored] | None = attrs.field(default=None, eq=False)

    def __str__(self) -> str:
        return f"{self.machine} version {self.version}"

    def refuse_unreadable(self, machine: Any, version: Any, where: str) -> None:
        """Raise StoreVersionError for what another machine, or a version we cannot read, wrote."""
        if (machine, version) == (self.machine, self.version):
            return
        older = machine == self.machine and type(version) is int and version < self.version
        if not older or self.migrate is None:
            raise StoreVersionError(f"{machine} version {version} ({where})", str(self))

    def adopt(self, version: int, stored: Stored) -> Stored:
        """What a readable version of the machine has stored, as this one spells it."""
        if version == self.version or self.migrate is None:
            return stored
        return self.migrate(version, stored)


class Store(ABC):
    """Keeps one registry. Its methods are called by one thread at a time."""

    #: What becomes of live operations at recovery; None: as the machine says.
    interrupted: Interrupted | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return type(self).__name__

    @abstractmethod
    def open(self, identity: Identity) -> Stored:
        """Take ownership and give what is held, in the spelling of `identity`.

        Raises RegistryOwnedError, StoreDamagedError, StoreVersionError or PersistenceError.
        """

    @abstractmethod
    def append(self, commit: Commit) -> None:
        """Keep a commit; it is durable when this returns.

        Raises PersistenceError if nothing of it was kept, OwnershipLostError if somebody else owns
        the store by now.
        """

    @abstractmethod
    def close(self) -> None:
        """Give up ownership. Twice is fine."""

    def heartbeat_seconds(self) -> float | None:
        """How often the owner must call `heartbeat`, whatever else it does; None for never."""
        return None

    def heartbeat(self) -> None:  # noqa: B027 - most stores have nothing to say
        """Say that the owner is alive; raises OwnershipLostError if it owns nothing any more."""

    def maintain(self) -> None:  # noqa: B027 - most stores have nothing to do
        """Do work that no command should wait for; called between two commits, often."""


#: How the keys of outbox messages begin, which stand among the records of a store.
OUTBOX_PREFIX = "effect-"


def is_outbox_key(key: str) -> bool:
    """Whether a key of a stored record is that of an outbox message."""
    return key.startswith(OUTBOX_PREFIX)


class MemoryStore(Store):
    """Keeps a registry in this process: for tests, and for handing one over to the next."""

    def __init__(self, *, interrupted: Interrupted | None = None) -> None:
        self.interrupted = interrupted
        self._lock = threading.Lock()
        self._owned = False
        self._identity: Identity | None = None
        self._records: dict[str, str] = {}
        self._rows: dict[int, tuple[str, str]] = {}
        self._state: str | None = None

    def open(self, identity: Identity) -> Stored:
        with self._lock:
            if self._owned:
                raise RegistryOwnedError("a MemoryStore", "another registry of this process")
            stored = Stored(dict(self._records), dict(self._rows), self._state)
            if self._identity is not None:
                before = self._identity
                identity.refuse_unreadable(before.machine, before.version, self.name)
                stored = identity.adopt(before.version, stored)
                self._records, self._rows = dict(stored.records), dict(stored.rows)
                self._state = stored.state
            self._identity = identity
            self._owned = True
            return stored

    def append(self, commit: Commit) -> None:
        with self._lock:
            if not self._owned:
                raise OwnershipLostError
            for id, sequence, body in commit.puts:
                self._records[id] = body
                if sequence is not None:
                    self._rows[sequence] = (id, body)
            for id in commit.erased:
                self._records.pop(id, None)
            # Rows leave in the order in which they came, so those to go stand first.
            while self._rows and (oldest := next(iter(self._rows))) <= commit.dropped_through:
                del self._rows[oldest]
            self._state = commit.state

    def close(self) -> None:
        with self._lock:
            self._owned = False
