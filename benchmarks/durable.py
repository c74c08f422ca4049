"""Durable lifecycles side by side with raw SQLite writing the very same rows, and recovery.

A lifecycle is register, start and complete, each acknowledged before the next; so many are in
flight as tasks on one loop. Raw SQLite then writes the rows that they have left into an equal
table, in transactions of as many rows as there were lifecycles in flight.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from opslifecycle import AsyncRegistry, OperationResult, Registry, SqliteStore

from benchmarks.awaited import PARTS, awaited, connected, keep, timed
from benchmarks.measuring import Contest, Named, Ratio
from benchmarks.memory import specs

COUNT, COUNT_ALONE, RECOVERED = 3_000, 300, 10_000
IN_FLIGHT = (1, 64, 100, 1_000)
Durability = Any


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder that goes with what is in it."""
    path = tempfile.mkdtemp()
    try:
        yield Path(path)
    finally:
        shutil.rmtree(path)


async def lifecycles(path: Path, durability: Durability, in_flight: int, count: int) -> float:
    """Seconds for each lifecycle."""
    store = SqliteStore(path, durability=durability)
    work = specs(count)
    async with AsyncRegistry(store=store, max_completed=count) as registry:

        async def one_after_another(number: int) -> None:
            for spec in work[number::in_flight]:
                id = spec.id
                await registry.register_operation(spec)
                await registry.provisioning_succeeded(id)
                await registry.complete_operation(id, OperationResult(id, "done", False, 1, 1))

        start = time.perf_counter()
        await asyncio.gather(*(one_after_another(number) for number in range(in_flight)))
        return (time.perf_counter() - start) / count


def raw(path: Path, durability: Durability, in_flight: int, rows: list[tuple[Any, ...]]) -> float:
    """Seconds to write rows into the same table, so many in each transaction."""
    database = connected(path, durability)
    start = time.perf_counter()
    for place in range(0, len(rows), in_flight):
        keep(database, rows[place : place + in_flight])
    seconds = time.perf_counter() - start
    database.close()
    return seconds


def rows_of(path: Path) -> list[tuple[Any, ...]]:
    """The record writes in a store, as rows."""
    database = sqlite3.connect(path)
    rows = database.execute("SELECT * FROM log WHERE kind = 'put' ORDER BY key").fetchall()
    database.close()
    return rows


def _ours(durability: Durability, in_flight: int) -> Callable[[], float]:
    count = COUNT_ALONE if in_flight == 1 else COUNT

    def run() -> float:
        with folder() as where:
            return asyncio.run(lifecycles(where / "ours.db", durability, in_flight, count))

    return run


def _rows(durability: Durability, in_flight: int, count: int) -> list[tuple[Any, ...]]:
    """What so many lifecycles leave in a store."""
    with folder() as where:
        asyncio.run(lifecycles(where / "ours.db", durability, in_flight, count))
        return rows_of(where / "ours.db")


def _raw(durability: Durability, in_flight: int) -> Callable[[], float]:
    count = COUNT_ALONE if in_flight == 1 else COUNT
    rows = _rows(durability, in_flight, count)

    def run() -> float:
        with folder() as where:
            return raw(where / "raw.db", durability, in_flight, rows) / count

    return run


def _awaited(durability: Durability, in_flight: int) -> Callable[[], float]:
    count = COUNT_ALONE if in_flight == 1 else COUNT
    rows = _rows(durability, in_flight, count)

    def run() -> float:
        with folder() as where, contextlib.closing(connected(where / "raw.db", durability)) as raw:
            return asyncio.run(awaited(raw, in_flight, rows, count))

    return run


def _recovery() -> dict[str, Callable[[], float]]:
    """Opening what was retained, and reading the same rows with sqlite3."""
    where = Path(tempfile.mkdtemp()) / "retained.db"
    with Registry(store=SqliteStore(where, durability="process"), max_completed=RECOVERED) as made:
        for spec in specs(RECOVERED):
            made.register_operation(spec)
            made.fail_operation(spec.id, "no")

    def opened() -> float:
        start = time.perf_counter()
        with Registry(store=SqliteStore(where, durability="process")) as registry:
            seconds = time.perf_counter() - start
            assert len(registry.list_operations()) == RECOVERED
        return seconds / RECOVERED

    def read() -> float:
        database = sqlite3.connect(where)
        start = time.perf_counter()
        rows = database.execute("SELECT * FROM log ORDER BY key").fetchall()
        seconds = time.perf_counter() - start
        database.close()
        assert len(rows) >= RECOVERED
        return seconds / RECOVERED

    return {"sqlite3": read, "recovery": opened}


def _in_flight(durability: Durability, in_flight: int) -> Named:
    name = f"{durability}, {in_flight:,} in flight"

    def make() -> Contest:
        contestants = {
            "raw SQLite": _raw(durability, in_flight),
            "raw SQLite, awaited": _awaited(durability, in_flight),
            "registry": _ours(durability, in_flight),
        }
        return Contest(name, "lifecycle", contestants)

    return name, make


def _part(name: str) -> Callable[[], float]:
    whole = _ours("power", 100)

    def run() -> float:
        with timed(name) as seconds:
            whole()
            return seconds() / COUNT

    return run


def _taken_apart() -> Contest:
    """Each part in a run of its own; what they leave of the whole is the loop and its tasks."""
    parts = {name: _part(name) for name in PARTS}
    alone = {"three answers alone": lambda: asyncio.run(awaited(None, 100, [], COUNT))}
    whole = {"registry": _ours("power", 100)}
    return Contest("taken apart: power, 100 in flight", "lifecycle", {**parts, **alone, **whole})


contests: list[Named] = [
    *(
        _in_flight(durability, number)
        for durability in ("process", "power")
        for number in IN_FLIGHT
    ),
    ("taken apart: power, 100 in flight", _taken_apart),
    ("recovery", lambda: Contest("recovery", "operation", _recovery())),
]

RATIOS = [
    Ratio("durable, `power`, 100 in flight, against raw SQLite", "power, 100 in flight",
          ("raw SQLite",), ("registry",), 0.6, at_least=True),
    Ratio("durable, `process`, 100 in flight, against raw SQLite", "process, 100 in flight",
          ("raw SQLite",), ("registry",), 0.6, at_least=True),
    Ratio("recovery against reading the rows", "recovery",
          ("sqlite3",), ("recovery",), 0.15, at_least=True),
]  # fmt: skip
