"""One-shot waits: awaitable from any event loop, with a blocking `result()` for threads.

A wait has two halves. The registry keeps the cell, the caller keeps the `Wait`. A cell is a weak
reference to its wait: when the last reference to the wait goes, the cell is given up. That is how a
dropped watch stops counting. An await in progress has the `Wait` in its frame, so it cannot go
while somebody waits for it.
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
    """What those who wait are told of a record."""

    @property
    def id(self) -> Any:
        """The id of the record."""

    @property
    def terminal_outcome(self) -> Any:
        """How the record ended."""


class CellOwner(Protocol):
    """Who keeps a cell; told when nobody wants it any longer, perhaps more than once."""

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
        """End the wait, with its value by default, and have its waiters woken."""
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
        """End the wait with an error."""
        self.end(error, _State.FAILED)

    def give_up(self) -> None:
        """Have its owner forget it."""
        owner = self.owner
        if owner is not None:
            owner.forget(self)
            self.owner = None
            self.key = None


class Wait(NotCopyable, Generic[T]):
    """Something that ends once: await it in any event loop, or call `result()` in a thread.

    Any number of tasks and threads may wait for it, and it keeps what it ended with. Cancelling a
    task that awaits it ends that await only; `cancel()`, or the last reference going, gives it up.
    """

    __slots__ = ("__weakref__", "_cell", "_lock")

    #: Assigned by whoever makes it, because a cell refers to its wait.
    _cell: Cell[T]

    def __init__(self, lock: PublicationLock) -> None:
        self._lock = lock

    def done(self) -> bool:
        """Whether it has ended: resolved, failed or cancelled."""
        return self._cell.state is not _PENDING

    def cancel(self) -> bool:
        """Give it up: True if that ended it, False if it had ended before.

        Afterwards `await` and `result()` raise CancelledError, for those who wait already too.
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
        """Block this thread until it ends, for at most `timeout` seconds.

        Raises TimeoutError when the time is up, which leaves it pending, EventLoopBlockedError
        inside a running event loop that it would block, and whatever the wait has failed with.
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
        """Block this thread until it has ended, whatever runs in it; raises TimeoutError."""
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
        """What it has ended with; raises what it has failed with."""
        cell = self._cell
        if cell.state is _RESOLVED:
            return cell.value  # type: ignore[return-value]
        if cell.state is _State.FAILED:
            assert isinstance(cell.value, OpsLifecycleError)
            raise cell.value.again()
        from opslifecycle.sync.cancellation import WaitCancelledError

        raise WaitCancelledError


WaitT = TypeVar("WaitT", bound=Wait[Any])


def pending(
    kind: Callable[[PublicationLock], WaitT], lock: PublicationLock, owner: CellOwner, key: Any
) -> WaitT:
    """A wait that its owner does not keep yet: until then, dropping it leaves nothing behind."""
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
    """A wait that has its value already."""
    return _made(value, _RESOLVED, lock, kind)


def failed(error: OpsLifecycleError, lock: PublicationLock, kind: type[WaitT]) -> WaitT:
    """A wait that has failed already."""
    return _made(error, _State.FAILED, lock, kind)


class Waiting(Generic[KeyT]):
    """The cells of pending waits, by what they wait for.

    Every method is called with the publication lock held. A wait is there once its cell is: one
    step, which an interrupt cannot split.
    """

    __slots__ = ("cells",)

    def __init__(self) -> None:
        #: Who waits for what; empty if nobody waits for anything.
        self.cells: dict[KeyT, dict[Cell[Any], None]] = {}

    def add(self, key: KeyT, kind: type[WaitT], lock: PublicationLock) -> WaitT:
        """One more pending wait."""
        wait = pending(kind, lock, self, key)
        others = self.cells.get(key)
        if others is None:
            self.cells[key] = {wait._cell: None}
        else:
            others[wait._cell] = None
        return wait

    def count(self, key: KeyT) -> int:
        """How many waits for `key` are pending and still wanted."""
        return len(self.cells.get(key, ()))

    def fail(self, key: KeyT, error: Callable[[], OpsLifecycleError]) -> None:
        """End the waits for `key` with an error."""
        for cell in self.cells.get(key, ()):
            cell.fail(error())
        self.cells.pop(key, None)

    def fail_all(self, error: Callable[[], OpsLifecycleError]) -> None:
        """End every wait with an error."""
        for key in list(self.cells):
            self.fail(key, error)

    def forget(self, cell: Cell[Any]) -> None:
        """Forget what nobody waits for any longer."""
        others = self.cells.get(cell.key)
        if others is not None:
            others.pop(cell, None)
            if not others:
                self.cells.pop(cell.key, None)
