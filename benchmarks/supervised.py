"""A supervisor side by side with bare tasks of asyncio, and with the registry alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from opslifecycle import AsyncRegistry, OperationResult, SqliteStore
from opslifecycle.work import Supervisor

from benchmarks.durable import folder, lifecycles
from benchmarks.measuring import Contest, Named, Ratio
from benchmarks.memory import specs

COUNT, DURABLE_COUNT, IN_FLIGHT = 100_000, 3_000, 100


async def give(value: str) -> str:
    """Return a value: the least that work can do."""
    return value


async def _bare() -> float:
    start = time.perf_counter()
    for task in [asyncio.create_task(give("done")) for _ in range(COUNT)]:
        await task
    return (time.perf_counter() - start) / COUNT


async def _registry() -> float:
    work = specs(COUNT)
    async with AsyncRegistry() as registry:
        start = time.perf_counter()
        for spec in work:
            id = spec.id
            await registry.register_operation(spec)
            await registry.provisioning_succeeded(id)
            watch = registry.register_watcher(id)
            await registry.complete_operation(id, OperationResult(id, "done", False, 0, 0))
            await watch
        return (time.perf_counter() - start) / COUNT


async def _supervisor() -> float:
    async with AsyncRegistry() as registry, Supervisor(registry) as work:
        start = time.perf_counter()
        for operation in [await work.start(give, "done") for _ in range(COUNT)]:
            await operation
        return (time.perf_counter() - start) / COUNT


async def _durable_supervisor() -> float:
    async def one_after_another(work: Supervisor, numbers: Iterable[int]) -> None:
        for _ in numbers:
            await (await work.start(give, "done"))

    with folder() as path:
        store = SqliteStore(path / "ops.db", durability="power")
        registry = AsyncRegistry(store=store, max_completed=DURABLE_COUNT)
        async with registry, Supervisor(registry) as work:
            numbers = range(DURABLE_COUNT)
            start = time.perf_counter()
            shares = [numbers[each::IN_FLIGHT] for each in range(IN_FLIGHT)]
            await asyncio.gather(*(one_after_another(work, share) for share in shares))
            return (time.perf_counter() - start) / DURABLE_COUNT


async def _durable_registry() -> float:
    with folder() as path:
        return await lifecycles(path / "ops.db", "power", IN_FLIGHT, DURABLE_COUNT)


def _in_memory() -> Contest:
    return Contest(
        "work in memory",
        "operation",
        {
            "asyncio": lambda: asyncio.run(_bare()),
            "registry": lambda: asyncio.run(_registry()),
            "supervisor": lambda: asyncio.run(_supervisor()),
        },
    )


def _durable() -> Contest:
    return Contest(
        "work: power, 100 in flight",
        "operation",
        {
            "registry": lambda: asyncio.run(_durable_registry()),
            "supervisor": lambda: asyncio.run(_durable_supervisor()),
        },
    )


contests: list[Named] = [
    ("work in memory", _in_memory),
    ("work: power, 100 in flight", _durable),
]

RATIOS = [
    Ratio("a supervised coroutine against a task of asyncio", "work in memory",
          ("supervisor",), ("asyncio",), 2.5, at_least=False),
    Ratio("a durable supervised coroutine against the registry", "work: power, 100 in flight",
          ("supervisor",), ("registry",), 1.25, at_least=False),
]  # fmt: skip
