"""Progress of work: noted immediately, recorded at most every tenth of a second."""

from __future__ import annotations

import asyncio

from opslifecycle import OpsLifecycleError, PersistenceError
from opslifecycle.work.job import Job
from opslifecycle.work.lifecycle import AnyLifecycle
from opslifecycle.work.tending import report

INTERVAL_SECONDS = 0.1


class Progress:
    """A recorder of the latest progress of jobs. Any thread may report it."""

    def __init__(self, lifecycle: AnyLifecycle) -> None:
        self._lifecycle = lifecycle
        self._loop = asyncio.get_running_loop()
        self._dirty: dict[Job, None] = {}
        self._task: asyncio.Task[None] | None = None

    def note(self, job: Job) -> None:
        """Note that a job has made progress. Called in any thread."""
        if job.dirty:
            return
        job.dirty = True
        if asyncio._get_running_loop() is self._loop:
            self._schedule(job)
            return
        try:
            self._loop.call_soon_threadsafe(self._schedule, job)
        except RuntimeError:
            # A closed loop records nothing.
            if not self._loop.is_closed():
                raise

    def keep(self, job: Job) -> None:
        """Record progress that was noted, also if the recording of it was interrupted."""
        self._schedule(job)

    async def flush(self, job: Job) -> None:
        """Record the progress of a job that has ended, before its end."""
        self._dirty.pop(job, None)
        if job.dirty and not job.record_is_over:
            try:
                await self._report(job)
            except asyncio.CancelledError:
                # The call is submitted, so it takes effect before the record of the end.
                job.cancel(None)

    async def close(self) -> None:
        """End the recording task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._report_error()

    def _schedule(self, job: Job) -> None:
        self._dirty[job] = None
        job.wake_listeners()
        if self._task is None or self._task.done():
            self._report_error()
            self._task = self._loop.create_task(self._serve())

    def _report_error(self) -> None:
        task = self._task
        error = None if task is None or task.cancelled() else task.exception()
        if error is not None:
            report(self._loop, "recording progress was interrupted", error)

    async def _serve(self) -> None:
        while self._dirty:
            jobs, self._dirty = self._dirty, {}
            for job in jobs:
                if job.dirty:
                    await self._report(job)
            await asyncio.sleep(INTERVAL_SECONDS)

    async def _report(self, job: Job) -> None:
        # First, so that later reports are scheduled again.
        job.dirty = False
        update = job.latest
        assert update is not None
        job.wake_listeners()
        try:
            await self._lifecycle.report(job.id, update)
        except PersistenceError:
            # Recorded later, because a failure to record progress must not interrupt work.
            self.note(job)
        except OpsLifecycleError:
            # The machine rejects it, or the registry is closed, which the runner finds out itself.
            pass
        except Exception:
            # An interrupt: what it kept from being recorded is recorded later.
            job.dirty = True
            raise
