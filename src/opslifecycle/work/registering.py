"""The registration of jobs as operations, at most once for each key."""

from __future__ import annotations

import asyncio
from typing import TypeAlias

from opslifecycle import OpsLifecycleError
from opslifecycle.sync.waits import Wait
from opslifecycle.values.identifiers import AnyIdentifier
from opslifecycle.work.cancelling import unbroken
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
        self._count = 0
        # Those with a key can be waited for by others of the same key.
        self._keys: dict[AnyIdentifier, asyncio.Future[None]] = {}

    def __len__(self) -> int:
        return self._count

    async def register(self, job: Job) -> Found:
        """Register the operation of a job without a key, and add the job.

        Returns:
            The operation's watch, and the job.

        Raises:
            CancelledError: This call was cancelled; the operation is erased.
        """
        self._count += 1
        try:
            await self._lifecycle.register(job.id, job.label)
            self._jobs.add(job)
            return job.watch, job
        except asyncio.CancelledError:
            # The call may have taken effect, and no other caller has the id.
            await self._discard(job)
            raise
        finally:
            self._count -= 1
            self._changed.set()

    async def register_once(self, job: Job) -> Found:
        """Register the operation of a job with a key, or find the one that the key has already.

        Returns:
            The operation's watch, and its job if that has not ended.

        Raises:
            SupervisorClosedError: All jobs are being cancelled.
            CancelledError: This call was cancelled; an operation that it has registered is erased.
        """
        self._count += 1
        try:
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
        finally:
            self._count -= 1
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
        done = self._keys[job.id] = asyncio.get_running_loop().create_future()
        # The call is awaited to its end, also if this task is cancelled, because only an operation
        # that it has registered may be erased, not that of another supervisor.
        registering = asyncio.ensure_future(self._lifecycle.register(job.id, job.label))
        try:
            await unbroken(registering)
            self._jobs.add(job)
        except OpsLifecycleError:
            if self._lifecycle.find(job.id) is None:
                raise
            return False
        except asyncio.CancelledError:
            # The call itself is cancelled only when the loop shuts down.
            if not registering.cancelled() and registering.exception() is None:
                await self._discard(job)
            raise
        finally:
            del self._keys[job.id]
            done.set_result(None)
        return True

    async def _discard(self, job: Job) -> None:
        """Erase an operation whose handle no caller receives."""
        await self._recorder.record(job, self._lifecycle.discard, job.id)
