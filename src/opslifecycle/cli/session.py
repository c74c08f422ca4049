"""One run of a batch: its registry, its runner, its signals and what it shows."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

from opslifecycle import (
    DEFAULT_MAX_COMPLETED,
    AsyncRegistry,
    OperationId,
    OpsLifecycleError,
    PersistenceError,
    RunId,
)
from opslifecycle.cli.batches.command_file import CommandFile
from opslifecycle.cli.batches.model import Batch
from opslifecycle.cli.detaching import Ready
from opslifecycle.cli.display import Display
from opslifecycle.cli.failing import complain, reason_of, told_errors
from opslifecycle.cli.opening import NotOpenedError, Opening
from opslifecycle.cli.output import Output
from opslifecycle.cli.running.execution import RunOptions
from opslifecycle.cli.running.recorder import NotRecordedError, Recorder
from opslifecycle.cli.running.runner import Runner
from opslifecycle.cli.running.signals import Signals
from opslifecycle.cli.text import one_line

_REFRESH_SECONDS = 0.1
_INBOX_SECONDS = 0.3
_UNREAD_SECONDS = 2.0
EXIT_FAILED, EXIT_NOT_RECORDED = 1, 3


def new_name() -> str:
    """Return the name of a new run, which is that of its registry."""
    return f"run {RunId.new()}"


class Session:
    """One run, with its store, its runner and its display.

    Args:
        name: The name of the run, from `new_name`.
        batch: The commands.
        options: The options of the run.
        display: Shows what happens.
        output: Standard output, on which the display prints.
        others: Other streams on which it prints.
    """

    def __init__(
        self,
        name: str,
        batch: Batch,
        options: RunOptions,
        display: Display,
        output: Output,
        *others: Output,
    ) -> None:
        self._batch = batch
        self._options = options
        self._name = name
        self._display = display
        self._outputs = (output, *others)

    def status(self, ready: Ready | None = None) -> int:
        """Run the batch; return the exit status. End the process if nobody reads what is left.

        Args:
            ready: Called when all commands are recorded.
        """
        with told_errors():
            self._options.store.prepare()
            return self._leave(asyncio.run(self._run(ready)))

    async def _run(self, ready: Ready | None) -> int:
        status = EXIT_NOT_RECORDED
        attempts = sum(each.retry.attempts for each in self._batch.commands)
        retained = max(DEFAULT_MAX_COMPLETED, attempts)
        store = self._options.store.store(self._name, impatient=True)
        recorder = Recorder(self._options.patience_seconds)
        try:
            registry = await Opening(recorder, self._display).open(store, retained)
        except (NotOpenedError, NotRecordedError) as error:
            return await self._left(recorder, error)
        except OpsLifecycleError:
            self._display.leave()
            raise
        try:
            commands = CommandFile(self._options.store.beside, self._name)
            runner = Runner(registry, self._batch, self._options, ready, commands)
            with Signals(runner.interrupt, runner.suspend, runner.resume):
                status = await self._show_and_run(runner)
                await self._written(lambda: runner.interrupted is not None)
        finally:
            status = await self._closed(registry, status)
        return status

    async def _left(self, recorder: Recorder, error: NotOpenedError | NotRecordedError) -> int:
        """Say why nothing was started; return the exit status."""
        self._display.leave()
        was_interrupted = isinstance(error, NotOpenedError)
        await self._written(lambda: was_interrupted)
        if isinstance(error, NotOpenedError):
            complain("interrupted before the store was open: nothing was started")
            return 128 + error.number
        complain(f"error: store not writable: {recorder.problem}; nothing was started")
        return EXIT_NOT_RECORDED

    async def _closed(self, registry: AsyncRegistry, status: int) -> int:
        try:
            await registry.close()
        except PersistenceError as error:
            # Only the last report of progress can be lost, and no output depends on it.
            if status != EXIT_NOT_RECORDED:
                complain(f"error: {error}")
            return EXIT_NOT_RECORDED
        return status

    def _leave(self, status: int) -> int:
        # A reader that has closed the pipe does not change the status. Any other failure to write
        # does, because the saved output is incomplete.
        failure = self._outputs[0].failure
        if failure is not None and not isinstance(failure, BrokenPipeError):
            complain(f"error: standard output: {reason_of(failure)}")
            status = status or EXIT_FAILED
        if not all(each.is_done for each in self._outputs):
            os._exit(status)
        return status

    async def _show_and_run(self, runner: Runner) -> int:
        beside = [
            asyncio.create_task(self._show(runner)),
            asyncio.create_task(self._take_requests(runner)),
        ]
        recorded = True
        try:
            await runner.run()
        except NotRecordedError:
            recorded = False
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            self._display.finish(runner)
            for name, why in runner.unlogged():
                complain(f"{one_line(name)}: the output is not stored whole: {one_line(why)}")
        if not recorded or runner.unrecorded():
            complain(f"error: store not writable: {runner.recorder.problem}")
            return EXIT_NOT_RECORDED
        if runner.interrupted is not None:
            return 128 + runner.interrupted
        return 0 if runner.all_completed else EXIT_FAILED

    async def _show(self, runner: Runner) -> None:
        while True:
            if not self._outputs[0].is_behind:
                self._display.refresh(runner)
            await asyncio.sleep(_REFRESH_SECONDS)

    async def _take_requests(self, runner: Runner) -> None:
        """Cancel the operations for which other processes have requested it."""
        take = self._options.store.take
        while True:
            with contextlib.suppress(PersistenceError):
                for id, reason in await asyncio.to_thread(take, self._name):
                    runner.cancel(OperationId(id), reason)
            await asyncio.sleep(_INBOX_SECONDS)

    async def _written(self, is_interrupted: Callable[[], bool]) -> None:
        """Wait until the output is read; after a signal, for a limited time."""
        for each in self._outputs:
            await asyncio.to_thread(each.close, 0.0)
        unread_seconds = 0.0
        while not all(each.is_done for each in self._outputs):
            if is_interrupted():
                unread_seconds += _REFRESH_SECONDS
                if unread_seconds >= _UNREAD_SECONDS:
                    return
            await asyncio.sleep(_REFRESH_SECONDS)
