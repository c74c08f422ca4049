"""An agent that acts on every result of its tools, whatever kills it: run it again, and it goes on.

python agent.py [FOLDER]

Three cursors follow the completion feed. The runtime has *observed* a result, it has *injected* it
into the agent's inbox, the agent has *applied* it: here, by starting the next tool.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from opslifecycle import (
    AsyncRegistry,
    Completed,
    CompletionCursorConsumer,
    CompletionEntry,
    CompletionFeedGap,
    Delivery,
    SqliteStore,
    Terminated,
)
from opslifecycle.work import Supervisor, current

QUESTIONS = ("apples", "pears", "plums")
OBSERVED = CompletionCursorConsumer.RUNTIME_OBSERVED
INJECTED = CompletionCursorConsumer.RUNTIME_INJECTED
APPLIED = CompletionCursorConsumer.AGENT_APPLIED


async def search(question: str) -> str:
    current().progress(f"searching for {question}")
    await asyncio.sleep(0)
    return f"3 pages about {question}"


async def read(question: str) -> str:
    await asyncio.sleep(0)
    return f"{question} are fruit"


TOOLS = {tool.__name__: tool for tool in (search, read)}


class Memory:
    """What the agent knows, one fact a line in a file. To note a fact again changes nothing."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        lines = path.read_text(encoding="utf-8").splitlines()
        self.facts = {(kind, key): text for kind, key, text in map(json.loads, lines)}

    def note(self, kind: str, key: str, text: str) -> None:
        if (kind, key) not in self.facts:
            os.write(self._file, f"{json.dumps([kind, key, text])}\n".encode())
            self.facts[kind, key] = text

    def of(self, kind: str) -> dict[str, str]:
        return {key: text for (each, key), text in self.facts.items() if each == kind}

    def close(self) -> None:
        os.close(self._file)


class Agent:
    def __init__(self, registry: AsyncRegistry, work: Supervisor, memory: Memory) -> None:
        self.registry = registry
        self.work = work
        self.memory = memory
        self.has_applied = asyncio.Event()

    async def use(self, tool: str, question: str) -> None:
        """Start a tool once for a question, and again if its process was killed."""
        name = f"{tool} {question}"
        await self.work.start(TOOLS[tool], question, name=name, key=name, on_interrupt="requeue")

    async def note(self, kind: str, cursor: CompletionCursorConsumer, *, wait: bool) -> None:
        """Note every result: what the runtime does before the agent sees it."""
        async for delivery in self.registry.consume(cursor, wait=wait):
            entry = entry_of(delivery)
            self.memory.note(kind, str(entry.seq), entry.display_name)

    async def apply(self, *, wait: bool) -> None:
        """Act on every result."""
        async for delivery in self.registry.consume(APPLIED, wait=wait):
            entry = entry_of(delivery)
            tool, _, question = entry.display_name.partition(" ")
            outcome = entry.terminal_outcome
            if isinstance(outcome, Terminated):
                await self.use(tool, question)
            elif tool == "search":
                await self.use("read", question)
            elif isinstance(outcome, Completed):
                self.memory.note("answer", question, outcome.result.content)
            self.memory.note("applied", str(entry.seq), entry.display_name)
            self.has_applied.set()

    async def follow(self, *, wait: bool) -> None:
        """Follow the feed with all three cursors."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.note("observed", OBSERVED, wait=wait))
            group.create_task(self.note("injected", INJECTED, wait=wait))
            group.create_task(self.apply(wait=wait))

    async def run(self) -> None:
        """Run until each question has an answer, and everything that has ended is applied."""
        following = asyncio.create_task(self.follow(wait=True))
        try:
            for question in QUESTIONS:
                await self.use("search", question)
            while set(self.memory.of("answer")) != set(QUESTIONS):
                self.has_applied.clear()
                await self.has_applied.wait()
        finally:
            following.cancel()
            await asyncio.wait([following])
        await self.follow(wait=False)


def entry_of(delivery: Delivery[CompletionEntry] | CompletionFeedGap) -> CompletionEntry:
    if isinstance(delivery, CompletionFeedGap):
        sys.exit(f"results were evicted before they were read: {delivery}")
    return delivery.entry


async def run(registry: AsyncRegistry, memory: Memory) -> None:
    async with Supervisor(registry, max_running=2, source="agent") as work:
        await Agent(registry, work, memory).run()


async def main(folder: Path) -> None:
    memory = Memory(folder / "memory.jsonl")
    registry = await AsyncRegistry.open(store=SqliteStore(folder / "agent.db"))
    async with registry:
        await run(registry, memory)
    for question, answer in sorted(memory.of("answer").items()):
        print(f"{question}: {answer}")
    memory.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
