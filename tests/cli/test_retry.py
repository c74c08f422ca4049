"""`opslifecycle retry`, `attach` and `man`: commands of earlier runs run again, as they were."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import click
import pytest
from opslifecycle.cli.batches.command_file import (
    CommandFile,
    NotStoredError,
    command_file,
    read_commands,
)
from opslifecycle.cli.batches.model import Batch, Command, Retry, When
from opslifecycle.cli.group import cli
from opslifecycle.cli.man import manual

from tests.cli.test_run import RUN, batch, run
from tests.support.command_line import command_line
from tests.support.waiting import until
from tests.support.warm import python


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "operations.db"
    monkeypatch.setenv("OPSLIFECYCLE_STORE", str(path))
    return path


def retry(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    words = (*RUN[1:-1], "retry", *words)
    return python(*words, cwd=cwd or Path.cwd(), errors_apart=True)


def ends(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Return how each command ended, by its name."""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {
        line["display_name"]: str(line["terminal_outcome"]["outcome_type"]) for line in lines
    }  # fmt: skip


def ids() -> dict[str, str]:
    lines = command_line("ls", "--json").stdout.splitlines()
    return {each["display_name"]: each["id"] for each in map(json.loads, lines)}


def test_what_did_not_complete_is_run_again(tmp_path: Path) -> None:
    path = batch(
        tmp_path,
        {"name": "fine", "command": "true"},
        {"name": "bad", "command": "test -e mended", "directory": ".", "needs": "fine"},
        {"name": "after", "command": "echo after", "needs": "bad"},
    )
    assert run(path).returncode == 1
    again = retry("--json")
    assert again.returncode == 1
    assert ends(again) == {"bad": "failed", "after": "cancelled"}
    (tmp_path / "mended").touch()
    # Of the latest run, from another folder.
    (tmp_path / "elsewhere").mkdir()
    again = retry("--json", cwd=tmp_path / "elsewhere")
    assert again.returncode == 0, again.stderr
    assert ends(again) == {"bad": "completed", "after": "completed"}
    assert retry().stdout.endswith(": every command has completed\n")


def test_one_operation_is_run_again_however_it_ended(tmp_path: Path) -> None:
    assert run("--", "echo", "hello world").returncode == 0
    (id,) = ids().values()
    again = retry("--json", id[-8:])
    assert again.returncode == 0, again.stderr
    assert ends(again) == {"echo 'hello world'": "completed"}
    assert len(command_line("ls", "--json").stdout.splitlines()) == 2


