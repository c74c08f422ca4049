"""Waiting for what another process, thread or task does, where no event says it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

DEADLINE_SECONDS = 60
_LOOK_SECONDS, _TURN_SECONDS = 0.01, 0.001


def until(condition: Callable[[], object], what: object = None) -> None:
    """Wait until a condition holds.

    Args:
        condition: Is looked at a hundred times a second, or a third of the time if it takes long.
        what: Is named if it has not come within a minute; by default the condition.
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    looked = time.monotonic()
    while not condition():
        now = time.monotonic()
        assert now < deadline, f"{what or condition} did not come in time"
        time.sleep(max(_LOOK_SECONDS, 2 * (now - looked)))
        looked = time.monotonic()


async def eventually(condition: Callable[[], object]) -> None:
    """Let other tasks run until a condition holds; raises TimeoutError after a minute."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():
            await asyncio.sleep(_TURN_SECONDS)
