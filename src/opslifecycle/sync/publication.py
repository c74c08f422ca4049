"""The one lock of a registry. An interrupt at any point leaves it free, and no work undone.

An exception can be raised between any two bytecodes: by a signal handler, or because memory or the
stack is exhausted. Three rules make that harmless (ADR 0019):

1. A section acquires the lock inside a `try` whose handler releases it if this thread still holds
   it. The lock knows its owner, so the handler works after every bytecode of the section.
2. Work that must follow a section is entered in `left` before it is due, and removed when it is
   done. Doing it twice is harmless. The next thread that releases the lock does the work that an
   interrupted thread has left there.
3. Finalizers run no code of this package, because the interpreter swallows an exception in them. A
   wait that is dropped appends its cell to `dropped`, and the next section forgets it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol, TypeVar

from opslifecycle.locks import owned_lock
from opslifecycle.sync.waking import Waker, wake_all

T = TypeVar("T")


class Droppable(Protocol):
    """The registry's half of a wait, as the lock sees it."""

    @property
    def owner(self) -> object | None:
        """The collection that the wait is in; None once the wait has ended."""

    def give_up(self) -> None:
        """Forget the wait."""


class PublicationLock:
    """The lock of the published state, held for short work in memory, never for I/O or a wait."""

    __slots__ = ("drop", "dropped", "left", "mutex")

    def __init__(self) -> None:
        #: The work that follows a section: True for work under the lock, False for a waker.
        self.left: dict[Callable[[], object], bool] = {}
        #: Cells whose wait was dropped.
        self.dropped: deque[Droppable] = deque()
        #: The callback of each cell, which is a weak reference: appends it to `dropped`.
        self.drop = self.dropped.append
        self.renew()

    def hold(self, work: Callable[..., T], *arguments: object) -> T:
        """Call `work` with the lock held, and return its result. Sections do not nest.

        Work returns an error that its caller expects, and does not raise it: an interrupt of the
        handler of an exception is not covered.
        """
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
            # Spelled out here and in the two sections that do without `hold`: the stack may have no
            # room for a call.
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
            # Most have ended and have no owner. One whose construction was interrupted has no such
            # attribute.
            if getattr(cell, "owner", None) is not None:
                cell.give_up()
            dropped.popleft()

    def defer(self, work: Callable[[], object]) -> None:
        """Call `work` with the lock held, now or when its holder releases it. For finalizers."""
        self.left[work] = True
        self.drain()

    def drain(self) -> None:
        """Do the work in `left`. If a thread holds the lock, that thread does it afterwards."""
        # The holder looks into `left` after its release, so it finds what was entered before. Work
        # that was entered later finds the lock free. No work is left behind in either case.
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
        """Replace the lock in a forked child, in which the thread that held it may not exist."""
        #: Public for the sections of every command and watch, which do without the call of `hold`.
        self.mutex = owned_lock()
        self.left.clear()
        self.dropped.clear()
