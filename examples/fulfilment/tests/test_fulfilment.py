"""What orders go through."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from opslifecycle import SqliteStore

from fulfilment import FulfilmentRegistry, OrderId, OrderStatus, WrongStageError

STRAIGHT = [
    "place",
    "screen",
    "accept",
    "invoice",
    "pay",
    "allocate",
    "start_picking",
    "finish_picking",
    "start_packing",
    "close_parcel",
    "label",
    "stage",
    "hand_over",
    "depart",
    "arrive",
    "load",
    "deliver",
]


def test_the_straight_way() -> None:
    with FulfilmentRegistry() as warehouse:
        id = OrderId.new()
        warehouse.begin(id, "Ada")
        watch = warehouse.watch(id)
        with pytest.raises(WrongStageError, match="is drafted: it cannot deliver"):
            warehouse.deliver(id)
        for action in STRAIGHT:
            getattr(warehouse, action)(id)
        assert watch.result(0) is OrderStatus.DELIVERED
        snapshot = warehouse.snapshot(id)
        assert snapshot is not None
        assert snapshot.changes == len(STRAIGHT)
        assert snapshot.placed_at_ms is not None
        assert warehouse.broken_invariants() == []


ACT_AND_DIE = """
import os, signal, sys
from opslifecycle import SqliteStore
from fulfilment import FulfilmentRegistry, OrderId
warehouse = FulfilmentRegistry(store=SqliteStore(sys.argv[1]))
id = OrderId(sys.argv[2])
warehouse.begin(id, "Ada")
for action in sys.argv[3:]:
    getattr(warehouse, action)(id)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("count", [1, 9, len(STRAIGHT)])
def test_every_step_survives_a_kill(tmp_path: Path, count: int) -> None:
    id, path = OrderId.new(), tmp_path / "orders.db"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = [sys.executable, "-c", ACT_AND_DIE, str(path), str(id), *STRAIGHT[:count]]
    assert (
        subprocess.run(run, env=environment, check=False).returncode == -signal.SIGKILL
    )
    with (
        FulfilmentRegistry() as expected,
        FulfilmentRegistry(store=SqliteStore(path)) as found,
    ):
        expected.begin(id, "Ada")
        for action in STRAIGHT[:count]:
            getattr(expected, action)(id)
        before, after = expected.snapshot(id), found.snapshot(id)
        assert before is not None
        assert after is not None
        assert (after.status, after.changes) == (before.status, before.changes)
