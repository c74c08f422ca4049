"""The execution of a batch: which command runs when, and the ends that are requested."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterable

from opslifecycle import AsyncRegistry, OperationId, OperationLifecycleSnapshot, SessionId
from opslifecycle.cli.batches.command_file import CommandFile
from opslifecycle.cli.batches.model import Batch, When
from opslifecycle.cli.running.execution import Execution, RunOptions
from opslifecycle.cli.running.job import Job, Phase, job_of
from opslifecycle.cli.running.line import Line
from opslifecycle.cli.running.processes import Keeper
from opslifecycle.cli.running.recorder import NotRecordedError, Recorder

_REGISTERED_AT_ONCE = 200
_REPORT_SECONDS = 0.25
_RECENT_MAX = 200


class Runner:
    """The commands of one batch, each an operation, of which a limited number runs at once.

    Args:
        registry: The registry in which the operations are.
        batch: The commands.
        options: The options of the run.
        registered: Called when every command is registered.
        commands: The file of the commands, for later runs; None to store none.
    """

    def __init__(
        self,
        registry: AsyncRegistry,
        batch: Batch,
        options: RunOptions,
        registered: Callable[[], None] | None = None,
        commands: CommandFile | None = None,
    ) -> None:
        self.registry = registry
        self.recorder = Recorder(options.patience_seconds)
        self.interrupted: signal.Signals | None = None
        self.counts: Counter[Phase] = Counter({Phase.WAITING: len(batch.commands)})
        #: The commands that have started or ended since the last update of the display.
        self.events: deque[tuple[Job, Phase]] = deque()
        #: The last attempts that have ended since a display has taken them.
        self.ended: deque[Job] = deque()
        self._batch = batch
        self._places = {each.name: place for place, each in enumerate(batch.commands)}
        self._options = options
        self._registered = registered
        self._command_file = commands
        self._owner = SessionId.new()
        self._jobs = {job.id: job for job in (job_of(each, self._owner) for each in batch.commands)}
        self._recent: deque[Job] = deque(maxlen=_RECENT_MAX)
        self._line = Line(len(batch.commands))
        self._failed_fast = False
        #: What goes on beside the turns. The event loop itself would forget a task.
        self._beside: list[asyncio.Task[None]] = []
        self._keeper: Keeper
        self._execution: Execution

    async def run(self) -> None:
        """Run every command to its end, and record each end.

        Raises:
            NotRecordedError: The store could not be written. Every command has ended, and
                `unrecorded` returns the ends that the store lacks.
        """
        self._keeper = Keeper()
        self._execution = Execution(
            self.registry, self.recorder, self._keeper, self._options, self._note
        )
        background = [asyncio.create_task(each) for each in (self._report(), self._watch_store())]
        try:
            at_once = min(self._options.max_concurrent, self.commands)
            turns = (self._take_turns() for _ in range(at_once))
            results = await asyncio.gather(self._register(), *turns, return_exceptions=True)
            # One of them can start others.
            while not all(task.done() for task in self._beside):
                await asyncio.wait(self._beside)
            results += [task.exception() for task in self._beside]
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
        self._execution.tick()
        self._keeper.signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue the commands."""
        self._execution.tick()
        self._keeper.signal_all(signal.SIGCONT)

    # For the display ----------------------------------------------------------------------------

    @property
    def commands(self) -> int:
        """The number of commands, which may have several attempts."""
        return len(self._batch.commands)

    @property
    def all_completed(self) -> bool:
        """Whether every command has completed, be it in its last attempt."""
        return self._line.all_completed

    def snapshots(self, jobs: Iterable[Job] | None = None) -> list[OperationLifecycleSnapshot]:
        """Return the snapshots of some commands, by default of all in the order of the batch."""
        chosen = self._in_order() if jobs is None else jobs
        found = (self.registry.snapshot(job.id) for job in chosen)
        return [snapshot for snapshot in found if snapshot is not None]

    def visible(self, rows: int) -> list[OperationLifecycleSnapshot]:
        """Return the commands for a table: the running ones, the last ended and the next ones."""
        jobs = list(self._execution.running)[:rows]
        jobs += list(self._recent)[: max(0, rows - len(jobs))]
        for job in self._line:
            if len(jobs) >= rows:
                break
            jobs.append(job)
        return self.snapshots(jobs)

    def unrecorded(self) -> list[tuple[str, str]]:
        """Return the names of the commands whose end is not recorded, and how they ended."""
        return [
            (job.spec.display_name, job.unrecorded) for job in self._in_order() if job.unrecorded
        ]

    def unlogged(self) -> list[tuple[str, str]]:
        """Return the names of the commands whose output is not stored whole, and why."""
        return [(job.spec.display_name, job.unlogged) for job in self._in_order() if job.unlogged]

    def place_of(self, job: Job) -> int:
        """Return the place of a job's command in the batch, from 0."""
        return self._places[job.command.name]

    def last_attempts(self) -> list[Job]:
        """Return the last attempt at each command."""
        return list({job.command.name: job for job in self._in_order()}.values())

    def _in_order(self) -> list[Job]:
        """Return every job, the attempts at a command one after another."""
        return sorted(self._jobs.values(), key=self.place_of)

    # Turns --------------------------------------------------------------------------------------

    async def _register(self) -> None:
        jobs = list(self._jobs.values())
        try:
            for start in range(0, len(jobs), _REGISTERED_AT_ONCE):
                chunk = jobs[start : start + _REGISTERED_AT_ONCE]
                await asyncio.gather(*(self._register_one(job) for job in chunk))
                self._end_before_start(self._line.add(chunk))
                await self._cancel_stopped()
                if start == 0 and self._command_file is not None:
                    # In a thread, after the first commands have started.
                    ids = [str(job.id) for job in jobs]
                    await asyncio.to_thread(self._command_file.begin, self._batch, ids)
        except BaseException:
            self._line.close()
            raise
        if self._registered is not None:
            self._registered()

    async def _register_one(self, job: Job) -> None:
        await self.recorder.record(lambda: self.registry.register_operation(job.spec))

    async def _take_turns(self) -> None:
        while (job := await self._line.next()) is not None:
            completed = False
            try:
                if job.stopped:
                    await self._cancel_waiting(job)
                    continue
                completed = await self._execution.run(job)
            except NotRecordedError:
                # The other commands end as well; the run reports at its end what is not recorded.
                self._line.close()
                if not job.unrecorded:
                    ended = f"cancelled: {job.reason}"
                    job.unrecorded = ended if job.reason else "its state is unknown"
            finally:
                self._note(job, Phase.ENDED)
            if completed or not await self._try_again(job):
                self._end(job, completed)

    async def _try_again(self, job: Job) -> bool:
        """Add another attempt at a command that has failed, if it has one left."""
        retry = job.command.retry
        stopped = job.stopped and not job.timed_out
        if stopped or job.unrecorded or job.attempt >= retry.attempts:
            return False
        again = job_of(job.command, self._owner, job.attempt + 1)
        self._jobs[again.id] = again
        self.counts[Phase.WAITING] += 1
        if self._command_file is not None:
            self._command_file.add(str(again.id), job.command.name)
        try:
            await self._register_one(again)
        except NotRecordedError:
            del self._jobs[again.id]
            self.counts[Phase.WAITING] -= 1
            return False
        # If its end was requested meanwhile, it is next, and cancelled at once.
        pause_seconds = 0.0 if again.stopped else retry.pause_seconds(job.attempt)
        self._line.add_later(again, pause_seconds)
        return True

    def _end(self, job: Job, completed: bool) -> None:
        """Note the last end of a command, which may start other commands or end them."""
        self.ended.append(job)
        self._end_before_start(self._line.end(job.command.name, completed))
        if not completed and self._batch.fail_fast and not self._failed_fast:
            self._failed_fast = True
            others = [each for each in self._jobs.values() if each.command.when is When.SUCCESS]
            self._stop(others, f"fail_fast: {job.command.name} did not complete")

    def _stop(self, jobs: Iterable[Job], reason: str) -> None:
        stopped = [job for job in jobs if job.request_stop(reason)]
        if any(job.phase is Phase.WAITING for job in stopped):
            self._start_beside(self._cancel_stopped())

    def _end_before_start(self, lost: list[tuple[Job, str]]) -> None:
        """Cancel jobs that are not in the line any more, because of a command that they need."""
        for job, need in lost:
            job.request_stop(f"{need} did not complete")
        if lost:
            self._start_beside(self._cancel_all([job for job, _ in lost]))

    def _start_beside(self, work: Coroutine[None, None, None]) -> None:
        self._beside.append(asyncio.create_task(work))

    async def _cancel_stopped(self) -> None:
        """Cancel the waiting commands whose end was requested."""
        await self._cancel_all(self._line.take_stopped())

    async def _cancel_all(self, jobs: list[Job]) -> None:
        for start in range(0, len(jobs), _REGISTERED_AT_ONCE):
            chunk = jobs[start : start + _REGISTERED_AT_ONCE]
            await asyncio.gather(*(self._cancel_waiting(job) for job in chunk))

    async def _cancel_waiting(self, job: Job) -> None:
        reason = f"not started: {job.reason}"
        job.unrecorded = f"cancelled: {reason}"
        try:
            await self.recorder.record(lambda: self.registry.cancel_operation(job.id, reason))
            job.unrecorded = ""
        except NotRecordedError:
            # The run reports at its end what is not recorded.
            return
        finally:
            self._note(job, Phase.ENDED)
            self._end(job, completed=False)

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
            self._execution.tick()
            await self._execution.report()

    async def _watch_store(self) -> None:
        await self.recorder.given_up.wait()
        self._stop(self._jobs.values(), "the store cannot be written")
        self._line.close()