def test_a_command_is_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("from a file\n", encoding="utf-8")
    (tmp_path / "below").mkdir()
    path = batch(
        tmp_path,
        {"name": "shell", "command": "echo $A ${B-none} $(cat) $PWD; exit 3",
         "environment": {"A": "1 ß", "B": None}, "stdin": "given", "directory": "below"},
        {"name": "words", "command": ["sh", "-c", "cat >&2; exit 1"], "stdin_file": "words"},
        {"name": "slow", "command": "sleep 60", "timeout_seconds": 0.1, "retry": {"attempts": 2}},
    )  # fmt: skip
    first = run(path, "--json", cwd=tmp_path)
    again = retry("--json")

    def told(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return {line["display_name"]: line["terminal_outcome"] for line in lines}

    assert told(first) == told(again)
    assert f"1 ß none given {tmp_path / 'below'}" in str(told(again)["shell"])
    assert "from a file" in str(told(again)["words"])
    assert set(told(again)) == {"shell", "words", "slow", "slow (attempt 2)"}


def test_a_later_attempt_is_one_of_its_command(tmp_path: Path) -> None:
    path = batch(
        tmp_path, {"name": "flaky", "command": "exit 1", "retry": {"attempts": 2}},
    )  # fmt: skip
    assert run(path).returncode == 1
    last = ids()["flaky (attempt 2)"]
    assert set(ends(retry("--json", last))) == {"flaky", "flaky (attempt 2)"}


def test_a_run_that_was_killed_is_run_again(tmp_path: Path) -> None:
    go = tmp_path / "go"
    path = batch(
        tmp_path,
        {"name": "waits", "command": f"test -e {go} || sleep 60"},
        {"name": "later", "command": "true"},
        max_concurrent=1,
    )
    process = subprocess.Popen([*RUN, path], stdout=subprocess.DEVNULL)
    try:
        until(lambda: "running" in command_line("ls").stdout)
        refused = retry()
        assert refused.returncode == 2
        assert "goes on" in refused.stderr
        refused = retry(ids()["waits"])
        assert refused.returncode == 2
        assert "waits is running" in refused.stderr
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    go.touch()
    again = retry("--json")
    assert again.returncode == 0, again.stderr
    assert ends(again) == {"waits": "completed", "later": "completed"}


def test_what_cannot_be_run_again_is_said(tmp_path: Path, store: Path) -> None:
    assert retry().returncode == 2
    subprocess.run([*RUN, "--stdin", "-", "--", "false"], input=b"x", check=False)
    refused = retry()
    assert refused.returncode == 2
    assert "its input was that of the run" in refused.stderr
    assert run("--", "false").returncode == 1
    newest = ids()
    assert retry("--run", "x", newest["false"]).returncode == 2
    for file in (store.parent / f"{store.name}.logs").glob("*.commands"):
        assert file.stat().st_mode & 0o777 == 0o600
        file.unlink()
    refused = retry()
    assert refused.returncode == 2
    assert "cannot be run again: there is no file" in refused.stderr
    assert retry("0000").returncode == 2


def test_operations_of_two_runs_are_refused() -> None:
    for command in ("false", "true"):
        run("--", command)
    refused = retry(*ids().values())
    assert refused.returncode == 2
    assert "2 runs" in refused.stderr


def test_collecting_a_run_removes_its_commands(store: Path) -> None:
    run("--", "false")
    folder = store.parent / f"{store.name}.logs"
    assert list(folder.glob("*.commands"))
    assert command_line("collect").returncode == 0
    assert not list(folder.glob("*.commands"))


# The file --------------------------------------------------------------------------------------

EVERY = Batch(
    (
        Command("one", "echo \udcff"),
        Command(
            "two", ("a", "b c"), 1.5, Path("/x"), {"A": "", "B": None}, "text\n",
            frozenset({"one"}), When.ALWAYS, Retry(3, 0.5, 2.0),
        ),
        Command("three", ("c",), stdin=Path("/dev/null"), directory=Path("/")),
    ),
    4,
    True,
)  # fmt: skip


def test_a_batch_comes_back_whole(tmp_path: Path) -> None:
    file = CommandFile(tmp_path / "s.db", "run 1")
    file.begin(EVERY, ["a", "b", "c"])
    file.add("d", "two")
    found = read_commands(tmp_path / "s.db", "run 1")
    first = found.batch.commands[0]
    assert first.directory == Path.cwd()
    assert found.batch.commands[1:] == EVERY.commands[1:]
    assert first.command == EVERY.commands[0].command
    assert (found.batch.max_concurrent, found.batch.fail_fast) == (4, True)
    assert found.attempts == {"one": ["a"], "two": ["b", "d"], "three": ["c"]}
    assert found.name_of("d") == "two"
    assert found.name_of("e") is None
    assert found.only({"two"}).commands[0].needs == frozenset()


def test_attempts_that_come_before_the_commands_are_written(tmp_path: Path) -> None:
    file = CommandFile(tmp_path / "s.db", "run 1")
    file.add("d", "two")
    file.begin(EVERY, ["a", "b", "c"])
    file.add("e", "two")
    found = read_commands(tmp_path / "s.db", "run 1")
    assert found.attempts["two"] == ["b", "d", "e"]


@pytest.mark.parametrize(
    "text",
    ["", "x", "[]\n", "{}\n", '{"format": 2}\n', '{"format": 1}\n{"id": 1}\n', "ß"],
)
def test_a_file_that_is_damaged(tmp_path: Path, text: str) -> None:
    path = command_file(tmp_path / "s.db", "run 1")
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    with pytest.raises(NotStoredError, match=r"cannot be run again"):
        read_commands(tmp_path / "s.db", "run 1")


def test_a_file_that_was_cut_has_what_is_whole(tmp_path: Path) -> None:
    CommandFile(tmp_path / "s.db", "run 1").begin(EVERY, ["a", "b", "c"])
    path = command_file(tmp_path / "s.db", "run 1")
    os.truncate(path, path.stat().st_size - 1)
    found = read_commands(tmp_path / "s.db", "run 1")
    assert list(found.attempts) == ["one", "two"]


def test_a_folder_that_cannot_be_written_disturbs_nothing(tmp_path: Path) -> None:
    (tmp_path / "s.db.logs").write_text("in the way", encoding="utf-8")
    file = CommandFile(tmp_path / "s.db", "run 1")
    file.begin(EVERY, ["a", "b", "c"])
    file.add("d", "two")
    with pytest.raises(NotStoredError):
        read_commands(tmp_path / "s.db", "run 1")


# attach and man --------------------------------------------------------------------------------


def test_attach_follows_the_latest_run_to_its_end(tmp_path: Path) -> None:
    run("--", "true")
    assert command_line("attach").returncode == 0
    go = tmp_path / "go"
    command = f"until test -e {go}; do sleep 0.02; done; exit 3"
    started = python(*RUN[1:], "-d", "--", "sh", "-c", command, cwd=tmp_path, errors_apart=True)
    name = started.stdout.partition(" goes on")[0]
    go.touch()
    attached = command_line("attach", name)
    assert attached.returncode == 1
    assert "exit status 3" in attached.stdout
    assert command_line("attach", "no such run").returncode == 2


def test_the_manual_page_has_every_command_and_option() -> None:
    page = command_line("man").stdout
    assert page == manual(cli)
    context = click.Context(cli)
    for name in cli.list_commands(context):
        assert f"\n.SS {name}" in page
    for option in ("--max-concurrent", "--keep-order", "--follow"):
        assert option.replace("-", r"\-") in page


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_groff_accepts_the_manual_page() -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-K", "utf8"],
        input=manual(cli).encode(), capture_output=True, check=True,
    )  # fmt: skip
    assert done.stderr == b""
    assert "opslifecycle" in done.stdout.decode()
