"""Timers: what a machine declares of them, and the plan of when each is due.

No thread and no clock: callers say what time it is. Times are milliseconds since the Unix epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush
from typing import Generic, Protocol, TypeAlias, TypeVar

import attrs
from opslifecycle.shell.authority import IdT
from opslifecycle.shell.commands import Answer, Decide

T = TypeVar("T")
IdT_co = TypeVar("IdT_co", covariant=True)


class Identified(Protocol[IdT_co]):
    """A record, as far as its timers are concerned."""

    @property
    def id(self) -> IdT_co:
        """The id of the record."""


#: The timers of one record: the place of each among the machine's, and when it is due.
Dues: TypeAlias = tuple[tuple[int, int | None], ...]
#: So many cancelled timers stay in the plan, whatever else is in it.
_CANCELLED_MIN = 64


def later(since_ms: int | None, ms: int) -> int | None:
    """Return a time some milliseconds later; None if there is no time to begin with."""
    return None if since_ms is None else since_ms + ms


class Timer:
    """A timer of a machine: the function of the authority that it calls, and its arguments.

    The function gets the id of the record first.
    """

    __slots__ = ("decide", "given")

    def __init__(self, decide: Decide[Answer], *given: object) -> None:
        self.decide = decide
        self.given = given


@attrs.frozen(kw_only=True)
class TimersDefinition:
    """The timers of a machine; generated.

    Attributes:
        timers: What each does.
        timers_of: Returns the timers of a record in its status, each with when it is due.
        begin_status: Has the status of a record begin at a time, unless it is known when it began;
            None for a machine whose timers do not ask.
    """

    timers: tuple[Timer, ...]
    timers_of: Callable[..., Dues]
    begin_status: Callable[..., bool] | None = None

    def begin(self, records: Iterable[T], now_ms: int) -> list[T]:
        """Let statuses begin now that an earlier version of the machine did not date.

        Returns:
            The records that have changed.
        """
        begin_status = self.begin_status
        if begin_status is None:
            return []
        return [record for record in records if begin_status(record, now_ms)]


@attrs.define(eq=False)
class PlannedTimer(Generic[IdT]):
    """One timer of one record."""

    id: IdT
    place: int
    due_ms: int
    #: How often its command was rejected, or could not be written.
    failures: int = 0
    cancelled: bool = False
    #: Whether it is in the plan; the command of one that is not is under way, or was accepted.
    waits: bool = True


class Plan(Generic[IdT]):
    """The timers of all records, the one that is due first in front.

    A step costs time in proportion to the logarithm of their number. A timer that is cancelled
    stays behind until it comes to the front, or half of the plan is cancelled.
    """

    def __init__(self, timers_of: Callable[..., Dues]) -> None:
        self._timers_of = timers_of
        self._by_id: dict[IdT, tuple[PlannedTimer[IdT], ...]] = {}
        # When to try each, a number that says which of two was planned first, and the timer.
        self._heap: list[tuple[int, int, PlannedTimer[IdT]]] = []
        self._number = 0
        self._cancelled = 0

    def note(self, record: Identified[IdT]) -> None:
        """Plan the timers of a record as it is now; one that is due as before stays as it is."""
        before = self._by_id.pop(record.id, ())
        now: list[PlannedTimer[IdT]] = []
        for place, due_ms in self._timers_of(record):
            if due_ms is None:
                continue
            same = (each for each in before if (each.place, each.due_ms) == (place, due_ms))
            planned = next(same, None)
            if planned is None:
                planned = PlannedTimer(record.id, place, due_ms)
                self._push(planned, due_ms)
            now.append(planned)
        if now:
            self._by_id[record.id] = tuple(now)
        self._cancel(each for each in before if each not in now)

    def cancel(self, record: Identified[IdT]) -> None:
        """Cancel the timers of a record that is removed."""
        self._cancel(self._by_id.pop(record.id, ()))

    def due_of(self, record: Identified[IdT], planned: PlannedTimer[IdT]) -> int | None:
        """Return when a timer of a record is due; None if it has no such timer now."""
        return dict(self._timers_of(record)).get(planned.place)

    def next_ms(self) -> int | None:
        """Return when the first timer is to be tried; None if there is none."""
        while self._heap and self._heap[0][2].cancelled:
            self._pop()
        return self._heap[0][0] if self._heap else None

    def take(self, now_ms: int, most: int) -> list[PlannedTimer[IdT]]:
        """Return timers that are due, in the order in which they are; at most so many."""
        found: list[PlannedTimer[IdT]] = []
        while len(found) < most:
            first_ms = self.next_ms()
            if first_ms is None or first_ms > now_ms:
                break
            found.append(self._pop())
        return found

    def put_back(self, planned: PlannedTimer[IdT], at_ms: int) -> None:
        """Try a timer that was taken again, unless it was cancelled meanwhile."""
        if not planned.cancelled:
            planned.waits = True
            self._push(planned, at_ms)

    def put_back_taken(self) -> None:
        """Try every timer again, at once, whose command may have been lost in an interrupt."""
        for timers in self._by_id.values():
            for planned in timers:
                if not planned.waits:
                    self.put_back(planned, planned.due_ms)

    def _push(self, planned: PlannedTimer[IdT], at_ms: int) -> None:
        self._number += 1
        heappush(self._heap, (at_ms, self._number, planned))

    def _pop(self) -> PlannedTimer[IdT]:
        planned = self._heap[0][2]
        # First, so that an interrupt leaves it twice in the plan, and never without a place in it.
        planned.waits = False
        heappop(self._heap)
        self._cancelled -= planned.cancelled
        return planned

    def _cancel(self, timers: Iterable[PlannedTimer[IdT]]) -> None:
        for each in timers:
            each.cancelled = True
            self._cancelled += each.waits
        if self._cancelled > _CANCELLED_MIN and self._cancelled * 2 > len(self._heap):
            self._heap = [each for each in self._heap if not each[2].cancelled]
            heapify(self._heap)
            self._cancelled = 0
