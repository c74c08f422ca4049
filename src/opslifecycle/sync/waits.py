"""One-shot waits: awaitable from any event loop, with a blocking `result()` for threads.

A wait has two halves: the registry has the cell, the caller has the `Wait`. A cell is a weak
reference to its wait. When the caller drops the last reference to the wait, the registry forgets
the cell, so a dropped watch is no longer counted. An `await` in progress has the `Wait` in its
frame, so the wait exists as long as a task awaits it.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Generator, Hashable
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

from opslifecycle.errors import EventLoopBlockedError, InvalidValueError, OpsLifecycleError
from opslifecycle.sync.publication import PublicationLock
from opslifecycle.sync.waking import LoopWaker, ThreadWaker, Waker
from opslifecycle.values.checks import shown
from opslifecycle.values.not_copyable import NotCopyable

T = TypeVar("T")
KeyT = TypeVar("KeyT", bound=Hashable)
IdT_co = TypeVar("IdT_co", bound=Hashable, covariant=True)
OutcomeT_co = TypeVar("OutcomeT_co", covariant=True)


class _State(Enum):
    PENDING = "pending"
    RESOLVED = "resolved"
    FAILED = "failed"
    CANCELLED = "cancelled"


_PENDING, _RESOLVED = _State.PENDING, _State.RESOLVED


class Status(Protocol):
    """A status of a machine."""

    @property
    def terminal(self) -> bool:
        """Whether no action leads out of it."""


class Ended(Protocol[IdT_co, OutcomeT_co]):
    """The part of a record that the shell reads."""

    @property
    def id(self) -> IdT_co:
        """The id of the record."""

    @property
    def status(self) -> Status:
        """The status of the record."""

    @property
    def terminal_outcome(self) -> OutcomeT_co:
        """What waits for the record return: how it ended, or the outcome of its milestone."""


class CellOwner(Protocol):
    """A collection of cells."""

    def forget(self, cell: Cell[Any]) -> None:
        """Remove a cell that no caller waits for; twice is harmless."""


class Cell(weakref.ref["Wait[T]"], Generic[T]):
    """The registry's half of a wait.

    Every method is called with the publication lock held, and may be called again after an
    interrupt.
    """

    __slots__ = ("key", "lock", "owner", "state", "value", "waiters")

    # Cells are compared by identity. A weak reference compares the waits, which may not exist.
    __hash__ = object.__hash__
    __eq__ = object.__eq__

    state: _State
    value: T | OpsLifecycleError | None
    lock: PublicationLock
    owner: CellOwner | None
    #: The key under which the owner has the cell. Each owner has keys of one type of its own.
    key: Any
    #: The waiters to notify, in the form of `PublicationLock.left`.
    waiters: dict[Waker, bool] | None

    def end(self, value: T | OpsLifecycleError | None, state: _State = _RESOLVED) -> None:
        """Set the result of the wait, by default its value, and queue its notifications."""
        if self.state is _PENDING:
            self.value = value
            self.state = state
        waiters = self.waiters
        if waiters is not None:
            self.lock.left.update(waiters)
            self.waiters = None
        self.owner = None
        self.key = None

    def fail(self, error: OpsLifecycleError) -> None:
        """Set an error as the result of the wait."""
        self.end(error, _State.FAILED)

    def give_up(self) -> None:
        """Remove the cell from its owner."""
        owner = self.owner
        if owner is not None:
            owner.forget(self)
            self.owner = None
            self.key = None


class Wait(NotCopyable, Generic[T]):
    """A one-shot wait: use `await` in any event loop, or `result()` in a thread.

    Any number of tasks and threads can wait for it, also when it is over. Cancelling a task that
    awaits it ends that `await` only. To give up the wait, call `cancel()` or drop every reference.
    """

    __slots__ = ("__weakref__", "_cell", "_lock")

    #: Assigned after the construction, because a cell needs its wait.
    _cell: Cell[T]

    def __init__(self, lock: PublicationLock) -> None:
        self._lock = lock

    def done(self) -> bool:
        """Return whether the wait is over: it has a result or an error, or was cancelled."""
        return self._cell.state is not _PENDING

    def add_done_callback(self, callback: Callable[[], object]) -> None:
        """Call `callback` without arguments once the wait is over; now if it is over already.

        The thread that ends the wait calls it, after an interrupt perhaps more than once. When the
        last reference to the wait is dropped, the callback is dropped as well.

        Args:
            callback: A function that neither blocks nor raises.
        """
        if not self._lock.hold(self._enlist, callback):
            callback()

    def cancel(self) -> bool:
        """Give the wait up.

        Afterwards `await` and `result()` raise CancelledError, also where they wait already.

        Returns:
            True if this call ended the wait, False if it was over before.
        """
        return self._lock.hold(self._cancel)

    def _cancel(self) -> bool:
        return self._end(None, _State.CANCELLED)

    def _end(self, value: OpsLifecycleError | None, state: _State) -> bool:
        cell = self._cell
        if cell.state is not _PENDING:
            return False
        owner = cell.owner
        try:
            if owner is not None:
                owner.forget(cell)
            cell.end(value, state)
        except BaseException:
            if owner is not None:
                owner.forget(cell)
            cell.end(value, state)
            raise
        return True

    def result(self, timeout: float | None = None) -> T:
        """Block this thread until the wait is over, and return its result.

        Args:
            timeout: The number of seconds to block at most; None for no limit.

        Raises:
            InvalidValueError: The timeout is neither a number nor None.
            TimeoutError: The timeout has passed. The wait is still pending.
            EventLoopBlockedError: The call would block a running event loop.
            OpsLifecycleError: The error with which the wait failed.
            CancelledError: The wait was cancelled.
        """
        if timeout is not None and not (isinstance(timeout, int | float) and timeout == timeout):
            raise InvalidValueError("timeout", f"expected seconds or None, got {shown(timeout)}")
        if self._cell.state is _PENDING:
            if timeout is not None and timeout <= 0:
                raise TimeoutError
            asyncio = sys.modules.get("asyncio")
            if asyncio is not None and asyncio._get_running_loop() is not None:
                raise EventLoopBlockedError
            self.block_for(timeout)
        return self.value()

    def __await__(self) -> Generator[object, None, T]:
        cell = self._cell
        if cell.state is _PENDING:
            import asyncio

            waker = LoopWaker(asyncio.get_running_loop())
            try:
                if self._lock.hold(self._enlist, waker):
                    yield from waker.future
                self._delist(waker)
            except BaseException:
                self._delist(waker)
                raise
        return cell.value if cell.state is _RESOLVED else self.value()  # type: ignore[return-value]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._cell.state.value}>"

    def block_for(self, timeout: float | None) -> None:
        """Block this thread until the wait is over, also inside an event loop.

        Args:
            timeout: The number of seconds to block at most; None for no limit.

        Raises:
            TimeoutError: The timeout has passed. The wait is still pending.
        """
        waker = ThreadWaker()
        try:
            if self._lock.hold(self._enlist, waker):
                waker.block(-1 if timeout is None else min(timeout, threading.TIMEOUT_MAX))
            self._delist(waker)
        except BaseException:
            self._delist(waker)
            raise
        if self._cell.state is _PENDING:
            raise TimeoutError

    def _enlist(self, waker: Waker) -> bool:
        cell = self._cell
        if cell.state is not _PENDING:
            return False
        if cell.waiters is None:
            cell.waiters = {}
        cell.waiters[waker] = False
        return True

    def _delist(self, waker: Waker) -> None:
        # Without the lock: a thread that ends the cell meanwhile may call the waker, harmlessly.
        waiters = self._cell.waiters
        if waiters is not None:
            waiters.pop(waker, None)

    def value(self) -> T:
        """Return the result of a wait that is over, or raise its error."""
        cell = self._cell
        if cell.state is _RESOLVED:
            return cell.value  # type: ignore[return-value]
        if cell.state is _State.FAILED:
            assert isinstance(cell.value, OpsLifecycleError)
            raise cell.value.clone()
        from opslifecycle.sync.cancellation import WaitCancelledError

        raise WaitCancelledError


def fail(wait: Wait[T], error: OpsLifecycleError) -> None:
    """End a wait with an error, unless it is over: what it waits for will not come."""
    wait._lock.hold(wait._end, error, _State.FAILED)


WaitT = TypeVar("WaitT", bound=Wait[Any])


def pending(
    kind: Callable[[PublicationLock], WaitT],
    lock: PublicationLock,
    owner: CellOwner,
    key: Hashable,
) -> WaitT:
    """Return a pending wait, whose cell the caller adds to its owner."""
    wait = kind(lock)
    # Without an `__init__`, whose call would make every watch slower.
    cell: Cell[object] = Cell(wait, lock.drop)
    cell.state = _PENDING
    cell.value = None
    cell.lock = lock
    cell.key = key
    cell.waiters = None
    # Last: a cell whose construction was interrupted has no owner that could forget it.
    cell.owner = owner
    wait._cell = cell
    return wait


def _made(
    value: object, state: _State, lock: PublicationLock, kind: Callable[[PublicationLock], WaitT]
) -> WaitT:
    wait = kind(lock)
    cell: Cell[object] = Cell(wait)
    cell.state = state
    cell.value = value
    cell.lock = lock
    cell.owner = cell.key = cell.waiters = None
    wait._cell = cell
    return wait


def ended(value: object, lock: PublicationLock, kind: type[WaitT]) -> WaitT:
    """Return a wait that has its result already."""
    return _made(value, _RESOLVED, lock, kind)


def failed(error: OpsLifecycleError, lock: PublicationLock, kind: type[WaitT]) -> WaitT:
    """Return a wait that has failed already."""
    return _made(error, _State.FAILED, lock, kind)


class Waiting(Generic[KeyT]):
    """The cells of pending waits, by a key: the id of a record, or a position.

    Every method is called with the publication lock held. Adding a wait is one step, which an
    interrupt cannot split.
    """

    __slots__ = ("cells",)

    def __init__(self) -> None:
        #: The pending cells of each key. A key without any is absent.
        self.cells: dict[KeyT, dict[Cell[object], None]] = {}

    def add(self, key: KeyT, kind: type[WaitT], lock: PublicationLock) -> WaitT:
        """Add a pending wait."""
        wait = pending(kind, lock, self, key)
        others = self.cells.get(key)
        if others is None:
            self.cells[key] = {wait._cell: None}
        else:
            others[wait._cell] = None
        return wait

    def count(self, key: KeyT) -> int:
        """Return how many waits for `key` are pending."""
        return len(self.cells.get(key, ()))

    def fail(self, key: KeyT, error: Callable[[], OpsLifecycleError]) -> None:
        """Fail the waits for `key` with an error."""
        for cell in self.cells.get(key, ()):
            cell.fail(error())
        self.cells.pop(key, None)

    def fail_all(self, error: Callable[[], OpsLifecycleError]) -> None:
        """Fail every wait with an error."""
        for key in list(self.cells):
            self.fail(key, error)

    def forget(self, cell: Cell[object]) -> None:
        """See `CellOwner.forget`."""
        others = self.cells.get(cell.key)
        if others is not None:
            others.pop(cell, None)
            if not others:
                self.cells.pop(cell.key, None)
