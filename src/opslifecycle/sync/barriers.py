"""Barriers over sets of entities. Knows nothing of watchers, feed or retention."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from opslifecycle.errors import BarrierMemberRolledBackError, OpsLifecycleError
from opslifecycle.sync.publication import Waker
from opslifecycle.sync.waits import Cell, Ended

IdT = TypeVar("IdT", bound=Hashable)
OutcomeT = TypeVar("OutcomeT")

#: Makes what a satisfied barrier gives, from its ids and outcomes in the order asked.
Satisfy = Callable[[list[tuple[IdT, OutcomeT]]], Any]


class Barrier(Generic[IdT, OutcomeT]):
    """One active barrier: what it was asked for, what it has, and how much is still missing."""

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
        self.cell: Cell[Any] = Cell(None, self)

    def unfinished_ids(self) -> list[IdT]:
        """The members whose outcome is still missing, in the order asked."""
        return [id for id in self.ids if id not in self.outcomes]


class Barriers(Generic[IdT, OutcomeT]):
    """The active barriers, by key and by member. Called with the publication lock held."""

    __slots__ = ("_by_key", "by_member")

    def __init__(self) -> None:
        self._by_key: dict[Hashable, dict[Barrier[IdT, OutcomeT], None]] = {}
        #: The active barriers of each member; empty if nobody waits for all of anything.
        self.by_member: dict[IdT, dict[Barrier[IdT, OutcomeT], None]] = {}

    def active(self, key: Hashable) -> int:
        """How many barriers of this key are active."""
        return len(self._by_key.get(key, ()))

    def add(
        self,
        key: Hashable,
        ids: Sequence[IdT],
        outcomes: Mapping[IdT, OutcomeT],
        satisfy: Satisfy[IdT, OutcomeT],
    ) -> Cell[Any]:
        """A barrier over `ids`, some of which have ended already; satisfied at once if all have."""
        barrier = Barrier(key, ids, dict(outcomes), satisfy)
        if barrier.unfinished == 0:
            self._satisfy(barrier)
            return barrier.cell
        barrier.cell.owner = self
        self._by_key.setdefault(key, {})[barrier] = None
        for id in barrier.unfinished_ids():
            self.by_member.setdefault(id, {})[barrier] = None
        return barrier.cell

    def count(self, record: Ended) -> Iterable[Waker]:
        """Count an ended record in every barrier that holds it."""
        id, outcome = record.id, record.terminal_outcome
        wakers: list[Waker] = []
        for barrier in self.by_member.pop(id, ()):
            barrier.outcomes[id] = outcome
            barrier.unfinished -= 1
            if barrier.unfinished == 0:
                self._leave_key(barrier)
                wakers.extend(self._satisfy(barrier))
        return wakers

    def fail_member(self, record: Ended) -> Iterable[Waker]:
        """Fail every barrier that holds a record which leaves without an outcome."""
        wakers: list[Waker] = []
        for barrier in list(self.by_member.get(record.id, ())):
            self._leave(barrier)
            wakers.extend(barrier.cell.fail(BarrierMemberRolledBackError(record.id)))
        return wakers

    def fail_all(self, error: Callable[[], OpsLifecycleError]) -> Iterable[Waker]:
        """Fail every active barrier."""
        wakers: list[Waker] = []
        for barrier in self.all():
            self._leave(barrier)
            wakers.extend(barrier.cell.fail(error()))
        return wakers

    def all(self) -> list[Barrier[IdT, OutcomeT]]:
        """Every active barrier."""
        return [barrier for barriers in self._by_key.values() for barrier in barriers]

    def forget(self, cell: Cell[Any]) -> None:
        """Clear a barrier that nobody wants any longer."""
        self._leave(cell.key)

    def _satisfy(self, barrier: Barrier[IdT, OutcomeT]) -> Iterable[Waker]:
        outcomes = [(id, barrier.outcomes[id]) for id in barrier.ids]
        return barrier.cell.end(barrier.satisfy(outcomes))

    def _leave(self, barrier: Barrier[IdT, OutcomeT]) -> None:
        self._leave_key(barrier)
        for id in barrier.unfinished_ids():
            holders = self.by_member.get(id)
            if holders is not None:
                holders.pop(barrier, None)
                if not holders:
                    del self.by_member[id]

    def _leave_key(self, barrier: Barrier[IdT, OutcomeT]) -> None:
        barriers = self._by_key[barrier.key]
        del barriers[barrier]
        if not barriers:
            del self._by_key[barrier.key]
