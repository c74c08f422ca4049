"""The one lock of a registry, which a finalizer can use without ever waiting for it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType

#: Wakes one waiter: cheap, never blocks, takes no lock of ours, runs after the lock is free.
Waker = Callable[[], object]


class PublicationLock:
    """Guards what readers see: held for short sections in memory, never across I/O or waiting.

    Finalizers run wherever the interpreter pleases, inside such a section of the same thread too,
    so they must not wait for the lock. They hand their work to `defer`: whoever holds the lock then
    does it when leaving, and if nobody does, it is done at once.
    """

    __slots__ = ("deferred", "mutex")

    def __init__(self) -> None:
        #: What finalizers have left for whoever leaves the lock.
        self.deferred: deque[Callable[[], Iterable[Waker]]] = deque()
        self.renew()

    def __enter__(self) -> None:
        self.mutex.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.mutex.release()
        if self.deferred:
            self.settle()

    def defer(self, work: Callable[[], Iterable[Waker]]) -> None:
        """Do `work` under the lock, now or when its holder leaves; then call its wakers."""
        self.deferred.append(work)
        self.settle()

    def settle(self) -> None:
        """Do what was deferred, unless somebody holds the lock, who does it when leaving."""
        # Whoever appended before the holder's release is seen by the holder afterwards, and whoever
        # appends after it finds the lock free: no work is left behind either way.
        while self.deferred and self.mutex.acquire(blocking=False):
            wakers: list[Waker] = []
            try:
                while self.deferred:
                    wakers.extend(self.deferred.popleft()())
            finally:
                self.mutex.release()
            for wake in wakers:
                wake()

    def renew(self) -> None:
        """Replace the lock in a forked child, where its holder may not exist any more."""
        #: For sections that are entered at every command, which cannot afford the calls of a `with`
        #: statement: they release it, and then settle what was deferred.
        self.mutex = threading.Lock()
        self.deferred.clear()
