"""One delivery of an outbox message: a call of the handler, in this thread or in its event loop."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from opslifecycle.errors import InvalidValueError

if TYPE_CHECKING:
    import asyncio

#: The loop that opens a registry in a worker thread, where no loop runs.
opening_loop: ContextVar[asyncio.AbstractEventLoop | None] = ContextVar(
    "opening_loop", default=None
)
#: How often a delivery looks, once it is to stop, whether its loop still runs.
_LOOK_SECONDS = 0.1


class AbandonedError(Exception):
    """A delivery with an unknown result: its loop has stopped, or cancelled it from outside."""

    def __init__(self, *, for_ever: bool = False) -> None:
        super().__init__()
        #: Whether no other delivery can follow, because the loop is closed.
        self.for_ever = for_ever


class Caller:
    """The caller of a handler: a function in this thread, a coroutine function in its own loop."""

    def __init__(self, handler: Callable[[Any], object]) -> None:
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

    def call(self, message: Any) -> BaseException | None:
        """Deliver a message; return the exception that the handler raised, or None."""
        if self._loop is not None:
            return self._await(self._loop, message)
        try:
            result = self._handler(message)
            if inspect.isawaitable(result):
                close = getattr(result, "close", None)
                if close is not None:
                    close()
                raise TypeError("the handler returned an awaitable, and is no coroutine function")
        except BaseException as error:
            # Also SystemExit and KeyboardInterrupt: in this thread they end no program.
            return error
        return None

    def _await(self, loop: asyncio.AbstractEventLoop, message: Any) -> BaseException | None:
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

    def __init__(
        self, loop: asyncio.AbstractEventLoop, handler: Callable[[Any], Any], message: Any
    ) -> None:
        self._loop = loop
        self._handler = handler
        self._message = message
        self._task: asyncio.Task[BaseException | None] | None = None
        # No lock or semaphore: a finalizer may wake the thread, at any moment of any thread.
        self._woken: SimpleQueue[None] = SimpleQueue()
        self._done = False
        self.abandoned = False
        self.result: BaseException | None = AbandonedError()

    def wake(self) -> None:
        """Let `wait` return."""
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
            await self._handler(self._message)
        except GeneratorExit:
            raise
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                # The loop is being shut down: that says nothing about the message.
                raise
            return error
        except (KeyboardInterrupt, SystemExit) as error:
            # They go to whoever runs the loop, as from any task; the delivery has failed. The loop
            # may stop before it would call `_end`.
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
            # The loop need not report what it was given.
            task.exception()

    def _finish(self) -> None:
        self._done = True
        self._woken.put(None)


def check_handler(handler: Callable[[Any], object] | None) -> None:
    """Raise InvalidValueError for what is not callable, or not callable from here."""
    if handler is not None and not callable(handler):
        reason = f"expected a function of one message, got {type(handler).__name__}"
        raise InvalidValueError("on_effect", reason)
    loop_for(handler)


def loop_for(handler: Callable[[Any], object] | None) -> asyncio.AbstractEventLoop | None:
    """Return the running loop for a handler that is a coroutine function, else None."""
    called = getattr(handler, "__call__", None)  # noqa: B004 - its own, not whether it has one
    if not (inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(called)):
        return None
    loop = running_loop() or opening_loop.get()
    if loop is None:
        reason = "a coroutine function needs a running event loop when the registry is made"
        raise InvalidValueError("on_effect", reason)
    return loop


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop that runs in this thread, or None, without importing asyncio."""
    asyncio = sys.modules.get("asyncio")
    return None if asyncio is None else asyncio._get_running_loop()
