"""One-shot waits: awaitable from any event loop, with a blocking `result()` for threads.

A wait has two halves. The registry keeps the cell, one for all who wait for the same; each caller
keeps a `Wait`. When the last reference to a `Wait` goes, it is given up: that is how a dropped
watch stops counting. An await in progress has the `Wait` in its frame, so it cannot go while
somebody waits for it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator, Iterable
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from opslifecycle.errors import EventLoopBlockedError, InvalidValueError, OpsLifecycleError
from opslifecycle.sync.publication import PublicationLock, Waker
from opslifecycle.values.not_copyable import NotCopyable

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


class _State(Enum):
    PENDING = "pending"
    RESOLVED = "resolved"
    FAILED = "failed"
    CANCELLED = "cancelled"


_PENDING, _RESOLVED = _State.PENDING, _State.RESOLVED


class Ended(Protocol):
    """What those who wait are told of a record."""

    @property
    def id(self) -> Any: ...
    @property
    def terminal_outcome(self) -> Any: ...


class CellOwner(Protocol):
    """Who keeps a cell; told when nobody wants it any longer."""

    def forget(self, cell: Cell[Any]) -> None: ...


class Cell(Generic[T]):
    """The registry's half of a wait, or of many waits for the same.

    Every method is called with the publication lock held.
    """

    __slots__ = ("key", "owner", "state", "value", "waiters", "wanted")

    def __init__(self, owner: CellOwner | None, key: Any = None) -> None:
        self.state = _PENDING
        self.value: T | OpsLifecycleError | None = None
        self.owner = owner
        self.key = key
        #: How many waits for it have not been given up.
        self.wanted = 1
        #: Whom to wake, by the wait that they wait through.
        self.waiters: dict[Wait[T], dict[Waker, None]] | None = None

    def end(
        self, value: T | OpsLifecycleError | None, state: _State = _RESOLVED
    ) -> Iterable[Waker]:
        """End the wait, with its value by default; gives whom to wake once the lock is free."""
        waiters = self.waiters
        self.value = value
        self.state = state
        self.waiters = None
        self.owner = None
        self.key = None
        if waiters is None:
            return ()
        return [waker for wakers in waiters.values() for waker in wakers]

    def fail(self, error: OpsLifecycleError) -> Iterable[Waker]:
        """End the wait with an error; gives whom to wake once the lock is free."""
        return self.end(error, _State.FAILED)

    def give_up(self) -> Iterable[Waker]:
        """Somebody wants it no longer; if that was the last one, its owner forgets it."""
        self.wanted -= 1
        if not self.wanted and self.owner is not None:
            self.owner.forget(self)
        return ()


class Wait(NotCopyable, Generic[T]):
    """Something that ends once: await it in any event loop, or call `result()` in a thread.

    Any number of tasks and threads may wait for it, and it keeps what it ended with. Cancelling a
    task that awaits it ends that await only; `cancel()`, or the last reference going, gives it up.
    """

    __slots__ = ("__weakref__", "_cell", "_lock")

    def __init__(self, cell: Cell[T], lock: PublicationLock) -> None:
        self._cell = cell
        self._lock = lock

    def done(self) -> bool:
        """Whether it has ended: resolved, failed or cancelled."""
        return self._cell.state is not _PENDING

    def cancel(self) -> bool:
        """Give it up: True if that ended it, False if it had ended before.

        Afterwards `await` and `result()` raise CancelledError, for those who wait already too.
        """
        with self._lock:
            cell = self._cell
            if cell.state is not _PENDING:
                return False
            self._cell = _GIVEN_UP
            cell.give_up()
            wakers = cell.waiters.pop(self, {}) if cell.waiters is not None else {}
        wake_all(wakers)
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
        if self._cell.state is _PENDING:
            import asyncio

            loop = asyncio.get_running_loop()
            waker = _LoopWaker(loop)
            if self._enlist(waker):
                try:
                    yield from waker.future
                finally:
                    self._delist(waker)
        cell = self._cell
        return cell.value if cell.state is _RESOLVED else self.value()  # type: ignore[return-value]

    def __del__(self) -> None:
        cell = self._cell
        if cell.state is _PENDING:
            self._lock.defer(cell.give_up)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._cell.state.value}>"

    def block_for(self, timeout: float | None) -> None:
        """Block this thread until it has ended, whatever runs in it; raises TimeoutError."""
        gate = threading.Lock()
        gate.acquire()
        if not self._enlist(gate.release):
            return
        try:
            seconds = -1 if timeout is None else min(timeout, threading.TIMEOUT_MAX)
            gate.acquire(timeout=seconds)
        finally:
            self._delist(gate.release)
        if self._cell.state is _PENDING:
            raise TimeoutError

    def _enlist(self, waker: Waker) -> bool:
        with self._lock:
            cell = self._cell
            if cell.state is not _PENDING:
                return False
            if cell.waiters is None:
                cell.waiters = {}
            cell.waiters.setdefault(self, {})[waker] = None
            return True

    def _delist(self, waker: Waker) -> None:
        if self._cell.state is not _PENDING:
            # Whoever ended it has let go of the wakers.
            return
        with self._lock:
            cell = self._cell
            if cell.state is _PENDING:
                assert cell.waiters is not None
                del cell.waiters[self][waker]
                if not cell.waiters[self]:
                    del cell.waiters[self]

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


#: What a wait is left with that was given up.
_GIVEN_UP: Cell[Any] = Cell(None)
_GIVEN_UP.end(None, _State.CANCELLED)


class _LoopWaker:
    """Wakes one await: directly in its own loop, through the loop's queue from elsewhere."""

    __slots__ = ("future", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.future: asyncio.Future[None] = loop.create_future()

    def __call__(self) -> None:
        _wake_in_loop(self.loop, [self])

    def finish(self) -> None:
        """End the await; called in its loop."""
        if not self.future.done():
            self.future.set_result(None)


def _wake_in_loop(loop: asyncio.AbstractEventLoop, wakers: list[_LoopWaker]) -> None:
    import asyncio

    if asyncio._get_running_loop() is loop:
        _finish_all(wakers)
        return
    try:
        loop.call_soon_threadsafe(_finish_all, wakers)
    except RuntimeError:
        # A closed loop runs nothing any more, so nobody is left to be woken there.
        if not loop.is_closed():
            raise


def _finish_all(wakers: list[_LoopWaker]) -> None:
    for waker in wakers:
        waker.finish()


def wake_all(wakers: Iterable[Waker]) -> None:
    """Wake many at once: one call for each event loop, because each wakes its selector."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_LoopWaker]] = {}
    for waker in wakers:
        if isinstance(waker, _LoopWaker):
            by_loop.setdefault(waker.loop, []).append(waker)
        else:
            waker()
    for loop, together in by_loop.items():
        _wake_in_loop(loop, together)


def ended(value: object, lock: PublicationLock, kind: type[WaitT]) -> WaitT:
    """A wait that has its value already."""
    cell: Cell[Any] = Cell(None)
    cell.end(value)
    return kind(cell, lock)


def failed(error: OpsLifecycleError, lock: PublicationLock, kind: type[WaitT]) -> WaitT:
    """A wait that has failed already."""
    cell: Cell[Any] = Cell(None)
    cell.fail(error)
    return kind(cell, lock)


WaitT = TypeVar("WaitT", bound=Wait[Any])
