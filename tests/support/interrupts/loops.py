"""Running a coroutine in a loop of its own, whose callbacks may be interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from tests.support.interrupts.injecting import INTERRUPTS

T = TypeVar("T")


def run_in_loop(main: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns; raise what a callback of the loop has raised meanwhile."""
    reported: list[BaseException] = []

    def note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, INTERRUPTS):
            reported.append(error)

    async def run() -> T:
        asyncio.get_running_loop().set_exception_handler(note)
        return await main

    try:
        value = asyncio.run(run())
    finally:
        # Also in place of an error that the coroutine itself has raised.
        for each in reported:
            raise each
    return value
