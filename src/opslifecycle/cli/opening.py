"""The opening of a run's registry, which waits while its store is locked or its disk is full."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

from opslifecycle import (
    AsyncRegistry,
    OpsLifecycleError,
    PersistenceError,
    Store,
    StoreBusyError,
)
from opslifecycle.cli.display import Display
from opslifecycle.cli.running.recorder import NotRecordedError, Recorder
from opslifecycle.cli.running.signals import Signals

_REFRESH_SECONDS = 0.1
#: How long an attempt may go on after a signal. On a server, one takes up to ten seconds.
_INTERRUPTED_SECONDS = 2.0


class NotOpenedError(Exception):
    """A signal that came before the registry was open; nothing is recorded."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number)
        self.number = number


class Opening:
    """Opens a registry, and tries it again while the store is busy.

    Args:
        recorder: Repeats the attempts for the patience of the run.
        display: Shows why the registry is not open yet.
    """

    def __init__(self, recorder: Recorder, display: Display) -> None:
        self._recorder = recorder
        self._display = display
        self._interrupted: signal.Signals | None = None
        self._exit: asyncio.TimerHandle | None = None

    async def open(self, store: Store, max_completed: int) -> AsyncRegistry:
        """Return the registry of a store.

        Args:
            store: The store.
            max_completed: The limit of the registry.

        Raises:
            NotOpenedError: A signal came before.
            NotRecordedError: The store was busy for the whole patience.
            OpsLifecycleError: The store cannot be opened, and a repetition does not change that.
        """

        async def attempt() -> AsyncRegistry | OpsLifecycleError:
            try:
                return await AsyncRegistry.open(max_completed=max_completed, store=store)
            except StoreBusyError:
                raise
            except OpsLifecycleError as error:
                return error

        with Signals(self._interrupt, _continue, _continue):
            opening = asyncio.create_task(self._recorder.record(attempt))
            while not opening.done():
                await asyncio.wait([opening], timeout=_REFRESH_SECONDS)
                if self._recorder.problem is not None and self._interrupted is None:
                    self._display.show_problem(self._recorder)
            return await self._opened(opening)

    async def _opened(
        self, opening: asyncio.Task[AsyncRegistry | OpsLifecycleError]
    ) -> AsyncRegistry:
        """Return the registry of an attempt that has ended, unless a signal came."""
        if self._exit is not None:
            self._exit.cancel()
        found: AsyncRegistry | OpsLifecycleError | None = None
        try:
            found = opening.result()
        except NotRecordedError:
            if self._interrupted is None:
                raise
        if self._interrupted is not None:
            if isinstance(found, AsyncRegistry):
                with contextlib.suppress(PersistenceError):
                    await found.close()
            raise NotOpenedError(self._interrupted)
        if not isinstance(found, AsyncRegistry):
            assert found is not None, "it is None only after a signal"
            raise found
        return found

    def _interrupt(self, number: signal.Signals) -> None:
        if self._interrupted is None:
            self._interrupted = number
            # Ends the pause between two attempts.
            self._recorder.given_up.set()
            loop = asyncio.get_running_loop()
            # An attempt that the end of the process interrupts has changed nothing.
            self._exit = loop.call_later(_INTERRUPTED_SECONDS, os._exit, 128 + number)


def _continue() -> None:
    """Do nothing: there is no command yet that could be suspended."""
