"""What keeps a registry: the interface that every store implements, and one in memory."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

import attrs
from opslifecycle.errors import OwnershipLostError, RegistryOwnedError

Data = dict[str, Any]
Interrupted = Literal["terminate", "discard"]


@attrs.frozen
class Identity:
    """Which machine a store is written by."""

    machine: str
    version: int
    digest: str

    def __str__(self) -> str:
        return f"{self.machine} version {self.version}"


@attrs.frozen
class Put:
    """One record as it now is; `sequence` is that of its feed row, if it has one."""

    id: str
    data: Data
    sequence: int | None


@attrs.frozen
class Commit:
    """What one group of commands has changed: kept whole or not at all."""

    puts: tuple[Put, ...]
    erased: tuple[str, ...]
    state: Data

    @property
    def dropped_through(self) -> int:
        """Feed rows up to this sequence are no longer needed."""
        return int(self.state.get("dropped_through", 0))


@attrs.frozen
class Stored:
    """What a store holds: records, feed rows by sequence, and the registry's state, None if new."""

    records: Mapping[str, Data]
    rows: Mapping[int, Data]
    state: Data | None


#: What a new store holds.
EMPTY = Stored({}, {}, None)


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
        """Take ownership and give what is held.

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

    def beat_seconds(self) -> float | None:
        """How often `beat` wants to be called while nothing is appended; None for never."""
        return None

    def beat(self) -> None:  # noqa: B027 - most stores have nothing to say
        """Say that the owner is alive; raises OwnershipLostError if it owns nothing any more."""


class MemoryStore(Store):
    """Keeps a registry in this process: for tests, and for handing one over to the next."""

    def __init__(self, *, interrupted: Interrupted | None = None) -> None:
        self.interrupted = interrupted
        self._lock = threading.Lock()
        self._owned = False
        self._records: dict[str, Data] = {}
        self._rows: dict[int, Data] = {}
        self._state: Data | None = None

    def open(self, identity: Identity) -> Stored:
        with self._lock:
            if self._owned:
                raise RegistryOwnedError("a MemoryStore", "another registry of this process")
            self._owned = True
            return Stored(dict(self._records), dict(self._rows), self._state)

    def append(self, commit: Commit) -> None:
        with self._lock:
            if not self._owned:
                raise OwnershipLostError
            for put in commit.puts:
                self._records[put.id] = put.data
                if put.sequence is not None:
                    self._rows[put.sequence] = put.data
            for id in commit.erased:
                self._records.pop(id, None)
            # Rows leave in the order in which they came, so those to go stand first.
            for sequence in list(self._rows):
                if sequence > commit.dropped_through:
                    break
                del self._rows[sequence]
            self._state = commit.state

    def close(self) -> None:
        with self._lock:
            self._owned = False
