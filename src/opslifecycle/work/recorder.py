"""Recording in a registry, although the task is cancelled or the store fails for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from opslifecycle import (
    OpsLifecycleError,
    OwnershipLostError,
    PersistenceError,
    RegistryClosedError,
    RegistryOwnedError,
    StoreDamagedError,
    StoreLostError,
)
from opslifecycle.sync.waits import fail
from opslifecycle.work.errors import WorkNotRecordedError
from opslifecycle.work.job import Job, Phase
from opslifecycle.work.lifecycle import AnyLifecycle

#: Errors that a repetition does not change.
_LASTING = (
    OwnershipLostError,
    RegistryClosedError,
    RegistryOwnedError,
    StoreDamagedError,
    StoreLostError,
)
_PAUSE_SECONDS_MIN, _PAUSE_SECONDS_MAX = 0.02, 1.0


class Recorder:
    """Repeats the calls that a store refuses, for a limited time.

    Args:
        lifecycle: The calls of the registry.
        patience_seconds: How long calls are repeated.

    Attributes:
        given_up: The operations whose end could not be recorded, with the error of each.
    """

    def __init__(self, lifecycle: AnyLifecycle, patience_seconds: float) -> None:
        self._lifecycle = lifecycle
        self._patience_seconds = patience_seconds
        self.given_up: dict[str, str] = {}

    async def record(
        self, job: Job, call: Callable[..., Awaitable[None]], *arguments: object
    ) -> OpsLifecycleError | None:
        """Make a call of the lifecycle for a job, also if this task is cancelled meanwhile.

        Afterwards the call has taken effect, or `job.record_is_over` is True, or it is rejected.

        Args:
            job: The job.
            call: The method of the lifecycle.
            *arguments: Its arguments.

        Returns:
            The error if the machine rejects the call for a record that is live. Nothing has
            changed then.
        """
        pause_seconds = _PAUSE_SECONDS_MIN
        give_up_at = None
        while not job.record_is_over:
            try:
                await call(*arguments)
            except asyncio.CancelledError:
                # The call is repeated, because it may not have taken effect. If it did, the
                # registry rejects the repetition.
                job.cancel(None)
            except _LASTING as error:
                self.give_up(job, error)
            except PersistenceError as error:
                now = asyncio.get_running_loop().time()
                give_up_at = give_up_at or now + self._patience_seconds
                if now >= give_up_at:
                    self.give_up(job, error)
                await self._pause(job, pause_seconds)
                pause_seconds = min(2 * pause_seconds, _PAUSE_SECONDS_MAX)
            except OpsLifecycleError as error:
                if error.already_done:
                    return None
                if not self._lifecycle.is_over(job.id):
                    return error
                job.record_is_over = True
            else:
                return None
        return None

    async def _pause(self, job: Job, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            job.cancel(None)

    def give_up(self, job: Job, cause: object) -> None:
        """Note that the end of a job cannot be recorded; who waits for it gets the error."""
        job.record_is_over = True
        self.given_up[str(job.id)] = str(cause)
        if job.phase is not Phase.QUEUED:
            fail(job.watch, WorkNotRecordedError((str(job.id),), str(cause)))
