"""Stores as a process leaves them that ends without closing anything."""

from __future__ import annotations

import os
import signal
import time
import warnings
from collections.abc import Callable

from opslifecycle import MemoryStore

from tests.support.random_machines.verdicts import FaultError

#: A process that is to be killed does its work in far less.
_SECONDS_MAX = 60


def contents_of(store: MemoryStore) -> MemoryStore:
    """Return another store with what this one holds at this instant."""
    after = MemoryStore()
    after._schema, after._state = store._schema, store._state
    after._records, after._rows = dict(store._records), dict(store._rows)
    after._archive, after._archived = list(store._archive), dict(store._archived)
    return after


def killed(work: Callable[[], None]) -> None:
    """Do some work in a process of its own, which is killed as soon as it is done."""
    with warnings.catch_warnings():
        # The child begins no lock that a thread of the parent could hold, and soon it is gone.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            work()
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    status = _waited(child)
    if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
        raise FaultError("killed", "the process ended before it was killed")


def _waited(child: int) -> int:
    until = time.monotonic() + _SECONDS_MAX
    while time.monotonic() < until:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return status
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise FaultError("killed", f"the process was at work for {_SECONDS_MAX} seconds")
