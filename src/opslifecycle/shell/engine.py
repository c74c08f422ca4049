"""The engine: the state around one authority, which commands change and readers see.

The engine decides nothing: it calls the authority, and raises the authority's rejections. Executors
(`shell/executor.py`) run commands on it. Waits and reads acquire its lock themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeAlias, TypeVar, cast

from opslifecycle.clock import CommandTime
from opslifecycle.errors import (
    CommandInterruptedError,
    OpsLifecycleError,
    RegistryClosedError,
)
from opslifecycle.shell.authority import Authority, IdT, RecordT
from opslifecycle.shell.columns import Key, SortKey
from opslifecycle.shell.effects import EffectRunner
from opslifecycle.shell.pages import PageRequest, Query
from opslifecycle.shell.staging import Staging
from opslifecycle.sync.barriers import Satisfy
from opslifecycle.sync.publication import PublicationLock
from opslifecycle.sync.waits import WaitT, ended, failed
from opslifecycle.values.pages import Page

T = TypeVar("T")
OutcomeT = TypeVar("OutcomeT")

#: A function of the authority that rejects a watch of a record, or returns None.
AdmitWatch: TypeAlias = Callable[[Any, IdT], OpsLifecycleError | None]
#: A function of the authority that rejects a barrier, or returns None. Its parameters are the
#: members and the number of active barriers with the same key.
AdmitBarrier: TypeAlias = Callable[[Any, Sequence[IdT], int], OpsLifecycleError | None]


class Engine(Generic[IdT, RecordT]):
    """The published state of one registry, behind one lock.

    Args:
        authority: The generated authority.
        lock: The lock of the published state.
        effects: The application of effects, with the waits and the feed.
        time: The time of commands.
        staging: The functions that stage the authority.
    """

    def __init__(
        self,
        authority: Authority[IdT, RecordT],
        lock: PublicationLock,
        effects: EffectRunner[IdT, RecordT],
        time: CommandTime,
        staging: Staging[Authority[IdT, RecordT]],
    ) -> None:
        self.authority = authority
        self.lock = lock
        self.effects = effects
        self.time = time
        self.staging = staging
        #: The clock of `time`.
        self.clock = time.clock
        #: The error of every later command; None while the registry is open.
        self.closed: type[OpsLifecycleError] | None = None
        #: The records that were live when the store was opened, and that no caller has claimed.
        self.interrupted: set[IdT] = set()
        #: How many outbox messages older versions had, if the machine has none.
        self.messages_before = 0

    # Waits --------------------------------------------------------------------------------------

    def watch(self, id: IdT, admit: AdmitWatch[IdT], kind: type[WaitT]) -> WaitT:
        """Return a watch of one record. It is over at once if the record is finished.

        Args:
            id: The id of the record.
            admit: The function of the authority that rejects the watch.
            kind: The class of the watch.

        Raises:
            OpsLifecycleError: The rejection, or why the registry is closed.
        """
        lock = self.lock
        mutex = lock.mutex
        # `lock.hold`, spelled out, because its calls would make every watch slower.
        try:
            mutex.acquire()
            if lock.dropped:
                lock.forget_dropped()
            authority, closed = self.authority, self.closed
            # Raised after the release: an interrupt of the handler below would leave the lock held.
            rejection = admit(authority, id) if closed is None else closed()
            if rejection is None:
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
        if rejection is not None:
            raise rejection
        return wait

    def wait_for_all(
        self,
        key: Hashable,
        ids: Sequence[IdT],
        admit: AdmitBarrier[IdT],
        satisfy: Satisfy[IdT, OutcomeT],
        kind: type[WaitT],
    ) -> WaitT:
        """Return a barrier. The wait, not this call, raises a rejection.

        Args:
            key: The key of the request, by which the machine limits its barriers.
            ids: The members.
            admit: The function of the authority that rejects the barrier.
            satisfy: Returns the result of the wait.
            kind: The class of the wait.
        """
        wait: WaitT = self.lock.hold(self._wait_for_all, key, ids, admit, satisfy, kind)
        return wait

    def _wait_for_all(
        self,
        key: Hashable,
        ids: Sequence[IdT],
        admit: AdmitBarrier[IdT],
        satisfy: Satisfy[IdT, OutcomeT],
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

    def ask(self, question: Callable[..., T], *arguments: object) -> T:
        """Call a function of the authority that changes nothing, with the lock held."""
        return self.lock.hold(question, self.authority, *arguments)

    def ask_now(self, question: Callable[..., T], *arguments: object) -> T:
        """Call a function of the authority that changes nothing and reads the time."""
        answer: T = self.lock.hold(self._ask_now, question, arguments)
        return answer

    def _ask_now(self, question: Callable[..., T], arguments: tuple[object, ...]) -> T:
        self.time.set_time(self.authority)
        return question(self.authority, *arguments)

    def view(self, id: IdT, view_of: Callable[[RecordT, int], T]) -> T | None:
        """Return the view of one record; None if no record has the id.

        Args:
            id: The id.
            view_of: Returns the view of a record with its number of watches.
        """
        return self.lock.hold(self._view, id, view_of)

    def _view(self, id: IdT, view_of: Callable[[RecordT, int], T]) -> T | None:
        record = self.authority.records.get(id)
        return None if record is None else view_of(record, self.effects.watchers.count(id))

    def holder(
        self,
        find: Callable[..., IdT | None],
        view_of: Callable[[RecordT, int], T],
        *key: Hashable,
    ) -> T | None:
        """Return the view of the record that holds a unique key; None if no record does.

        Args:
            find: The function of the authority that returns the id of the record.
            view_of: Returns the view of a record with its number of watches.
            *key: The key.
        """
        return self.lock.hold(self._holder, find, view_of, key)

    def _holder(
        self,
        find: Callable[..., IdT | None],
        view_of: Callable[[RecordT, int], T],
        key: tuple[Hashable, ...],
    ) -> T | None:
        id = find(self.authority, *key)
        return None if id is None else self._view(id, view_of)

    def views(
        self,
        wanted: tuple[Hashable, ...],
        order: Callable[[RecordT], SortKey],
        view_of: Callable[[RecordT, int], T],
    ) -> list[T]:
        """Return views of some records, in order, all at the same instant.

        Args:
            wanted: The value of each listing key; None for any value.
            order: Returns the sort key of a record.
            view_of: Returns the view of a record with its number of watches.
        """
        return self.lock.hold(self._views, wanted, order, view_of)

    def _views(
        self,
        wanted: tuple[Hashable, ...],
        order: Callable[[RecordT], SortKey],
        view_of: Callable[[RecordT, int], T],
    ) -> list[T]:
        records = self.effects.listing.select(wanted)
        records.sort(key=order)
        count = self.effects.watchers.count
        return [view_of(record, count(record.id)) for record in records]

    def page(
        self,
        wanted: tuple[Hashable, ...],
        request: PageRequest,
        view_of: Callable[[RecordT, int], T],
    ) -> Page[T]:
        """Return views of the records of one page, all at the same instant.

        Args:
            wanted: The value of each listing key; None for any value.
            request: Which records, in which order.
            view_of: Returns the view of a record with its number of watches.

        Raises:
            InvalidValueError: The request is wrong.
        """
        pages = self.effects.listing.pages
        query = pages.query(request)
        views, last, has_more = self.lock.hold(self._page, wanted, query, view_of)
        cursor = query.cursor if last is None else pages.cursor(query, last)
        return Page(views, cursor, has_more=has_more)

    def _page(
        self,
        wanted: tuple[Hashable, ...],
        query: Query,
        view_of: Callable[[RecordT, int], T],
    ) -> tuple[list[T], Key | None, bool]:
        keys, has_more = self.effects.listing.page(wanted, query)
        records, count = self.authority.records, self.effects.watchers.count
        ids = [cast("IdT", key[-1]) for key in keys]
        views = [view_of(records[id], count(id)) for id in ids]
        return views, keys[-1] if keys else None, has_more

    # What the last process has left behind -------------------------------------------------------

    def note_interrupted(self) -> None:
        """Note the records that are live, when a store is opened."""
        records = self.authority.records.values()
        self.interrupted = {each.id for each in records if each.terminal_outcome is None}

    def unclaimed(self) -> list[RecordT]:
        """Return the live records that the last process has left behind, by their ids."""
        return self.lock.hold(self._unclaimed)

    def _unclaimed(self) -> list[RecordT]:
        records = self.authority.records
        self.interrupted &= records.keys()
        found = [records[id] for id in sorted(self.interrupted, key=str)]
        return [each for each in found if each.terminal_outcome is None]

    def claim(self, id: IdT) -> bool:
        """Claim a record that the last process has left behind; False if another caller has it."""
        return self.lock.hold(self._claim, id)

    def _claim(self, id: IdT) -> bool:
        if id not in self.interrupted:
            return False
        self.interrupted.discard(id)
        return True

    # Closing ------------------------------------------------------------------------------------

    def fail(self) -> None:
        """Close, because an exception interrupted a command whose changes may be incomplete.

        Called with the lock held. It calls no Python function, because the stack may have no room
        for one. The waits end when the lock is released.
        """
        self.closed = CommandInterruptedError
        # The listing may lack the changes of the command.
        self.effects.listing.is_built = False
        self.lock.left[self.effects.end] = True

    def stop_delivery(self, *, wait: bool) -> None:
        """Ask for nothing more by timers, and deliver no more outbox messages."""
        if self.effects.alarm is not None:
            self.effects.alarm.stop(wait=wait)
        if self.effects.outbox is not None:
            self.effects.outbox.stop(wait=wait)

    def refuse(self, reason: type[OpsLifecycleError]) -> None:
        """Close, while waits go on until `end`; twice is harmless.

        Args:
            reason: The error of every later command, unless the registry is closed already.
        """
        self.lock.hold(self._refuse_locked, reason)

    def _refuse_locked(self, reason: type[OpsLifecycleError]) -> None:
        if self.closed is None:
            self.closed = reason

    def end(self, reason: type[OpsLifecycleError]) -> None:
        """Close and end every wait; twice is harmless.

        Args:
            reason: The error of every later command, unless the registry is closed already.
        """
        try:
            self.lock.hold(self.end_locked, reason)
        except BaseException:
            # Every wait must end, also if the first call was interrupted.
            self.lock.hold(self.end_locked, reason)
            raise

    def end_locked(self, reason: type[OpsLifecycleError] = RegistryClosedError) -> None:
        """Do what `end` does; called with the lock held."""
        self._refuse_locked(reason)
        self.effects.end()

    def detach_after_fork(self) -> None:
        """Close in a forked child, which has copies of the locks and none of the threads."""
        self.lock.renew()
        self.closed = RegistryClosedError
        if self.effects.alarm is not None:
            self.effects.alarm.detach_after_fork()
        if self.effects.outbox is not None:
            self.effects.outbox.detach_after_fork()
        self.effects.end()
        # The waiters are in the parent.
        self.lock.left.clear()


#: An engine where the machine of its registry does not matter.
AnyEngine: TypeAlias = Engine[Any, Any]
