"""One-shot waits: awaitable from any event loop, with a blocking `result()` for threads.

A wait has two halves: the registry has the cell, the caller has the `Wait`. A cell is a weak
reference to its wait: when the last reference to the wait goes, the cell is given up. A dropped
watch therefore no longer counts. An await in progress has the `Wait` in its frame, so that it stays
while a task waits for it.
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
from opslifecycle.values.not_copyable import NotCopyable

T = TypeVar("T")
KeyT = TypeVar("KeyT", bound=Hashable)


class _State(Enum):
    PENDING = "pending"
    RESOLVED = "resolved"
    FAILED = "failed"
    CANCELLED = "cancelled"


_PENDING, _RESOLVED = _State.PENDING, _State.RESOLVED


class Ended(Protocol):
    """A finished record, as waiters see it."""

    @property
    def id(self) -> Any:
        """The id of the record."""

    @property
    def terminal_outcome(self) -> Any:
        """How the record ended."""


class CellOwner(Protocol):
    """The owner of a cell, which forgets it when no caller wants it, perhaps repeatedly."""

    def forget(self, cell: Cell[Any]) -> None:
        """Forget a cell."""


class Cell(weakref.ref["Wait[T]"], Generic[T]):
    """The registry's half of a wait.

    Every method is called with the publication lock held, and may be called again after an
    interrupt.
    """

    __slots__ = ("key", "lock", "owner", "state", "value", "waiters")

    # Those of a weak reference ask the wait, which may be gone.
    __hash__ = object.__hash__
    __eq__ = object.__eq__

    state: _State
    value: T | OpsLifecycleError | None
    lock: PublicationLock
    owner: CellOwner | None
    key: Any
    #: Whom to wake, as the lock notes it.
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
        """Tell the owner to forget the cell."""
        owner = self.owner
        if owner is not None:
            owner.forget(self)
            self.owner = None
            self.key = None


class Wait(NotCopyable, Generic[T]):
    """A one-shot wait: use `await` in any event loop, or `result()` in a thread.

    Any number of tasks and threads can wait for it, and its result stays. Cancelling a task that
    awaits it ends that `await` only. `cancel()`, or dropping the last reference, gives the wait up.
    """

    __slots__ = ("__weakref__", "_cell", "_lock")

    #: Assigned by whoever makes it, because a cell refers to its wait.
    _cell: Cell[T]

    def __init__(self, lock: PublicationLock) -> None:
        self._lock = lock

    def done(self) -> bool:
        """Return whether the wait is over: it has a result or an error, or was cancelled."""
        return self._cell.state is not _PENDING

    def add_done_callback(self, callback: Callable[[], object]) -> None:
        """Call `callback` once the wait is over: at once if it is over already.

        The thread that ends the wait calls it, after an interrupt perhaps more than once. It must
        not block and must not raise. Dropping the last reference to the wait drops the callback.
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
        cell = self._cell
        if cell.state is not _PENDING:
            return False
        owner = cell.owner
        try:
            if owner is not None:
                owner.forget(cell)
            cell.end(None, _State.CANCELLED)
        except BaseException:
            if owner is not None:
                owner.forget(cell)
            cell.end(None, _State.CANCELLED)
            raise
        return True

    def result(self, timeout: float | None = None) -> T:
        """Block this thread until the wait is over, and return its result.

        Args:
            timeout: For at most so many seconds; None for as long as it takes.

        Raises:
            TimeoutError: The time is up. The wait is still pending.
            EventLoopBlockedError: The call would block a running event loop.
            OpsLifecycleError: The error with which the wait failed.
            CancelledError: The wait was cancelled.
        """
        if timeout is not None and not (isinstance(timeout, int | float) and timeout == timeout):
            raise InvalidValueError("timeout", f"expected seconds or None, got {timeout!r}")
        if self._cell.state is _PENDING:
            if timeout is not None and timeout <= 0:
                raise TimeoutError
            asyncio = sys.modules.get("asyncio")
            if asyncio is not None and asyncio._get_running_loop() is not None:
                raise EventLoopBlockedError
            self.block_for(timeout)
        return self.value()

    def __await__(self) -> Generator[Any, None, T]:
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

        Raises:
            TimeoutError: The time is up.
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
        # Without the lock: whoever ends the cell meanwhile wakes once more, which does nothing.
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


WaitT = TypeVar("WaitT", bound=Wait[Any])


def pending(
    kind: Callable[[PublicationLock], WaitT], lock: PublicationLock, owner: CellOwner, key: Any
) -> WaitT:
    """Return a wait that no owner has yet: until then, dropping it has no consequence."""
    wait = kind(lock)
    # No `__init__`: its call would be paid for by every watch.
    cell: Cell[Any] = Cell(wait, lock.drop)
    cell.state = _PENDING
    cell.value = None
    cell.lock = lock
    cell.key = key
    cell.waiters = None
    # Last: what has no owner yet is not given up.
    cell.owner = owner
    wait._cell = cell
    return wait


def _made(
    value: object, state: _State, lock: PublicationLock, kind: Callable[[PublicationLock], WaitT]
) -> WaitT:
    wait = kind(lock)
    cell: Cell[Any] = Cell(wait)
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
    """The cells of pending waits, by what they wait for.

    Every method is called with the publication lock held. Adding a wait is one step, which an
    interrupt cannot split.
    """

    __slots__ = ("cells",)

    def __init__(self) -> None:
        #: Who waits for what; empty if nobody waits for anything.
        self.cells: dict[KeyT, dict[Cell[Any], None]] = {}

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
        """Return how many waits for `key` are pending and wanted."""
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

    def forget(self, cell: Cell[Any]) -> None:
        """Remove a cell that no caller wants any longer."""
        others = self.cells.get(cell.key)
        if others is not None:
            others.pop(cell, None)
            if not others:
                self.cells.pop(cell.key, None)
