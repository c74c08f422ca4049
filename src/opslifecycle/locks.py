"""Locks that no interrupt leaves held (ADR 0019).

An exception can be raised between any two bytecodes, also between the end of a `with` block and
the release of its lock. A lock that knows its owner is released by a handler around the whole
section, whichever bytecode was interrupted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol, TypeVar, cast

T = TypeVar("T")


class OwnedLock(Protocol):
    """A lock that knows which thread holds it, as `threading.RLock` does."""

    def acquire(self, blocking: bool = True) -> bool:
        """Acquire the lock; return False if `blocking` is false and another thread holds it."""

    def release(self) -> None:
        """Release the lock.

        Raises:
            RuntimeError: This thread does not hold it.
        """

    def _is_owned(self) -> bool:
        """Return whether this thread holds the lock."""


def owned_lock() -> OwnedLock:
    """Return a lock that is free."""
    return cast(OwnedLock, threading.RLock())


def hold(lock: OwnedLock, work: Callable[..., T], *arguments: object) -> T:
    """Call `work` with the lock held, and return its result."""
    try:
        lock.acquire()
        result = work(*arguments)
        lock.release()
    except BaseException:
        try:
            lock.release()
        except RuntimeError:
            pass
        raise
    return result
