"""The shell: applies what the authority decides and carries out its effects, in order.

One command is decided and published inside one short critical section, so that every observer sees
all of it or nothing. Waking those who wait happens after the section. The shell decides nothing
itself: it asks the authority, and raises what the authority rejects with.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

from opslifecycle.barriers import Barriers, Satisfy
from opslifecycle.clock import SYSTEM_CLOCK, Clock
from opslifecycle.errors import InternalError, OpsLifecycleError, RegistryClosedError
from opslifecycle.feed import CompletionFeed
from opslifecycle.listing import Listing
from opslifecycle.publication import PublicationLock, Waker
from opslifecycle.retention import Retention
from opslifecycle.waits import Cell, WaitT, ended, failed
from opslifecycle.watchers import Watchers

IdT = TypeVar("IdT", bound=Hashable)
IdT_contra = TypeVar("IdT_contra", contravariant=True)
T = TypeVar("T")

Effects = tuple[Enum, ...]


class Record(Protocol):
    """What the shell reads of a record; everything else is the machine's."""

    @property
    def id(self) -> Any: ...
    @property
    def terminal_outcome(self) -> Any: ...


RecordT = TypeVar("RecordT", bound=Record)


class Authority(Protocol[IdT, RecordT]):
    """What the shell needs of a generated authority besides its actions."""

    now_ms: int
    clock_offset_ms: int
    records: dict[IdT, RecordT]

    def erase(self, id: IdT) -> None: ...


class FeedRows(Protocol[IdT_contra]):
    """What the shell needs of an authority whose machine has a feed."""

    def evict(self, sequence: int, id: IdT_contra) -> None: ...


class FeedParts(Generic[IdT, RecordT]):
    """A machine's feed: its rows, how a record becomes one, and which rows are kept."""

    __slots__ = ("authority", "entry_of", "feed", "retention")

    def __init__(
        self,
        authority: FeedRows[IdT],
        feed: CompletionFeed[Any, Any],
        entry_of: Callable[[RecordT], Any],
        retention: Retention[IdT],
    ) -> None:
        self.authority = authority
        self.feed = feed
        self.entry_of = entry_of
        self.retention = retention


