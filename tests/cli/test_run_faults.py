"""`opslifecycle run` on a bad day: a store that refuses, signals, pipes that close, limits."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import resource
import select
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from opslifecycle.cli.display import LiveTable
from opslifecycle.cli.running.control_groups import group_of, home_of_groups
from opslifecycle.cli.running.recorder import Recorder
from opslifecycle.cli.wait import wait
from rich.console import Console

from tests.support.command_line import command_line
from tests.support.processes import alive
from tests.support.scale import whole_or
from tests.support.waiting import until
from tests.support.warm import Program, python

CLI = [sys.executable, "-m", "opslifecycle.cli.main"]
RUN = [*CLI, "run"]
_LOCKED = "it is locked by another program, which has not released it in time"
LINUX = sys.platform.startswith("linux")
_SECONDS_MAX = 60


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kept" / "operations.db"
    path.parent.mkdir()
    monkeypatch.setenv("OPSLIFECYCLE_STORE", str(path))
    monkeypatch.chdir(tmp_path)
    return path


def batch(*commands: Mapping[str, object], **keys: object) -> str:
    Path("batch.yaml").write_text(
        yaml.safe_dump({**keys, "commands": [dict(each) for each in commands]})
    )
    return "batch.yaml"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return python(*RUN[1:], *arguments, cwd=Path.cwd(), errors_apart=True)


def statuses() -> dict[str, str]:
    listed = command_line("ls", "--json")
    assert listed.returncode == 0, listed.stderr
    return shown(listed)


def shown(listed: subprocess.CompletedProcess[str]) -> dict[str, str]:
    found = [json.loads(line) for line in listed.stdout.splitlines()]
    return {each["display_name"]: each["status"] for each in found}


def wait_for(status: str, *, of: str | None = None) -> None:
    """Wait until one operation, or the one of a name, has a status."""

    def is_shown() -> bool:
        # Before a run has made its store, there is nothing to list.
        found = shown(command_line("ls", "--json"))
        return status in found.values() if of is None else found.get(of) == status

    until(is_shown, f"{status} {of or ''}")


@contextlib.contextmanager
def started(
    *arguments: str, preexec_fn: Callable[[], None] | None = None, **streams: Any
) -> Iterator[Program | subprocess.Popen[str]]:
    process: Program | subprocess.Popen[str]
    if preexec_fn is None:
        process = Program(*RUN[1:], *arguments, cwd=Path.cwd(), start_new_session=True, **streams)
    else:
        process = subprocess.Popen(
            [*RUN, *arguments], text=True, start_new_session=True, preexec_fn=preexec_fn, **streams
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


@contextlib.contextmanager
def locked(store: Path) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("COMMIT")


class TestTheStoreRefuses:
    def test_a_lock_delays_the_record_and_ends_nothing(self, store: Path) -> None:
        path = batch(
            {"name": "long", "command": "while [ ! -e go ]; do sleep 0.05; done; touch long.out"},
            {"name": "short", "command": "while [ ! -e locked ]; do sleep 0.05; done; echo x"},
            max_concurrent=2,
        )
        with started(path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            wait_for("running", of="short")
            printed: list[str] = []
            assert process.stdout is not None
            reading = threading.Thread(target=lambda: printed.extend(process.stdout or []))
            reading.start()
            with locked(store):
                Path("locked").touch()
                until(lambda: any("store not writable" in each for each in printed), "the notice")
                Path("go").touch()
                until(Path("long.out").exists, "the end of the command")
                assert process.poll() is None
            assert process.wait(_SECONDS_MAX) == 0
            reading.join()
        assert statuses() == {"long": "completed", "short": "completed"}
        assert "store writable again\n" in printed
        assert not any("Traceback" in line for line in printed)

    def test_a_full_disk_delays_the_record_and_ends_nothing(self, small_disk: Path) -> None:
        full = small_disk.parent / "full"
        command = f"while [ ! -e {full} ]; do sleep 0.05; done; echo x"
        with started(
            "--store", str(small_disk / "a.db"), "--", "sh", "-c", command,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stdout.readline().startswith("running")
            fill(small_disk)
            full.touch()
            for line in process.stdout:
                if "store not writable" in line:
                    break
            (small_disk / "fill").unlink()
            rest = process.stdout.read()
            assert process.wait(_SECONDS_MAX) == 0
        assert "1 completed" in rest

    def test_patience_ends_and_what_is_not_recorded_is_told(self, small_disk: Path) -> None:
        full = small_disk.parent / "full"
        path = batch(
            {"name": "done", "command": f"while [ ! -e {full} ]; do sleep 0.05; done; echo x"},
            {"name": "long", "command": "sleep 77"},
            max_concurrent=2,
        )
        options = ["--store-patience", "0.5", "--grace-seconds", "1"]
        with started(
            *options, "--store", str(small_disk / "a.db"), path,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stdout.readline().startswith("running")
            assert process.stdout.readline().startswith("running")
            fill(small_disk)
            full.touch()
            printed, _ = process.communicate(timeout=_SECONDS_MAX)
        assert process.returncode == 3
        assert "error: store not writable: " in printed
        assert "not recorded: done: completed" in printed
        assert "not recorded: long: cancelled: the store cannot be written" in printed
        assert "Traceback" not in printed
        assert alive("sleep 77") == []

    @pytest.mark.nightly
    def test_giving_up_takes_little_longer_than_the_patience(self, store: Path) -> None:
        path = batch(
            {"name": "done", "command": "while [ ! -e locked ]; do sleep 0.05; done"},
            {"name": "long", "command": "sleep 76"},
            max_concurrent=2,
        )
        with started(
            "--store-patience", "2", path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            wait_for("running", of="long")
            with locked(store):
                Path("locked").touch()
                # Waiting five seconds for the lock again and again would take more than forty.
                printed, _ = process.communicate(timeout=20)
        assert process.returncode == 3
        assert "not recorded: done: completed" in printed
        # Its record says so, which is not how it is.
        assert "\nrunning    done" not in printed.partition("store not writable")[2]
        assert alive("sleep 76") == []

    def test_a_store_that_is_deleted_is_given_up_at_once(self, store: Path) -> None:
        command = "while [ ! -e go ]; do sleep 0.05; done"
        with started(
            "--", "sh", "-c", command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            until(lambda: store.exists() and "running" in statuses().values(), "the start")
            for each in store.parent.glob("operations.db*"):
                if each.is_file():
                    each.unlink()
            Path("go").touch()
            printed, _ = process.communicate(timeout=_SECONDS_MAX)
        assert process.returncode == 3
        assert "the file was deleted or replaced while it was open" in printed
        assert "trying again" not in printed
        assert "not recorded: sh -c" in printed
        assert not store.exists()
        assert run("--", "true").returncode == 0


class TestTheStoreIsBusyAtTheStart:
    def test_a_lock_delays_the_start(self, store: Path) -> None:
        assert run("--", "true").returncode == 0
        with contextlib.ExitStack() as lock:
            lock.enter_context(locked(store))
            with started("--", "touch", "it.out", stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                first = process.stdout.readline()
                assert not Path("it.out").exists()
                lock.close()
                printed, _ = process.communicate(timeout=_SECONDS_MAX)
        assert first == f"store not writable: {store}: {_LOCKED}; call again; trying again\n"
        assert printed.startswith("store writable again\nrunning    touch it.out\n")
        assert (process.returncode, Path("it.out").exists()) == (0, True)

    def test_patience_ends_and_nothing_was_started(self, store: Path) -> None:
        assert run("--", "true").returncode == 0
        for words in (("run", "--"), ("map",)):
            with locked(store):
                done = python(
                    *CLI[1:], words[0], "--store-patience", "0.7", *words[1:], "touch", "it.out",
                    cwd=Path.cwd(), errors_apart=True,
                )  # fmt: skip
            assert done.returncode == 3
            error = (
                f"error: store not writable: {store}: {_LOCKED}; call again; nothing was started"
            )
            assert done.stderr.splitlines()[-1] == error
        assert not Path("it.out").exists()
        assert len(statuses()) == 1

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_ends_the_wait(self, store: Path, number: signal.Signals) -> None:
        assert run("--", "true").returncode == 0
        with (
            locked(store),
            started(
                "--", "touch", "it.out", stdout=subprocess.PIPE, stderr=subprocess.PIPE
            ) as process,
        ):
            assert process.stdout is not None
            assert process.stdout.readline().startswith("store not writable")
            process.send_signal(number)
            # The lock is still held, and the patience lasts for minutes.
            printed, errors = process.communicate(timeout=_SECONDS_MAX)
        assert process.returncode == 128 + number
        assert printed == ""
        assert errors == "interrupted before the store was open: nothing was started\n"
        assert len(statuses()) == 1

    @pytest.mark.parametrize(
        ("prepare", "why"),
        [
            (lambda path: path.mkdir(), "it is a folder"),
            (lambda path: path.write_bytes(b"x" * 4096), "is damaged"),
            (lambda path: path.touch(), "is damaged"),
        ],
    )
    def test_what_does_not_pass_is_not_waited_for(
        self, store: Path, prepare: Callable[[Path], None], why: str
    ) -> None:
        prepare(store)
        done = run("--", "true")
        assert (done.returncode, done.stdout) == (2, "")
        assert why in done.stderr
        assert "store not writable" not in done.stderr

    def test_a_full_disk_delays_the_start(self, small_disk: Path) -> None:
        fill(small_disk)
        with started(
            "--store", str(small_disk / "a.db"), "--", "true", stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert "the disk is full" in process.stdout.readline()
            (small_disk / "fill").unlink()
            printed, _ = process.communicate(timeout=_SECONDS_MAX)
        assert process.returncode == 0
        assert "1 completed" in printed

    def test_a_terminal_shows_it_in_place_of_the_table(self, store: Path) -> None:
        recorder, written = Recorder(1.0), io.StringIO()
        display = LiveTable(Console(file=written, force_terminal=True, width=80))
        recorder.problem = "a.db: it is locked"
        display.show_problem(recorder)
        shown = written.getvalue()
        display.show_problem(recorder)
        assert written.getvalue() == shown
        assert "store not writable: a.db: it is locked; trying again" in shown
        display.leave()
        # The cursor is visible again.
        assert written.getvalue().endswith("\x1b[?25h\r\x1b[1A\x1b[2K")


def fill(folder: Path) -> None:
    """Fill a file system to its last byte."""
    with contextlib.suppress(OSError), (folder / "fill").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 512)


@pytest.fixture
def small_disk(store: Path) -> Iterator[Path]:
    folder = store.parent / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("SKIPPED: this process may not mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class TestOutput:
    @pytest.mark.parametrize("options", [["--json"], []][: whole_or(2, 1)])
    def test_a_reader_that_goes_away_ends_nothing(self, store: Path, options: list[str]) -> None:
        path = batch(
            {"name": "a", "command": "true"},
            {"name": "b", "command": "while [ ! -e gone ]; do sleep 0.05; done; touch b.out"},
            {"name": "c", "command": "touch c.out"},
            max_concurrent=1,
        )
        with started(*options, path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            Path("gone").touch()
            assert process.wait(_SECONDS_MAX) == 0
            assert process.stderr.read() == ""
        assert statuses() == {"a": "completed", "b": "completed", "c": "completed"}

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="SKIPPED: there is no /dev/full")
    def test_output_that_cannot_be_written_is_told_and_ends_nothing(self, store: Path) -> None:
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [*RUN, "--json", "--", "touch", "x.out"],
                stdout=full, stderr=subprocess.PIPE, text=True, timeout=_SECONDS_MAX, check=False,
            )  # fmt: skip
        assert done.returncode == 1
        assert done.stderr == "error: standard output: No space left on device\n"
        assert Path("x.out").exists()
        assert list(statuses().values()) == ["completed"]

    @pytest.mark.nightly
    def test_output_without_a_reader_delays_no_signal(self, store: Path) -> None:
        names = [{"name": f"{n:03} {'x' * 1_600}", "command": "true"} for n in range(50)]
        path = batch(*names, {"name": "last", "command": "sleep 78"})
        reading, writing = os.pipe()
        try:
            with started("--grace-seconds", "1", path, stdout=writing) as process:
                wait_for("running")
                wait_for("running", of="last")
                process.send_signal(signal.SIGTERM)
                assert process.wait(_SECONDS_MAX) == 128 + signal.SIGTERM
        finally:
            os.close(reading)
            os.close(writing)
        assert statuses()["last"] == "cancelled"
        assert alive("sleep 78") == []

    @pytest.mark.nightly
    def test_no_escape_sequence_of_a_command_reaches_a_terminal(self, store: Path) -> None:
        bad = r"printf '\033]52;c;cm0=\007\033[31mred\033[0m\n' >&2; exit 3"
        path = batch(
            {"name": "build", "command": bad},
            {"name": "named\x1b]0;OWNED\x07\ncompleted  x", "command": r"printf 'a \033]0;open'"},
        )
        shown = on_terminal(*RUN, path)
        for id in [each.split('"')[3] for each in command_line("ls", "--json").stdout.splitlines()]:
            for command in ("logs", "show", "wait")[: whole_or(3, 2)]:
                shown += on_terminal(*CLI, command, id)
        shown += on_terminal(*CLI, "ls")
        assert b"red" in shown
        for each in (b"\x1b]52;", b"\x1b]0;", b"\x1b[31mred", b"\x07"):
            assert each not in shown
        assert b"\ncompleted  x" not in shown

    @pytest.mark.nightly
    @pytest.mark.parametrize(
        "encoding", ["ascii", pytest.param("latin-1", marks=pytest.mark.nightly)]
    )
    def test_an_output_of_few_characters_is_enough(self, store: Path, encoding: str) -> None:
        path = batch({"name": "翻訳 é", "command": "echo 完了 é"})
        calls = [["run", path], ["ls"], ["run", "--json", path], ["ls", "--json"]]
        for arguments in calls[: whole_or(4, 2)]:
            done = subprocess.run(
                [*CLI, *arguments],
                env={**os.environ, "PYTHONIOENCODING": encoding},
                capture_output=True, timeout=_SECONDS_MAX, check=False,
            )  # fmt: skip
            assert done.returncode == 0
            assert done.stderr == b""
            done.stdout.decode(encoding)


def on_terminal(*command: str) -> bytes:
    """What a command writes to a terminal of 80 columns."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    shown = b""
    with contextlib.suppress(OSError):
        while select.select([terminal], [], [], _SECONDS_MAX)[0]:
            data = os.read(terminal, 65_536)
            if not data:
                break
            shown += data
    os.waitpid(pid, 0)
    os.close(terminal)
    return shown


