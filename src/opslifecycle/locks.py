"""Locks that no interrupt leaves held (ADR 0019).

Between any two bytecodes an exception may come, also between the end of a `with` block and the
release. A lock that knows its owner can be released by a handler around all of it, which need not
know how far the section has come.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

T = TypeVar("T")


class OwnedLock(Protocol):
    """A lock that knows which thread holds it, as `threading.RLock` does."""

    def acquire(self, blocking: bool = True) -> bool:
        """Acquire the lock; return whether this thread holds it now."""

    def release(self) -> None:
        """Raises RuntimeError if this thread does not hold it."""

    def _is_owned(self) -> bool: ...


def owned_lock() -> OwnedLock:
    """Return a lock that is free."""
    return cast(OwnedLock, threading.RLock())


def hold(lock: OwnedLock, work: Callable[..., T], *arguments: Any) -> T:
    """Return what `work` returns, called with the lock held."""
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
