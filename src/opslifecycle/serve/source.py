"""The store that is served: read by one thread at a time, for all who look."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from anyio import to_thread
from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.inspection.locations import Location
from opslifecycle.inspection.machines import Machine
from opslifecycle.serve.live import LiveState
from opslifecycle.stores.reading import StoredRegistry

T = TypeVar("T")


class Source:
    """Reads a store, which it does not own.

    Args:
        location: Where the store is.
        machine: The machine whose registries are shown.
        poll_seconds: For how long streams share one look at it.
    """

    def __init__(self, location: Location, machine: Machine, poll_seconds: float) -> None:
        self.location = location
        self.machine = machine
        self.poll_seconds = poll_seconds
        self._reader = location.reader(machine.schema)
        self._mutex = threading.Lock()
        self._found: list[StoredRegistry] | None = None
        self._read_at_ms = 0
        self._live = LiveState(machine)

    async def read(
        self, function: Callable[[list[StoredRegistry]], T], *, shared: bool = False
    ) -> T:
        """Call a function with all registries, in another thread.

        Args:
            function: What to do with them.
            shared: Whether what another call has just read is new enough.

        Raises:
            OpsLifecycleError: The store cannot be read.
        """
        return await to_thread.run_sync(self._read, function, shared)

    async def changes(self, function: Callable[[LiveState], T]) -> T:
        """Call a function with what has changed in the store, in another thread.

        Raises:
            OpsLifecycleError: The store cannot be read.
        """

        def updated(found: list[StoredRegistry]) -> T:
            self._live.update(found)
            return function(self._live)

        return await self.read(updated, shared=True)

    def _read(self, function: Callable[[list[StoredRegistry]], T], shared: bool) -> T:
        with self._mutex:
            age_ms = SYSTEM_CLOCK.monotonic_ms() - self._read_at_ms
            if self._found is None or not shared or age_ms >= self.poll_seconds * 1000:
                self._found = None
                self._found = self._reader.all()
                self._read_at_ms = SYSTEM_CLOCK.monotonic_ms()
            return function(self._found)