@pytest.mark.skipif(not LINUX, reason="SKIPPED: only Linux can adopt what leaves its group")
class TestNothingEscapes:
    DAEMONS = (
        "setsid sleep {tag} & (setsid sh -c 'sleep {tag} & sleep {tag}' &) ;"
        " bash -mc 'sleep {tag} &'"
    )

    def test_when_the_command_ends_by_itself(self, store: Path) -> None:
        tag = f"79.{os.getpid()}1"
        done = run("--", "sh", "-c", self.DAEMONS.format(tag=tag) + "; echo ready")
        assert done.returncode == 0, done.stdout
        assert alive(tag) == []

    def test_when_the_run_is_interrupted(self, store: Path) -> None:
        tag = f"79.{os.getpid()}2"
        command = self.DAEMONS.format(tag=tag) + "; touch ready; sleep 80"
        with started("--", "sh", "-c", command, stdout=subprocess.DEVNULL) as process:
            until(Path("ready").exists, "the daemons")
            process.send_signal(signal.SIGINT)
            assert process.wait(_SECONDS_MAX) == 130
        assert alive(tag) == []

    def test_when_the_run_is_killed_while_it_starts(self, store: Path) -> None:
        for round in range(whole_or(4, 1)):
            tag = f"79.{os.getpid()}3{round}"
            names = [{"name": f"c{n}", "command": ["sleep", tag]} for n in range(30)]
            with started(batch(*names, max_concurrent=30), stdout=subprocess.DEVNULL) as process:
                wanted = 1 + 7 * round
                until(lambda tag=tag, n=wanted: len(alive(tag)) >= n, "the commands")  # type: ignore[misc]
                process.kill()
                process.wait()
            until(lambda tag=tag: not alive(tag), "the end of the commands")  # type: ignore[misc]

    def test_when_the_keeper_is_killed(self, store: Path) -> None:
        tag = f"79.{os.getpid()}4"
        with started("--", "sleep", tag, stdout=subprocess.PIPE) as process:
            until(lambda: any(each.startswith("sleep") for each in alive(tag)), "the command")
            kill_keeper_of(process)
            printed, _ = process.communicate(timeout=_SECONDS_MAX)
        assert process.returncode == 1
        assert "the process that keeps the commands has ended" in printed
        assert alive(tag) == []


