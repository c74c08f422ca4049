"""Runs without a terminal, and the table that looks on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from opslifecycle import Registry
from opslifecycle.cli.watch import drawn
from opslifecycle.inspection.records import Found
from rich.console import Console

from tests.support.builders import completed, registered, running
from tests.support.command_line import command_line
from tests.support.waiting import until

CLI = [sys.executable, "-m", "opslifecycle.cli.main"]


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "operations.db"
    monkeypatch.setenv("OPSLIFECYCLE_STORE", str(path))
    return path


def opslifecycle(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a session of its own, which ends with it."""
    return subprocess.run(
        [*CLI, *words], capture_output=True, text=True, timeout=60, check=False,
        start_new_session=True,
    )  # fmt: skip


def test_a_detached_run_outlives_what_has_started_it(tmp_path: Path) -> None:
    go = tmp_path / "go"
    command = f"until test -e {go}; do sleep 0.02; done; echo done; tty; exit 3"
    started = opslifecycle("run", "--detach", "--", "sh", "-c", command)
    assert started.returncode == 0, started.stderr
    name, _, rest = started.stdout.partition(" goes on in process ")
    process, _, log = rest.strip().partition("; its output is in ")
    assert os.getsid(int(process)) == int(process)
    assert "interrupted" not in command_line("ls", "--name", "sh *").stdout
    go.touch()
    watched = opslifecycle("watch", "--run", name)
    assert watched.returncode == 1
    assert "exit status 3" in watched.stdout
    until(lambda: "1 command: 1 failed" in Path(log).read_text(encoding="utf-8"))
    assert Path(log).stat().st_mode & 0o777 == 0o600
    assert command_line("collect").returncode == 0
    assert not Path(log).exists()


def test_watching_a_run_of_which_everything_completes_is_a_success() -> None:
    name = opslifecycle("run", "-d", "--", "true").stdout.partition(" goes on")[0]
    watched = opslifecycle("watch", "--run", name)
    assert (watched.returncode, watched.stderr) == (0, "")


@pytest.mark.nightly
def test_what_cannot_start_is_told_by_who_has_started_it(store: Path) -> None:
    store.write_text("no database", encoding="utf-8")
    done = opslifecycle("run", "--detach", "--", "true")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {store} is damaged")
    assert done.stdout == ""


def test_a_detached_run_has_no_input_of_its_own() -> None:
    done = command_line("run", "--detach", "--stdin", "-", "--", "cat")
    assert done.returncode == 2
    assert "a detached run has no input; name a file" in " ".join(done.stderr.split())


def test_a_table_needs_a_terminal_or_a_run() -> None:
    opslifecycle("run", "--", "true")
    for words in (["watch"], ["watch", "--run", "no such run"]):
        done = command_line(*words)
        assert done.returncode == 2
        assert "rror: " in done.stderr


def test_the_table_has_what_runs_first_then_what_waits_then_the_latest_ends() -> None:
    with Registry() as registry:
        for each in range(40):
            completed(registry, name=f"ended {each}")
        registered(registry, name="waits")
        running(registry, name="runs")
        found = [Found("run 1", "here", True, each) for each in registry.list_operations()]
    console = Console(width=80, height=10, force_terminal=True)
    with console.capture() as captured:
        console.print(drawn(console, found))
    lines = captured.get().splitlines()
    assert len(lines) < console.height
    names = ["runs", "waits", "ended 39", "ended 38", "ended 37"]
    assert [name for line, name in zip(lines[1:], names, strict=False) if name in line] == names
    assert "40 completed, 1 provisioning, 1 running" in lines[-1]
