"""Recording in a registry whose store may be locked, full or read-only for a while."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from opslifecycle import (
    OwnershipLostError,
    PersistenceError,
    RegistryClosedError,
    RegistryOwnedError,
    StoreDamagedError,
    StoreLostError,
)
from opslifecycle.cli.text import one_line

T = TypeVar("T")

#: Errors that a repetition does not change.
_LASTING = (StoreDamagedError, StoreLostError, RegistryOwnedError, OwnershipLostError)
_PAUSE_SECONDS_MIN, _PAUSE_SECONDS_MAX = 0.05, 2.0


class NotRecordedError(Exception):
    """A store that could not be written for the patience of the run, or that never can be."""


class Recorder:
    """Repeats the calls that a store refuses, for the patience of the run.

    Attributes:
        problem: The current error of the store, for the display; None if it can be written.
    """

    def __init__(self, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self._failing_since: float | None = None
        self.problem: str | None = None
        #: Set when the patience is over, so that no call waits for the store any longer.
        self.given_up = asyncio.Event()

    async def record(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return the result of a call, which is repeated while the store refuses it.

        Args:
            call: A call of the registry.

        Raises:
            NotRecordedError: The store has refused all calls for the whole patience, or it is
                damaged, lost or owned by another process.
            OpsLifecycleError: The registry has rejected the call.
        """
        loop = asyncio.get_running_loop()
        pause = _PAUSE_SECONDS_MIN
        while True:
            if self.given_up.is_set():
                raise NotRecordedError(self.problem)
            began = loop.time()
            try:
                result = await call()
            except _LASTING as error:
                raise self._give_up(str(error)) from error
            except RegistryClosedError as error:
                raise self._give_up(self.problem or str(error)) from error
            except PersistenceError as error:
                self.problem = one_line(str(error))
                if self._failing_since is None:
                    # The failure began with the call, which has waited for the store.
                    self._failing_since = began
                left = self._failing_since + self._patience_seconds - loop.time()
                if left <= 0:
                    raise self._give_up(self.problem) from error
                await self._pause(min(pause, left))
                pause = min(2 * pause, _PAUSE_SECONDS_MAX)
            else:
                self.problem = self._failing_since = None
                return result

    async def _pause(self, seconds: float) -> None:
        """Wait `seconds`, or until the patience is over."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.given_up.wait(), seconds)

    def _give_up(self, problem: str) -> NotRecordedError:
        self.problem = one_line(problem)
        self.given_up.set()
        return NotRecordedError(self.problem)
