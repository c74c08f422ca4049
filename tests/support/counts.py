"""What one lifecycle costs in counts, which do not change from machine to machine.

python -m tests.support.counts --record
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opslifecycle import (
    AsyncRegistry,
    MemoryStore,
    OperationResult,
    OperationSpec,
    Registry,
    SqliteStore,
)

from tests.support.builders import result, spec
from tests.support.gate import Gate

FIGURES = Path(__file__).parents[1] / "counts.json"
LIFECYCLES, WARM_UP = 200, 50
#: How much of a figure may come on top before it counts as growth; versions of Python differ a bit.
TOLERANCE = 0.1

Figures = dict[str, float]


def _lifecycles(registry: Registry, work: list[OperationSpec], outcome: OperationResult) -> None:
    for each in work:
        registry.register_operation(each)
        registry.provisioning_succeeded(each.id)
        watch = registry.register_watcher(each.id)
        registry.complete_operation(each.id, outcome)
        watch.result()


def calls() -> Figures:
    """Calls of Python functions in a lifecycle, by function."""
    registry, outcome = Registry(max_completed=2 * LIFECYCLES), result()
    work = [spec() for _ in range(LIFECYCLES + WARM_UP)]
    _lifecycles(registry, work[:WARM_UP], outcome)
    found: Counter[str] = Counter()

    def profile(frame: Any, event: str, argument: Any) -> None:
        if event == "call":
            code = frame.f_code
            found[f"{Path(code.co_filename).stem}.{code.co_qualname}"] += 1

    sys.setprofile(profile)
    try:
        _lifecycles(registry, work[WARM_UP:], outcome)
    finally:
        sys.setprofile(None)
    found.pop("counts._lifecycles")
    return {f"call {name}": count / LIFECYCLES for name, count in sorted(found.items())}


def _blocks(make: Callable[[Registry, list[OperationSpec]], None]) -> float:
    registry = Registry(max_completed=4 * LIFECYCLES)
    work = [spec() for _ in range(LIFECYCLES + WARM_UP)]
    make(registry, work[:WARM_UP])
    gc.collect()
    gc.disable()
    before = sys.getallocatedblocks()
    make(registry, work[WARM_UP:])
    found = sys.getallocatedblocks() - before
    gc.enable()
    return found / LIFECYCLES


def blocks() -> Figures:
    """Blocks of memory that stay allocated for each operation."""

    def live(registry: Registry, work: list[OperationSpec]) -> None:
        for each in work:
            registry.register_operation(each)
            registry.provisioning_succeeded(each.id)

    def ended(registry: Registry, work: list[OperationSpec]) -> None:
        live(registry, work)
        for each in work:
            registry.fail_operation(each.id, "no")

    return {"blocks of a live operation": _blocks(live), "blocks of an ended one": _blocks(ended)}


def statements() -> Figures:
    """SQL statements and rows of a commit."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "s.db")
        store = SqliteStore(path)
        with Registry(store=store) as registry:
            registry.register_operation(spec())
            told: list[str] = []
            assert store._database is not None
            store._database.set_trace_callback(told.append)
            before = _rows(path)
            for _ in range(LIFECYCLES):
                registry.register_operation(spec())
            store._database.set_trace_callback(None)
            rows = _rows(path) - before
    return {
        "statements of a commit": len(set(told)) / LIFECYCLES,
        "rows of a commit": rows / LIFECYCLES,
    }


def _rows(path: Path) -> int:
    database = sqlite3.connect(path)
    ((count,),) = database.execute("SELECT max(key) FROM log").fetchall()
    database.close()
    return int(count)


async def _queued() -> float:
    gate = Gate(MemoryStore())
    async with AsyncRegistry(store=gate) as registry:
        gate.hold()
        first = asyncio.create_task(registry.register_operation(spec()))
        await asyncio.to_thread(gate.waiting.wait)
        work = [spec() for _ in range(LIFECYCLES)]
        gc.collect()
        gc.disable()
        before = len(gc.get_objects())
        tasks = [asyncio.create_task(registry.register_operation(each)) for each in work]
        await asyncio.sleep(0)
        found = len(gc.get_objects()) - before
        gc.enable()
        gate.open_gate.set()
        await asyncio.gather(first, *tasks)
    return found / LIFECYCLES


def objects() -> Figures:
    """Objects that the collector of garbage looks at, for each command that waits for a commit."""
    return {"objects of a queued command": asyncio.run(_queued())}


def counted() -> Figures:
    """Every figure."""
    return {**blocks(), **objects(), **statements(), **calls()}


def grown(found: Figures, known: Figures) -> list[str]:
    """What has grown, in words: totals first, then which functions are called more often."""
    plain = [name for name in found if not name.startswith("call ")]
    totals = [sum(v for n, v in each.items() if n.startswith("call ")) for each in (found, known)]
    wrong = [
        f"{name}: {found[name]:.2f}, {known[name]:.2f} are known"
        for name in plain
        if found[name] > known[name] * (1 + TOLERANCE)
    ]
    if totals[0] > totals[1] * (1 + TOLERANCE):
        wrong.append(f"calls of a lifecycle: {totals[0]:.1f}, {totals[1]:.1f} are known")
        more = [n for n in found if n not in plain and found[n] > known.get(n, 0.0) + 0.01]
        wrong += [f"  {name}: {found[name]:.2f}, was {known.get(name, 0.0):.2f}" for name in more]
    return wrong


def main() -> int:
    """Print the figures, and keep them if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true")
    found = {name: round(value, 3) for name, value in counted().items()}
    for name, value in found.items():
        print(f"{value:>8.2f} {name}")
    if parser.parse_args().record:
        FIGURES.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
