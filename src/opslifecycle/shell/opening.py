"""Opening a registry without blocking the event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from opslifecycle.shell.delivery import opening_loop

T = TypeVar("T")


async def open_in_thread(make: Callable[..., T], **settings: Any) -> T:
    """Make a registry in a worker thread: its store is opened, read and recovered there.

    If the task that awaits this is cancelled, the registry is dropped as soon as it is there, and
    gives its store up.
    """
    import asyncio  # here, because programs without an event loop do not need it

    # Handlers that are coroutine functions run in the loop that opens, not in the thread.
    token = opening_loop.set(asyncio.get_running_loop())
    try:
        return await asyncio.to_thread(make, **settings)
    finally:
        opening_loop.reset(token)