class Shell(Generic[IdT, RecordT]):
    """The state around one authority: watchers, barriers, feed and listing, behind one lock."""

    def __init__(
        self,
        authority: Authority[IdT, RecordT],
        lock: PublicationLock,
        effects: type[Enum],
        keys_of: Callable[[RecordT], tuple[Hashable, ...]],
        feed: FeedParts[IdT, RecordT] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.lock = lock
        self.clock = clock
        self.watchers: Watchers[IdT, Any] = Watchers()
        self.barriers: Barriers[IdT, Any] = Barriers()
        self.listing = Listing(authority.records, keys_of)
        self._authority = authority
        self._feed = feed
        self._closed = False
        handlers = self.handlers()
        self._handlers = {effect: handlers[effect.value] for effect in effects}
        _SHELLS.add(self)

    # Commands -----------------------------------------------------------------------------------

    def create(self, id: IdT, decide: Callable[..., Any], *payload: Any) -> None:
        """Have the authority make a record, stamped with the wall clock; raises its rejection."""
        with self.lock:
            self._begin()
            now_ms = self._authority.now_ms
            self._authority.clock_offset_ms = self.clock.wall_ms() - now_ms
            self._decide(id, decide, payload)

    def act(self, id: IdT, decide: Callable[..., Any], *payload: Any) -> None:
        """Have the authority decide an action on one record; raises its rejection."""
        with self.lock:
            self._begin()
            wakers = self._decide(id, decide, (id, *payload))
        for wake in wakers:
            wake()

    def act_on_all(self, decide: Callable[..., Any], *payload: Any) -> None:
        """Have the authority end many records; one step for every observer."""
        wakers: list[Waker] = []
        with self.lock:
            self._begin()
            sound = False
            try:
                for record, effects in decide(*payload):
                    wakers.extend(self._carry_out(record, effects))
                    self.listing.note(record.id)
                sound = True
            finally:
                self._close_unless(sound)
        for wake in wakers:
            wake()

    def collect(self, decide: Callable[[], Any]) -> list[tuple[IdT, Any]]:
        """Hand over the records that the authority lets go, with their outcomes; erases them."""
        with self.lock:
            self._begin()
            records = decide()
            if isinstance(records, OpsLifecycleError):
                raise records
            for record in records:
                self._erase(record)
            return [(record.id, record.terminal_outcome) for record in records]

    def advance(
        self,
        decide: Callable[..., Any],
        consumer: Any,
        cursor: int,
        project: Callable[[Any, int], None] | None,
    ) -> int:
        """Advance a cursor; `project` is told the result once the authority has accepted."""
        with self.lock:
            self._begin()
            result = decide(consumer, cursor)
            if isinstance(result, OpsLifecycleError):
                raise result
            if project is not None:
                project(consumer, result)
            return int(result)

    # Waits --------------------------------------------------------------------------------------

    def watch(self, id: IdT, admit: Callable[[IdT], Any], kind: type[WaitT]) -> WaitT:
        """A watch of one record, resolved already if it has ended."""
        with self.lock:
            if self._closed:
                raise RegistryClosedError
            record = admit(id)
            if isinstance(record, OpsLifecycleError):
                raise record
            if record.terminal_outcome is not None:
                return ended(record.terminal_outcome, self.lock, kind)
            cell = self.watchers.add(id)
        return kind(cell, self.lock)

    def wait_for_all(
        self,
        key: Hashable,
        ids: Sequence[IdT],
        admit: Callable[[Sequence[IdT], int], OpsLifecycleError | None],
        satisfy: Satisfy[IdT, Any],
        kind: type[WaitT],
    ) -> WaitT:
        """A barrier over `ids`; what it is refused with comes through the wait."""
        with self.lock:
            if self._closed:
                return failed(RegistryClosedError(), self.lock, kind)
            rejection = admit(ids, self.barriers.active(key))
            if rejection is not None:
                return failed(rejection, self.lock, kind)
            records = self._authority.records
            outcomes = {
                id: outcome for id in ids if (outcome := records[id].terminal_outcome) is not None
            }
            cell: Cell[Any] = self.barriers.add(key, ids, outcomes, satisfy)
        return kind(cell, self.lock)

    # Reads --------------------------------------------------------------------------------------

    def ask(self, question: Callable[..., T], *arguments: Any) -> T:
        """Ask the authority something, of one instant."""
        with self.lock:
            return question(*arguments)

    def view(self, id: IdT, view_of: Callable[[RecordT, int], T]) -> T | None:
        """A view of one record and its number of watchers; None when the id is unknown."""
        with self.lock:
            record = self._authority.records.get(id)
            return None if record is None else view_of(record, self.watchers.count(id))

    def views(
        self,
        wanted: tuple[Any, ...],
        order: Callable[[RecordT], Any],
        view_of: Callable[[RecordT, int], T],
    ) -> list[T]:
        """Views of the records whose listing keys are those wanted, of one instant, in order."""
        with self.lock:
            records = self.listing.select(wanted)
            records.sort(key=order)
            return [view_of(record, self.watchers.count(record.id)) for record in records]

    # Closing ------------------------------------------------------------------------------------

    def close(self) -> None:
        """Refuse further work and end every wait; twice is fine."""
        with self.lock:
            wakers = self.end_waits()
        for wake in wakers:
            wake()

    def end_waits(self) -> Iterable[Waker]:
        """Close, with the lock held already: a registry was lost, or has broken an invariant."""
        if self._closed:
            return ()
        self._closed = True
        wakers = [*self.watchers.close_all(), *self.barriers.fail_all(RegistryClosedError)]
        if self._feed is not None:
            wakers.extend(self._feed.feed.close())
        return wakers

    def disown(self) -> None:
        """Refuse to work in a forked child: the parent goes on owning what is shared."""
        self.lock.renew()
        self.end_waits()

    # Effects ------------------------------------------------------------------------------------

    def handlers(self) -> Mapping[str, Callable[[RecordT], Iterable[Waker]]]:
        """What the shell can carry out, by the name of the effect in a machine."""
        return {
            "append_to_feed": self._append_to_feed,
            "count_in_barriers": self._count_in_barriers,
            "wake_watchers": self._wake_watchers,
            "evict_oldest": self._evict_oldest,
            "close_watchers": self._close_watchers,
            "fail_barriers": self._fail_barriers,
            "erase": self._erase,
        }

    def _append_to_feed(self, record: RecordT) -> Iterable[Waker]:
        parts = self._feed_parts()
        entry = parts.entry_of(record)
        parts.retention.admit(entry.seq, record.id)
        return parts.feed.append(entry)

    def _count_in_barriers(self, record: RecordT) -> Iterable[Waker]:
        return self.barriers.count(record.id, record.terminal_outcome)

    def _wake_watchers(self, record: RecordT) -> Iterable[Waker]:
        return self.watchers.resolve(record.id, record.terminal_outcome)

    def _evict_oldest(self, record: RecordT) -> Iterable[Waker]:
        parts = self._feed_parts()
        for sequence, id in parts.retention.overdue():
            parts.feed.drop_oldest()
            parts.authority.evict(sequence, id)
            self.listing.note(id)
        return ()

    def _close_watchers(self, record: RecordT) -> Iterable[Waker]:
        return self.watchers.close(record.id)

    def _fail_barriers(self, record: RecordT) -> Iterable[Waker]:
        return self.barriers.fail_member(record.id)

    def _erase(self, record: RecordT) -> Iterable[Waker]:
        self._authority.erase(record.id)
        self.listing.note(record.id)
        return ()

    def _feed_parts(self) -> FeedParts[IdT, RecordT]:
        if self._feed is None:
            raise InternalError("a feed effect without a feed")
        return self._feed

    # One command --------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._closed:
            raise RegistryClosedError
        self._authority.now_ms = self.clock.monotonic_ms()

    def _decide(
        self, id: IdT, decide: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> Iterable[Waker]:
        record = self._authority.records.get(id)
        sound = False
        try:
            decision = decide(*arguments)
            rejection = decision if isinstance(decision, OpsLifecycleError) else None
            wakers: Iterable[Waker] = ()
            if rejection is None:
                if decision and record is not None:
                    wakers = self._carry_out(record, decision)
                self.listing.note(id)
            sound = True
        finally:
            self._close_unless(sound)
        if rejection is not None:
            raise rejection
        return wakers

    def _carry_out(self, record: RecordT, effects: Effects) -> list[Waker]:
        wakers: list[Waker] = []
        for effect in effects:
            wakers.extend(self._handlers[effect](record))
        return wakers

    def _close_unless(self, sound: bool) -> None:
        # Whatever interrupted a command half-way, the registry can no longer vouch for its state.
        if not sound:
            self.lock.defer(self.end_waits)


_SHELLS: weakref.WeakSet[Shell[Any, Any]] = weakref.WeakSet()


def _disown_all() -> None:
    for shell in list(_SHELLS):
        shell.disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_all)
