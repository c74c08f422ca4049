"""Standard streams that are closed or full, and a current folder that is gone."""

from __future__ import annotations

import errno
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from opslifecycle import Registry, SqliteStore
from opslifecycle.cli.failing import described

from tests.support.builders import completed
from tests.support.command_line import command_line
from tests.support.scale import whole_or
from tests.support.waiting import until

CLI = [sys.executable, "-m", "opslifecycle.cli.main"]
CLOSED = ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]
_IS_CLOSED = "error: standard output: it is closed\n"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "operations.db"
    monkeypatch.setenv("OPSLIFECYCLE_STORE", str(path))
    monkeypatch.chdir(tmp_path)
    return path


def called(redirection: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with standard streams as a shell redirects them."""
    script = f'exec "$@" {redirection}'
    return subprocess.run(
        ["sh", "-c", script, "sh", *CLI, *words],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def operations() -> list[dict[str, object]]:
    return [json.loads(line) for line in command_line("ls", "--json").stdout.splitlines()]


@pytest.mark.parametrize("redirection", CLOSED[whole_or(0, 3) :])
def test_a_run_without_standard_streams_runs_and_keeps_every_output(
    store: Path, redirection: str
) -> None:
    done = called(redirection, "run", "--", "sh", "-c", "echo written; echo error >&2")
    is_written = ">&-" not in redirection.split()
    assert done.returncode == (0 if is_written else 1)
    assert done.stderr == ("" if is_written or "2>&-" in redirection else _IS_CLOSED)
    (operation,) = operations()
    assert operation["status"] == "completed"
    logged = command_line("logs", str(operation["id"]))
    assert (logged.stdout, logged.stderr) == ("written\n", "error\n")
    assert command_line("doctor").returncode == 0


@pytest.mark.parametrize("redirection", [">&-", ">/dev/full"])
@pytest.mark.parametrize(
    "words",
    [("ls",), ("run", "--help"), ("--help",), ("--version",), ("doctor",), ("collect",)][
        : whole_or(6, 2)
    ],
)
def test_what_cannot_be_printed_is_one_line_and_a_status(
    store: Path, words: tuple[str, ...], redirection: str
) -> None:
    if redirection == ">/dev/full" and not Path("/dev/full").exists():
        pytest.skip("SKIPPED: there is no /dev/full")
    with Registry(store=SqliteStore(store)) as registry:
        id = completed(registry)
    done = called(redirection, *words)
    full = "error: standard output: No space left on device\n"
    assert (done.returncode, done.stderr) == (2, _IS_CLOSED if redirection == ">&-" else full)
    # `collect` has erased nothing.
    assert [each["id"] for each in operations()] == [str(id)]


def test_a_run_whose_terminal_hangs_up_exits_as_by_the_signal(store: Path) -> None:
    process, terminal = pty.fork()
    if process == 0:
        os.execv(CLI[0], [*CLI, "run", "--", "sleep", "300"])
    try:
        until(lambda: [each["status"] for each in operations()] == ["running"], "running")
    finally:
        os.close(terminal)
        _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    assert [each["status"] for each in operations()] == ["cancelled"]


def test_an_output_whose_log_cannot_be_written_is_said(store: Path) -> None:
    Path(f"{store}.logs").touch()
    done = called("", "run", "--", "sh", "-c", "echo written")
    assert done.returncode == 0
    why = "the output is not stored whole: operations.db.logs: "
    assert why in done.stderr.replace(f"{store.parent}/", "")
    (operation,) = operations()
    logged = command_line("logs", str(operation["id"]))
    assert (logged.returncode, logged.stdout) == (1, "")
    assert logged.stderr.startswith("error: the log is missing; ")
    assert "written" in command_line("show", str(operation["id"])).stdout


@pytest.mark.nightly
def test_a_detached_run_whose_name_cannot_be_printed_goes_on(store: Path) -> None:
    done = called(">&-", "run", "--detach", "--", "true")
    assert done.returncode == 1
    named, error = done.stderr.splitlines(keepends=True)
    assert named.startswith("run ")
    assert error == _IS_CLOSED
    until(lambda: [each["status"] for each in operations()] == ["completed"], "completed")


def test_values_from_a_closed_input_are_an_error_of_the_input(store: Path) -> None:
    done = called("<&-", "map", "echo")
    assert done.returncode == 2
    assert done.stderr.endswith("Error: standard input: it is closed\n")
    assert not store.exists()


@pytest.mark.parametrize(
    "words",
    [("ls",), ("run", "-d", "--", "true"), ("doctor",), ("run", "--", "true")][: whole_or(4, 2)],
)
def test_a_current_folder_that_is_gone_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.delenv("OPSLIFECYCLE_STORE", raising=False)
    gone = tmp_path / "gone"
    gone.mkdir()
    script = 'rmdir "$PWD" && exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *CLI, *words],
        cwd=gone, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: .opslifecycle")
    assert done.stderr.endswith(": the current folder was deleted; change into another one\n")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOSPC, "full"), "standard output: full"),
        (OSError(errno.EBADF, "bad"), "standard output: it is closed"),
        (OSError(errno.EACCES, "denied", "a.db"), "a.db: denied"),
        (OSError(errno.EACCES, "denied", b"a.db"), "a.db: denied"),
        (OSError(errno.EMFILE, "files"), "files (the limit on open files, ulimit -n, is "),
        (OSError(errno.EAGAIN, "again"), "again (the limit on processes, ulimit -u, is "),
        (OSError(errno.ENOENT, os.strerror(errno.ENOENT), "x"), "x: No such file or directory"),
    ],
)
def test_an_error_is_described_by_what_failed(error: OSError, text: str) -> None:
    assert described(error).startswith(text)
