"""Opening a registry without blocking the event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from opslifecycle.shell.delivery import opening_loop

T = TypeVar("T")


async def open_in_thread(make: Callable[..., T], **settings: Any) -> T:
    """Construct a registry in a worker thread, which opens, reads and recovers its store.

    If the task that awaits this is cancelled, the registry is dropped once it is constructed, and
    its store is closed.
    """
    import asyncio  # here, because programs without an event loop do not need it

    # Handlers that are coroutine functions run in the loop that opens, not in the thread.
    token = opening_loop.set(asyncio.get_running_loop())
    try:
        return await asyncio.to_thread(make, **settings)
    finally:
        opening_loop.reset(token)
