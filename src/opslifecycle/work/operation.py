"""The handle of an operation that a supervisor has started, or found by its key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from typing import Generic, cast

from opslifecycle import OperationProgressUpdate
from opslifecycle.sync.waits import Wait
from opslifecycle.work.answers import CancelAnswer
from opslifecycle.work.arguments import seconds
from opslifecycle.work.job import Job, Phase
from opslifecycle.work.jobs import Jobs
from opslifecycle.work.machines import IdT, OutcomeT


class Operation(Generic[IdT, OutcomeT]):
    """An operation: await it for its outcome, in any number of tasks.

    Work that raises, times out or is cancelled has an outcome as well. Awaiting raises
    ChannelClosedError if the registry was closed before the end, or the record was rolled back,
    and WorkNotRecordedError if the end cannot be recorded.
    """

    __slots__ = ("_job", "_jobs", "_watch", "id")

    def __init__(
        self,
        jobs: Jobs,
        id: IdT,
        watch: Wait[object],
        job: Job | None,
    ) -> None:
        self.id = id
        self._jobs = jobs
        self._watch = watch
        self._job = job

    def __await__(self) -> Generator[object, None, OutcomeT]:
        return cast("Wait[OutcomeT]", self._watch).__await__()

    def done(self) -> bool:
        """Return whether the operation has ended, or its end cannot be recorded."""
        return self._watch.done()

    def timed_out(self) -> bool:
        """Return whether the operation has ended because its timeout had passed.

        Raises:
            UnsupportedError: The machine, one of your own, does not declare `work: time_out`.
        """
        return self._jobs.has_timed_out(self._watch)

    async def cancel(
        self, reason: str | None = None, *, grace: float | None = None
    ) -> CancelAnswer[OutcomeT]:
        """End the work and the record together, and return once both have ended.

        The work is requested to stop, and its end is recorded. Work that returns a result in spite
        of the request has completed. Cancelling the task that awaits this does not withdraw the
        request.

        Args:
            reason: The reason that is recorded.
            grace: The seconds in which the work may stop by itself: it sees
                `current().stop_requested`, and is interrupted afterwards. None to interrupt it now.

        Raises:
            InvalidValueError: The grace time is no number of seconds.
            WorkNotRecordedError: The work has ended, and its end cannot be recorded.
        """
        grace_seconds = seconds("grace", grace)
        if self._job is None or self._job.phase is Phase.ENDED:
            answer = await self._jobs.end_watched(self.id, self._watch, reason)
        else:
            answer = await self._jobs.end_job(self._job, reason, grace_seconds)
        return cast("CancelAnswer[OutcomeT]", answer)

    async def progress(self) -> AsyncGenerator[OperationProgressUpdate]:
        """Iterate over the progress of the work until it ends; a slow reader skips reports.

        For work that this supervisor does not run, there are no reports.
        """
        job = self._job
        if job is None:
            return
        changed = asyncio.Event()
        job.listeners = (*job.listeners, changed)
        seen: OperationProgressUpdate | None = None
        try:
            while True:
                changed.clear()
                has_ended = job.phase is Phase.ENDED
                latest = job.latest
                if latest is not None and latest is not seen:
                    seen = latest
                    yield latest
                elif has_ended:
                    return
                else:
                    await changed.wait()
        finally:
            job.listeners = tuple(each for each in job.listeners if each is not changed)

    def __repr__(self) -> str:
        return f"<Operation {self.id}{' (ended)' if self.done() else ''}>"
