"""The delivery of an outbox message: a call of the handler, in this thread or an event loop."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeAlias

from opslifecycle.errors import InvalidValueError

if TYPE_CHECKING:
    import asyncio

#: A handler of outbox messages: a function or a coroutine function of one message, whose type the
#: machine declares.
Handler: TypeAlias = Callable[..., object]

#: The event loop for which a worker thread opens a registry; no loop runs in the thread itself.
opening_loop: ContextVar[asyncio.AbstractEventLoop | None] = ContextVar(
    "opening_loop", default=None
)
#: How often a delivery that must stop checks whether its loop still runs.
_LOOK_SECONDS = 0.1


class AbandonedError(Exception):
    """A delivery whose result is unknown, because its event loop was stopped.

    `for_ever` says whether the loop is closed, so that no other delivery can follow.
    """

    def __init__(self, *, for_ever: bool = False) -> None:
        super().__init__()
        self.for_ever = for_ever


class Caller:
    """The calls of a handler: a function in this thread, a coroutine function in its event loop."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._loop = loop_for(handler)
        self._stopped = False
        self._delivery: _Delivery | None = None

    def is_of(self, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Return whether the handler runs in a loop."""
        return self._loop is not None and self._loop is loop

    def stop(self) -> None:
        """End a delivery whose loop does not run. A finalizer may call this."""
        self._stopped = True
        delivery = self._delivery
        if delivery is not None:
            delivery.wake()

    def call(self, message: object) -> BaseException | None:
        """Deliver a message; return the exception that the handler raised, or None."""
        if self._loop is not None:
            return self._await(self._loop, message)
        try:
            result = self._handler(message)
            if inspect.isawaitable(result):
                close = getattr(result, "close", None)
                if close is not None:
                    close()
                raise TypeError("the handler returned an awaitable; declare it with `async def`")
        except BaseException as error:
            # Including SystemExit and KeyboardInterrupt, which end no program in this thread.
            return error
        return None

    def _await(self, loop: asyncio.AbstractEventLoop, message: object) -> BaseException | None:
        delivery = self._delivery = _Delivery(loop, self._handler, message)
        try:
            loop.call_soon_threadsafe(delivery.begin)
        except RuntimeError:
            if not loop.is_closed():
                raise
            return AbandonedError(for_ever=True)
        while not delivery.wait(_LOOK_SECONDS if self._stopped else None):
            if self._stopped and not loop.is_running():
                delivery.abandoned = True
                break
        self._delivery = None
        return delivery.result


class _Delivery:
    """One call of a coroutine function, which runs in its loop while the thread waits for it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, handler: Handler, message: object) -> None:
        self._loop = loop
        self._handler = handler
        self._message = message
        self._task: asyncio.Task[BaseException | None] | None = None
        # No lock or semaphore, because a finalizer may wake the thread at any moment of any thread.
        self._woken: SimpleQueue[None] = SimpleQueue()
        self._done = False
        self.abandoned = False
        self.result: BaseException | None = AbandonedError()

    def wake(self) -> None:
        """Make `wait` return."""
        self._woken.put(None)

    def wait(self, seconds: float | None) -> bool:
        """Wait for the end or for `wake`; return whether the call has ended."""
        with suppress(Empty):
            self._woken.get(timeout=seconds)
        return self._done

    def begin(self) -> None:
        """Start the call in its loop, as a task with a context of its own."""
        if not self.abandoned:
            self._task = self._loop.create_task(self._run())
            self._task.add_done_callback(self._end)

    async def _run(self) -> BaseException | None:
        import asyncio

        try:
            result = self._handler(self._message)
            assert inspect.isawaitable(result), "the handler is a coroutine function"
            await result
        except GeneratorExit:
            raise
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                # The loop is being shut down, so the result of the delivery is unknown.
                raise
            return error
        except (KeyboardInterrupt, SystemExit) as error:
            # The caller that runs the loop gets it, as from any task, and the delivery has failed.
            # The loop may stop before it calls `_end`.
            self.result = error
            self._finish()
            raise
        except BaseException as error:
            return error
        return None

    def _end(self, task: asyncio.Task[BaseException | None]) -> None:
        if not self._done:
            if not task.cancelled():
                self.result = task.result()
            self._finish()
        elif not task.cancelled():
            # Retrieve the exception, so that the loop does not report it a second time.
            task.exception()

    def _finish(self) -> None:
        self._done = True
        self._woken.put(None)


def check_handler(handler: Handler | None) -> None:
    """Check a handler.

    Raises:
        InvalidValueError: It is not callable, or it is a coroutine function and no loop runs.
    """
    if handler is not None and not callable(handler):
        reason = f"expected a function of one message, got {type(handler).__name__}"
        raise InvalidValueError("on_effect", reason)
    loop_for(handler)


def loop_for(handler: Handler | None) -> asyncio.AbstractEventLoop | None:
    """Return the running loop for a handler that is a coroutine function, else None.

    Raises:
        InvalidValueError: The handler is a coroutine function, and no loop runs.
    """
    called = getattr(handler, "__call__", None)  # noqa: B004 - the method itself is examined
    if not (inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(called)):
        return None
    loop = running_loop() or opening_loop.get()
    if loop is None:
        reason = "a coroutine function needs a running event loop: open the registry in a task"
        raise InvalidValueError("on_effect", reason)
    return loop


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop that runs in this thread, or None, without importing asyncio."""
    asyncio = sys.modules.get("asyncio")
    return None if asyncio is None else asyncio._get_running_loop()
