"""An agent that calls 200 tools and acts on each result once, whatever kills it: run it again.

python toolbox.py [FOLDER]

The tools are functions that `recover` knows, so what a killed process has left behind goes on under
the same id: calls that waited, and calls that had begun, because these tools may run twice.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from opslifecycle import (
    AsyncRegistry,
    Completed,
    CompletionCursorConsumer,
    CompletionEntry,
    CompletionFeedGap,
    Delivery,
    SqliteStore,
)
from opslifecycle.work import StartAgain, Supervisor

APPLIED = CompletionCursorConsumer.AGENT_APPLIED
Tool = Callable[[int], Awaitable[int]]


def multiplying(factor: int) -> Tool:
    async def tool(number: int) -> int:
        await asyncio.sleep(0)
        return factor * number

    return tool


TOOLS = {f"times_{factor}": multiplying(factor) for factor in range(1, 201)}


class Memory:
    """What the agent has done, one line in a file for each result that it has acted on."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+", encoding="utf-8", buffering=1)
        self._file.seek(0)
        self.applied = dict(line.split() for line in self._file)

    def apply(self, delivery: Delivery[CompletionEntry] | CompletionFeedGap) -> None:
        """Act on a result, once: it may be delivered again."""
        if isinstance(delivery, CompletionFeedGap):
            sys.exit(f"results were evicted before they were read: {delivery}")
        outcome, tool = delivery.entry.terminal_outcome, delivery.entry.display_name
        if isinstance(outcome, Completed) and tool not in self.applied:
            self.applied[tool] = outcome.result.content
            self._file.write(f"{tool} {outcome.result.content}\n")

    def close(self) -> None:
        self._file.close()


async def run(registry: AsyncRegistry, memory: Memory) -> None:
    async with Supervisor(registry, max_running=16, source="toolbox") as work:
        await work.recover(TOOLS, on_interrupted=lambda _: StartAgain())
        for name, tool in TOOLS.items():
            await work.start(tool, 3, name=name, key=name)
        results = registry.consume(APPLIED)
        while len(memory.applied) < len(TOOLS):
            async with results.batch() as deliveries:
                for delivery in deliveries:
                    memory.apply(delivery)


async def main(folder: Path) -> None:
    memory = Memory(folder / "applied.txt")
    store = SqliteStore(folder / "toolbox.db")
    async with await AsyncRegistry.open(store=store, max_completed=len(TOOLS)) as registry:
        await run(registry, memory)
    print(len(memory.applied), "results applied")
    memory.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
