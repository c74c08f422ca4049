"""The execution of a job: the record of its start, its attempts, the record of its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from concurrent.futures import Executor, ThreadPoolExecutor

from opslifecycle import OperationProgressUpdate
from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.work.attempts import in_executor, in_loop, in_thread
from opslifecycle.work.context import enter
from opslifecycle.work.ends import (
    CANCELLED_ERRORS,
    AttemptEnd,
    Cancel,
    Complete,
    End,
    Fail,
    NotStorableError,
    Raised,
    Reported,
    Returned,
    TimeOut,
    describe,
)
from opslifecycle.work.guarding import Guardian
from opslifecycle.work.job import Job, Phase, Process
from opslifecycle.work.lifecycle import AnyLifecycle
from opslifecycle.work.processes import as_process
from opslifecycle.work.progress import Progress
from opslifecycle.work.recorder import Recorder
from opslifecycle.work.timeouts import timeout_error

_THREADS_MAX = 1 << 15


class Runner:
    """Runs jobs, each in a task of its own, which records the end also if it is cancelled."""

    def __init__(
        self,
        lifecycle: AnyLifecycle,
        recorder: Recorder,
        progress: Progress,
        executor: Executor | None,
        characters_max: int,
    ) -> None:
        self._lifecycle = lifecycle
        self._recorder = recorder
        self._progress = progress
        self._note = progress.note
        self._executor = executor
        self._threads: ThreadPoolExecutor | None = None
        self._characters_max = characters_max
        self._guardian = Guardian()

    async def run(self, job: Job) -> None:
        """Run a job to the record of its end.

        Raises:
            KeyboardInterrupt: The work raised it; its end is recorded.
            SystemExit: Likewise.
        """
        enter(job, self._note)
        end: AttemptEnd | None = None
        if not (job.is_stopping or job.is_recorded_as_running):
            rejection = await self._recorder.record(job, self._lifecycle.start, job.id)
            if rejection is not None:
                await self.record_end(job, Fail(str(rejection)))
                return
        started_ms = SYSTEM_CLOCK.monotonic_ms()
        if not job.is_stopping:
            end = await self._attempts(job)
        job.phase, job.interrupt = Phase.RECORDING, None
        await self.record_end(job, self._conclude(job, end, started_ms))
        error = end.error if isinstance(end, Raised) and job.runs_in_loop else None
        if isinstance(error, KeyboardInterrupt | SystemExit):
            # Raised, so that it reaches the caller that runs the event loop, as from any task.
            raise error

    async def record_end(self, job: Job, end: End) -> None:
        """Record the end of a job, unless its record is finished or erased."""
        job.phase, job.end = Phase.RECORDING, end
        if job.dirty:
            await self._progress.flush(job)
        lifecycle = self._lifecycle
        rejection = None
        if isinstance(end, Complete):
            rejection = await self._recorder.record(job, lifecycle.complete, end.arguments)
            if rejection is not None:
                end = job.end = Fail(str(rejection))
        if isinstance(end, Fail):
            rejection = await self._recorder.record(job, lifecycle.fail, job.id, end.error)
        elif isinstance(end, TimeOut):
            rejection = await self._recorder.record(job, lifecycle.time_out, job.id, end.error)
        elif isinstance(end, Cancel):
            rejection = await self._recorder.record(job, lifecycle.cancel, job.id, end.reason)
        if rejection is not None:
            self._recorder.give_up(job, rejection)
        job.phase = Phase.ENDED

    def tend(self, job: Job) -> None:
        """Record the progress of a job that was not recorded because of an interrupt."""
        if job.dirty:
            self._progress.keep(job)

    def close(self) -> None:
        """End the threads and the guardian, after all jobs have ended."""
        self._guardian.close()
        if self._threads is not None:
            self._threads.shutdown()

    async def _attempts(self, job: Job) -> AttemptEnd:
        while True:
            job.attempt += 1
            end = await self._attempt(job)
            if isinstance(end, Returned) and not job.timed_out:
                return end
            kind = _kind_of(job, end)
            if job.is_stopping or kind is None or issubclass(kind, CANCELLED_ERRORS):
                return end
            if not job.retry.covers(kind, job.attempt):
                return end
            try:
                pause_seconds = job.retry.pause_seconds(job.attempt)
            except Exception as error:
                return Raised(error)
            self._report_retry(job, end, pause_seconds)
            await self._pause(job, pause_seconds)
            if job.is_stopping:
                # The job was requested to stop between two attempts.
                return Raised(asyncio.CancelledError())
            job.allow_again()

    async def _attempt(self, job: Job) -> AttemptEnd:
        job.phase = Phase.WORKING
        if job.timeout_seconds is not None:
            loop = asyncio.get_running_loop()
            job.timer = loop.call_later(job.timeout_seconds, job.time_out)
        try:
            return await self._work(job)
        finally:
            if job.timer is not None:
                job.timer.cancel()
                job.timer = None
            # The attempt has ended, so there is nothing to interrupt.
            job.phase, job.interrupt = Phase.STARTING, None

    def _work(self, job: Job) -> Awaitable[AttemptEnd]:
        if isinstance(job.work, Process):
            return as_process(job, self._characters_max, self._guardian)
        if job.runs_in_loop:
            return in_loop(job)
        if isinstance(self._executor, ThreadPoolExecutor):
            return in_thread(job, self._executor)
        if self._executor is not None:
            return in_executor(job, self._executor)
        if self._threads is None:
            # A limit that is never reached, because a job with a place must run at once.
            self._threads = ThreadPoolExecutor(_THREADS_MAX, "opslifecycle-work")
        return in_thread(job, self._threads)

    async def _pause(self, job: Job, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        job.phase, job.interrupt = Phase.PAUSING, task.cancel
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            job.cancel_requested = True
        finally:
            job.phase, job.interrupt = Phase.STARTING, None

    def _report_retry(self, job: Job, end: AttemptEnd, pause_seconds: float) -> None:
        why = _error_of(job, end).partition("\n")[0][:200]
        text = f"attempt {job.attempt} of {job.retry.attempts} failed: {why}"
        job.latest = OperationProgressUpdate(f"{text}; the next begins in {pause_seconds:g} s")
        self._progress.note(job)

    def _conclude(self, job: Job, end: AttemptEnd | None, started_ms: int) -> End:
        if end is None:
            return Cancel(job.cancel_reason)
        if isinstance(end, Returned) and not job.has_timed_out:
            duration_ms = SYSTEM_CLOCK.monotonic_ms() - started_ms
            try:
                return Complete(
                    self._lifecycle.completion(job.id, end.value, duration_ms, self._characters_max)
                )
            except NotStorableError as error:
                return Fail(str(error))
        if job.has_timed_out:
            return TimeOut(_error_of(job, end))
        kind = _kind_of(job, end)
        if kind is not None and issubclass(kind, CANCELLED_ERRORS):
            own = "the work raised CancelledError"
            return Cancel(job.cancel_reason if job.cancel_requested else own)
        return Fail(_error_of(job, end))


def _kind_of(job: Job, end: AttemptEnd) -> type[BaseException] | None:
    """Return the class of the exception that ended an attempt; None if it returned."""
    if job.has_timed_out:
        return TimeoutError
    if isinstance(end, Raised):
        return type(end.error)
    return end.kind if isinstance(end, Reported) else None


def _error_of(job: Job, end: AttemptEnd) -> str:
    if job.has_timed_out:
        return timeout_error(job.timeout_seconds or 0, _raised(end))
    if isinstance(end, Raised):
        return describe(end.error)
    assert isinstance(end, Reported)
    return end.text


def _raised(end: AttemptEnd) -> str:
    """Return the exception of work that was interrupted, if it is none that interrupts raise."""
    if isinstance(end, Raised) and not isinstance(end.error, CANCELLED_ERRORS):
        return describe(end.error)
    if isinstance(end, Reported) and end.kind and not issubclass(end.kind, CANCELLED_ERRORS):
        return end.text
    # A program is ended by a signal, and its exit status says no more than that.
    return ""
