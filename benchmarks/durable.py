"""Durable lifecycles per second, side by side with raw SQLite writing rows of the same size.

    python benchmarks/durable.py [--rounds N]

A lifecycle is register, start and complete, each acknowledged before the next; so many are in
flight as tasks on one loop with AsyncRegistry. Raw SQLite writes the three rows that such a
lifecycle leaves, in transactions of as many rows as there are lifecycles in flight.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from opslifecycle import (
    AsyncRegistry,
    OperationId,
    OperationKind,
    OperationResult,
    OperationSpec,
    Registry,
    SessionId,
    SqliteStore,
)

OWNER = SessionId.new()
KIND = OperationKind.BACKGROUND_TOOL_OP


async def lifecycles(path: Path, durability: Any, in_flight: int, count: int) -> list[float]:
    """The seconds that each acknowledged command took."""
    latencies: list[float] = []
    store = SqliteStore(path, durability=durability)
    async with AsyncRegistry(store=store, max_completed=count) as registry:

        async def work(number: int) -> None:
            for _ in range(number):
                id = OperationId.new()
                result = OperationResult(id, "done", False, 1, 1)
                start = time.perf_counter()
                await registry.register_operation(OperationSpec(id, KIND, OWNER, "n", "l"))
                middle = time.perf_counter()
                await registry.provisioning_succeeded(id)
                await registry.complete_operation(id, result)
                latencies.extend((middle - start, time.perf_counter() - middle))

        await asyncio.gather(*(work(count // in_flight) for _ in range(in_flight)))
    return latencies


def raw(path: Path, durability: str, in_flight: int, count: int) -> None:
    """Rows of the same size in the same table, in transactions of the same size."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(f"PRAGMA synchronous = {'FULL' if durability == 'power' else 'NORMAL'}")
    database.execute(
        "CREATE TABLE transitions (registry TEXT, position INTEGER, kind TEXT, id TEXT,"
        " sequence INTEGER, body TEXT, checksum TEXT, PRIMARY KEY (registry, position))"
        " WITHOUT ROWID"
    )
    id, body, checksum = str(OperationId.new()), "x" * 560, "0" * 32
    for position in range(0, 3 * count, in_flight):
        rows = [
            ("default", position + each, "put", id, position, body, checksum)
            for each in range(in_flight)
        ]
        database.execute("BEGIN IMMEDIATE")
        database.executemany("INSERT INTO transitions VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        database.execute("COMMIT")
    database.close()


async def beside(path: Path) -> None:
    """What readers see while commits go on, and what closing costs with many watches."""
    async with AsyncRegistry(store=SqliteStore(path), max_completed=10_000) as registry:
        reads: list[float] = []

        async def write() -> None:
            for _ in range(30):
                id = OperationId.new()
                await registry.register_operation(OperationSpec(id, KIND, OWNER, "n", "l"))
                await registry.provisioning_succeeded(id)
                await registry.complete_operation(id, OperationResult(id, "", False, 1, 1))

        def read(stop: threading.Event) -> None:
            feed = registry.completion_feed()
            while not stop.is_set():
                start = time.perf_counter()
                feed.list_since(max(0, feed.watermark - 10))
                reads.append(time.perf_counter() - start)

        stop = threading.Event()
        reader = threading.Thread(target=read, args=(stop,))
        reader.start()
        await asyncio.gather(*(write() for _ in range(100)))
        stop.set()
        reader.join()
        reads.sort()
        print(f"a reader beside commits: p99 {reads[int(len(reads) * 0.99)] * 1000:.3f} ms")
        id = OperationId.new()
        await registry.register_operation(OperationSpec(id, KIND, OWNER, "n", "l"))
        watches = [registry.register_watcher(id) for _ in range(100_000)]
        start = time.perf_counter()
        await registry.close()
        print(f"close with {len(watches):,} watches: {time.perf_counter() - start:.2f} s")
    start = time.perf_counter()
    with Registry(store=SqliteStore(path)) as reopened:
        held = len(reopened.list_operations())
        print(f"recovery of {held:,} operations: {time.perf_counter() - start:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    print("durability  in flight   lifecycles/s     raw/s   ratio     p50 ms    p99 ms  bytes/op")
    for durability in ("process", "power"):
        for in_flight in (1, 64, 100, 1000):
            count = 600 if in_flight == 1 else 6000
            ours, theirs, ratios, size = [], [], [], 0
            latencies: list[float] = []
            for _ in range(rounds):
                with tempfile.TemporaryDirectory() as folder:
                    start = time.perf_counter()
                    raw(Path(folder, "raw.db"), durability, in_flight, count)
                    middle = time.perf_counter()
                    path = Path(folder, "ours.db")
                    latencies += asyncio.run(lifecycles(path, durability, in_flight, count))
                    end = time.perf_counter()
                    size = path.stat().st_size // count
                done = count // in_flight * in_flight
                ours.append(done / (end - middle))
                theirs.append(count / (middle - start))
                ratios.append(ours[-1] / theirs[-1])
            latencies.sort()
            p50, p99 = (latencies[int(len(latencies) * share)] * 1000 for share in (0.5, 0.99))
            print(
                f"{durability:<10}{in_flight:>11}{statistics.median(ours):>15,.0f}"
                f"{statistics.median(theirs):>10,.0f}{statistics.median(ratios):>8.2f}"
                f"{p50:>11.2f}{p99:>10.2f}{size:>10,}"
            )
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(beside(Path(folder, "beside.db")))


if __name__ == "__main__":
    main()
