"""The handle of an operation that a supervisor has started, or found by its key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
from opslifecycle import (
    Cancelled,
    ChannelClosedError,
    OperationCompletionWatch,
    OperationId,
    OperationProgressUpdate,
    OperationTerminalOutcome,
)
from opslifecycle.work.job import Job, Phase
from opslifecycle.work.lifecycle import Lifecycle

if TYPE_CHECKING:
    from opslifecycle.work.supervisor import Supervisor


@attrs.frozen
class WorkCancelled:
    """The answer to a request to cancel: record and work have ended as cancelled."""

    outcome: Cancelled


@attrs.frozen
class AlreadyFinished:
    """The answer to a request to cancel that came too late: how the operation has ended instead."""

    outcome: OperationTerminalOutcome


@attrs.frozen
class UnknownOperation:
    """The answer to a request to cancel an operation that the registry does not hold (any more)."""


CancelAnswer: TypeAlias = WorkCancelled | AlreadyFinished | UnknownOperation


class Operation:
    """An operation: await it for its outcome, in any number of tasks.

    Work that raises, times out or is cancelled is an outcome. Awaiting raises ChannelClosedError
    if the registry was closed before the end, or the record was rolled back.
    """

    __slots__ = ("_job", "_supervisor", "_watch", "id")

    def __init__(
        self,
        supervisor: Supervisor,
        id: OperationId,
        watch: OperationCompletionWatch,
        job: Job | None,
    ) -> None:
        self.id = id
        self._supervisor = supervisor
        self._watch = watch
        self._job = job

    def __await__(self) -> Generator[Any, None, OperationTerminalOutcome]:
        return self._watch.__await__()

    def done(self) -> bool:
        """Return whether the operation has ended."""
        return self._watch.done()

    async def cancel(self, reason: str | None = None) -> CancelAnswer:
        """End the work and the record together, and return once both have ended.

        The work is asked first; how it ends is recorded. Work that returns a result all the same
        has completed. Cancelling the task that awaits this does not take the request back.
        """
        was_done = self._watch.done()
        if not was_done:
            if self._job is None or self._job.phase is Phase.ENDED:
                return await self._supervisor.cancel(self.id, reason)
            self._supervisor._cancel_job(self._job, reason)
        return await _answer(self._watch, was_done)

    async def progress(self) -> AsyncIterator[OperationProgressUpdate]:
        """Iterate over the progress of the work until it ends; a slow reader sees the latest.

        Work that this supervisor does not run has no progress here.
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


async def cancel_record(lifecycle: Lifecycle, id: OperationId, reason: str | None) -> CancelAnswer:
    """End a record whose work runs elsewhere, or nowhere."""
    try:
        watch = lifecycle.watch(id)
    except lifecycle.over:
        return UnknownOperation()
    was_done = watch.done()
    if not was_done:
        try:
            await lifecycle.cancel(id, reason)
        except lifecycle.over:
            pass
    return await _answer(watch, was_done)


async def _answer(watch: OperationCompletionWatch, was_done: bool) -> CancelAnswer:
    try:
        outcome = await watch
    except ChannelClosedError:
        return UnknownOperation()
    if isinstance(outcome, Cancelled) and not was_done:
        return WorkCancelled(outcome)
    return AlreadyFinished(outcome)
