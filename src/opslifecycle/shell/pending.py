"""Commands in the committer's queue, and their callers, which wait for the results."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, final

from opslifecycle.errors import OpsLifecycleError
from opslifecycle.shell.commands import (
    Command,
    Step,
    Together,
    in_its_arguments,
)

if TYPE_CHECKING:
    import asyncio


T = TypeVar("T")

_NONE = object()


@final
class ThreadWaiter(Generic[T]):
    """A thread that waits for the result of its command."""

    __slots__ = ("_answer", "_gate")

    def __init__(self) -> None:
        self._answer: Any = _NONE
        self._gate = threading.Lock()
        self._gate.acquire()

    def join(self) -> T:
        """Block until the result is set, also in an event loop; return it, or raise an error."""
        self._gate.acquire()
        if isinstance(self._answer, OpsLifecycleError):
            raise self._answer
        answer: T = self._answer
        return answer

    def set_result(self, answer: T | OpsLifecycleError) -> None:
        """Set the result and wake the thread. Further calls are harmless and change nothing."""
        if self._answer is _NONE:
            self._answer = answer
        try:
            self._gate.release()
        except RecursionError:
            raise
        except RuntimeError:
            # An earlier call has released it.
            pass


class ReadyResult(Generic[T]):
    """An awaitable whose result is known."""

    __slots__ = ("_answer",)

    def __init__(self, answer: T) -> None:
        self._answer = answer

    def __await__(self) -> Generator[None, None, T]:
        return self._answer
        yield


_running_loop: list[Callable[[], asyncio.AbstractEventLoop]] = []


def new_future() -> asyncio.Future[T]:
    """Return a future of the running loop. The first call imports asyncio."""
    if not _running_loop:
        import asyncio

        _running_loop.append(asyncio.get_running_loop)
    return _running_loop[0]().create_future()


_Future: TypeAlias = "asyncio.Future[object]"

#: The waiter for the result of a command, of any type: a thread, or a future of a task's loop.
Waiting: TypeAlias = "ThreadWaiter[Any] | asyncio.Future[Any]"

#: A command in the committer's queue: its waiter, the id of the one record that it creates or
#: changes, the function that decides it and that function's arguments, and whether its write is
#: deferred. Without an id the one argument is a `Command`, whose result lists the changes, or a
#: transaction. A flat tuple, because the garbage collector runs more often the more objects each
#: command allocates.
PendingCommand: TypeAlias = "Step[Waiting]"


def pending_of(waiting: Waiting, command: Command[T] | Together) -> PendingCommand:
    """Return the entry of a `Command` or of a transaction for the queue."""
    return waiting, None, in_its_arguments, (command,), False


def set_results(commands: Iterable[PendingCommand], answers: Iterable[object]) -> None:
    """Set the result of each command, with one call for each event loop, which wakes its selector.

    Args:
        commands: Some commands.
        answers: The value of each, or its error: an instance of its own, because its caller raises
            it.
    """
    by_loop: dict[asyncio.AbstractEventLoop, tuple[list[_Future], list[object]]] = {}
    last = None
    for command, answer in zip(commands, answers, strict=True):
        waiting = command[0]
        if type(waiting) is ThreadWaiter:
            waiting.set_result(answer)
            continue
        loop = waiting.get_loop()
        if loop is not last:
            last = loop
            futures, theirs = by_loop.setdefault(loop, ([], []))
        futures.append(waiting)
        theirs.append(answer)
    for loop, (futures, theirs) in by_loop.items():
        try:
            loop.call_soon_threadsafe(_finish, futures, theirs)
            # Again: an interrupt before the first bytecode of a callback is one that it cannot
            # catch.
            loop.call_soon_threadsafe(_finish, futures, theirs)
        except RuntimeError:
            # A closed loop runs no task that could wait for the answer.
            if not loop.is_closed():
                raise


def _finish(futures: list[_Future], answers: list[object]) -> None:
    try:
        _set_results(futures, answers)
    except BaseException:
        # An interrupt in the loop's thread must not leave other tasks without an answer.
        _set_results(futures, answers)
        raise


def _set_results(futures: list[_Future], answers: list[object]) -> None:
    for future, answer in zip(futures, answers, strict=True):
        if future.done():
            # The task that awaited it was cancelled.
            continue
        # Most answers are None, for which `isinstance` would take longest.
        if answer is not None and isinstance(answer, OpsLifecycleError):
            future.set_exception(answer)
        else:
            future.set_result(answer)
