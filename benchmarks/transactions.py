"""Durable lifecycles in transactions of 100 commands, and raw SQLite writing the same rows so.

The 100 operations of a part are registered in one transaction, started in the next and completed in
a third, so that each lifecycle is three commands and three rows. Raw SQLite writes the rows that
this leaves into an equal table, 100 in each transaction.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opslifecycle import OperationResult, Registry, SqliteStore

from benchmarks.durable import folder, raw, rows_of
from benchmarks.measuring import Contest, Named, Ratio
from benchmarks.memory import specs

COUNT, SIZE = 3_000, 100


def lifecycles(path: Path, durability: Any) -> float:
    """Seconds for each lifecycle."""
    work = specs(COUNT)
    store = SqliteStore(path, durability=durability)
    with Registry(store=store, max_completed=COUNT) as registry:
        start = time.perf_counter()
        for at in range(0, COUNT, SIZE):
            part = work[at : at + SIZE]
            with registry.transaction() as transaction:
                for spec in part:
                    transaction.register_operation(spec)
            with registry.transaction() as transaction:
                for spec in part:
                    transaction.provisioning_succeeded(spec.id)
            with registry.transaction() as transaction:
                for spec in part:
                    result = OperationResult(spec.id, "done", False, 1, 1)
                    transaction.complete_operation(spec.id, result)
        return (time.perf_counter() - start) / COUNT


def _ours(durability: Any) -> Callable[[], float]:
    def run() -> float:
        with folder() as where:
            return lifecycles(where / "ours.db", durability)

    return run


def _raw(durability: Any) -> Callable[[], float]:
    with folder() as where:
        lifecycles(where / "ours.db", durability)
        rows = rows_of(where / "ours.db")

    def run() -> float:
        with folder() as where:
            return raw(where / "raw.db", durability, SIZE, rows) / COUNT

    return run


def _contest(durability: Any) -> Named:
    name = f"{durability}, in transactions of {SIZE}"

    def make() -> Contest:
        contestants = {"raw SQLite": _raw(durability), "registry": _ours(durability)}
        return Contest(name, "lifecycle", contestants)

    return name, make


contests: list[Named] = [_contest("process"), _contest("power")]

RATIOS = [
    Ratio(f"durable, `{durability}`, in transactions of {SIZE}, against raw SQLite",
          f"{durability}, in transactions of {SIZE}", ("raw SQLite",), ("registry",), 0.6,
          at_least=True)
    for durability in ("power", "process")
]  # fmt: skip
