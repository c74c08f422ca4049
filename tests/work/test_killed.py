"""A supervisor's process is killed: what it acknowledged is stored, and nothing of its runs on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from opslifecycle import Completed, OperationId, Registry, SqliteStore, Terminated

from tests.support.scale import whole_or
from tests.support.waiting import until
from tests.work.test_sorts import alive

DEADLINE_SECONDS = 30.0

#: Runs work of every sort without an end, and prints which ended how; killed in some round.
BUSY = """
import asyncio, os, signal, sys
from opslifecycle import *
from opslifecycle.work import *
rounds = 0

class Loop(asyncio.SelectorEventLoop):
    def _run_once(self):
        global rounds
        rounds += 1
        if rounds == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        super()._run_once()

def say(what, id):
    os.write(1, f"{what} {id}\\n".encode())

async def give(value):
    say("runs", current().id)
    current().progress("half")
    await asyncio.sleep(0)
    return value

def give_in_a_thread(value):
    say("runs", current().id)
    return value

async def follow(work, *what):
    while True:
        operation = await work.start(*what)
        say("started", operation.id)
        outcome = await operation
        assert isinstance(outcome, Completed), outcome
        say("completed", operation.id)

async def main():
    registry = await AsyncRegistry.open(store=SqliteStore(sys.argv[1]))
    async with registry, Supervisor(registry, max_running=3) as work:
        kinds = (give, "loop"), (give_in_a_thread, "thread"), (["sh", "-c", "exit 0"],)
        await asyncio.gather(*(follow(work, *kind) for kind in kinds * 2))

asyncio.run(main()) if len(sys.argv) < 3 else asyncio.Runner(loop_factory=Loop).run(main())
"""

PROGRAM = """
import asyncio, os, signal, sys
from opslifecycle import *
from opslifecycle.work import *
from opslifecycle.work.guarding import Guardian

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    script = f"(trap '' HUP TERM; echo $$ > {sys.argv[2]}; sleep 1000) & wait"
    registry = await AsyncRegistry.open(store=SqliteStore(sys.argv[1]))
    async with registry, Supervisor(registry) as work:
        if sys.argv[3] == "before it is known":
            Guardian.add = die
        if sys.argv[3] == "while a fork holds on" and os.fork() == 0:
            signal.pause()
        await work.start(["sh", "-c", script])
        while not os.path.exists(sys.argv[2]):
            await asyncio.sleep(0.01)
        if sys.argv[3] == "guardian first":
            work._block._runner._guardian._process.kill()
            work._block._runner._guardian._process.wait()
            second = await work.start(["sh", "-c", f"echo $$ >> {sys.argv[2]}; sleep 1000"])
            while open(sys.argv[2]).read().count("\\n") < 2:
                await asyncio.sleep(0.01)
        die()

asyncio.run(main())
"""


def killed(script: str, *arguments: str) -> str:
    run = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(run, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    return done.stdout


@pytest.mark.parametrize("rounds", [60, 10, 200, 500][: whole_or(4, 2)])
def test_what_was_acknowledged_is_stored_and_the_rest_is_interrupted(
    tmp_path: Path, rounds: int
) -> None:
    path = tmp_path / "ops.db"
    said: dict[str, set[OperationId]] = {"runs": set(), "started": set(), "completed": set()}
    for _ in range(2):
        for line in killed(BUSY, str(path), str(rounds)).splitlines():
            what, _, id = line.partition(" ")
            said[what].add(OperationId(id))
    with Registry(store=SqliteStore(path)) as registry:
        assert registry.list_operations(terminal=False) == []
        outcomes = {each.id: each.terminal_outcome for each in registry.list_operations()}
        for id in said["completed"]:
            assert isinstance(outcomes[id], Completed)
        assert said["started"] | said["runs"] <= set(outcomes)
        assert {type(each) for each in outcomes.values()} <= {Completed, Terminated}


@pytest.mark.parametrize("how", ["alone", "while a fork holds on", "guardian first"])
def test_programs_end_with_the_supervisors_process(tmp_path: Path, how: str) -> None:
    noted = tmp_path / "pids"
    run = [sys.executable, "-c", PROGRAM, str(tmp_path / "ops.db"), str(noted), how]
    process = subprocess.Popen(run, start_new_session=True)
    try:
        assert process.wait(DEADLINE_SECONDS) == -signal.SIGKILL
        pids = [int(line) for line in noted.read_text().split()]
        assert len(pids) == (2 if how == "guardian first" else 1)
        until(lambda: not any(alive(pid) for pid in pids), "the end of the programs")
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def test_a_program_that_the_guardian_does_not_know_never_begins(tmp_path: Path) -> None:
    noted = tmp_path / "pids"
    killed(PROGRAM, str(tmp_path / "ops.db"), str(noted), "before it is known")
    time.sleep(0.3)
    assert not noted.exists()
