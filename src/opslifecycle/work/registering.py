"""The registration of jobs as operations, at most once for each key."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TypeAlias

from opslifecycle import OpsLifecycleError
from opslifecycle.sync.waits import Wait
from opslifecycle.values.identifiers import AnyIdentifier
from opslifecycle.work.cancelling import finished, unbroken
from opslifecycle.work.job import Job
from opslifecycle.work.jobs import Jobs
from opslifecycle.work.lifecycle import AnyLifecycle
from opslifecycle.work.recorder import Recorder

#: What a key has: the watch of its operation, and its job if that has not ended.
Found: TypeAlias = tuple[Wait[object], Job | None]


class Registering:
    """The calls of `start` that have not returned.

    Args:
        lifecycle: The calls of the registry.
        recorder: Repeats calls that the store refuses.
        jobs: The jobs, to which registered ones are added.
        changed: Set whenever a call returns.
    """

    def __init__(
        self, lifecycle: AnyLifecycle, recorder: Recorder, jobs: Jobs, changed: asyncio.Event
    ) -> None:
        self._lifecycle = lifecycle
        self._recorder = recorder
        self._jobs = jobs
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._jobs_of_calls: dict[Job, None] = {}
        # The tasks that take back what calls that were dropped have registered.
        self._cleaning: set[asyncio.Task[None]] = set()
        # Those with a key can be waited for by others of the same key.
        self._keys: dict[AnyIdentifier, asyncio.Future[None]] = {}

    def __len__(self) -> int:
        return len(self._jobs_of_calls) + len(self._cleaning)

    async def register(self, job: Job) -> Found:
        """Register the operation of a job without a key, and add the job.

        Returns:
            The operation's watch, and the job.

        Raises:
            CancelledError: This call was cancelled; the operation is erased.
        """
        try:
            self._jobs_of_calls[job] = None
            await self._lifecycle.register(job.id, job.label)
            self._jobs.add(job)
            self._end_call(job)
        except GeneratorExit:
            self._clean_up_later(job, None)
            self._end_call(job)
            raise
        except OpsLifecycleError:
            self._end_call(job)
            raise
        except BaseException as error:
            # The call may have taken effect, and no other caller has the id.
            await self._after(error)
            await self._take_back(job)
            self._end_call(job)
            raise
        return job.watch, job

    async def register_once(self, job: Job) -> Found:
        """Register the operation of a job with a key, or find the one that the key has already.

        Returns:
            The operation's watch, and its job if that has not ended.

        Raises:
            SupervisorClosedError: All jobs are being cancelled.
            CancelledError: This call was cancelled; an operation that it has registered is erased.
        """
        try:
            self._jobs_of_calls[job] = None
            found = await self._find_or_register(job)
            self._end_call(job)
        except BaseException:
            self._end_call(job)
            raise
        return found

    async def _find_or_register(self, job: Job) -> Found:
        while True:
            earlier = self._keys.get(job.id)
            if earlier is not None:
                # Another call is registering the operation, and may fail or be cancelled.
                await asyncio.wait([earlier])
                continue
            found = self._find(job.id)
            if found is not None:
                return found
            self._jobs.check_open()
            if await self._try(job):
                return job.watch, job

    def _end_call(self, job: Job) -> None:
        self._jobs_of_calls.pop(job, None)
        self._changed.set()

    def _find(self, id: AnyIdentifier) -> Found | None:
        job = self._jobs.find(id)
        if job is not None and not job.watch.done():
            return job.watch, job
        # What has ended may be collected already, while its task is about to end.
        watch = self._lifecycle.find(id)
        return None if watch is None else (watch, None)

    async def _try(self, job: Job) -> bool:
        """Register a job; return False if another supervisor has registered the id."""
        registering: asyncio.Future[None] | None = None
        try:
            self._keys[job.id] = asyncio.get_running_loop().create_future()
            # The call is awaited to its end, also if this task is cancelled, because only an
            # operation that it has registered may be erased, not that of another supervisor.
            registering = asyncio.ensure_future(self._lifecycle.register(job.id, job.label))
            await unbroken(registering)
            self._jobs.add(job)
            self._free_key(job)
        except GeneratorExit:
            self._clean_up_later(job, registering)
            raise
        except OpsLifecycleError:
            is_free = self._lifecycle.find(job.id) is None
            self._free_key(job)
            if is_free:
                raise
            return False
        except BaseException:
            if registering is not None and await self._has_registered(registering):
                await self._take_back(job)
            self._free_key(job)
            raise
        return True

    def _free_key(self, job: Job) -> None:
        done = self._keys.get(job.id)
        if done is not None and not done.done():
            done.set_result(None)
        self._keys.pop(job.id, None)

    async def _take_back(self, job: Job) -> None:
        """End an operation whose handle no caller receives, or erase it before its job is added."""
        if job in self._jobs:
            self._jobs.cancel(job, "its start was interrupted")
        else:
            await self._discard(job)

    def _clean_up_later(self, job: Job, call: asyncio.Future[None] | None) -> None:
        """Take back what a call may have registered in which nothing can be awaited.

        Its caller was interrupted, and has dropped it; or the loop is closed.
        """
        if self._loop.is_closed():
            return
        cleaning = self._loop.create_task(self._clean_up(job, call))
        self._cleaning.add(cleaning)
        cleaning.add_done_callback(partial(self._end_cleaning, job, call))

    async def _clean_up(self, job: Job, call: asyncio.Future[None] | None) -> None:
        if call is None:
            await self._lifecycle.calls_ended()
            await self._take_back(job)
        elif await self._has_registered(call):
            await self._take_back(job)
        self._free_key(job)

    def _end_cleaning(
        self, job: Job, call: asyncio.Future[None] | None, cleaning: asyncio.Task[None]
    ) -> None:
        if cleaning.cancelled():
            # Before its first step, by a loop that shuts down.
            self._clean_up_later(job, call)
        self._cleaning.discard(cleaning)
        self._changed.set()

    async def _discard(self, job: Job) -> None:
        """Erase an operation whose handle no caller receives."""
        await self._recorder.record(job, self._lifecycle.discard, job.id)

    async def _has_registered(self, call: asyncio.Future[None]) -> bool:
        """Wait until a call has ended; return whether it has registered a record, or may have."""
        await finished(call, lambda: None)
        # One that was interrupted may have taken effect, and one that a loop cancels while it shuts
        # down, too.
        error = None if call.cancelled() else call.exception()
        await self._after(error)
        return not isinstance(error, OpsLifecycleError)

    async def _after(self, error: BaseException | None) -> None:
        """Wait for a call that an interrupt may have left in a thread, where the next overtakes it.

        A cancelled call has ended: its task has waited for it.
        """
        if not isinstance(error, asyncio.CancelledError | OpsLifecycleError | None):
            await self._lifecycle.calls_ended()
