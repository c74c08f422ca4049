"""Commands in the committer's queue, and the callers that wait for their results."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias, final

from opslifecycle.errors import OpsLifecycleError
from opslifecycle.shell.commands import Arguments, Command, Decide

if TYPE_CHECKING:
    import asyncio


_NONE = object()


@final
class ThreadWaiter:
    """A thread that waits for the result of its command."""

    __slots__ = ("_answer", "_gate")

    def __init__(self) -> None:
        self._answer: Any = _NONE
        self._gate = threading.Lock()
        self._gate.acquire()

    def join(self) -> Any:
        """Block until the result is set, also in an event loop; return it, or raise an error."""
        self._gate.acquire()
        if isinstance(self._answer, OpsLifecycleError):
            raise self._answer
        return self._answer

    def set_result(self, answer: Any) -> None:
        """Answer the thread; only the first answer counts."""
        if self._answer is _NONE:
            self._answer = answer
        try:
            self._gate.release()
        except RuntimeError:
            # It was answered before.
            pass


class ReadyResult:
    """A result that is set already, in the form of an awaitable."""

    __slots__ = ("_answer",)

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def __await__(self) -> Generator[Any, None, Any]:
        return self._answer
        yield


_running_loop: list[Callable[[], asyncio.AbstractEventLoop]] = []


def new_future() -> asyncio.Future[Any]:
    """Return a future of the running loop. The first call imports asyncio."""
    if not _running_loop:
        import asyncio

        _running_loop.append(asyncio.get_running_loop)
    return _running_loop[0]().create_future()


#: Who waits for the answer of a command: a blocked thread, or a task by a future of its loop.
Waiting: TypeAlias = "ThreadWaiter | asyncio.Future[Any]"

#: A command in the committer's queue: its waiter, the id of the one record that it creates or
#: changes, the function that decides it and that function's arguments, and whether its write is
#: deferred. Without an id the one argument is a `Command`, whose result lists the changes. A flat
#: tuple, because the garbage collector runs more often the more objects each command allocates.
PendingCommand: TypeAlias = "tuple[Waiting, Any, Decide, Arguments, bool]"


def pending_of(waiting: Waiting, command: Command) -> PendingCommand:
    """Return the entry of a `Command` for the queue."""
    return waiting, None, command.run, (command,), False


def set_results(commands: Iterable[PendingCommand], answers: Iterable[Any]) -> None:
    """Set the result of each command, with one call for each event loop, which wakes its selector.

    An error is a result, too; each command gets an instance of its own.
    """
    by_loop: dict[asyncio.AbstractEventLoop, tuple[list[asyncio.Future[Any]], list[Any]]] = {}
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
        except RuntimeError:
            # A closed loop runs nothing any more, so no task waits there for an answer.
            if not loop.is_closed():
                raise


def _finish(futures: list[asyncio.Future[Any]], answers: list[Any]) -> None:
    try:
        _set_results(futures, answers)
    except BaseException:
        # An interrupt in the loop's thread must not leave the others without an answer.
        _set_results(futures, answers)
        raise


def _set_results(futures: list[asyncio.Future[Any]], answers: list[Any]) -> None:
    for future, answer in zip(futures, answers, strict=True):
        if future.done():
            # The task that awaited it was cancelled.
            continue
        # Most answers are None, of which asking for the class would take longest.
        if answer is not None and isinstance(answer, OpsLifecycleError):
            future.set_exception(answer)
        else:
            future.set_result(answer)
