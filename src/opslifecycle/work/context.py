"""The operation of running work, for the work itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import cast

from opslifecycle import OperationId, OperationProgressUpdate
from opslifecycle.work.errors import NoCurrentOperationError
from opslifecycle.work.job import Job

#: The job of this context, with the function that notes its progress.
_current: ContextVar[tuple[Job, Callable[[Job], None]]] = ContextVar(
    "opslifecycle_current_operation"
)


class CurrentOperation:
    """The operation that the calling code works for. All methods can be called in any thread."""

    __slots__ = ("_job", "_report")

    def __init__(self, job: Job, report: Callable[[Job], None]) -> None:
        self._job = job
        self._report = report

    @property
    def id(self) -> OperationId:
        """The id of the operation, for instance as an idempotency key for other systems.

        Under a machine of your own it is an identifier of that machine.
        """
        return cast(OperationId, self._job.id)

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self._job.attempt

    @property
    def stop_requested(self) -> bool:
        """Whether the work is requested to stop: it was cancelled or has timed out."""
        return self._job.stop_requested

    def wait_for_stop(self, timeout: float | None = None) -> bool:
        """Block a thread until the work is requested to stop.

        Args:
            timeout: The number of seconds to block at most; None for no limit.

        Returns:
            Whether the work is requested to stop.
        """
        return self._job.wait_for_stop(timeout)

    def raise_if_stopped(self) -> None:
        """Raise CancelledError if the work is requested to stop. For work in threads."""
        if self.stop_requested:
            raise asyncio.CancelledError

    def progress(self, message: str, percent: float | None = None) -> None:
        """Report progress. It never blocks; of reports in quick succession the last is recorded.

        Args:
            message: The description of the current step.
            percent: The finished part of the work, in percent; None if it is unknown.

        Raises:
            InvalidValueError: The message is no text, or the percentage no finite number.
        """
        self._job.latest = OperationProgressUpdate(message, percent)
        self._report(self._job)


def current() -> CurrentOperation:
    """Return the operation that the calling code works for.

    Tasks and threads that work starts itself inherit it with their context (`asyncio.to_thread`,
    `contextvars.copy_context`).

    Raises:
        NoCurrentOperationError: The code does not run under a supervisor, or in another process.
    """
    found = _current.get(None)
    if found is None:
        raise NoCurrentOperationError
    return CurrentOperation(*found)


def enter(job: Job, report: Callable[[Job], None]) -> None:
    """Set the operation of this context.

    Args:
        job: The job that runs in it.
        report: Notes that a job has made progress.
    """
    _current.set((job, report))
