"""What lamps go through."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from opslifecycle import SqliteStore

from lamp import LampError, LampId, LampRegistry, LampStatus


def test_it_is_switched_until_it_breaks() -> None:
    with LampRegistry() as house:
        id = LampId.new()
        house.hang(id, "hall")
        house.light(id)
        with pytest.raises(LampError, match="is lit: it cannot light"):
            house.light(id)
        house.note_broken(id)
        snapshot = house.snapshot(id)
        assert snapshot is not None
        assert (snapshot.status, snapshot.switched) == (LampStatus.BROKEN, 1)
        assert [each for each in house.allowed(id) if each.allowed] == []


SWITCH_AND_DIE = """
import os, signal, sys
from opslifecycle import SqliteStore
from lamp import LampId, LampRegistry
house = LampRegistry(store=SqliteStore(sys.argv[1]))
id = LampId(sys.argv[2])
house.hang(id, "hall")
house.light(id)
house.darken(id)
house.light(id)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_every_switch_survives_a_kill(tmp_path: Path) -> None:
    id, path = LampId.new(), tmp_path / "house.db"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = [sys.executable, "-c", SWITCH_AND_DIE, str(path), str(id)]
    assert (
        subprocess.run(run, env=environment, check=False).returncode == -signal.SIGKILL
    )
    with LampRegistry(store=SqliteStore(path)) as house:
        snapshot = house.snapshot(id)
        assert snapshot is not None
        assert (snapshot.status, snapshot.switched) == (LampStatus.LIT, 2)
