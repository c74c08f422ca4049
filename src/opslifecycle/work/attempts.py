"""One attempt at work: in the event loop, in a thread, in an executor, or as a process."""

from __future__ import annotations

import asyncio
import functools
import inspect
import pickle
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, Future
from contextvars import copy_context
from types import FunctionType
from typing import cast

from opslifecycle.work.cancelling import finished
from opslifecycle.work.ends import AttemptEnd, Raised, Reported, Returned, describe, guarded
from opslifecycle.work.job import Function, Job, Process


def runs_in_loop(work: Function | Process) -> bool:
    """Return whether calling `work` returns a coroutine, also through partials and instances."""
    if isinstance(work, Process):
        return False
    if type(work) is FunctionType and work.__code__.co_flags & inspect.CO_COROUTINE:
        # The tests that follow have the same result, and take ten times as long.
        return True
    while isinstance(work, functools.partial):
        work = work.func
    if inspect.iscoroutinefunction(work):
        return True
    if inspect.isroutine(work) or inspect.isclass(work):
        return False
    return inspect.iscoroutinefunction(type(work).__call__)


async def in_loop(job: Job) -> AttemptEnd:
    """Run a coroutine function in this task. Cancelling the task interrupts it."""
    task = asyncio.current_task()
    assert task is not None
    job.interrupt = task.cancel
    try:
        assert not isinstance(job.work, Process)
        coroutine = cast("Awaitable[object]", job.work(*job.arguments))
        return Returned(await coroutine)
    except GeneratorExit:
        # The loop is closed, and nothing can be awaited.
        raise
    except BaseException as error:
        return Raised(error)
    finally:
        # Requests to cancel this attempt must not cancel a later one.
        while task.cancelling():
            task.uncancel()


async def in_thread(job: Job, threads: Executor) -> AttemptEnd:
    """Run a function in a thread. It is not interrupted, but sees the request to stop."""
    return await _in_executor(job, threads, copy_context().run, guarded, job.work, job.arguments)


async def in_executor(job: Job, executor: Executor) -> AttemptEnd:
    """Run a function in an executor of any kind.

    The call is never cancelled through the executor, because some executors report a call as
    cancelled and continue to run it.
    """
    return await _in_executor(job, executor, remotely, job.work, job.arguments)


async def _in_executor(
    job: Job, executor: Executor, call: Callable[..., AttemptEnd], *arguments: object
) -> AttemptEnd:
    job.interrupt = None

    def cancel() -> None:
        job.cancel(None)

    submitted: Future[AttemptEnd] | None = None
    try:
        submitted = executor.submit(call, *arguments)
        future = asyncio.wrap_future(submitted)
        await finished(future, cancel)
        return future.result()
    except GeneratorExit:
        raise
    except BaseException as error:
        # The executor is shut down or broken, or could not transfer the result. After an interrupt
        # the call goes on, and its record with it.
        if isinstance(submitted, Future) and not submitted.done():
            await finished(asyncio.wrap_future(submitted), cancel)
        return Raised(error)


def remotely(work: Function, arguments: tuple[object, ...]) -> AttemptEnd:
    """Call a function in another process; return an end that can be pickled."""
    end = guarded(work, arguments)
    if isinstance(end, Raised):
        return Reported(describe(end.error), _portable(type(end.error)))
    return end


def _portable(kind: type[BaseException]) -> type[BaseException]:
    """Return the class, or its first base that can be pickled."""
    for each in kind.__mro__:
        try:
            if pickle.loads(pickle.dumps(each)) is each:
                return each  # type: ignore[no-any-return]
        except Exception:
            continue
    return Exception
