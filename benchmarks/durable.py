"""Durable lifecycles per second, side by side with raw SQLite writing the very same rows.

    python benchmarks/durable.py [--rounds N]

A lifecycle is register, start and complete, each acknowledged before the next; so many are in
flight as tasks on one loop with AsyncRegistry. Raw SQLite then writes the rows that they have left
into an equal table, in transactions of as many rows as there were lifecycles in flight.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
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


def raw(path: Path, durability: str, in_flight: int, rows: list[tuple[Any, ...]]) -> None:
    """Rows that are there already, into the same table, so many in each transaction."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(f"PRAGMA synchronous = {'FULL' if durability == 'power' else 'NORMAL'}")
    database.execute(
        "CREATE TABLE log (key INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL,"
        " sequence INTEGER, body TEXT, checksum INTEGER NOT NULL)"
    )
    for place in range(0, len(rows), in_flight):
        database.execute("BEGIN IMMEDIATE")
        part = rows[place : place + in_flight]
        database.executemany("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?)", part)
        database.execute("COMMIT")
    database.close()


def rows_of(path: Path) -> list[tuple[Any, ...]]:
    """The rows that a registry has left, but for those of its own state."""
    database = sqlite3.connect(path)
    rows = database.execute("SELECT * FROM log WHERE kind = 'put' ORDER BY key").fetchall()
    database.close()
    return rows


def memory(count: int) -> float:
    """Bytes for each operation that is retained, its feed row included."""
    tracemalloc.start()
    registry = Registry(max_completed=count)
    for _ in range(count):
        id = OperationId.new()
        registry.register_operation(OperationSpec(id, KIND, OWNER, "n", "l"))
        registry.provisioning_succeeded(id)
        registry.complete_operation(id, OperationResult(id, "done", False, 1, 1))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used / count


def cancelled_across(folder: Path) -> float:
    """Seconds from asking for a cancellation in one process to the end in another."""
    command = [sys.executable, "-m", "opslifecycle.cli.main"]
    store = ["--store", str(folder / "run.db")]
    with subprocess.Popen(
        [*command, "run", *store, "--", "sleep", "60"], stdout=subprocess.DEVNULL
    ) as process:
        found = ""
        while not found:
            time.sleep(0.05)
            listed = subprocess.run(
                [*command, "ls", *store, "--json", "--status", "running"],
                capture_output=True,
                text=True,
                check=False,
            )
            found = listed.stdout
        id = json.loads(found)["id"]
        start = time.perf_counter()
        subprocess.run([*command, "cancel", *store, id], check=True, stdout=subprocess.DEVNULL)
        process.wait()
        return time.perf_counter() - start


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
                    path = Path(folder, "ours.db")
                    start = time.perf_counter()
                    latencies += asyncio.run(lifecycles(path, durability, in_flight, count))
                    end = time.perf_counter()
                    size = path.stat().st_size // count
                    rows = rows_of(path)
                    begin = time.perf_counter()
                    raw(Path(folder, "raw.db"), durability, in_flight, rows)
                    raw_seconds = time.perf_counter() - begin
                done = count // in_flight * in_flight
                ours.append(done / (end - start))
                theirs.append(done / raw_seconds)
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
    with tempfile.TemporaryDirectory() as folder:
        seconds = cancelled_across(Path(folder))
    print(f"cancel from another process, until the run has ended: {seconds:.2f} s")
    print(f"memory for each retained operation: {memory(10_000):,.0f} bytes")


if __name__ == "__main__":
    main()
