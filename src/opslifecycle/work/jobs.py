"""The jobs of a supervisor that have not ended, each with the task that runs it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from functools import partial

from opslifecycle import ChannelClosedError, OpsLifecycleError
from opslifecycle.sync.waits import Wait
from opslifecycle.values.identifiers import AnyIdentifier
from opslifecycle.work import tending
from opslifecycle.work.admission import Admission
from opslifecycle.work.answers import CancelAnswer, answer, cancel_record
from opslifecycle.work.ends import Cancel, End, Fail, describe
from opslifecycle.work.errors import SupervisorClosedError
from opslifecycle.work.job import Job, Phase
from opslifecycle.work.lifecycle import AnyLifecycle
from opslifecycle.work.recorder import Recorder
from opslifecycle.work.runner import Runner
from opslifecycle.work.tending import Tender, report

#: How many jobs are looked at together, which takes about a millisecond of the loop's time.
_TENDED_MAX = 500
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
        self._tender = Tender(self.tend)
        # Whether a change is being made, and whether an interrupt has torn an earlier one.
        self._is_changing = self._is_torn = False
        # Every job whose task has not ended, oldest first. The reference keeps the task from being
        # collected.
        self._unended: dict[Job, None] = {}
        # The latest job of each id. After an operation is collected, its key may be used for a new
        # job while the task of the first one ends.
        self._latest: dict[AnyIdentifier, Job] = {}
        # The jobs that are still to be looked at in this round, the oldest last.
        self._to_tend: list[Job] = []
        # The reason for which all jobs are cancelled; None before.
        self._closing: str | None = None

    def __len__(self) -> int:
        return len(self._unended)

    def __contains__(self, job: Job) -> bool:
        return job in self._unended

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

    # Changes ------------------------------------------------------------------------------------

    def _change(self, work: Callable[..., None], *arguments: object) -> None:
        """Make a change of several steps. One that an interrupt tears is completed afterwards."""
        # A task that runs as soon as it is created may make a change within one.
        is_outer = not self._is_changing
        try:
            if is_outer:
                self._is_changing = True
                if self._is_torn:
                    self._put_in_order()
            work(*arguments)
            if is_outer:
                self._is_changing = False
        except BaseException:
            if is_outer:
                self._is_changing = False
            self._is_torn = True
            self._tender.look_soon()
            raise

    def _put_in_order(self) -> None:
        """Complete the changes that were torn, by what is known of each job."""
        for job in [*self._unended]:
            if job.task is not None and job.task.done():
                self._end_task(job, job.task)
        jobs = [*self._unended]
        self._latest = {job.id: job for job in jobs}
        waiting = [job for job in jobs if job.phase is Phase.QUEUED]
        self._admission.renew(waiting, [job for job in jobs if job.phase is not Phase.QUEUED])
        for job in jobs:
            if job.task is None and job.phase is Phase.STARTING:
                self._spawn(job, self._runner.run(job))
            elif job.task is None and job.phase is Phase.RECORDING:
                self._spawn(job, self._runner.record_end(job, Cancel(job.cancel_reason)))
        if self._closing is not None:
            self._cancel_each(self._closing, False)
        self._changed.set()
        self._is_torn = False

    def tend(self) -> float | None:
        """Do what callbacks of some jobs were prevented from doing.

        Returns:
            After how many seconds to go on; None if all jobs have ended.
        """
        self._change(self._tend_some)
        if not self._unended:
            return None
        return tending.PART_SECONDS if self._to_tend else tending.ROUND_SECONDS

    def _tend_some(self) -> None:
        if not self._to_tend:
            self._to_tend = [*reversed(self._unended)]
        some = self._to_tend[-_TENDED_MAX:]
        del self._to_tend[-_TENDED_MAX:]
        for job in reversed(some):
            self._tend(job)

    def _tend(self, job: Job) -> None:
        if job not in self._unended:
            return
        if job.task is not None and job.task.done():
            self._end_task(job, job.task)
            return
        if job.watch.done():
            self._note_record(job)
        job.tend(self._loop.time())
        self._runner.tend(job)

    # Running ------------------------------------------------------------------------------------

    def add(self, job: Job) -> None:
        """Run a registered job once there is room, unless all jobs are being cancelled."""
        self._change(self._add, job)

    def _add(self, job: Job) -> None:
        self._enter(job)
        if self._closing is None:
            self._admission.add(job)
        else:
            self._end_unstarted(job, Cancel(self._closing))

    def add_failed(self, job: Job, error: str) -> None:
        """Record that the work of an earlier process has failed."""
        self._change(self._add_failed, job, error)

    def _add_failed(self, job: Job, error: str) -> None:
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
        # From here on it has an end, whatever is interrupted.
        self._unended[job] = None
        self._tender.arm()
        job.watch.add_done_callback(partial(self._record_ended, job))

    def _begin(self, job: Job) -> None:
        job.phase = Phase.STARTING
        self._spawn(job, self._runner.run(job))

    def _spawn(self, job: Job, steps: Coroutine[object, None, None]) -> None:
        if self._loop.is_closed():
            # A closed loop runs no task. The next process recovers the record as interrupted.
            steps.close()
            return
        create = partial(self._loop.create_task, context=job.context)
        # One call, so that no interrupt comes between the making of the task and its being known.
        deque(map(setattr, (job,), ("task",), map(create, (steps,))), maxlen=0)
        assert job.task is not None
        job.task.add_done_callback(partial(self._task_ended, job), context=self._context)

    def _task_ended(self, job: Job, task: asyncio.Task[None]) -> None:
        self._change(self._end_task, job, task)

    def _end_task(self, job: Job, task: asyncio.Task[None]) -> None:
        """Note the end of the task of a job; a second time it changes nothing."""
        if job.task is not task or job not in self._unended:
            return
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, KeyboardInterrupt | SystemExit):
            report(self._loop, "running an operation was interrupted", error)
        if job.phase is not Phase.ENDED:
            if error is None or not job.is_recorded_again:
                # The task was cancelled before its first step, for instance by a closing loop, or
                # was interrupted.
                end: End = Cancel("its task was cancelled")
                if error is not None:
                    job.is_recorded_again, end = True, Fail(describe(error))
                self._spawn(job, self._runner.record_end(job, job.end or end))
                return
            self._recorder.give_up(job, describe(error).partition("\n")[0])
            job.phase = Phase.ENDED
        self._forget(job)

    def _forget(self, job: Job) -> None:
        if self._latest.get(job.id) is job:
            del self._latest[job.id]
        job.wake_listeners()
        self._admission.free(job)
        self._unended.pop(job, None)
        job.release()
        self._changed.set()

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
            self._change(self._cancel, job, reason)
        elif not was_done and grace_seconds is not None:
            await self._ask_to_stop(job, reason, grace_seconds)
        return await answer(self._lifecycle, job.watch, was_done)

    async def _ask_to_stop(self, job: Job, reason: str | None, grace_seconds: float) -> None:
        if job.phase is Phase.QUEUED:
            self._change(self._cancel, job, reason)
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
        self._change(self._cancel_each, reason, insist)

    def cancel(self, job: Job, reason: str) -> None:
        """Request a job to end."""
        self._change(self._cancel, job, reason)

    def close(self) -> None:
        """Look no more at what is undone, after all jobs have ended."""
        self._tender.disarm()

    def _cancel_each(self, reason: str, insist: bool) -> None:
        for job in [*self._unended]:
            self._cancel(job, reason, insist=insist)

    def _cancel(self, job: Job, reason: str | None, *, insist: bool = False) -> None:
        if self._admission.withdraw(job):
            self._end_unstarted(job, Cancel(reason))
        else:
            job.cancel(reason, insist=insist)

    def _end_unstarted(self, job: Job, end: Cancel | Fail) -> None:
        if isinstance(end, Cancel):
            job.cancel_requested, job.cancel_reason = True, end.reason
        job.phase, job.end = Phase.RECORDING, end
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
        self._change(self._note_record, job)

    def _note_record(self, job: Job) -> None:
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
