"""Opening a registry: giving up what a failure has opened, and not blocking the event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from opslifecycle.errors import RegistryOwnedError
from opslifecycle.shell.delivery import opening_loop
from opslifecycle.shell.executor import Executor
from opslifecycle.stores.base import Store

T = TypeVar("T")


class Opening:
    """One opening of a registry, which an exception may end at any point."""

    def __init__(self, store: Store | None) -> None:
        self._store = store
        # Another registry owns the store: it is not ours to close.
        self._busy = store is not None and store.is_open

    def give_up(self, error: BaseException, registry: Any) -> None:
        """Close what was opened before `error`: the executor, or the store if there is none yet."""
        # Not in the generated constructor, where a setting may hide Python's own functions.
        executor: Executor | None = getattr(registry, "_executor", None)
        if executor is not None:
            executor.close()
        elif self._store is not None and not (self._busy or isinstance(error, RegistryOwnedError)):
            self._store.close()


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
