"""An executor of `concurrent.futures` whose calls are operations of a registry."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future, InvalidStateError
from functools import partial
from typing import Generic, ParamSpec, TypeVar

import attrs
from opslifecycle import AsyncRegistry, Cancelled, Completed, OpsLifecycleError, Registry
from opslifecycle.locks import hold, owned_lock
from opslifecycle.work.arguments import name_of
from opslifecycle.work.errors import OperationEndedError
from opslifecycle.work.supervisor import Supervisor
from opslifecycle.work.threads import ThreadOperation, ThreadSupervisor

P = ParamSpec("P")
T = TypeVar("T")


class OperationFuture(Future[T]):
    """The future of a call that is an operation, which is done once its end is recorded."""

    def __init__(self) -> None:
        super().__init__()
        self._end_operation: Callable[[], object] = lambda: None

    def cancel(self) -> bool:
        """Cancel a call that has not begun, and its operation; return whether it is cancelled."""
        is_new = not self.cancelled()
        if not super().cancel():
            return False
        if is_new:
            self._end_operation()
        return True


@attrs.define
class _Call(Generic[T]):
    """One call: its function, its future, and how the function has ended."""

    function: Callable[[], T]
    records_results: bool
    future: OperationFuture[T] = attrs.field(factory=OperationFuture)
    values: list[T] = attrs.field(factory=list)
    error: BaseException | None = None
    has_begun: bool = False

    def run(self) -> T | None:
        """Run the function in a thread; return the value to be recorded."""
        if not self._begin():
            raise CancelledError
        try:
            value = self.function()
        except BaseException as error:
            self.error = error
            raise
        self.values.append(value)
        return value if self.records_results else None

    def _begin(self) -> bool:
        """Return whether the future runs; the waiters of a cancelled one are notified once."""
        if self.future.running():
            return True
        if self.has_begun:
            return False
        self.has_begun = True
        return self.future.set_running_or_notify_cancel()

    def end(self, operation: ThreadOperation) -> None:
        """Set the result of the future when the end is recorded. Called in any thread."""
        try:
            # A wait may call back more than once.
            if not self._begin():
                return
            error = self._error_of(operation)
            if error is None:
                self.future.set_result(self.values[0])
            else:
                self.future.set_exception(error)
        except InvalidStateError:
            # Another thread was called back at the same time.
            return

    def _error_of(self, operation: ThreadOperation) -> BaseException | None:
        try:
            outcome = operation.result(0)
        except OpsLifecycleError as error:
            return self.error or error
        if isinstance(outcome, Completed) and self.values:
            return None
        if isinstance(outcome, Cancelled):
            return CancelledError()
        return self.error or OperationEndedError(outcome)


class OperationExecutor(Executor):
    """An executor whose calls are operations of a registry of the shipped machine.

    Functions run in threads, with `current()`. `submit` returns once the operation is durable.

    Args:
        registry: Where the operations are recorded. It stays open.
        max_workers: How many functions run at once; by default as many as a ThreadPoolExecutor.
        records_results: Whether results are recorded, as text or JSON. A result that cannot be
            stored is then a failure. Otherwise a call may return anything.
        source: The `source_label` of the operations.
    """

    def __init__(
        self,
        registry: AsyncRegistry | Registry,
        max_workers: int | None = None,
        *,
        records_results: bool = False,
        source: str = "executor",
    ) -> None:
        if max_workers is None:
            max_workers = min(32, (os.cpu_count() or 1) + 4)
        self._supervisor = Supervisor(registry, max_running=max_workers, source=source)
        self._records_results = records_results
        self._lock = owned_lock()
        self._pending: set[Future[object]] = set()
        self._closing: threading.Thread | None = None

    def _open(self) -> ThreadSupervisor:
        """Return the supervisor for threads, which the first call opens; called with the lock.

        The constructor starts nothing: an interrupt at its end would leave it running.
        """
        if self._closing is not None:
            raise RuntimeError("cannot schedule new futures after shutdown")
        supervisor = self._supervisor
        # An interrupt may have come between its opening and its being known here.
        threads = supervisor._threads if supervisor._block is not None else None
        return supervisor.__enter__() if threads is None else threads

    def submit(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> OperationFuture[T]:
        """Register an operation that calls a function, and return its future.

        Raises:
            RuntimeError: The executor is shut down.
            PersistenceError: The operation could not be registered.
        """
        threads = hold(self._lock, self._open)
        call = _Call(partial(fn, *args, **kwargs), self._records_results)
        operation = threads.start(call.run, name=name_of(fn))
        call.future._end_operation = lambda: threads._submit(
            operation._operation.cancel("its future was cancelled")
        )
        self._note(call.future)
        operation._operation._watch.add_done_callback(lambda: call.end(operation))
        return call.future

    def _note(self, future: Future[T]) -> None:
        noted: Future[object] = future  # type: ignore[assignment]
        hold(self._lock, self._pending.add, noted)
        # Nothing of ours, because a future ignores what a callback raises.
        noted.add_done_callback(self._pending.discard)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Refuse further calls, and end once all operations have ended.

        Args:
            wait: Whether to block until then.
            cancel_futures: Whether to cancel calls that have not begun.
        """
        closing = hold(self._lock, self._refuse_calls)
        if cancel_futures:
            for future in hold(self._lock, lambda: [*self._pending]):
                future.cancel()
        hold(self._lock, _start, closing)
        if wait:
            closing.join()

    def _refuse_calls(self) -> threading.Thread:
        if self._closing is None:
            self._closing = threading.Thread(target=self._close)
        return self._closing

    def _close(self) -> None:
        if self._supervisor._threads is not None:
            self._supervisor.__exit__(None, None, None)


def _start(thread: threading.Thread) -> None:
    """Start a thread once, also if the call that made it was interrupted before."""
    if thread.ident is None:
        thread.start()
