"""Notification of threads and tasks, each at least once: the notifier may be interrupted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

#: Wakes one waiter. It is cheap, does not block, and runs after the publication lock is released. A
#: second call does nothing.
Waker = Callable[[], object]


class ThreadWaker:
    """The notification of one blocked thread."""

    __slots__ = ("_gate",)

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._gate.acquire()

    def block(self, seconds: float) -> None:
        """Block until notified, for at most `seconds`; -1 for no limit."""
        self._gate.acquire(timeout=seconds)

    def __call__(self) -> None:
        """Wake the thread; twice is harmless."""
        if self._gate.locked():
            try:
                self._gate.release()
            except RecursionError:
                raise
            except RuntimeError:
                # Another thread has released it in between.
                pass


class Gate:
    """An event that happens once, which any number of threads can wait for.

    Unlike a `threading.Event`, whose condition variable an interrupt may leave locked, and a
    `threading.Thread`, which an interrupted `join` may take for finished, it stays correct when an
    interrupt is raised in any thread.
    """

    __slots__ = ("_lock", "is_open")

    def __init__(self) -> None:
        self.is_open = False
        # Free once the gate is open, except while a waiting thread acquires it and passes it on.
        self._lock = threading.Lock()
        self._lock.acquire()

    def open(self) -> None:
        """Let all waiting threads continue; twice is harmless."""
        self.is_open = True
        self._pass_on()

    def wait(self, seconds: float = -1) -> bool:
        """Block until the gate is open, for at most `seconds`; -1 for no limit.

        Returns:
            Whether the gate is open.
        """
        try:
            if not self.is_open:
                self._lock.acquire(timeout=seconds)
            self._pass_on()
        except BaseException:
            self._pass_on()
            raise
        return self.is_open

    def _pass_on(self) -> None:
        if self.is_open:
            try:
                self._lock.release()
            except RecursionError:
                raise
            except RuntimeError:
                # It is free.
                pass


class LoopWaker:
    """The notification of one `await`: directly in its own loop, else through the loop's queue."""

    __slots__ = ("future", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.future: asyncio.Future[None] = loop.create_future()

    def __call__(self) -> None:
        """Wake the await, from any thread."""
        _wake_in_loop(self.loop, [self])

    def finish(self) -> None:
        """Complete the future of the `await`. Called in its loop."""
        if not self.future.done():
            self.future.set_result(None)


def _wake_in_loop(loop: asyncio.AbstractEventLoop, wakers: list[LoopWaker]) -> None:
    import asyncio

    if asyncio._get_running_loop() is loop:
        _finish_all(wakers)
        return
    try:
        loop.call_soon_threadsafe(_finish_all, wakers)
        # Again: an interrupt before the first bytecode of a callback is one that it cannot catch.
        loop.call_soon_threadsafe(_finish_all, wakers)
    except RuntimeError:
        # A closed loop runs no task that could be woken.
        if not loop.is_closed():
            raise


def _finish_all(wakers: list[LoopWaker]) -> None:
    try:
        for waker in wakers:
            waker.finish()
    except BaseException:
        # An interrupt in the loop's thread must not leave other tasks waiting.
        for waker in wakers:
            waker.finish()
        raise


def wake_all(wakers: Iterable[Waker]) -> None:
    """Notify many waiters, with one call for each event loop, because a call wakes its selector."""
    by_loop: dict[asyncio.AbstractEventLoop, list[LoopWaker]] = {}
    for waker in wakers:
        if isinstance(waker, LoopWaker):
            by_loop.setdefault(waker.loop, []).append(waker)
        else:
            waker()
    for loop, together in by_loop.items():
        _wake_in_loop(loop, together)
