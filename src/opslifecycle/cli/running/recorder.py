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

#: What no patience mends.
_LASTING = (StoreDamagedError, StoreLostError, RegistryOwnedError, OwnershipLostError)
_PAUSE_SECONDS_MIN, _PAUSE_SECONDS_MAX = 0.05, 2.0


class NotRecordedError(Exception):
    """The store could not be written within the patience of the run, or never will be."""


class Recorder:
    """Repeats what a store refuses, until it works or the patience is over.

    `problem` says what is wrong with the store right now, for the display; None if nothing is.
    """

    def __init__(self, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self._failing_since: float | None = None
        self.problem: str | None = None
        #: Set once the store was given up: whoever still waits for it is told.
        self.given_up = asyncio.Event()

    async def record(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what a call returns, repeated while the store refuses it.

        Raises NotRecordedError once the store has refused everything for as long as the patience
        lasts, or for good: it is damaged, or owned by another process. Rejections pass through.
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
                    # The call has waited for the store before that refused it.
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
        """Wait so long, or until the store is given up."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.given_up.wait(), seconds)

    def _give_up(self, problem: str) -> NotRecordedError:
        self.problem = one_line(problem)
        self.given_up.set()
        return NotRecordedError(self.problem)
