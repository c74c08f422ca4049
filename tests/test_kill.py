"""What a call has acknowledged survives `kill -9`; what is deferred is on the disk soon after."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from opslifecycle import CompletionCursorConsumer, OperationId, Registry, SqliteStore

DEADLINE_SECONDS = 30.0

#: Every command of the shipped machine whose write is not deferred, each on a registry of its own.
#: Nothing is written by a deadline here: what survives was written before its call returned.
ACKNOWLEDGED = """
import os, signal, sys
from opslifecycle import *
from opslifecycle.shell import commits
from tests.support.builders import ACTIONS, registered, running
commits.DEFERRED_SECONDS = 1000.0
path, open_registries = sys.argv[1], []

def opened(name):
    registry = Registry(store=SqliteStore(path, registry=name))
    open_registries.append(registry)
    return registry

registered(opened("register"))
for name in ("fail", "abort", "cancel", "terminate"):
    registry = opened(name)
    ACTIONS[name](registry, registered(registry))
for name in ("complete", "retire_completed"):
    registry = opened(name)
    ACTIONS[name](registry, running(registry))
rolled_back = opened("rollback")
rolled_back.rollback_unreturned_operation(registered(rolled_back))
for name in ("collect", "advance"):
    registry = opened(name)
    ACTIONS["fail"](registry, registered(registry))
open_registries[-2].collect_completed()
open_registries[-1].advance_completion_cursor(CompletionCursorConsumer.AGENT_APPLIED, 1)
os.kill(os.getpid(), signal.SIGKILL)
"""

BUSY = """
import os, sys
from opslifecycle import *
from tests.support.builders import registered
registry = Registry(store=SqliteStore(sys.argv[1]))
id = registered(registry)
os.write(1, f"{id}\\n".encode())
registry.provisioning_succeeded(id)
while True:
    registry.report_progress(id, OperationProgressUpdate("busy"))
"""


def killed(script: str, *arguments: str) -> None:
    """Run a script that kills itself with a signal that nothing can catch."""
    run = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose owner was killed right after its last call had returned."""
    path = tmp_path_factory.mktemp("killed") / "ops.db"
    killed(ACKNOWLEDGED, str(path))
    return path


def stored_statuses(path: Path) -> dict[str, str]:
    """The status of each stored record, by the name of its registry."""
    with closing(sqlite3.connect(path)) as database, database:
        found = dict(database.execute("SELECT registry, status FROM records").fetchall())
    database.close()
    return found


def test_every_acknowledged_command_is_on_the_disk(store: Path) -> None:
    assert stored_statuses(store) == {
        "register": "provisioning",
        "fail": "failed",
        "abort": "aborted",
        "cancel": "cancelled",
        "terminate": "terminated",
        "complete": "completed",
        "retire_completed": "retired",
        "advance": "failed",
    }


def test_a_reopened_registry_goes_on_from_there(store: Path) -> None:
    with Registry(store=SqliteStore(store, registry="collect")) as registry:
        assert registry.collect_completed() == []
        assert registry.completion_feed().watermark == 1
    with Registry(store=SqliteStore(store, registry="advance")) as registry:
        assert registry.completion_cursor(CompletionCursorConsumer.AGENT_APPLIED) == 1
        assert registry.completion_cursor(CompletionCursorConsumer.RUNTIME_OBSERVED) == 0


def test_deferred_writes_reach_the_disk_however_busy_the_registry_is(tmp_path: Path) -> None:
    path = tmp_path / "ops.db"
    worker = subprocess.Popen(
        [sys.executable, "-c", BUSY, str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert worker.stdout is not None
        id = OperationId(worker.stdout.readline().strip())
        deadline = time.monotonic() + DEADLINE_SECONDS
        counts: list[int] = []
        # Twice, because the first write may have come with another commit.
        while len(set(counts)) < 3:
            assert time.monotonic() < deadline, "deferred writes wait while commands arrive"
            assert worker.poll() is None
            counts.append(stored_progress(path, id))
            time.sleep(0.05)
        assert stored_statuses(path) == {"default": "running"}
    finally:
        os.kill(worker.pid, signal.SIGKILL)
        worker.communicate()


def stored_progress(path: Path, id: OperationId) -> int:
    """How many reports of progress the store has of an operation."""
    database = sqlite3.connect(path, timeout=DEADLINE_SECONDS)
    (body,) = database.execute("SELECT body FROM records WHERE id = ?", (str(id),)).fetchone()
    database.close()
    return int(json.loads(body).get("progress_count", 0))
