"""The engine: it gives commands to the authority and publishes their effects in one command.

Without a store, the calling thread decides and publishes in one short critical section. With a
store, commands go through a committer: they are decided in a batch, committed, then published. The
engine decides nothing: it asks the authority, and raises the authority's rejections.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from opslifecycle.clock import SYSTEM_CLOCK, Clock, Timed
from opslifecycle.errors import (
    CommandBrokenOffError,
    OpsLifecycleError,
    RegistryClosedError,
)
from opslifecycle.shell.commands import Command
from opslifecycle.shell.commits import Committer
from opslifecycle.shell.effects import EffectRunner, RecordT
from opslifecycle.shell.pending import ReadyResult, ThreadWaiter, new_future, pending_of
from opslifecycle.sync.barriers import Satisfy
from opslifecycle.sync.publication import PublicationLock
from opslifecycle.sync.waits import WaitT, ended, failed

IdT = TypeVar("IdT", bound=Hashable)
T = TypeVar("T")


class Authority(Timed, Protocol[IdT, RecordT]):
    """What the engine needs of a generated authority, besides its commands."""

    records: dict[IdT, RecordT]


class Engine(Generic[IdT, RecordT]):
    """The state around one authority, behind one lock."""

    def __init__(
        self,
        authority: Authority[IdT, RecordT],
        lock: PublicationLock,
        effects: EffectRunner[IdT, RecordT],
        committer: Committer | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.lock = lock
        self.clock = clock
        self.effects = effects
        self._authority = authority
        # Until when the time that the authority was told is right.
        self._time_valid_until_ns = 0
        self._committer = committer
        self._closed: type[OpsLifecycleError] | None = None
        if committer is not None:
            committer.attach(self)
        _ENGINES.add(self)

    def begin(self) -> None:
        """Begin to work. From here on the shell is to be closed, and may be before."""
        if self._committer is not None:
            self._committer.start()

    # Commands -----------------------------------------------------------------------------------

    def run(self, command: Command) -> Any:
        """Run a command and return its result, or raise its rejection.

        With a store this blocks until the command is durable, also in an event loop.
        """
        if self._committer is not None:
            waiting = ThreadWaiter()
            self._committer.submit(pending_of(waiting, command))
            return waiting.join()
        value = self.lock.hold(self._run, command)
        if isinstance(value, OpsLifecycleError):
            raise value
        return value

    def _run(self, command: Command) -> Any:
        if self._closed is not None:
            raise self._closed
        try:
            self.clock.set_time(self._authority)
            value, changes, _ = command.run(self._authority)
            for record, effects in changes:
                decide, arguments = command.decide, command.arguments
                self.effects.apply(self._authority, record, effects, decide, arguments)
            self.effects.evict_passed(self._authority)
            if self.effects.outbox is not None:
                self.effects.outbox.publish()
        except BaseException:
            self.fail()
            raise
        return value

    def act(
        self,
        id: IdT,
        decide: Callable[..., Any],
        arguments: tuple[Any, ...],
        deferred: bool = False,
    ) -> None:
        """Run a command that creates or changes one record. This is the hot path, with few calls.

        With a store this blocks until the command is durable, unless its write is `deferred`: such
        a command is written with the next commit, at most a second later.
        """
        if self._committer is not None:
            waiting = ThreadWaiter()
            self._committer.submit((waiting, id, decide, arguments, deferred))
            waiting.join()
            return
        lock, now_ns = self.lock, self.clock.monotonic_ns
        mutex = lock.mutex
        # As `lock.hold`, whose calls would be paid for by every command. No `try` inside the `try`:
        # one bytecode between the two would have no handler.
        whole = True
        try:
            mutex.acquire()
            if lock.dropped:
                lock.forget_dropped()
            if self._closed is not None:
                raise self._closed
            authority = self._authority
            if now_ns() >= self._time_valid_until_ns:
                self._time_valid_until_ns = self.clock.set_time(authority)
            whole = False
            # Spelled out, because handing on any number of arguments takes far longer.
            if len(arguments) == 1:
                effects = decide(authority, arguments[0])
            elif len(arguments) == 2:
                effects = decide(authority, arguments[0], arguments[1])
            else:
                effects = decide(authority, *arguments)
            if effects.__class__ is tuple and (effects or self.effects.listing.is_built):
                self.effects.apply(authority, authority.records[id], effects, decide, arguments)
            whole = True
            mutex.release()
            if lock.left:
                lock.drain()
        except BaseException:
            if not whole:
                # As `fail`, for whose call the stack may have no room.
                self._closed = CommandBrokenOffError
                self.effects.listing.is_built = False
                lock.left[self.effects.end] = True
            try:
                mutex.release()
            except RuntimeError:
                pass
            if lock.left:
                lock.drain()
            raise
        if effects.__class__ is not tuple:
            raise effects

    def act_async(
        self,
        id: IdT,
        decide: Callable[..., Any],
        arguments: tuple[Any, ...],
        deferred: bool = False,
    ) -> Awaitable[Any]:
        """Do what `act` does without blocking the event loop; like `start`, with one call less."""
        if self._committer is None:
            self.act(id, decide, arguments, deferred)
            return ReadyResult(None)
        future = new_future()
        self._committer.submit((future, id, decide, arguments, deferred))
        return future

    def start(self, command: Command) -> Awaitable[Any]:
        """Run a command without blocking the event loop, and return its result as an awaitable.

        Cancelling the task that awaits it does not undo the command.
        """
        if self._committer is None:
            return ReadyResult(self.run(command))
        future = new_future()
        self._committer.submit(pending_of(future, command))
        return future

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
            if self._closed is not None:
                raise self._closed
            authority = self._authority
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
        if self._closed is not None:
            return failed(self._closed(), self.lock, kind)
        barriers = self.effects.barriers
        rejection = admit(self._authority, ids, barriers.active(key))
        if rejection is not None:
            return failed(rejection, self.lock, kind)
        records = self._authority.records
        outcomes = {
            id: outcome for id in ids if (outcome := records[id].terminal_outcome) is not None
        }
        return barriers.add(key, ids, outcomes, satisfy, kind, self.lock)

    # Reads --------------------------------------------------------------------------------------

    def ask(self, question: Callable[..., T], *arguments: Any) -> T:
        """Call a method of the authority that changes nothing, at one instant."""
        return self.lock.hold(question, self._authority, *arguments)

    def view(self, id: IdT, view_of: Callable[[RecordT, int], T]) -> T | None:
        """Return a view of one record and its number of watchers; None if no record has the id."""
        return self.lock.hold(self._view, id, view_of)

    def _view(self, id: IdT, view_of: Callable[[RecordT, int], T]) -> T | None:
        record = self._authority.records.get(id)
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

    def close(self) -> None:
        """Refuse further commands, finish the queued ones, and end every wait."""
        if self.effects.outbox is not None:
            self.effects.outbox.stop(wait=True)
        if self._committer is not None:
            self._committer.close()
        self.end(RegistryClosedError)

    def fail(self) -> None:
        """Close: whatever interrupted a command half-way broke the state. The lock is held.

        Without a call into Python, for which the stack may have no room; the waits end when the
        lock is left.
        """
        self._closed = CommandBrokenOffError
        # What the command has changed may not be noted yet.
        self.effects.listing.is_built = False
        self.lock.left[self.effects.end] = True

    async def close_async(self) -> None:
        """Do what `close` does, without blocking the event loop."""
        if self._committer is None and self.effects.outbox is None:
            self.close()
            return
        import asyncio

        await asyncio.to_thread(self.close)

    def end(self, reason: type[OpsLifecycleError]) -> None:
        """Close for a reason, which every later command raises; twice is harmless."""
        try:
            self.lock.hold(self._end, reason)
        except BaseException:
            # Nobody is left waiting for ever if this is interrupted.
            self.lock.hold(self._end, reason)
            raise

    def _end(self, reason: type[OpsLifecycleError] = RegistryClosedError) -> None:
        if self._closed is None:
            self._closed = reason
        self.effects.end()

    def abandon(self) -> None:
        """Close what its owner has dropped; called by a finalizer, so it waits for nothing."""
        try:
            self._abandon()
        except BaseException:
            # The interpreter swallows it, and nobody else would do this.
            self._abandon()
            raise

    def _abandon(self) -> None:
        if self.effects.outbox is not None:
            self.effects.outbox.stop(wait=False)
        if self._committer is not None:
            self._committer.stop()
        else:
            self.lock.defer(self._end)

    def detach_after_fork(self) -> None:
        """Refuse to work in a forked child: the parent still owns what is shared."""
        self.lock.renew()
        self._committer = None
        self._closed = RegistryClosedError
        self.effects.end()
        # Whoever waited is in the parent.
        self.lock.left.clear()


_ENGINES: weakref.WeakSet[Engine[Any, Any]] = weakref.WeakSet()


def _detach_all() -> None:
    for shell in list(_ENGINES):
        shell.detach_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_detach_all)
