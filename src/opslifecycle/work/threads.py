"""The supervisor for threads: its calls block, and an event loop runs in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
)
from concurrent.futures import CancelledError, Future
from functools import partial
from queue import Empty, SimpleQueue
from types import AsyncGeneratorType, TracebackType
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeAlias, TypeVar, cast

from opslifecycle import (
    OperationKind,
    OperationProgressUpdate,
    SessionId,
)
from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.errors import EventLoopBlockedError
from opslifecycle.values.identifiers import AnyIdentifier
from opslifecycle.work.answers import CancelAnswer
from opslifecycle.work.errors import SupervisorClosedError
from opslifecycle.work.job import Function, Process
from opslifecycle.work.machines import IdT, OutcomeT, ResultsT
from opslifecycle.work.operation import Operation
from opslifecycle.work.retry import Retry
from opslifecycle.work.stored_calls import Json, OnInterrupted, end_as_failed

if TYPE_CHECKING:
    from opslifecycle.work.supervisor import Supervisor

T = TypeVar("T")
#: How a block ends, as `__exit__` gets it.
_BlockEnd: TypeAlias = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


class _Caller(Protocol):
    """What a handle needs of its supervisor."""

    def _call(self, coroutine: Coroutine[object, None, T]) -> T: ...


class ThreadOperation(Generic[IdT, OutcomeT]):
    """An operation, for threads; otherwise as `Operation`."""

    __slots__ = ("_operation", "_threads", "id")

    def __init__(self, threads: _Caller, operation: Operation[IdT, OutcomeT]) -> None:
        self.id = operation.id
        self._threads = threads
        self._operation = operation

    def done(self) -> bool:
        """Return whether the operation has ended."""
        return self._operation.done()

    def timed_out(self) -> bool:
        """Return whether the operation has ended because its timeout had passed."""
        return self._operation.timed_out()

    def result(self, timeout: float | None = None) -> OutcomeT:
        """Block until the operation has ended, and return its outcome.

        Raises:
            TimeoutError: The timeout has passed. The operation continues.
            ChannelClosedError: The registry was closed first, or the record was rolled back.
        """
        return cast("OutcomeT", self._operation._watch.result(timeout))

    def cancel(
        self, reason: str | None = None, *, grace: float | None = None
    ) -> CancelAnswer[OutcomeT]:
        """End the work and the record together, and return once both have ended."""
        return self._threads._call(self._operation.cancel(reason, grace=grace))

    def progress(self) -> Iterator[OperationProgressUpdate]:
        """Iterate over the progress of the work until it ends; a slow reader skips reports."""
        updates = self._operation.progress()
        try:
            while (update := self._threads._call(_next_of(updates))) is not None:
                yield update
        finally:
            self._threads._call(_close(updates))

    def __repr__(self) -> str:
        return f"<Thread{repr(self._operation)[1:]}"


async def _next_of(updates: AsyncIterator[T]) -> T | None:
    return await anext(updates, None)


async def _close(updates: AsyncGenerator[object, None]) -> None:
    while isinstance(updates, AsyncGeneratorType) and updates.ag_running:
        # The caller of `__anext__` was interrupted, and its cancellation has not arrived yet.
        await asyncio.sleep(0)
    await updates.aclose()


class ThreadSupervisor(Generic[IdT, OutcomeT, ResultsT]):
    """The supervisor for threads that `with Supervisor(...) as work:` returns.

    Functions run in threads, coroutine functions in the loop of the supervisor's own thread. Every
    method can be called in any thread, except in that loop.
    """

    def __init__(self, supervisor: Supervisor[IdT, OutcomeT, ResultsT]) -> None:
        self._supervisor = supervisor
        self._loop = asyncio.new_event_loop()
        # Whether the supervisor is open in the loop.
        self._is_open = False
        self._leaving: asyncio.Task[None] | None = None
        self._exit: BaseException | None = None
        # Done once the loop is closed, with the error of the block.
        self._over: Future[None] = Future()
        # Calls that have not returned.
        self._calls: dict[Future[object], None] = {}
        # Which thread closes the loop: the first that asks.
        self._closer: dict[str, str] = {}
        self._thread = threading.Thread(
            target=self._serve, name="opslifecycle-supervisor", daemon=True
        )

    # The block, which the supervisor begins and ends. An exception may interrupt both calls between
    # any two bytecodes, and a second call of `close` ends what is left.

    def open(self) -> None:
        """Start the thread and open the supervisor in it."""
        self._thread.start()
        self._call(self._enter())

    def close(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the supervisor. An interrupt cancels the work and is raised once it has ended."""
        block_end = (kind, error, traceback)
        interrupt: BaseException | None = None
        try:
            self._ask_to_leave(block_end)
            self._over.exception()
        except BaseException as raised:
            interrupt = raised
        while interrupt is not None and not self._over.done():
            try:
                self._ask_to_leave(block_end)
                self._loop_soon(self._cancel_all, "the supervisor's block was interrupted")
                self._over.exception()
            except BaseException as raised:
                interrupt = raised
        if interrupt is not None:
            raise interrupt
        if self._exit is not None and kind is None:
            raise self._exit
        self._over.result()

    async def _enter(self) -> None:
        await self._supervisor.__aenter__()
        self._is_open = True

    def _ask_to_leave(self, block_end: _BlockEnd) -> None:
        if self._closer.setdefault("thread", "caller") == "caller":
            # The thread has not begun, and closes nothing any more.
            self._conclude()
        self._loop_soon(self._leave_soon, block_end)

    def _loop_soon(self, call: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            # A closed loop has left.
            if not self._loop.is_closed():
                raise

    def _leave_soon(self, block_end: _BlockEnd) -> None:
        if self._leaving is None:
            self._leaving = self._loop.create_task(self._leave(block_end))

    async def _leave(self, block_end: _BlockEnd) -> None:
        try:
            if self._is_open:
                await self._supervisor.__aexit__(*block_end)
        finally:
            self._loop.stop()

    def _cancel_all(self, reason: str) -> None:
        if self._is_open:
            self._supervisor._cancel_all(reason)

    def _serve(self) -> None:
        if self._closer.setdefault("thread", "own") != "own":
            return
        while self._leaving is None or not self._leaving.done():
            try:
                self._loop.run_forever()
            except (KeyboardInterrupt, SystemExit) as error:
                # A coroutine has raised it, and `close` raises it in the thread of the block.
                self._exit = error
                self._cancel_all(f"other work raised {type(error).__name__}")
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._conclude()

    def _conclude(self) -> None:
        self._loop.close()
        for calling in list(self._calls):
            # A closed loop does not run what came too late.
            calling.cancel()
        if self._over.done():
            return
        error = None if self._leaving is None else self._leaving.exception()
        if error is None:
            self._over.set_result(None)
        else:
            self._over.set_exception(error)

    # Calls --------------------------------------------------------------------------------------

    def start(
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
    ) -> ThreadOperation[IdT, OutcomeT]:
        """Register an operation that runs `work` once there is room; see `Supervisor.start`."""
        starting = self._supervisor.start(
            work,
            *arguments,
            name=name,
            key=key,
            on_interrupt=on_interrupt,
            timeout=timeout,
            retry=retry,
            priority=priority,
            owner=owner,
            kind=kind,
            given=given,
            metadata=metadata,
        )
        return ThreadOperation(self, self._call(starting))

    def recover(
        self,
        functions: Mapping[str, Function],
        *,
        on_interrupted: OnInterrupted = end_as_failed,
    ) -> list[ThreadOperation[IdT, OutcomeT]]:
        """Store the calls of some functions, and take up those of earlier processes.

        See `Supervisor.recover`. `on_interrupted` is called in the supervisor's thread.
        """
        found = self._call(self._supervisor.recover(functions, on_interrupted=on_interrupted))
        return [ThreadOperation(self, each) for each in found]

    def cancel(
        self, id: IdT, reason: str | None = None, *, grace: float | None = None
    ) -> CancelAnswer[OutcomeT]:
        """End an operation, and its work if this supervisor runs it."""
        return self._call(self._supervisor.cancel(id, reason, grace=grace))

    def gather(
        self,
        operations: Iterable[ThreadOperation[IdT, OutcomeT]],
        *,
        run_id: AnyIdentifier | None = None,
        timeout: float | None = None,
    ) -> ResultsT:
        """Wait until all of the operations have ended, through a barrier of the registry.

        Raises:
            TimeoutError: The timeout has passed. The barrier is given up.
        """
        ids = [operation.id for operation in operations]
        return self._supervisor._lifecycle.wait_all(run_id, ids).result(timeout)

    def as_completed(
        self, operations: Iterable[ThreadOperation[IdT, OutcomeT]], *, timeout: float | None = None
    ) -> Iterator[ThreadOperation[IdT, OutcomeT]]:
        """Iterate over operations as they end, each once.

        Args:
            operations: The operations.
            timeout: The seconds that all of them may take together; None for no limit.

        Raises:
            TimeoutError: The timeout has passed. The operations continue.
        """
        pending = dict.fromkeys(operations)
        ended: SimpleQueue[ThreadOperation[IdT, OutcomeT]] = SimpleQueue()
        end_ms = None if timeout is None else SYSTEM_CLOCK.monotonic_ms() + timeout * 1000
        for each in list(pending):
            each._operation._watch.add_done_callback(partial(ended.put, each))
        while pending:
            left = None
            if end_ms is not None:
                left = max(0.0, (end_ms - SYSTEM_CLOCK.monotonic_ms()) / 1000)
            try:
                operation = ended.get(timeout=left)
            except Empty:
                raise TimeoutError from None
            # A watch may call back more than once.
            if operation in pending:
                del pending[operation]
                yield operation

    def _call(self, coroutine: Coroutine[object, None, T]) -> T:
        """Run a coroutine in the loop, and block until it has ended."""
        calling = self._submit(coroutine)
        noted = cast("Future[object]", calling)
        try:
            self._calls[noted] = None
            if self._loop.is_closed():
                calling.cancel()
            return calling.result()
        except CancelledError:
            if self._loop.is_closed():
                raise SupervisorClosedError from None
            raise
        except BaseException:
            # This thread was interrupted. If the coroutine has raised, this has no effect.
            calling.cancel()
            raise
        finally:
            self._calls.pop(noted, None)

    def _submit(self, coroutine: Coroutine[object, None, T]) -> Future[T]:
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise EventLoopBlockedError
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:
            coroutine.close()
            if not self._loop.is_closed():
                raise
            raise SupervisorClosedError from None
