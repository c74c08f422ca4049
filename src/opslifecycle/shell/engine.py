"""The engine: the state around one authority, which commands change and readers see.

It decides nothing: it asks the authority, and raises the authority's rejections. Executors
(`shell/executor.py`) run commands on it; waits and reads take its lock themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from opslifecycle.clock import SYSTEM_CLOCK, Clock, Timed
from opslifecycle.errors import (
    CommandBrokenOffError,
    OpsLifecycleError,
    RegistryClosedError,
)
from opslifecycle.shell.effects import EffectRunner, RecordT
from opslifecycle.sync.barriers import Satisfy
from opslifecycle.sync.publication import PublicationLock
from opslifecycle.sync.waits import WaitT, ended, failed

IdT = TypeVar("IdT", bound=Hashable)
T = TypeVar("T")


class Authority(Timed, Protocol[IdT, RecordT]):
    """What the engine needs of a generated authority, besides its commands."""

    records: dict[IdT, RecordT]


class Engine(Generic[IdT, RecordT]):
    """The published state of one registry, behind one lock."""

    def __init__(
        self,
        authority: Authority[IdT, RecordT],
        lock: PublicationLock,
        effects: EffectRunner[IdT, RecordT],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.authority = authority
        self.lock = lock
        self.effects = effects
        self.clock = clock
        #: The error of every later command; None while the registry is open.
        self.closed: type[OpsLifecycleError] | None = None

    # Waits --------------------------------------------------------------------------------------

    def watch(
        self, id: IdT, admit: Callable[[Any, IdT], OpsLifecycleError | None], kind: type[WaitT]
    ) -> WaitT:
        """Return a watch of one record. It is over at once if the record is finished."""
        lock = self.lock
        mutex = lock.mutex
        # As `lock.hold`, whose calls would be paid for by every watch.
        try:
            mutex.acquire()
            if lock.dropped:
                lock.forget_dropped()
            if self.closed is not None:
                raise self.closed
            authority = self.authority
            rejection = admit(authority, id)
            if rejection is not None:
                raise rejection
            outcome = authority.records[id].terminal_outcome
            if outcome is not None:
                wait = ended(outcome, lock, kind)
            else:
                wait = self.effects.watchers.add(id, kind, lock)
            mutex.release()
            if lock.left:
                lock.drain()
        except BaseException:
            try:
                mutex.release()
            except RuntimeError:
                pass
            if lock.left:
                lock.drain()
            raise
        return wait

    def wait_for_all(
        self,
        key: Hashable,
        ids: Sequence[IdT],
        admit: Callable[[Any, Sequence[IdT], int], OpsLifecycleError | None],
        satisfy: Satisfy[IdT, Any],
        kind: type[WaitT],
    ) -> WaitT:
        """Return a barrier over `ids`. Its rejections are raised by the wait."""
        wait: WaitT = self.lock.hold(self._wait_for_all, key, ids, admit, satisfy, kind)
        return wait

    def _wait_for_all(
        self,
        key: Hashable,
        ids: Sequence[IdT],
        admit: Callable[[Any, Sequence[IdT], int], OpsLifecycleError | None],
        satisfy: Satisfy[IdT, Any],
        kind: type[WaitT],
    ) -> WaitT:
        if self.closed is not None:
            return failed(self.closed(), self.lock, kind)
        barriers = self.effects.barriers
        rejection = admit(self.authority, ids, barriers.active(key))
        if rejection is not None:
            return failed(rejection, self.lock, kind)
        records = self.authority.records
        outcomes = {
            id: outcome for id in ids if (outcome := records[id].terminal_outcome) is not None
        }
        return barriers.add(key, ids, outcomes, satisfy, kind, self.lock)

    # Reads --------------------------------------------------------------------------------------

    def ask(self, question: Callable[..., T], *arguments: Any) -> T:
        """Call a method of the authority that changes nothing, at one instant."""
        return self.lock.hold(question, self.authority, *arguments)

    def view(self, id: IdT, view_of: Callable[[RecordT, int], T]) -> T | None:
        """Return a view of one record and its number of watchers; None if no record has the id."""
        return self.lock.hold(self._view, id, view_of)

    def _view(self, id: IdT, view_of: Callable[[RecordT, int], T]) -> T | None:
        record = self.authority.records.get(id)
        return None if record is None else view_of(record, self.effects.watchers.count(id))

    def views(
        self,
        wanted: tuple[Any, ...],
        order: Callable[[RecordT], Any],
        view_of: Callable[[RecordT, int], T],
    ) -> list[T]:
        """Return views of the records with the wanted listing keys, at one instant, in order."""
        return self.lock.hold(self._views, wanted, order, view_of)

    def _views(
        self,
        wanted: tuple[Any, ...],
        order: Callable[[RecordT], Any],
        view_of: Callable[[RecordT, int], T],
    ) -> list[T]:
        records = self.effects.listing.select(wanted)
        records.sort(key=order)
        count = self.effects.watchers.count
        return [view_of(record, count(record.id)) for record in records]

    # Closing ------------------------------------------------------------------------------------

    def fail(self) -> None:
        """Close: whatever interrupted a command half-way broke the state. The lock is held.

        Without a call into Python, for which the stack may have no room; the waits end when the
        lock is left.
        """
        self.closed = CommandBrokenOffError
        # What the command has changed may not be noted yet.
        self.effects.listing.is_built = False
        self.lock.left[self.effects.end] = True

    def stop_delivery(self, *, wait: bool) -> None:
        """Deliver no more outbox messages; see `Outbox.stop`."""
        if self.effects.outbox is not None:
            self.effects.outbox.stop(wait=wait)

    def end(self, reason: type[OpsLifecycleError]) -> None:
        """Close for a reason, which every later command raises; twice is harmless."""
        try:
            self.lock.hold(self.end_locked, reason)
        except BaseException:
            # No waiter stays asleep if this is interrupted.
            self.lock.hold(self.end_locked, reason)
            raise

    def end_locked(self, reason: type[OpsLifecycleError] = RegistryClosedError) -> None:
        """Do what `end` does; called with the lock held."""
        if self.closed is None:
            self.closed = reason
        self.effects.end()

    def detach_after_fork(self) -> None:
        """Close in a forked child, whose copies of locks and threads are of no use."""
        self.lock.renew()
        self.closed = RegistryClosedError
        if self.effects.outbox is not None:
            self.effects.outbox.detach_after_fork()
        self.effects.end()
        # The waiters are in the parent.
        self.lock.left.clear()
