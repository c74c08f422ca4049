"""The supervisor, which runs work under a registry from an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from concurrent.futures import Executor
from types import TracebackType
from typing import Generic, Literal, Self, cast

from opslifecycle import (
    OperationKind,
    SessionId,
)
from opslifecycle.values.identifiers import AnyIdentifier
from opslifecycle.work.answers import CancelAnswer, cancel_record
from opslifecycle.work.arguments import (
    check_event_loop,
    check_given,
    check_options,
    check_start,
    name_of,
    seconds,
    work_of,
)
from opslifecycle.work.attempts import runs_in_loop
from opslifecycle.work.block import Block
from opslifecycle.work.errors import SupervisorClosedError
from opslifecycle.work.job import Function, Job, Process
from opslifecycle.work.lifecycle import AnyLifecycle, Label, Lifecycle
from opslifecycle.work.machines import IdT, OutcomeT, ResultsT, WorkRegistry
from opslifecycle.work.operation import Operation
from opslifecycle.work.retry import ONCE, Retry
from opslifecycle.work.stored_calls import Json, OnInterrupted, end_as_failed
from opslifecycle.work.threads import ThreadSupervisor
from opslifecycle.work.waiting import as_completed

#: The default of `result_characters_max`.
RESULT_CHARACTERS_MAX = 1_000_000
#: How often an interrupted operation of a key is started again: what ends its process each time
#: does not do so for ever.
REQUEUES_MAX = 15


class Supervisor(Generic[IdT, OutcomeT, ResultsT]):
    """A runner of coroutines, functions and processes, which records their outcomes in a registry.

    Use it as `async with Supervisor(...) as work:`. In threads, `with Supervisor(...) as work:`
    returns a `ThreadSupervisor`. When the block ends, all work that it has started has ended, and
    so have the operations in the registry.

    Args:
        registry: The registry of the operations, of either kind. Its machine declares `work`, as
            the shipped machine does. It stays open.
        max_running: How many operations run at once; the others wait. None for no limit.
        on_exit: `wait` if a block that ends normally waits for its operations, `cancel` if it
            cancels them. A block that ends with an exception always cancels them.
        owner: The session that owns operations for which `start` has no owner.
        source: The `source_label` of the operations.
        executor: The executor of functions; None for threads of the supervisor. It stays open.
        result_characters_max: The maximum length of a result; a longer one is a failure.
        store_patience_seconds: How long recording the end of an operation is repeated if the store
            refuses it.
    """

    def __init__(
        self,
        registry: WorkRegistry[IdT, OutcomeT, ResultsT],
        *,
        max_running: int | None = None,
        on_exit: Literal["wait", "cancel"] = "wait",
        owner: SessionId | None = None,
        source: str = "supervisor",
        executor: Executor | None = None,
        result_characters_max: int = RESULT_CHARACTERS_MAX,
        store_patience_seconds: float = 30.0,
    ) -> None:
        check_options(max_running, on_exit, store_patience_seconds)
        self._lifecycle = Lifecycle(registry)
        self._max_running = max_running
        self._on_exit = on_exit
        self._owner = owner or SessionId.new()
        self._source = source
        self._executor = executor
        self._characters_max = result_characters_max
        self._patience_seconds = store_patience_seconds
        # The fields of each kind of operation for which a call of `start` passes none.
        self._usual: dict[OperationKind, Mapping[str, object]] = {}
        self._block: Block | None = None
        self._threads: ThreadSupervisor[IdT, OutcomeT, ResultsT] | None = None

    # The block ----------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._check_unused()
        check_event_loop()
        try:
            self._block = Block(
                cast(AnyLifecycle, self._lifecycle),
                self._executor,
                self._max_running,
                self._characters_max,
                self._patience_seconds,
            )
            return self
        except BaseException:
            self._block = None
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        block = self._opened()
        if kind is GeneratorExit and asyncio._get_running_loop() is None:
            # The coroutine was thrown away with its loop, and nothing can be awaited.
            self._block = None
            return
        try:
            await block.end(cancelling=kind is not None or self._on_exit == "cancel")
            self._block = None
        except GeneratorExit:
            # The loop is closed, and nothing can be awaited.
            self._block = None
            raise
        except BaseException:
            # It has ended, unless its first bytecodes were interrupted.
            await block.end(cancelling=True)
            self._block = None
            raise
        if kind is None:
            block.raise_if_unrecorded()

    def __enter__(self) -> ThreadSupervisor[IdT, OutcomeT, ResultsT]:
        self._check_unused()
        if self._block is not None and self._threads is not None:
            self._threads.close(None, None, None)
        # Known before it is opened, so that an interrupted opening can be closed.
        threads = self._threads = ThreadSupervisor(self)
        try:
            threads.open()
        except BaseException as error:
            threads.close(type(error), error, error.__traceback__)
            raise
        return threads

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        threads = self._threads
        assert threads is not None
        threads.close(kind, error, traceback)

    def _cancel_all(self, reason: str) -> None:
        if self._block is not None:
            self._block.jobs.cancel_all(reason)

    def _check_unused(self) -> None:
        """Refuse to begin a block within another one.

        One that nothing has used may have no statement: an interrupt came when `__aenter__` or
        `__enter__` had done its work, and Python calls no `__aexit__` then. It is replaced.
        """
        if self._block is not None and self._block.is_used:
            raise SupervisorClosedError

    def _opened(self) -> Block:
        if self._block is None:
            raise SupervisorClosedError
        self._block.is_used = True
        return self._block

    # Starting -----------------------------------------------------------------------------------

    async def start(
        self,
        work: Function | Process | list[str] | tuple[str, ...],
        *arguments: object,
        name: str | None = None,
        key: str | None = None,
        on_interrupt: Literal["return", "requeue"] = "return",
        timeout: float | None = None,
        retry: Retry | None = None,
        priority: int = 0,
        owner: SessionId | None = None,
        kind: OperationKind = OperationKind.BACKGROUND_TOOL_OP,
        given: Mapping[str, object] | None = None,
        metadata: Mapping[str, Json] | None = None,
    ) -> Operation[IdT, OutcomeT]:
        """Register an operation that runs `work` once there is room, and return its handle.

        Args:
            work: A coroutine function, another callable (it runs in a thread or in the executor),
                or a program as a list of texts or a `Process`.
            arguments: The arguments of the function; use `functools.partial` for keyword arguments.
            name: The operation's `display_name`; by default the name of the function or program.
            key: An idempotency key. If the registry has an operation with this key, finished or
                not, that one is returned and nothing is started.
            on_interrupt: What to return for an operation of the key whose process ended before it
                did: `return` the recovered operation, or `requeue` it.
            timeout: The seconds that one attempt may take, without the time in the queue.
            retry: The rule for repeated attempts; None for a single one.
            priority: Work with a higher one starts first. Among equals, owners take turns.
            owner: The session that owns the operation.
            kind: The operation's kind.
            given: For a machine of your own, the parameters under `work: given`.
            metadata: What is stored with the call of a function that `recover` was given.

        Raises:
            MaxConcurrentExceededError: The registry's own limit refuses the operation.
            InvalidValueError: An argument is not of its type.
            SupervisorClosedError: The block has not begun or is being cancelled.
            CancelledError: This call was cancelled; nothing is started.
        """
        block = self._opened()
        block.jobs.check_open()
        check_start(key, on_interrupt, priority, retry)
        checked = work_of(work, arguments)
        id = self._id_of(block, key, requeues=on_interrupt == "requeue")
        job = Job(
            id=id,
            label=self._label(name or name_of(work), owner, kind, given),
            work=checked,
            arguments=arguments,
            timeout_seconds=None if timeout is None else seconds("timeout", timeout),
            retry=retry or ONCE,
            priority=priority,
            runs_in_loop=runs_in_loop(checked),
        )
        block.recovering.store(job, metadata)
        registering = block.registering
        register = registering.register if key is None else registering.register_once
        watch, found = await register(job)
        return Operation(block.jobs, id, watch, found)

    async def recover(
        self,
        functions: Mapping[str, Function],
        *,
        on_interrupted: OnInterrupted = end_as_failed,
    ) -> list[Operation[IdT, OutcomeT]]:
        """Store the calls of some functions from now on, and take up those of earlier processes.

        An operation that calls one of the functions survives the end of its process: it stays
        live, and is not recovered as terminated. If it was waiting for a place, it waits again. If
        its work had begun, `on_interrupted` decides; until `recover` is called, it stays as it is.

        Args:
            functions: The functions, by the names under which their calls are stored. Keep the
                names: later processes find the functions by them.
            on_interrupted: Decides on each operation whose work had begun: `EndAsFailed`,
                `StartAgain` or `Adopt`. By default it ends as failed.

        Returns:
            The operations of earlier processes that call one of the functions.

        Raises:
            UnsupportedError: The machine stores no calls (`work: call`).
            InvalidValueError: A name, a function or a decision is not of its type.
        """
        block = self._opened()
        block.jobs.check_open()
        jobs = block.recovering.recover(functions, on_interrupted)
        return [Operation(block.jobs, cast(IdT, job.id), job.watch, job) for job in jobs]

    def _id_of(self, block: Block, key: str | None, *, requeues: bool) -> IdT:
        """Return the id of the operation that a key finds, or of the one that is to be started."""
        lifecycle = self._lifecycle
        if key is None:
            return lifecycle.new_id()
        if not requeues:
            return lifecycle.id_of(key)
        for number in range(REQUEUES_MAX + 1, 0, -1):
            id = lifecycle.id_of(key, number)
            watch = lifecycle.find(id)
            if watch is None:
                continue
            # Work of this process whose record was ended by force may be cleaning up.
            is_over = lifecycle.is_interrupted(watch) and block.jobs.find(id) is None
            return lifecycle.id_of(key, number + 1) if is_over and number <= REQUEUES_MAX else id
        return lifecycle.id_of(key)

    def _label(
        self,
        name: str,
        owner: SessionId | None,
        kind: OperationKind,
        given: Mapping[str, object] | None,
    ) -> Label:
        """Return the label of a record; owner and kind go to machines that declare them so."""
        if owner is None and given is None:
            usual = self._usual.get(kind)
            if usual is None:
                usual = self._usual[kind] = self._given(self._owner, kind, {})
            return Label(name, self._source, self._owner, usual)
        owner = owner or self._owner
        return Label(name, self._source, owner, self._given(owner, kind, given or {}))

    def _given(
        self, owner: SessionId, kind: OperationKind, given: Mapping[str, object]
    ) -> Mapping[str, object]:
        declared = self._lifecycle.given
        whole = dict(given)
        for word, value in (("owner", owner), ("kind", kind)):
            if declared.get(word) is type(value):
                whole.setdefault(word, value)
        check_given(whole, declared)
        return whole

    async def cancel(
        self, id: IdT, reason: str | None = None, *, grace: float | None = None
    ) -> CancelAnswer[OutcomeT]:
        """End an operation, and its work if this supervisor runs it; see `Operation.cancel`."""
        grace_seconds = seconds("grace", grace)
        if self._block is None:
            return await cancel_record(self._lifecycle, id, reason)
        return cast("CancelAnswer[OutcomeT]", await self._block.jobs.end(id, reason, grace_seconds))

    # Waiting ------------------------------------------------------------------------------------

    async def gather(
        self, operations: Iterable[Operation[IdT, OutcomeT]], *, run_id: AnyIdentifier | None = None
    ) -> ResultsT:
        """Wait until all of the operations have ended, through a barrier of the registry.

        Args:
            operations: Each at most once.
            run_id: The run that waits (the key of the machine's barrier); the registry allows it
                one barrier at a time.

        Returns:
            The outcomes in the order asked, and the registry's token that all have ended.

        Raises:
            UnsupportedError: The machine declares no barrier.
        """
        ids = [operation.id for operation in operations]
        return await self._lifecycle.wait_all(run_id, ids)

    def as_completed(
        self, operations: Iterable[Operation[IdT, OutcomeT]]
    ) -> AsyncIterator[Operation[IdT, OutcomeT]]:
        """Iterate over operations as they end, in the order in which they do."""
        return as_completed(operations)