needs_groups = pytest.mark.skipif(
    home_of_groups() is None, reason="SKIPPED: this process may not make control groups"
)


@needs_groups
class TestControlGroups:
    #: Leaves its session and its process group, and drops the variable that marks it.
    HIDDEN = "env -i setsid setsid sleep {tag} & while [ ! -e go ]; do sleep 0.05; done"

    def test_a_process_that_hides_ends_with_its_command(self, store: Path) -> None:
        tag = f"83.{os.getpid()}1"
        path = batch(
            {"name": "hides", "command": self.HIDDEN.format(tag=tag)},
            {"name": "goes on", "command": "while [ ! -e seen ]; do sleep 0.05; done"},
            max_concurrent=2,
        )
        with started(path, stdout=subprocess.DEVNULL) as process:
            until(lambda: f"sleep {tag} " in alive(tag), "the hidden process")
            Path("go").touch()
            wait_for("completed", of="hides")
            assert f"sleep {tag} " not in alive(tag)
            Path("seen").touch()
            assert process.wait(_SECONDS_MAX) == 0
        assert groups_left() == []

    def test_a_process_that_hides_ends_when_the_keeper_is_killed(self, store: Path) -> None:
        tag = f"83.{os.getpid()}2"
        command = ["sh", "-c", self.HIDDEN.format(tag=tag)]
        with started("--", *command, stdout=subprocess.DEVNULL) as process:
            until(lambda: f"sleep {tag} " in alive(tag), "the hidden process")
            kill_keeper_of(process)
            assert process.wait(_SECONDS_MAX) == 1
        assert alive(tag) == []
        assert groups_left() == []


