"""The peers, each in a process of another interpreter, in turns with ours."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from opslifecycle import Registry

from benchmarks.durable import folder, lifecycles
from benchmarks.measuring import Contest, Named, Ratio
from benchmarks.memory import transitions

MACHINES = ("transitions", "python-statemachine", "Automat", "sismic", "xstate-statemachine")
QUEUES = ("asyncio tasks", "taskiq", "procrastinate")
DURABLE = ("Huey", "DBOS")
_SCRIPT = Path(__file__).with_name("peers.py")
_OURS = "opslifecycle"


def _peer(python: Path, name: str) -> Callable[[], float]:
    def run() -> float:
        done = subprocess.run(
            [str(python), str(_SCRIPT), name], capture_output=True, text=True, check=True
        )
        return float(json.loads(done.stdout.splitlines()[-1]))

    return run


def _in_memory() -> float:
    """The whole registry: register, start, a report of progress, complete."""
    with Registry() as registry:
        return 4 * transitions(registry)


def _durable(in_flight: int, count: int) -> Callable[[], float]:
    def run() -> float:
        with folder() as where:
            return asyncio.run(lifecycles(where / "ours.db", "power", in_flight, count))

    return run


def contests(python: Path) -> list[Named]:
    """What is measured side by side with peers."""

    def machines() -> Contest:
        peers = {name: _peer(python, name) for name in MACHINES}
        return Contest("machine peers", "lifecycle", {_OURS: _in_memory, **peers})

    def queues() -> Contest:
        peers = {name: _peer(python, name) for name in QUEUES}
        return Contest("queue peers", "task", {_OURS: _in_memory, **peers})

    def durable() -> Contest:
        peers = {name: _peer(python, name) for name in DURABLE}
        ours = {
            f"{_OURS}, 1 in flight": _durable(1, 200),
            f"{_OURS}, 100 in flight": _durable(100, 3_000),
        }
        return Contest("durable peers", "task", {**ours, **peers})

    return [("machine peers", machines), ("queue peers", queues), ("durable peers", durable)]


RATIOS = [
    Ratio("in memory, against the fastest peer that guards its transitions", "machine peers",
          ("Automat",), (_OURS,), 1.0, at_least=True),
    Ratio("durable with fsync, against the fastest embedded peer", "durable peers",
          ("Huey",), (f"{_OURS}, 100 in flight",), 10.0, at_least=True),
]  # fmt: skip
