"""The one lock of a registry. An interrupt at any point leaves it free, and nothing undone.

An exception may come between any two bytecodes: from a signal handler, or because memory or stack
has run out. Three rules make that harmless (ADR 0019):

1. A section is entered inside a `try` whose handler releases the lock if this thread still holds
   it. The lock knows its owner, so the handler need not know how far the section has come.
2. What has to follow a section is noted in `left` before it is due, and leaves it when it is done.
   Doing it again is harmless. Whoever leaves the lock next does what an interrupted thread left.
3. Finalizers run no code of ours: the interpreter would swallow an interrupt in them. A wait that
   is dropped writes its cell into `dropped`, which the next section empties.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from opslifecycle.locks import owned_lock
from opslifecycle.sync.waking import Waker, wake_all

T = TypeVar("T")


class Droppable(Protocol):
    """The registry's half of a wait, as the lock sees it."""

    @property
    def owner(self) -> object | None:
        """What the wait belongs to; None once it has ended."""

    def give_up(self) -> None:
        """Forget the wait."""


class PublicationLock:
    """The lock of what readers see, held for short work in memory, never across I/O or waiting."""

    __slots__ = ("drop", "dropped", "left", "mutex")

    def __init__(self) -> None:
        #: What to do on leaving: True for work under the lock, False for a waker.
        self.left: dict[Callable[[], object], bool] = {}
        #: Cells whose wait has gone, and what appends to it: a weak reference calls it.
        self.dropped: deque[Droppable] = deque()
        self.drop: Callable[[Any], None] = self.dropped.append
        self.renew()

    def hold(self, work: Callable[..., T], *arguments: Any) -> T:
        """Call `work` in one section, and return its result. Sections do not nest."""
        mutex = self.mutex
        try:
            mutex.acquire()
            if self.dropped:
                self.forget_dropped()
            result = work(*arguments)
            mutex.release()
            if self.left:
                self.drain()
        except BaseException:
            # Here and in the two sections that cannot afford this call: no function in between,
            # for which the stack may have no room.
            try:
                mutex.release()
            except RuntimeError:
                pass
            if self.left:
                self.drain()
            raise
        return result

    def forget_dropped(self) -> None:
        """Give up the waits that were dropped. Called with the lock held."""
        dropped = self.dropped
        while dropped:
            cell = dropped[0]
            # Most have ended, and belong to nobody any more; one may not be finished.
            if getattr(cell, "owner", None) is not None:
                cell.give_up()
            dropped.popleft()

    def defer(self, work: Callable[[], object]) -> None:
        """Call `work` under the lock, now or when its holder leaves it. For finalizers."""
        self.left[work] = True
        self.drain()

    def drain(self) -> None:
        """Do the work in `left`. A thread that holds the lock does it instead when it leaves."""
        # Whatever is noted before the holder's release is seen by the holder afterwards, and
        # whatever is noted after it finds the lock free: no work is left behind either way.
        mutex = self.mutex
        try:
            while self.left and not mutex._is_owned() and mutex.acquire(blocking=False):
                for work, locked in list(self.left.items()):
                    if locked:
                        work()
                        self.left.pop(work, None)
                wakers: list[Waker] = [
                    each for each, locked in list(self.left.items()) if not locked
                ]
                mutex.release()
                wake_all(wakers)
                for waker in wakers:
                    self.left.pop(waker, None)
        except BaseException:
            try:
                mutex.release()
            except RuntimeError:
                pass
            raise

    def renew(self) -> None:
        """Replace the lock in a forked child, where its holder may not exist any more."""
        #: For sections that are entered at every command, which cannot afford the call of `hold`.
        self.mutex = owned_lock()
        self.left.clear()
        self.dropped.clear()