def groups_left() -> list[str]:
    """The control groups of commands of this test."""
    listed = command_line("ls", "--json").stdout.splitlines()
    home = home_of_groups()
    assert home is not None
    folders = [group_of(home, json.loads(line)["id"]) for line in listed]
    assert folders
    return [str(each) for each in folders if each.exists()]


def kill_keeper_of(process: Program | subprocess.Popen[str]) -> None:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGKILL)


class TestSignals:
    def test_a_signal_that_was_ignored_at_the_start_stays_ignored(self, store: Path) -> None:
        command = [*RUN, "--", "sh", "-c", "touch ready; while [ ! -e go ]; do sleep 0.05; done"]
        with subprocess.Popen(
            ["sh", "-c", 'trap "" HUP INT; exec "$@"', "sh", *command], stdout=subprocess.DEVNULL
        ) as process:
            until(Path("ready").exists, "the command")
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGINT)
            time.sleep(0.3)
            assert process.poll() is None
            Path("go").touch()
            assert process.wait(_SECONDS_MAX) == 0

    def test_signals_that_the_parent_has_blocked_are_received(self, store: Path) -> None:
        tag = f"84.{os.getpid()}"

        def block() -> None:
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD, signal.SIGTERM])

        with started("--", "sleep", tag, preexec_fn=block) as process:
            wait_for("running")
            process.send_signal(signal.SIGTERM)
            assert process.wait(_SECONDS_MAX) == 128 + signal.SIGTERM
        assert alive(tag) == []

    @pytest.mark.parametrize("how", [[], pytest.param(["--detach"], marks=pytest.mark.nightly)])
    def test_ends_of_commands_are_seen_where_the_parent_ignored_them(
        self, store: Path, how: list[str]
    ) -> None:
        def ignore() -> None:
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)

        with started(*how, "--", "sh", "-c", "exit 3", preexec_fn=ignore) as process:
            assert process.wait(_SECONDS_MAX) == (0 if how else 1)
            wait_for("failed")

    def test_an_interrupt_ends_a_wait_with_its_number(
        self, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(seconds: float) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("opslifecycle.cli.wait.time", SimpleNamespace(sleep=interrupt))
        with started("--", "sh", "-c", "touch ready; sleep 84", stdout=subprocess.DEVNULL):
            until(Path("ready").exists, "the command")
            wait_for("running")
            (line,) = command_line("ls", "--json").stdout.splitlines()
            done = CliRunner().invoke(wait, ["--store", str(store), json.loads(line)["id"]])
        assert (done.exit_code, done.stderr) == (130, "")

    def test_an_interrupt_while_a_command_is_imported_is_silent(self, store: Path) -> None:
        slow = (
            "import sys, time, opslifecycle.cli.main as m\n"
            "class Slow:\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            "        if name == 'opslifecycle.cli.run':\n"
            "            print('importing', flush=True); time.sleep(60)\n"
            "sys.meta_path.insert(0, Slow())\n"
            "sys.argv = ['opslifecycle', 'run', '--', 'true']\n"
            "m.main()\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", slow],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stdout.readline() == "importing\n"
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=_SECONDS_MAX)
        assert (process.returncode, errors) == (-signal.SIGINT, "")

    def test_quit_ends_everything_by_force(self, store: Path) -> None:
        tag = f"81.{os.getpid()}1"
        stubborn = f"trap '' TERM; touch ready; sleep {tag}; sleep {tag}"
        with started("--grace-seconds", "600", "--", "sh", "-c", stubborn) as process:
            until(Path("ready").exists, "the command")
            process.send_signal(signal.SIGQUIT)
            assert process.wait(_SECONDS_MAX) == 128 + signal.SIGQUIT
        assert alive(tag) == []
        assert list(statuses().values()) == ["cancelled"]

    def test_suspending_a_run_suspends_its_commands_and_their_time(self, store: Path) -> None:
        ticking = "while :; do echo x >> ticks; sleep 0.05; done"
        path = batch({"name": "t", "command": ticking, "timeout_seconds": 3})
        ticks = Path("ticks")
        with started(path, stdout=subprocess.DEVNULL) as process:
            until(ticks.exists, "the command")
            process.send_signal(signal.SIGTSTP)
            until(lambda: stopped(process.pid), "the stop")
            before = ticks.stat().st_size
            time.sleep(3.5)
            assert ticks.stat().st_size <= before + 4
            process.send_signal(signal.SIGCONT)
            until(lambda: ticks.stat().st_size > before + 4, "the continuation")
            # Deferred writes take up to a second, in which the run may have been suspended.
            wait_for("running", of="t")
            assert process.wait(_SECONDS_MAX) == 1
        assert statuses() == {"t": "cancelled"}

    @pytest.mark.nightly
    def test_time_in_which_the_run_was_stopped_counts_against_no_limit(self, store: Path) -> None:
        path = batch({"name": "t", "command": "sleep 3", "timeout_seconds": 2.5})
        with started(path, stdout=subprocess.DEVNULL) as process:
            wait_for("running", of="t")
            process.send_signal(signal.SIGSTOP)
            time.sleep(3.5)
            process.send_signal(signal.SIGCONT)
            assert process.wait(_SECONDS_MAX) == 0


