"""The execution of a batch: the keeper runs each command, and the registry has its status."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter, deque
from collections.abc import Iterable
from typing import Literal

import attrs
from opslifecycle import (
    AsyncRegistry,
    OperationId,
    OperationLifecycleSnapshot,
    OperationResult,
    OpsLifecycleError,
    SessionId,
)
from opslifecycle.cli.batch import Batch
from opslifecycle.cli.locations import Location
from opslifecycle.cli.running.active_clock import ActiveClock
from opslifecycle.cli.running.capture import Capture
from opslifecycle.cli.running.job import Job, Phase, failure_of, job_of
from opslifecycle.cli.running.logs import STREAMS, LogWriter, folder_of
from opslifecycle.cli.running.processes import Keeper, KeeperLostError, NotStartedError, Process
from opslifecycle.cli.running.recorder import NotRecordedError, Recorder

_REGISTERED_AT_ONCE = 200
_REPORT_SECONDS = 0.25
_RECENT_MAX = 200


@attrs.frozen
class RunOptions:
    """The options of a run."""

    store: Location
    max_concurrent: int
    grace_seconds: float
    patience_seconds: float
    log_bytes_max: int


class Runner:
    """The commands of one batch, each an operation, of which a limited number runs at once."""

    def __init__(self, registry: AsyncRegistry, batch: Batch, options: RunOptions) -> None:
        self.registry = registry
        self.recorder = Recorder(options.patience_seconds)
        self.interrupted: signal.Signals | None = None
        self.counts: Counter[Phase] = Counter({Phase.WAITING: len(batch.commands)})
        #: The commands that have started or ended since the last update of the display.
        self.events: deque[tuple[Job, Phase]] = deque()
        self._options = options
        self._clock = ActiveClock()
        owner = SessionId.new()
        self._jobs = {job.id: job for job in (job_of(each, owner) for each in batch.commands)}
        self._running: dict[OperationId, Job] = {}
        self._recent: deque[Job] = deque(maxlen=_RECENT_MAX)
        self._line: deque[Job] = deque()
        self._line_changed = asyncio.Condition()
        self._all_registered = False
        self._keeper: Keeper

    async def run(self) -> None:
        """Run every command to its end, and record each end.

        Raises:
            NotRecordedError: The store could not be written. Every command has ended, and
                `unrecorded` returns the ends that the store lacks.
        """
        self._keeper = Keeper()
        background = [asyncio.create_task(each) for each in (self._report(), self._watch_store())]
        try:
            turns = (self._take_turns() for _ in range(self._options.max_concurrent))
            results = await asyncio.gather(self._register(), *turns, return_exceptions=True)
        finally:
            for task in background:
                task.cancel()
            await self._keeper.close()
        for error in results:
            if isinstance(error, BaseException):
                raise error

    def interrupt(self, number: signal.Signals) -> None:
        """Cancel every command: by SIGTERM the first time, by SIGKILL the second or for SIGQUIT."""
        if self.interrupted is not None or number is signal.SIGQUIT:
            self._keeper.kill_all()
        if self.interrupted is None:
            self.interrupted = number
            self._stop(self._jobs.values(), "interrupted")

    def cancel(self, id: OperationId, reason: str) -> None:
        """Cancel one command, unless it has ended or belongs to another run."""
        job = self._jobs.get(id)
        if job is not None:
            self._stop([job], reason)

    def suspend(self) -> None:
        """Suspend the commands. The time until `resume` counts against no timeout."""
        self._clock.tick()
        self._keeper.signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue the commands."""
        self._clock.tick()
        self._keeper.signal_all(signal.SIGCONT)

    # For the display ----------------------------------------------------------------------------

    def snapshots(self, jobs: Iterable[Job] | None = None) -> list[OperationLifecycleSnapshot]:
        """Return the snapshots of some commands, by default of all in the order of the batch."""
        chosen = self._jobs.values() if jobs is None else jobs
        found = (self.registry.snapshot(job.id) for job in chosen)
        return [snapshot for snapshot in found if snapshot is not None]

    def visible(self, rows: int) -> list[OperationLifecycleSnapshot]:
        """Return the commands for a table: the running ones, the last ended and the next ones."""
        jobs = list(self._running.values())[:rows]
        jobs += list(self._recent)[: max(0, rows - len(jobs))]
        for job in self._line:
            if len(jobs) >= rows:
                break
            jobs.append(job)
        return self.snapshots(jobs)

    def unrecorded(self) -> list[tuple[str, str]]:
        """Return the names of the commands whose end is not recorded, and how they ended."""
        return [
            (job.spec.display_name, job.unrecorded) for job in self._jobs.values() if job.unrecorded
        ]

    # Turns --------------------------------------------------------------------------------------

    async def _register(self) -> None:
        jobs = list(self._jobs.values())
        try:
            for start in range(0, len(jobs), _REGISTERED_AT_ONCE):
                chunk = jobs[start : start + _REGISTERED_AT_ONCE]
                if self.recorder.given_up.is_set():
                    break
                await asyncio.gather(*(self._register_one(job) for job in chunk))
                await self._line_up(chunk)
        finally:
            self._all_registered = True
            async with self._line_changed:
                self._line_changed.notify_all()

    async def _register_one(self, job: Job) -> None:
        await self.recorder.record(lambda: self.registry.register_operation(job.spec))

    async def _line_up(self, jobs: list[Job]) -> None:
        async with self._line_changed:
            self._line += jobs
            self._line_changed.notify_all()
        await self._cancel_stopped()

    async def _take_turns(self) -> None:
        while (job := await self._next()) is not None:
            try:
                await self._run(job)
            except NotRecordedError:
                # The other commands end as well; the run reports at its end what is not recorded.
                if not job.unrecorded:
                    ended = f"cancelled: {job.reason}"
                    job.unrecorded = ended if job.reason else "its state is unknown"
            finally:
                self._note(job, Phase.ENDED)

    async def _next(self) -> Job | None:
        async with self._line_changed:
            while not self._line and not self._all_registered:
                await self._line_changed.wait()
            if self._line and not self.recorder.given_up.is_set():
                return self._line.popleft()
            return None

    def _stop(self, jobs: Iterable[Job], reason: str) -> None:
        stopped = [job for job in jobs if job.request_stop(reason)]
        if any(job.phase is Phase.WAITING for job in stopped):
            task = asyncio.ensure_future(self._cancel_stopped())
            # `run` reports a failure to record, because recording fails there again.
            task.add_done_callback(lambda done: done.exception())

    async def _cancel_stopped(self) -> None:
        """Cancel the queued commands whose end was requested."""
        async with self._line_changed:
            stopped = [job for job in self._line if job.stop.is_set()]
            if stopped:
                left = [job for job in self._line if not job.stop.is_set()]
                self._line = deque(left)
        for start in range(0, len(stopped), _REGISTERED_AT_ONCE):
            chunk = stopped[start : start + _REGISTERED_AT_ONCE]
            await asyncio.gather(*(self._cancel_in_line(job) for job in chunk))

    async def _cancel_in_line(self, job: Job) -> None:
        reason = f"{job.reason} before its turn"
        job.unrecorded = f"cancelled: {reason}"
        try:
            await self.recorder.record(lambda: self.registry.cancel_operation(job.id, reason))
            job.unrecorded = ""
        finally:
            self._note(job, Phase.ENDED)

    # One command --------------------------------------------------------------------------------

    async def _run(self, job: Job) -> None:
        if job.stop.is_set():
            await self._cancel_in_line(job)
            return
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
            return
        job.process = process
        self._running[job.id] = job
        self._note(job, Phase.RUNNING)
        started = self._clock.tick()
        try:
            await self.recorder.record(lambda: self.registry.provisioning_succeeded(job.id))
            await self._follow(job, process, started)
        except KeeperLostError as error:
            await self._fail(job, str(error))
        finally:
            if job.phase is Phase.RUNNING and not process.gone.done():
                process.end()
            del self._running[job.id]
            process.close()

    async def _follow(self, job: Job, process: Process, started: float) -> None:
        ending = asyncio.ensure_future(process.wait())
        stop = asyncio.ensure_future(job.stop.wait())
        try:
            await self._until_one_of(ending, stop, started, job.command.timeout_seconds)
            if not ending.done():
                job.request_stop(f"timed out after {job.command.timeout_seconds or 0:g} s")
                # Before recording, so that a store that cannot be written does not delay the end.
                process.end()
                await self.recorder.record(lambda: self.registry.request_retire(job.id))
            status = await ending
            duration_ms = round((self._clock.tick() - started) * 1000)
            await self._report_one(job)
            await self._record_end(job, process, status, duration_ms)
        finally:
            stop.cancel()
            if not ending.done():
                process.end()
                await asyncio.wait([ending])

    async def _until_one_of(
        self,
        ending: asyncio.Future[int],
        stop: asyncio.Future[Literal[True]],
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

    async def _record_end(self, job: Job, process: Process, status: int, duration_ms: int) -> None:
        if job.reason:
            job.unrecorded = f"cancelled: {job.reason}"
            await self.recorder.record(lambda: self.registry.cancel_operation(job.id, job.reason))
        elif status == 0:
            job.unrecorded = "completed"
            result = OperationResult(job.id, process.output.text(), False, duration_ms, 0)
            await self.recorder.record(lambda: self.registry.complete_operation(job.id, result))
        else:
            await self._fail(job, failure_of(status, process.output, process.errors))
        job.unrecorded = ""

    async def _fail(self, job: Job, error: str) -> None:
        job.unrecorded = f"failed: {error}"
        await self.recorder.record(lambda: self.registry.fail_operation(job.id, error))
        job.unrecorded = ""

    def _note(self, job: Job, phase: Phase) -> None:
        if job.phase is not phase:
            self.counts[job.phase] -= 1
            self.counts[phase] += 1
            job.phase = phase
            self.events.append((job, phase))
            if phase is Phase.ENDED:
                self._recent.appendleft(job)

    # Beside it ----------------------------------------------------------------------------------

    async def _report(self) -> None:
        """Report the latest line of each command, some times a second."""
        while True:
            await asyncio.sleep(_REPORT_SECONDS)
            self._clock.tick()
            await asyncio.gather(*(self._report_one(job) for job in [*self._running.values()]))

    async def _report_one(self, job: Job) -> None:
        update = None if self.recorder.given_up.is_set() else job.progress()
        if update is not None:
            try:
                await self.registry.report_progress(job.id, update)
            except OpsLifecycleError:
                # The operation has ended, or the store refuses the write. The next report follows
                # soon, and the end is recorded with repetitions.
                return

    async def _watch_store(self) -> None:
        await self.recorder.given_up.wait()
        self._stop(self._jobs.values(), "the store cannot be written")
