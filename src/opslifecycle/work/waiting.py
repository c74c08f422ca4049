"""Waiting for several operations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

from opslifecycle.work.machines import IdT, OutcomeT
from opslifecycle.work.operation import Operation


async def as_completed(
    operations: Iterable[Operation[IdT, OutcomeT]],
) -> AsyncIterator[Operation[IdT, OutcomeT]]:
    """Iterate over operations as they end, each once."""
    pending = set(operations)
    ended: asyncio.Queue[Operation[IdT, OutcomeT]] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for operation in pending:
        operation._watch.add_done_callback(_teller(loop, ended, operation))
    while pending:
        operation = await ended.get()
        # A watch may call back more than once.
        if operation in pending:
            pending.discard(operation)
            yield operation


def _teller(
    loop: asyncio.AbstractEventLoop,
    ended: asyncio.Queue[Operation[IdT, OutcomeT]],
    operation: Operation[IdT, OutcomeT],
) -> Callable[[], None]:
    def tell() -> None:
        try:
            loop.call_soon_threadsafe(ended.put_nowait, operation)
        except RuntimeError:
            if not loop.is_closed():
                raise

    return tell
