"""The state of a supervisor during its block, and the end of the block."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor

from opslifecycle.work.errors import WorkNotRecordedError
from opslifecycle.work.jobs import Jobs
from opslifecycle.work.lifecycle import AnyLifecycle
from opslifecycle.work.progress import Progress
from opslifecycle.work.recorder import Recorder
from opslifecycle.work.recovering import Recovering
from opslifecycle.work.registering import Registering
from opslifecycle.work.runner import Runner


class Block:
    """The block of a supervisor, in the running event loop.

    Attributes:
        jobs: The jobs that have not ended.
        registering: The calls of `start` that have not returned.
        recovering: The functions whose calls are stored.
        is_used: Whether a call was made in the block.
    """

    def __init__(
        self,
        lifecycle: AnyLifecycle,
        executor: Executor | None,
        running_max: int | None,
        characters_max: int,
        patience_seconds: float,
    ) -> None:
        self.is_used = False
        self._lifecycle = lifecycle
        self._changed = asyncio.Event()
        self._recorder = Recorder(lifecycle, patience_seconds)
        self._progress = Progress(lifecycle)
        self._runner = Runner(lifecycle, self._recorder, self._progress, executor, characters_max)
        self.jobs = Jobs(lifecycle, self._recorder, self._runner, running_max, self._changed)
        self.registering = Registering(lifecycle, self._recorder, self.jobs, self._changed)
        self.recovering = Recovering(lifecycle, self.jobs)

    async def end(self, *, cancelling: bool) -> None:
        """Wait until all jobs have ended, then release threads, processes and connections.

        Args:
            cancelling: Whether to cancel the jobs first.

        Raises:
            CancelledError: This call was cancelled, and so were the jobs.
            BaseException: Likewise, an interrupt.
        """
        reason = "the supervisor's block has ended" if cancelling else None
        interrupt: BaseException | None = None
        while True:
            try:
                if reason is not None:
                    self.jobs.cancel_all(reason, insist=interrupt is not None)
                    reason = None
                await self._wait()
                break
            except GeneratorExit:
                # The loop is closed, and nothing can be awaited.
                raise
            except asyncio.CancelledError as error:
                interrupt, reason = interrupt or error, "the supervisor was cancelled"
            except BaseException as error:
                if not isinstance(interrupt, asyncio.CancelledError | None):
                    # No interrupt, which comes once: nothing can be awaited.
                    raise
                interrupt, reason = error, "the supervisor was interrupted"
        if interrupt is not None:
            raise interrupt

    async def _wait(self) -> None:
        while self.jobs or self.registering:
            self._changed.clear()
            await self._changed.wait()
        self.jobs.close()
        await self._progress.close()
        self._runner.close()
        self._lifecycle.close()

    def raise_if_unrecorded(self) -> None:
        """Check that the end of every job is recorded.

        Raises:
            WorkNotRecordedError: The store has refused to record some.
        """
        given_up = self._recorder.given_up
        if given_up:
            raise WorkNotRecordedError(tuple(given_up), list(given_up.values())[-1])