def stopped(pid: int) -> bool:
    done = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return done.stdout.strip().startswith("T")


class TestLimits:
    @pytest.mark.nightly
    def test_a_limit_on_files_fails_single_commands_and_is_named(self, store: Path) -> None:
        path = batch(*({"name": f"c{n}", "command": "sleep 0.5"} for n in range(30)))

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))

        done = subprocess.run(
            [*RUN, "--max-concurrent", "30", path],
            capture_output=True, text=True, timeout=_SECONDS_MAX, check=False, preexec_fn=limit,
        )  # fmt: skip
        assert done.returncode == 1
        assert "(the limit on open files, ulimit -n, is 40)" in done.stdout
        assert "Traceback" not in done.stdout + done.stderr
        assert set(statuses().values()) == {"completed", "failed"}

    @pytest.mark.skipif(
        not LINUX or os.geteuid() != 0, reason="SKIPPED: root can lower another user's limit"
    )
    def test_a_limit_on_processes_orphans_nothing_and_is_named(self, tmp_path: Path) -> None:
        tag, user = f"82.{os.getpid()}", 54_321
        where = Path("/tmp") / f"opslifecycle-limit-{os.getpid()}"
        where.mkdir(mode=0o777)
        where.chmod(0o777)
        commands = [{"name": f"c{n}", "command": ["sleep", tag]} for n in range(40)]
        (where / "batch.yaml").write_text(
            yaml.safe_dump({"max_concurrent": 40, "commands": commands})
        )

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_NPROC, (20, 20))

        try:
            if not can_import(user, where):
                pytest.skip("SKIPPED: another user may not read this environment")
            with subprocess.Popen(
                [*RUN, "--store", str(where / "a.db"), "batch.yaml"],
                cwd=where, user=user, preexec_fn=limit, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            ) as process:  # fmt: skip
                assert process.stdout is not None
                line = ""
                while "the limit on processes, ulimit -u, is 20" not in line:
                    line = process.stdout.readline()
                    assert line, "the run ended without naming the limit"
                process.send_signal(signal.SIGINT)
                rest = process.stdout.read()
            assert "Traceback" not in rest
            assert alive(tag) == []
        finally:
            subprocess.run(["rm", "-rf", str(where)], check=True)

    @pytest.mark.skipif(
        not LINUX or os.geteuid() != 0, reason="SKIPPED: root can lower another user's limit"
    )
    def test_a_run_without_a_thread_or_a_process_is_one_line(self, tmp_path: Path) -> None:
        user = 54_322
        where = Path("/tmp") / f"opslifecycle-thread-{os.getpid()}"
        where.mkdir(mode=0o777)
        where.chmod(0o777)

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))

        try:
            if not can_import(user, where):
                pytest.skip("SKIPPED: another user may not read this environment")
            done = subprocess.run(
                [*RUN, "--store", str(where / "a.db"), "--", "true"],
                cwd=where, user=user, preexec_fn=limit, text=True, capture_output=True,
                timeout=_SECONDS_MAX, check=False,
            )  # fmt: skip
            assert done.returncode == 2
            assert done.stderr.endswith(" (the limit on processes, ulimit -u, is 1)\n")
            assert done.stderr.startswith("error: ")
        finally:
            subprocess.run(["rm", "-rf", str(where)], check=True)

    def test_an_entry_that_cannot_be_encoded_fails_alone(self, store: Path) -> None:
        Path("batch.yaml").write_text(
            "commands:\n- {name: good, command: 'true'}\n- {name: bad, command: [\"\\ud800\"]}\n"
        )
        done = run("batch.yaml")
        assert done.returncode == 1
        assert done.stderr == ""
        assert statuses() == {"good": "completed", "bad": "failed"}


