"""Barriers over sets of records, independent of watches, feed and retention."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

from opslifecycle.errors import BarrierMemberRolledBackError, OpsLifecycleError
from opslifecycle.sync.publication import PublicationLock
from opslifecycle.sync.waits import Cell, Ended, WaitT, pending

IdT = TypeVar("IdT", bound=Hashable)
OutcomeT = TypeVar("OutcomeT")

#: Returns the result of a satisfied barrier, from its ids and outcomes in the order of the request.
Satisfy = Callable[[list[tuple[IdT, OutcomeT]]], object]


class Barrier(Generic[IdT, OutcomeT]):
    """One active barrier: its members, the outcomes so far, and how many are missing.

    Args:
        key: The key of the request, by which a machine limits its barriers.
        ids: The members, in the order of the request.
        outcomes: The outcomes of the members that are finished.
        satisfy: Returns the result of the barrier.
    """

    __slots__ = ("cell", "ids", "key", "outcomes", "satisfy", "unfinished")

    def __init__(
        self,
        key: Hashable,
        ids: Sequence[IdT],
        outcomes: dict[IdT, OutcomeT],
        satisfy: Satisfy[IdT, OutcomeT],
    ) -> None:
        self.key = key
        self.ids = ids
        self.outcomes = outcomes
        self.unfinished = len(ids) - len(outcomes)
        self.satisfy = satisfy
        #: Assigned once the wait exists, which needs the barrier as its key.
        self.cell: Cell[object]

    def unfinished_ids(self) -> list[IdT]:
        """Return the members whose outcome is missing, in the order of the request."""
        return [id for id in self.ids if id not in self.outcomes]


class Barriers(Generic[IdT, OutcomeT]):
    """The active barriers, by key and by member. Called with the publication lock held."""

    __slots__ = ("_by_key", "by_member")

    def __init__(self) -> None:
        self._by_key: dict[Hashable, dict[Barrier[IdT, OutcomeT], None]] = {}
        #: The active barriers of each unfinished member.
        self.by_member: dict[IdT, dict[Barrier[IdT, OutcomeT], None]] = {}

    def active(self, key: Hashable) -> int:
        """Return how many barriers with this key are active."""
        return len(self._by_key.get(key, ()))

    def add(
        self,
        key: Hashable,
        ids: Sequence[IdT],
        outcomes: Mapping[IdT, OutcomeT],
        satisfy: Satisfy[IdT, OutcomeT],
        kind: type[WaitT],
        lock: PublicationLock,
    ) -> WaitT:
        """Return a wait for all of `ids`. It is over at once if every member is finished.

        Args:
            key: The key of the request.
            ids: The members.
            outcomes: The outcomes of the members that are finished.
            satisfy: Returns the result of the wait.
            kind: The class of the wait.
            lock: The lock of the registry.
        """
        barrier = Barrier(key, ids, dict(outcomes), satisfy)
        wait = pending(kind, lock, self, barrier)
        barrier.cell = wait._cell
        if barrier.unfinished == 0:
            self._satisfy(barrier)
            return wait
        try:
            self._by_key.setdefault(key, {})[barrier] = None
            for id in barrier.unfinished_ids():
                self.by_member.setdefault(id, {})[barrier] = None
        except BaseException:
            self._leave(barrier)
            raise
        return wait

    def count(self, record: Ended[IdT, OutcomeT]) -> None:
        """Count a finished record in every barrier that contains it."""
        id, outcome = record.id, record.terminal_outcome
        for barrier in self.by_member.get(id, ()):
            barrier.outcomes[id] = outcome
            barrier.unfinished -= 1
            if barrier.unfinished == 0:
                # After `_satisfy`: if that is interrupted, closing finds the barrier by its key.
                self._satisfy(barrier)
                self._leave_key(barrier)
        self.by_member.pop(id, None)

    def fail_member(self, record: Ended[IdT, OutcomeT]) -> None:
        """Fail every barrier that contains a record which is removed without an outcome."""
        for barrier in list(self.by_member.get(record.id, ())):
            barrier.cell.fail(BarrierMemberRolledBackError(record.id))
            self._leave(barrier)

    def fail_all(self, error: Callable[[], OpsLifecycleError]) -> None:
        """Fail every active barrier."""
        for barrier in self.all():
            barrier.cell.fail(error())
            self._leave(barrier)

    def all(self) -> list[Barrier[IdT, OutcomeT]]:
        """Return every active barrier."""
        return [barrier for barriers in self._by_key.values() for barrier in barriers]

    def forget(self, cell: Cell[object]) -> None:
        """See `CellOwner.forget`: the key of the cell is the barrier."""
        if cell.key is not None:
            self._leave(cell.key)

    def _satisfy(self, barrier: Barrier[IdT, OutcomeT]) -> None:
        outcomes = [(id, barrier.outcomes[id]) for id in barrier.ids]
        barrier.cell.end(barrier.satisfy(outcomes))

    def _leave(self, barrier: Barrier[IdT, OutcomeT]) -> None:
        """Remove a barrier from its key and its members, also after an interrupted call."""
        for id in barrier.ids:
            holders = self.by_member.get(id)
            if holders is not None:
                holders.pop(barrier, None)
                if not holders:
                    self.by_member.pop(id, None)
        self._leave_key(barrier)

    def _leave_key(self, barrier: Barrier[IdT, OutcomeT]) -> None:
        barriers = self._by_key.get(barrier.key)
        if barriers is not None:
            barriers.pop(barrier, None)
            if not barriers:
                self._by_key.pop(barrier.key, None)
