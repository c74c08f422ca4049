"""Runs work under a registry, from an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Executor
from types import TracebackType
from typing import Any, Literal, Self

from opslifecycle import (
    AsyncRegistry,
    ChannelClosedError,
    OperationId,
    OperationKind,
    OperationNotFoundError,
    Registry,
    RunId,
    SessionId,
    WaitAllResult,
)
from opslifecycle.work.arguments import check_options, check_start, name_of, seconds, work_of
from opslifecycle.work.cancelling import unbroken
from opslifecycle.work.ends import Cancel, describe
from opslifecycle.work.errors import SupervisorClosedError, WorkNotRecordedError
from opslifecycle.work.job import Job, Phase, Process
from opslifecycle.work.lifecycle import Label, OperationLifecycle
from opslifecycle.work.operation import CancelAnswer, Operation, cancel_record
from opslifecycle.work.progress import Progress
from opslifecycle.work.queue import FairQueue
from opslifecycle.work.recorder import Recorder
from opslifecycle.work.retry import ONCE, Retry
from opslifecycle.work.runner import Runner
from opslifecycle.work.threads import ThreadSupervisor
from opslifecycle.work.waiting import as_completed

#: The default of `result_characters_max`.
RESULT_CHARACTERS_MAX = 1_000_000
_BLOCK_ENDED = "the supervisor's block has ended"
_ERASED = "its record was erased, or the registry was closed"


class Supervisor:
    """Runs coroutines, functions and processes, and records in a registry how each ends.

    Use it as `async with Supervisor(...) as work:`. In threads, `with Supervisor(...) as work:`
    gives a `ThreadSupervisor`. Every operation that it starts has ended when the block ends, in
    the registry and in fact.

    Args:
        registry: Where the operations are recorded. It stays open.
        max_running: How many operations run at once; more wait. None for no limit.
        on_exit: What a block that ends normally does with operations that have not ended: wait for
            them, or cancel them. A block that ends with an exception always cancels them.
        owner: The session that owns operations for which `start` has no owner.
        source: The `source_label` of the operations.
        executor: Where functions run; None for threads of the supervisor's own. It stays open.
        result_characters_max: The longest result to be recorded; a longer one is a failure.
        store_patience_seconds: How long a store may refuse to record the end of an operation.
    """

    def __init__(
        self,
        registry: AsyncRegistry | Registry,
        *,
        max_running: int | None = None,
        on_exit: Literal["wait", "cancel"] = "wait",
        owner: SessionId | None = None,
        source: str = "supervisor",
        executor: Executor | None = None,
        result_characters_max: int = RESULT_CHARACTERS_MAX,
        store_patience_seconds: float = 30.0,
    ) -> None:
        check_options(max_running, on_exit)
        self._lifecycle = OperationLifecycle(registry)
        self._max_running = max_running
        self._on_exit = on_exit
        self._owner = owner or SessionId.new()
        self._source = source
        self._executor = executor
        self._characters_max = result_characters_max
        self._recorder = Recorder(self._lifecycle, store_patience_seconds)
        # Those below exist while the block runs.
        self._loop: asyncio.AbstractEventLoop
        self._threads: ThreadSupervisor
        self._progress: Progress
        self._runner: Runner
        self._is_open = False
        self._end_reason = _BLOCK_ENDED
        # Every job whose task has not ended, which keeps the task from being collected.
        self._unended: set[Job] = set()
        # The latest job of each id. A collected key may have another while the first one ends.
        self._jobs: dict[OperationId, Job] = {}
        self._queue: FairQueue[Job] = FairQueue()
        self._running = 0
        # Calls of `start` that have not returned; those with a key can be waited for.
        self._starting = 0
        self._keys: dict[OperationId, asyncio.Future[None]] = {}
        self._changed: asyncio.Event

    # The block ----------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._is_open or self._unended:
            raise SupervisorClosedError
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._progress = Progress(self._lifecycle)
        self._runner = Runner(
            self._lifecycle, self._recorder, self._progress, self._executor, self._characters_max
        )
        self._is_open = True
        self._end_reason = _BLOCK_ENDED
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        cancelled = False
        if kind is not None or self._on_exit == "cancel":
            self._cancel_all(_BLOCK_ENDED)
        while self._unended or self._starting:
            self._changed.clear()
            try:
                await self._changed.wait()
            except asyncio.CancelledError:
                cancelled = True
                self._cancel_all("the supervisor was cancelled", insist=True)
        self._is_open = False
        await self._progress.close()
        self._runner.close()
        self._lifecycle.close()
        if cancelled:
            raise asyncio.CancelledError
        given_up = self._recorder.given_up
        if given_up and kind is None:
            raise WorkNotRecordedError(tuple(given_up), list(given_up.values())[-1])

    def __enter__(self) -> ThreadSupervisor:
        threads = ThreadSupervisor(self)
        threads.open()
        self._threads = threads
        return threads

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._threads.close(kind, error, traceback)

    def _cancel_all(self, reason: str, *, insist: bool = False) -> None:
        self._is_open = False
        self._end_reason = reason
        for job in list(self._unended):
            self._cancel_job(job, reason, insist=insist)

    # Starting -----------------------------------------------------------------------------------

    async def start(
        self,
        work: Callable[..., Any] | Process | list[str] | tuple[str, ...],
        *arguments: Any,
        name: str | None = None,
        key: str | None = None,
        timeout: float | None = None,
        retry: Retry | None = None,
        priority: int = 0,
        owner: SessionId | None = None,
        kind: OperationKind = OperationKind.BACKGROUND_TOOL_OP,
    ) -> Operation:
        """Register an operation that runs `work` once there is room, and return its handle.

        Args:
            work: A coroutine function, another callable (it runs in a thread or in the executor),
                or a program as a list of texts or a `Process`.
            arguments: Those of the function; use `functools.partial` for keyword arguments.
            name: The operation's `display_name`; by default the name of the function or program.
            key: An idempotency key. If the registry holds an operation of this key, finished or
                not, that one is returned and nothing is started.
            timeout: How many seconds one attempt may take, without the time in the queue.
            retry: Whether and when failed work is tried again.
            priority: Higher ones start first. Among equals, owners take turns.
            owner: The session that owns the operation.
            kind: The operation's kind.

        Raises:
            MaxConcurrentExceededError: The registry's own limit refuses the operation.
            InvalidValueError: An argument is not of its type.
            SupervisorClosedError: The block has not begun or is being cancelled.
            CancelledError: This call was cancelled; nothing was started or will be.
        """
        self._check_open()
        check_start(key, priority, retry)
        label = Label(name or name_of(work), owner or self._owner, kind, self._source)
        job = Job(
            id=self._lifecycle.id_of(key),
            label=label,
            work=work_of(work, arguments),
            arguments=arguments,
            timeout_seconds=seconds("timeout", timeout),
            retry=retry or ONCE,
            priority=priority,
        )
        self._starting += 1
        try:
            if key is None:
                await self._register(job)
                return Operation(self, job.id, job.watch, job)
            return await self._start_once(job)
        finally:
            self._starting -= 1
            self._changed.set()

    async def _start_once(self, job: Job) -> Operation:
        """Start a job with a key, or find the operation that the key has already."""
        id = job.id
        while True:
            earlier = self._keys.get(id)
            if earlier is not None:
                # Another call of `start` is registering it, and may fail or be cancelled.
                await asyncio.wait([earlier])
                continue
            found = self._find(id)
            if found is not None:
                return found
            self._check_open()
            self._keys[id] = self._loop.create_future()
            try:
                await self._register_key(job)
                return Operation(self, id, job.watch, job)
            except self._lifecycle.taken:
                # Another supervisor of the registry was faster.
                continue
            finally:
                self._keys.pop(id).set_result(None)

    def _find(self, id: OperationId) -> Operation | None:
        job = self._jobs.get(id)
        if job is not None and not job.watch.done():
            return Operation(self, id, job.watch, job)
        # What has ended may be collected already, while its task is about to end.
        try:
            return Operation(self, id, self._lifecycle.watch(id), None)
        except OperationNotFoundError:
            return None

    async def _register(self, job: Job) -> None:
        try:
            await self._lifecycle.register(job.id, job.label)
        except asyncio.CancelledError:
            # Whether it was registered is unknown; no other caller has its id.
            await self._discard(job)
            raise
        self._enqueue(job)

    async def _register_key(self, job: Job) -> None:
        # To its end, because the id may be of another supervisor: only what this call has
        # registered may be erased.
        registering = asyncio.ensure_future(self._lifecycle.register(job.id, job.label))
        try:
            await unbroken(registering)
        except asyncio.CancelledError:
            # Registering itself is cancelled only when the loop shuts down.
            if not registering.cancelled() and registering.exception() is None:
                await self._discard(job)
            raise
        self._enqueue(job)

    async def _discard(self, job: Job) -> None:
        """Erase an operation whose handle no caller receives."""
        await self._recorder.record(job, self._lifecycle.discard, job.id)

    def _enqueue(self, job: Job) -> None:
        job.watch = self._lifecycle.watch(job.id)
        self._jobs[job.id] = job
        self._unended.add(job)
        self._queue.add(job)
        job.watch.add_done_callback(lambda: self._record_ended(job))
        if not self._is_open:
            # The block began to end meanwhile.
            self._cancel_job(job, self._end_reason)
        self._dispatch()

    def _check_open(self) -> None:
        if not self._is_open:
            raise SupervisorClosedError

    # Running ------------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        """Start the jobs for which there is room."""
        while self._max_running is None or self._running < self._max_running:
            job = self._queue.take()
            if job is None:
                return
            self._running += 1
            job.phase = Phase.STARTING
            self._spawn(job, self._runner.run(job), has_slot=True)

    def _spawn(self, job: Job, steps: Any, *, has_slot: bool) -> None:
        if self._loop.is_closed():
            # Nothing runs there any more; the next process recovers the record as interrupted.
            steps.close()
            return
        task = self._loop.create_task(steps, context=job.context)
        job.task = task
        task.add_done_callback(lambda _: self._task_ended(job, has_slot))

    def _task_ended(self, job: Job, has_slot: bool) -> None:
        task = job.task
        assert task is not None
        error = None if task.cancelled() else task.exception()
        if job.phase is not Phase.ENDED:
            if error is None:
                # Cancelled before its first step, when its loop is shut down for instance.
                steps = self._runner.record_end(job, Cancel("its task was cancelled"))
                self._spawn(job, steps, has_slot=has_slot)
                return
            self._recorder.given_up[str(job.id)] = describe(error).partition("\n")[0]
            job.phase = Phase.ENDED
        if has_slot:
            self._running -= 1
        self._unended.discard(job)
        if self._jobs.get(job.id) is job:
            del self._jobs[job.id]
        job.wake_listeners()
        self._changed.set()
        self._dispatch()

    # Ending -------------------------------------------------------------------------------------

    def _cancel_job(self, job: Job, reason: str | None, *, insist: bool = False) -> None:
        if self._queue.remove(job):
            job.cancel_requested, job.cancel_reason = True, reason
            job.phase = Phase.RECORDING
            self._spawn(job, self._runner.record_end(job, Cancel(reason)), has_slot=False)
        else:
            job.cancel(reason, insist=insist)

    def _record_ended(self, job: Job) -> None:
        """Note that a record has ended. Called in any thread."""
        if job.phase in (Phase.RECORDING, Phase.ENDED):
            return
        try:
            self._loop.call_soon_threadsafe(self._stop_without_record, job)
        except RuntimeError:
            # A closed loop runs no work any more.
            if not self._loop.is_closed():
                raise

    def _stop_without_record(self, job: Job) -> None:
        """End work whose record another caller has ended, or erased."""
        if job.phase in (Phase.RECORDING, Phase.ENDED):
            return
        try:
            job.watch.value()
        except ChannelClosedError:
            # Erased, or the registry was closed; recording the end shows which.
            self._cancel_job(job, _ERASED)
            return
        job.record_is_over = True
        self._cancel_job(job, None)

    async def cancel(self, id: OperationId, reason: str | None = None) -> CancelAnswer:
        """End an operation, and its work if this supervisor runs it; see `Operation.cancel`."""
        job = self._jobs.get(id)
        if job is not None and job.phase is not Phase.ENDED:
            return await Operation(self, id, job.watch, job).cancel(reason)
        return await cancel_record(self._lifecycle, id, reason)

    # Waiting ------------------------------------------------------------------------------------

    async def gather(
        self, operations: Iterable[Operation], *, run_id: RunId | None = None
    ) -> WaitAllResult:
        """Wait until all of the operations have ended, through a barrier of the registry.

        Args:
            operations: Each at most once.
            run_id: The run that waits; the registry allows it one barrier at a time.

        Returns:
            The outcomes in the order asked, and the registry's token that all have ended.
        """
        ids = [operation.id for operation in operations]
        return await self._lifecycle.wait_all(run_id or RunId.new(), ids)

    def as_completed(self, operations: Iterable[Operation]) -> AsyncIterator[Operation]:
        """Iterate over operations as they end, in the order in which they do."""
        return as_completed(operations)
