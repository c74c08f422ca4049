"""The jobs of a supervisor that have not ended, each with the task that runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import copy_context
from functools import partial

from opslifecycle import ChannelClosedError, OpsLifecycleError
from opslifecycle.sync.waits import Wait
from opslifecycle.values.identifiers import AnyIdentifier
from opslifecycle.work.admission import Admission
from opslifecycle.work.answers import CancelAnswer, answer, cancel_record
from opslifecycle.work.ends import Cancel, Fail, describe
from opslifecycle.work.errors import SupervisorClosedError
from opslifecycle.work.job import Job, Phase
from opslifecycle.work.lifecycle import AnyLifecycle
from opslifecycle.work.recorder import Recorder
from opslifecycle.work.runner import Runner

_ERASED = "its record was erased, or the registry was closed"


class Jobs:
    """The jobs of one block of a supervisor, from their registration to their end.

    Args:
        lifecycle: The calls of the registry.
        recorder: Repeats calls that the store refuses.
        runner: Runs a job.
        running_max: How many jobs run at once; None for no limit.
        changed: Set whenever a job has ended.
    """

    def __init__(
        self,
        lifecycle: AnyLifecycle,
        recorder: Recorder,
        runner: Runner,
        running_max: int | None,
        changed: asyncio.Event,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        # That of the callbacks, so that not each has a copy of one.
        self._context = copy_context()
        self._lifecycle = lifecycle
        self._recorder = recorder
        self._runner = runner
        self._changed = changed
        self._admission = Admission(running_max, self._begin)
        # Every job whose task has not ended. The reference keeps the task from being collected.
        self._unended: set[Job] = set()
        # The latest job of each id. After an operation is collected, its key may be used for a new
        # job while the task of the first one ends.
        self._latest: dict[AnyIdentifier, Job] = {}
        # The reason for which all jobs are cancelled; None before.
        self._closing: str | None = None

    def __len__(self) -> int:
        return len(self._unended)

    def find(self, id: AnyIdentifier) -> Job | None:
        """Return the job of an id that has not ended."""
        return self._latest.get(id)

    def check_open(self) -> None:
        """Check that jobs can be added.

        Raises:
            SupervisorClosedError: All jobs are being cancelled.
        """
        if self._closing is not None:
            raise SupervisorClosedError

    def has_timed_out(self, watch: Wait[object]) -> bool:
        """Return whether an operation has ended because its timeout had passed.

        Raises:
            UnsupportedError: The machine does not distinguish it from other failures.
        """
        try:
            outcome = watch.value() if watch.done() else None
        except OpsLifecycleError:
            # The end is not recorded, or not known.
            outcome = None
        return self._lifecycle.has_timed_out(outcome)

    # Running ------------------------------------------------------------------------------------

    def add(self, job: Job) -> None:
        """Run a registered job once there is room, unless all jobs are being cancelled."""
        self._enter(job)
        if self._closing is None:
            self._admission.add(job)
        else:
            self._end_unstarted(job, Cancel(self._closing))

    def add_failed(self, job: Job, error: str) -> None:
        """Record that the work of an earlier process has failed."""
        self._enter(job)
        self._end_unstarted(job, Fail(error))

    def _enter(self, job: Job) -> None:
        watch = self._lifecycle.find(job.id)
        if watch is None:
            # Erased since it was registered.
            raise ChannelClosedError
        job.watch = watch
        # An id that the last process has left behind may be erased and registered again.
        self._lifecycle.claim(job.id)
        self._latest[job.id] = job
        self._unended.add(job)
        job.watch.add_done_callback(partial(self._record_ended, job))

    def _begin(self, job: Job) -> None:
        job.phase = Phase.STARTING
        self._spawn(job, self._runner.run(job))

    def _spawn(self, job: Job, steps: Coroutine[object, None, None]) -> None:
        if self._loop.is_closed():
            # A closed loop runs no task. The next process recovers the record as interrupted.
            steps.close()
            return
        task = self._loop.create_task(steps, context=job.context)
        job.task = task
        task.add_done_callback(partial(self._task_ended, job), context=self._context)

    def _task_ended(self, job: Job, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if job.phase is not Phase.ENDED:
            if error is None:
                # The task was cancelled before its first step, for instance by a closing loop.
                steps = self._runner.record_end(job, Cancel("its task was cancelled"))
                self._spawn(job, steps)
                return
            self._recorder.give_up(job, describe(error).partition("\n")[0])
            job.phase = Phase.ENDED
        job.release()
        self._unended.discard(job)
        if self._latest.get(job.id) is job:
            del self._latest[job.id]
        job.wake_listeners()
        self._changed.set()
        if job.has_place:
            self._admission.free()

    # Ending -------------------------------------------------------------------------------------

    async def end(
        self, id: AnyIdentifier, reason: str | None, grace_seconds: float | None
    ) -> CancelAnswer[object]:
        """End an operation, and its work if it has a job here; return once both have ended."""
        job = self._latest.get(id)
        if job is None or job.phase is Phase.ENDED:
            return await cancel_record(self._lifecycle, id, reason)
        return await self.end_job(job, reason, grace_seconds)

    async def end_watched(
        self, id: AnyIdentifier, watch: Wait[object], reason: str | None
    ) -> CancelAnswer[object]:
        """End an operation that has no job here, or none any more, unless it has ended."""
        if watch.done():
            return await answer(self._lifecycle, watch, was_done=True)
        return await self.end(id, reason, None)

    async def end_job(
        self, job: Job, reason: str | None, grace_seconds: float | None
    ) -> CancelAnswer[object]:
        """End a job and its record; return once both have ended.

        Args:
            job: The job.
            reason: The reason that is recorded.
            grace_seconds: How long the work may take to stop by itself; None to interrupt it now.
        """
        was_done = job.watch.done()
        if not was_done and grace_seconds is None:
            self._cancel(job, reason)
        elif not was_done and grace_seconds is not None:
            await self._ask_to_stop(job, reason, grace_seconds)
        return await answer(self._lifecycle, job.watch, was_done)

    async def _ask_to_stop(self, job: Job, reason: str | None, grace_seconds: float) -> None:
        if self._admission.withdraw(job):
            self._end_unstarted(job, Cancel(reason))
            return
        if job.phase is not Phase.ENDED:
            job.insist_after(grace_seconds, self._loop)
        job.ask_to_stop(reason)
        try:
            await self._lifecycle.stop(job.id, reason)
        except OpsLifecycleError:
            # The work has ended, or the store refuses a change that only others look at.
            pass

    def cancel_all(self, reason: str, *, insist: bool = False) -> None:
        """Request all jobs to end, also those that are added later.

        Args:
            reason: The reason that is recorded.
            insist: Whether to interrupt jobs again that were requested before.
        """
        self._closing = reason
        for job in list(self._unended):
            self._cancel(job, reason, insist=insist)

    def _cancel(self, job: Job, reason: str | None, *, insist: bool = False) -> None:
        if self._admission.withdraw(job):
            self._end_unstarted(job, Cancel(reason))
        else:
            job.cancel(reason, insist=insist)

    def _end_unstarted(self, job: Job, end: Cancel | Fail) -> None:
        if isinstance(end, Cancel):
            job.cancel_requested, job.cancel_reason = True, end.reason
        job.phase = Phase.RECORDING
        self._spawn(job, self._runner.record_end(job, end))

    def _record_ended(self, job: Job) -> None:
        """Note that a record has ended. Called in any thread."""
        if job.phase in (Phase.RECORDING, Phase.ENDED):
            return
        try:
            self._loop.call_soon_threadsafe(self._stop_without_record, job)
        except RuntimeError:
            # A closed loop runs no work.
            if not self._loop.is_closed():
                raise

    def _stop_without_record(self, job: Job) -> None:
        """End work whose record another caller has ended, or erased."""
        if job.phase in (Phase.RECORDING, Phase.ENDED) or job.record_is_over:
            return
        try:
            job.watch.value()
        except ChannelClosedError:
            # The record was erased, or the registry closed. Recording the end distinguishes them.
            self._cancel(job, _ERASED)
            return
        job.record_is_over = True
        self._cancel(job, None)
