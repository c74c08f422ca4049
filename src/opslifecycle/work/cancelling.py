"""Waits that continue when the waiting task is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def finished(future: asyncio.Future[T], on_cancel: Callable[[], object]) -> None:
    """Return once a future is done; a cancellation of the task calls `on_cancel` instead.

    Raises:
        BaseException: An interrupt, after it has called `on_cancel`. The future is done.
    """
    interrupt: BaseException | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            on_cancel()
        except GeneratorExit:
            # The loop is closed, and nothing can be awaited.
            raise
        except BaseException as error:
            if interrupt is not None:
                # No interrupt, which comes once: nothing can be awaited.
                raise
            interrupt = error
            on_cancel()
    if interrupt is not None:
        raise interrupt


async def unbroken(future: asyncio.Future[T]) -> T:
    """Await a future to its end, also if the task is cancelled meanwhile.

    Raises:
        CancelledError: The task was cancelled. The future is done.
    """
    cancelled: list[bool] = []
    await finished(future, lambda: cancelled.append(True))
    if cancelled:
        # Retrieve the exception, so that asyncio does not report it: its caller was cancelled.
        if not future.cancelled():
            future.exception()
        raise asyncio.CancelledError
    return future.result()