def can_import(user: int, where: Path) -> bool:
    program = [sys.executable, "-c", "import opslifecycle"]
    try:
        done = subprocess.run(program, user=user, cwd=where, capture_output=True, check=False)
    except PermissionError:
        return False
    return done.returncode == 0


class TestCollectAndWait:
    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="SKIPPED: there is no /dev/full")
    def test_collect_erases_only_what_was_written(self, store: Path) -> None:
        count = whole_or(50, 10)
        path = batch(*({"name": f"c{n}", "command": "echo x"} for n in range(count)))
        assert run(path).returncode == 0
        with open("/dev/full", "w") as full:
            done = subprocess.run([*CLI, "collect"], stdout=full, capture_output=False, check=False)
        assert done.returncode == 2
        assert len(statuses()) == count
        piped = subprocess.run(
            ["sh", "-c", f"{' '.join(CLI)} collect | head -n 1"], capture_output=True, check=True
        )
        assert piped.stdout.count(b"\n") == 1
        collected = command_line("collect").stdout.splitlines()
        assert len(collected) in (0, count)
        assert len(statuses()) == 0

    @pytest.mark.nightly
    def test_wait_knows_what_was_collected_meanwhile_from_the_feed(self, store: Path) -> None:
        assert run("--", "sh", "-c", "exit 7").returncode == 1
        (line,) = command_line("ls", "--json").stdout.splitlines()
        id = json.loads(line)["id"]
        waiting = subprocess.Popen([*CLI, "wait", id], stdout=subprocess.PIPE, text=True)
        assert waiting.communicate(timeout=_SECONDS_MAX)[0].startswith("failed")
        assert waiting.returncode == 1

    def test_a_wait_that_cannot_know_says_so_and_fails(
        self, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        command = "touch ready; while [ ! -e go ]; do sleep 0.05; done; exit 7"
        with started("--", "sh", "-c", command, stdout=subprocess.DEVNULL) as process:
            until(Path("ready").exists, "the command")
            wait_for("running")
            (line,) = command_line("ls", "--json").stdout.splitlines()

            def collected(seconds: float) -> None:
                # The command ends, and is collected, while the wait looks elsewhere.
                Path("go").touch()
                assert process.wait(_SECONDS_MAX) == 1
                assert command_line("collect", "--forget").returncode == 0

            clock = SimpleNamespace(sleep=collected)
            monkeypatch.setattr("opslifecycle.cli.wait.time", clock)
            done = CliRunner().invoke(wait, ["--store", str(store), json.loads(line)["id"]])
        assert done.exit_code == 3
        assert "its record was erased, collected or evicted meanwhile" in done.stderr


def test_logs_follow_to_the_end_and_keep_both_outputs(store: Path) -> None:
    command = "echo one; echo bad >&2; while [ ! -e go ]; do sleep 0.05; done; echo two"
    with started("--", "sh", "-c", command, stdout=subprocess.DEVNULL) as process:
        wait_for("running")
        (line,) = command_line("ls", "--json").stdout.splitlines()
        id = json.loads(line)["id"]
        with subprocess.Popen(
            [*CLI, "logs", "-f", id], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as logs:
            assert logs.stdout is not None
            assert logs.stdout.readline() == "one\n"
            Path("go").touch()
            output, errors = logs.communicate(timeout=_SECONDS_MAX)
        assert process.wait(_SECONDS_MAX) == 0
    assert (output, errors) == ("two\n", "bad\n")
    assert command_line("logs", "--stream", "stderr", id).stderr == "bad\n"
