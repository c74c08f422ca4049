"""Commands for a registry of another process on a server, beside those of its owner."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from opslifecycle import AsyncRegistry
from opslifecycle.cluster import Cluster

from benchmarks.measuring import Contest, Named, Ratio
from benchmarks.memory import specs
from benchmarks.server import run_statement, server

ALONE, TOGETHER = 200, 2_000
_IN_FLIGHT = 100
_NUMBERS = itertools.count()
_ROOT = Path(__file__).parents[1]
_OWNER = """
import asyncio, sys
from opslifecycle import AsyncRegistry
from opslifecycle.cluster import Cluster
async def main():
    async with Cluster(sys.argv[1], AsyncRegistry, schema=sys.argv[2]) as cluster:
        await cluster.open("r")
        print("open", flush=True)
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
"""


@contextlib.asynccontextmanager
async def _registry(*, elsewhere: bool) -> AsyncIterator[AsyncRegistry]:
    schema = f"cluster_{next(_NUMBERS)}"
    owner = None
    if elsewhere:
        owner = subprocess.Popen(
            [sys.executable, "-c", _OWNER, server().dsn, schema],
            cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert owner.stdout is not None
        assert owner.stdout.readline() == "open\n"
    try:
        async with Cluster(server().dsn, AsyncRegistry, schema=schema) as cluster:
            yield await cluster.open("r")
    finally:
        if owner is not None:
            owner.communicate()
        run_statement(f"DROP SCHEMA {schema} CASCADE")


async def _commands(registry: AsyncRegistry, count: int, in_flight: int) -> float:
    work = specs(count)

    async def register(share: int) -> None:
        for spec in work[share::in_flight]:
            await registry.register_operation(spec)

    start = time.perf_counter()
    await asyncio.gather(*(register(share) for share in range(in_flight)))
    return (time.perf_counter() - start) / count


async def _watches(registry: AsyncRegistry, count: int) -> float:
    """Return the time from asking for a cancellation until a watch of the same process ends."""
    taken = 0.0
    for spec in specs(count):
        await registry.register_operation(spec)
        watch = registry.register_watcher(spec.id)
        start = time.perf_counter()
        await registry.cancel_operation(spec.id)
        await watch
        taken += time.perf_counter() - start
    return taken / count


def _run(
    measure: Callable[[AsyncRegistry], Awaitable[float]], *, elsewhere: bool
) -> Callable[[], float]:
    async def main() -> float:
        async with _registry(elsewhere=elsewhere) as registry:
            return await measure(registry)

    return lambda: asyncio.run(main())


def _contest() -> Contest:
    def alone(registry: AsyncRegistry) -> Awaitable[float]:
        return _commands(registry, ALONE, 1)

    def together(registry: AsyncRegistry) -> Awaitable[float]:
        return _commands(registry, TOGETHER, _IN_FLIGHT)

    def watched(registry: AsyncRegistry) -> Awaitable[float]:
        return _watches(registry, ALONE)

    return Contest(
        "cluster",
        "command",
        {
            "own, 1 in flight": _run(alone, elsewhere=False),
            "another's, 1 in flight": _run(alone, elsewhere=True),
            "another's, with a watch": _run(watched, elsewhere=True),
            "own, 100 in flight": _run(together, elsewhere=False),
            "another's, 100 in flight": _run(together, elsewhere=True),
        },
    )


contests: list[Named] = [("cluster", _contest)]

RATIOS = [
    Ratio("a command for another process's registry, 1 in flight, against an own one", "cluster",
          ("another's, 1 in flight",), ("own, 1 in flight",), 8.0, at_least=False),
    Ratio("commands for another process's registry, 100 in flight, against own ones", "cluster",
          ("another's, 100 in flight",), ("own, 100 in flight",), 6.0, at_least=False),
]  # fmt: skip
