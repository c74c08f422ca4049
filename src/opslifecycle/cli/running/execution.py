"""The execution of one command: its process, and what the registry records of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import attrs
from opslifecycle import AsyncRegistry, OperationResult, OpsLifecycleError
from opslifecycle.cli.running.active_clock import ActiveClock
from opslifecycle.cli.running.capture import Capture
from opslifecycle.cli.running.job import Job, Phase, failure_of
from opslifecycle.cli.running.logs import LogWriter
from opslifecycle.cli.running.processes import Keeper, KeeperLostError, NotStartedError, Process
from opslifecycle.cli.running.recorder import Recorder
from opslifecycle.inspection.locations import Location
from opslifecycle.inspection.logs import STREAMS, folder_of


@attrs.frozen
class RunOptions:
    """The options of a run."""

    store: Location
    max_concurrent: int
    grace_seconds: float
    patience_seconds: float
    log_bytes_max: int


class Execution:
    """Runs jobs, one at a time for each call of `run`.

    Args:
        registry: The registry in which the operations are.
        recorder: Repeats what the store refuses.
        keeper: The parent of the processes.
        options: The options of the run.
        note: Called when a job has started.
    """

    def __init__(
        self,
        registry: AsyncRegistry,
        recorder: Recorder,
        keeper: Keeper,
        options: RunOptions,
        note: Callable[[Job, Phase], None],
    ) -> None:
        self._registry = registry
        self._recorder = recorder
        self._keeper = keeper
        self._options = options
        self._note = note
        self._clock = ActiveClock()
        self.running: dict[Job, Process] = {}

    async def run(self, job: Job) -> bool:
        """Run the command of a job to its end and record it; return whether it completed.

        Raises:
            NotRecordedError: The store could not be written.
        """
        folder, bytes_max = folder_of(self._options.store.beside), self._options.log_bytes_max
        captures = [
            Capture(LogWriter(folder, str(job.id), stream, bytes_max)) for stream in STREAMS
        ]
        try:
            process = await self._keeper.start(
                str(job.id), job.command, (captures[0], captures[1]), self._options.grace_seconds
            )
        except (NotStartedError, KeeperLostError) as error:
            await self._fail(job, str(error))
            return False
        self.running[job] = process
        self._note(job, Phase.RUNNING)
        started = self._clock.tick()
        try:
            await self._recorder.record(lambda: self._registry.provisioning_succeeded(job.id))
            return await self._follow(job, process, started)
        except KeeperLostError as error:
            await self._fail(job, str(error))
            return False
        finally:
            if job.phase is Phase.RUNNING and not process.gone.done():
                process.end()
            del self.running[job]
            process.close()
            failure = process.output.log.failure or process.errors.log.failure
            if failure is not None:
                job.unlogged = f"{folder}: {failure.strerror}"

    async def _follow(self, job: Job, process: Process, started: float) -> bool:
        ending = asyncio.ensure_future(process.wait())
        stop = job.until_stopped()
        try:
            await self._until_one_of(ending, stop, started, job.command.timeout_seconds)
            if not ending.done():
                job.time_out()
                # Before recording, so that a store that cannot be written does not delay the end.
                process.end()
                await self._recorder.record(lambda: self._registry.request_retire(job.id))
            status = await ending
            duration_ms = round((self._clock.tick() - started) * 1000)
            await self._report_one(job, process)
            return await self._record_end(job, process, status, duration_ms)
        finally:
            stop.cancel()
            if not ending.done():
                process.end()
                await asyncio.wait([ending])

    async def _until_one_of(
        self,
        ending: asyncio.Future[int],
        stop: asyncio.Future[None],
        started: float,
        timeout_seconds: float | None,
    ) -> None:
        while not ending.done() and not stop.done():
            left = None
            if timeout_seconds is not None:
                left = started + timeout_seconds - self._clock.tick()
                if left <= 0:
                    return
            await asyncio.wait((ending, stop), timeout=left, return_when=asyncio.FIRST_COMPLETED)

    async def _record_end(self, job: Job, process: Process, status: int, duration_ms: int) -> bool:
        if job.reason:
            job.unrecorded = f"cancelled: {job.reason}"
            await self._recorder.record(lambda: self._registry.cancel_operation(job.id, job.reason))
        elif status == 0:
            job.unrecorded = "completed"
            result = OperationResult(job.id, process.output.text(), False, duration_ms, 0)
            await self._recorder.record(lambda: self._registry.complete_operation(job.id, result))
        else:
            await self._fail(job, failure_of(status, process.output, process.errors))
        job.unrecorded = ""
        return status == 0 and not job.reason

    async def _fail(self, job: Job, error: str) -> None:
        job.unrecorded = f"failed: {error}"
        await self._recorder.record(lambda: self._registry.fail_operation(job.id, error))
        job.unrecorded = ""

    def tick(self) -> None:
        """Note that the run is not suspended."""
        self._clock.tick()

    async def report(self) -> None:
        """Report the latest line of each running command that has printed one."""
        await asyncio.gather(*(self._report_one(*each) for each in [*self.running.items()]))

    async def _report_one(self, job: Job, process: Process) -> None:
        update = None if self._recorder.given_up.is_set() else job.progress(process)
        if update is not None:
            try:
                await self._registry.report_progress(job.id, update)
            except OpsLifecycleError:
                # The operation has ended, or the store refuses the write. The next report follows
                # soon, and the end is recorded with repetitions.
                return
