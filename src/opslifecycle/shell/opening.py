"""Opening a registry: cleaning up after a failure, and not blocking the event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from opslifecycle.errors import RegistryOwnedError
from opslifecycle.shell.delivery import opening_loop
from opslifecycle.shell.executor import Executor
from opslifecycle.stores.base import Store

T = TypeVar("T")


class Opening:
    """One opening of a registry, which an exception may interrupt at any point."""

    def __init__(self, store: Store | None) -> None:
        self._store = store
        # Another registry of this process owns the store, and only that may close it.
        self._busy = store is not None and store.is_open

    def give_up(self, error: BaseException, registry: object) -> None:
        """Close what was opened before an exception: the executor, or else the store.

        Args:
            error: The exception that interrupted the opening.
            registry: The registry, which has an executor or not.
        """
        # `getattr` is called here, because in the generated constructor the name of a setting may
        # hide it.
        executor: Executor | None = getattr(registry, "_executor", None)
        if executor is not None:
            executor.close()
        elif self._store is not None and not (self._busy or isinstance(error, RegistryOwnedError)):
            self._store.close()


async def open_in_thread(make: Callable[..., T], **settings: object) -> T:
    """Construct a registry in a worker thread, which opens, reads and recovers its store.

    If the task that awaits this is cancelled, the registry is dropped once it is constructed, and
    its store is closed.

    Args:
        make: The class of the registry.
        **settings: The arguments of its constructor.
    """
    import asyncio  # here, because programs without an event loop do not need it

    # Handlers that are coroutine functions run in this loop, and the thread has none.
    token = opening_loop.set(asyncio.get_running_loop())
    try:
        return await asyncio.to_thread(make, **settings)
    finally:
        opening_loop.reset(token)
