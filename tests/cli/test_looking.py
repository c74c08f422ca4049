"""The commands that look into a store while others work in it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import opslifecycle
import pytest
from attrs import evolve
from opslifecycle import PersistenceError, Registry, RegistryOwnedError, RunId, SqliteStore
from opslifecycle.cli.group import COMMANDS
from opslifecycle.stores.sqlite.admin import forget
from opslifecycle.stores.sqlite.reader import StoreReader

from opslifecycle.operations.storage import CODEC
from tests.support.builders import completed
from tests.support.command_line import command_line
from tests.support.processes import alive
from tests.support.waiting import until
from tests.support.warm import Program, python

#: The end of every message about damage.
RESTORE = "; nothing was changed, restore a backup"
CLI = [sys.executable, "-m", "opslifecycle.cli.main"]


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "operations.db"
    monkeypatch.setenv("OPSLIFECYCLE_STORE", str(path))
    return path


def run(*words: str) -> None:
    """Run a command to its end, in a process of its own."""
    python(*CLI[1:], "run", "--", *words, cwd=Path.cwd())


def has_run(store: Path, name: str = "true") -> None:
    """Have a store hold a run of one command, which completed."""
    with Registry(store=SqliteStore(store, registry=f"run {RunId.new()}")) as registry:
        completed(registry, name=name)


def listed(*arguments: str) -> list[dict[str, Any]]:
    done = command_line("ls", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@contextmanager
def running(*words: str) -> Iterator[tuple[Program, dict[str, Any]]]:
    """A run in another process, once its command is shown as running."""
    command = [*CLI[1:], "run", "--grace-seconds", "0.5", "--", *words]
    with Program(*command, cwd=Path.cwd(), stdout=subprocess.DEVNULL) as process:
        found: list[dict[str, Any]] = []

        def is_running() -> bool:
            done = command_line("ls", "--json", "--status", "running")
            found.extend(json.loads(line) for line in done.stdout.splitlines())
            return bool(found)

        until(is_running)
        yield process, found[-1]
        if process.poll() is None:
            process.kill()


class TestListing:
    def test_what_ended_and_how(self) -> None:
        run("true")
        run("sh", "-c", "echo why >&2; exit 3")
        first, second = listed()
        assert (first["status"], second["status"]) == ("completed", "failed")
        assert [each["status"] for each in listed("--status", "failed")] == ["failed"]
        assert listed("--kind", "mob_member_child") == []
        assert listed("--until", "1h") == []
        assert len(listed("--since", "1h")) == 2
        assert listed("--since", "2999-01-01") == []
        assert len(listed("--until", "2999-01-01T12:30")) == 2
        assert [each["status"] for each in listed("--name", "sh *why*")] == ["failed"]
        assert listed("--name", "TRUE") == []
        table = command_line("ls").stdout.splitlines()
        assert [line.split()[1] for line in table[1:]] == ["completed", "failed"]
        shown = command_line("show", table[2].split()[0])
        assert "status: failed" in shown.stdout
        assert "why" in shown.stdout

    def test_lines_in_a_format(self) -> None:
        run("sh", "-c", "exit 3")
        (found,) = listed()
        done = command_line("ls", "--format", r"{id}\t{status:>8}|{reason}|{{{name!r}}}")
        name = "sh -c 'exit 3'"
        assert done.stdout == f"{found['id']}\t  failed|exit status 3|{{{name!r}}}\n"
        begun, seconds = command_line("ls", "--format", "{started}|{seconds}").stdout.split("|")
        at = datetime.fromisoformat(begun).timestamp()
        assert at == found["started_at_ms"] // 1000
        assert float(seconds) == (found["completed_at_ms"] - found["started_at_ms"]) / 1000

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("{no}", "there is no field {no}; it has id, status,"),
            ("{id.x}", "there is no field {id.x}"),
            ("{}", "there is no field {}"),
            ("{id", "write {{ for a brace"),
            ("{id:d}", "Unknown format code 'd'"),
        ],
    )
    def test_mistakes_in_a_format(self, line: str, expected: str) -> None:
        done = command_line("ls", "--format", line)
        assert done.returncode == 2
        assert expected in " ".join(done.stderr.split())

    def test_pages_of_any_order_show_each_operation_once(self, store: Path) -> None:
        for registry in ("first", "second"):
            with Registry(store=SqliteStore(store, registry=registry)) as made:
                for number in range(5):
                    completed(made, name=f"{number % 2}")
        every = listed()
        keys: dict[str, Any] = {
            "id": lambda each: each["id"],
            "created": lambda each: (each["created_at_ms"], each["id"]),
            "name": lambda each: (each["display_name"], each["id"]),
        }
        for order, key in keys.items():
            for way in ([], ["--reverse"]):
                wanted = sorted(every, key=key, reverse=bool(way))
                options = ["--order", order, *way]
                assert listed(*options) == wanted
                found: list[Any] = []
                page: list[str] = []
                while True:
                    done = command_line("ls", "--json", "-n", "3", *options, *page)
                    found += [json.loads(line) for line in done.stdout.splitlines()]
                    if not done.stderr:
                        break
                    page = done.stderr.removeprefix("more follow: ").split()
                assert found == wanted
        done = command_line("ls", "--order", "name", *page)
        assert done.returncode == 2
        assert "pass the options of the page that printed the cursor" in done.stderr
        done = command_line("ls", "--after", "here")
        assert "expected what `ls` printed after `--after`" in done.stderr

    @pytest.mark.parametrize(
        "arguments", [["show", "zz"], ["ls", "--since", "soon"], ["tail", "--run", "zz"]]
    )
    def test_a_mistake_in_the_arguments_is_reported(
        self, arguments: list[str], store: Path
    ) -> None:
        has_run(store)
        done = command_line(*arguments)
        assert done.returncode == 2
        assert "rror: " in done.stderr

    @pytest.mark.parametrize("command", ["ls", "doctor", "tail", "collect"])
    def test_without_a_store(self, command: str, store: Path) -> None:
        done = command_line(command)
        assert done.returncode == 2
        fix = "opening a registry, or `opslifecycle run`, creates it"
        assert done.stderr == f"error: {store}: there is no such store; {fix}\n"
        assert not store.exists()


class TestWhileItRuns:
    def test_cancel_and_wait(self) -> None:
        with running("sleep", "61.25") as (process, found):
            waited = command_line("wait", found["id"], "--timeout", "0.1")
            assert waited.returncode == 124
            start = time.monotonic()
            assert "asked process" in command_line("cancel", found["id"][-12:]).stdout
            assert command_line("cancel", found["id"]).returncode == 0
            assert command_line("wait", found["id"]).returncode == 1
            assert process.wait(30) == 1
            assert time.monotonic() - start < 10
        assert "cancelled already" in command_line("cancel", found["id"]).stdout
        (ended,) = listed()
        assert ended["terminal_outcome"]["reason"] == "cancelled on request"
        assert alive("sleep 61.25") == []

    def test_a_killed_run_is_shown_as_it_is_and_its_commands_end(self) -> None:
        sleep = f"sleep 65.{os.getpid()}"
        with running("sh", "-c", f"{sleep}; :") as (process, found):
            process.send_signal(signal.SIGKILL)
            process.wait(30)
            (shown,) = listed()
            assert shown["status"] == "interrupted"
            assert shown["holder"] is None
            until(lambda: not alive(sleep))
        done = command_line("cancel", found["id"])
        assert done.returncode == 1
        assert "its process is gone" in done.stderr
        assert command_line("wait", found["id"]).returncode == 1
        (collected,) = command_line("collect").stdout.splitlines()
        assert json.loads(collected)["outcome_type"] == "terminated"
        assert listed() == []
        assert command_line("tail").stdout != ""
        assert command_line("collect", "--forget").returncode == 0
        assert "there was nothing to check" in command_line("doctor").stderr

    def test_a_run_that_goes_on_is_not_forgotten(self, store: Path) -> None:
        has_run(store)
        with running("sleep", "65"):
            assert len(command_line("collect", "--forget").stdout.splitlines()) == 1
            assert [each["status"] for each in listed()] == ["running"]
            (name,) = StoreReader(store, CODEC.schema).names()
            with pytest.raises(RegistryOwnedError):
                forget(store, name)

    def test_readers_see_the_other_runs_while_one_is_forgotten(
        self, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        has_run(store)
        has_run(store)
        source = StoreReader(store, CODEC.schema)
        gone, left = source.names()
        monkeypatch.setattr(source, "names", lambda: [gone, left])
        assert [each.name for each in source.all()] == [gone, left]
        forget(store, gone)
        assert [each.name for each in source.all()] == [left]
        with pytest.raises(PersistenceError, match="any more"):
            source.registry(gone)

    def test_tail_follows_to_the_end(self) -> None:
        with running("sh", "-c", "sleep 1.5"):
            done = command_line("tail", "-f")
        (line,) = done.stdout.splitlines()
        assert json.loads(line)["terminal_outcome"]["outcome_type"] == "completed"
        assert command_line("tail", "--after", "1").stdout == ""


class TestDoctor:
    def test_a_sound_store(self, store: Path) -> None:
        has_run(store)
        done = command_line("doctor")
        assert done.returncode == 0
        assert "sound, 1 operation" in done.stdout

    def test_registries_of_other_machines_are_left_alone(self, store: Path) -> None:
        has_run(store, "mine")
        other = SqliteStore(store, registry="theirs")
        other.open(evolve(CODEC.schema, machine="another"))
        other.close()
        assert command_line("ls").stdout.count("mine") == 1
        done = command_line("doctor")
        assert done.returncode == 0
        assert "theirs: not checked, it belongs to another machine" in done.stdout
        with closing(sqlite3.connect(store)) as database, database:
            database.execute("DELETE FROM registries WHERE name != 'theirs'")
        database.close()
        done = command_line("ls")
        assert (done.returncode, done.stdout) == (2, "")
        assert "another version 1" in done.stderr

    @pytest.mark.parametrize("command", ["ls", "doctor", "tail"])
    def test_what_is_no_store(self, store: Path, command: str) -> None:
        has_run(store)
        whole = store.read_bytes()
        for content in (b"no database at all", whole[: len(whole) // 2 // 4096 * 4096]):
            store.write_bytes(content)
            done = command_line(command)
            assert done.returncode == 2
            assert done.stderr.startswith(f"error: {store} is damaged at row 0: ")

    def test_an_altered_one(self, store: Path) -> None:
        has_run(store)
        with closing(sqlite3.connect(store)) as database, database:
            database.execute("UPDATE log SET id = 'x' WHERE key & 255 = 2")
        database.close()
        done = command_line("doctor")
        assert done.returncode == 2
        assert done.stderr == f"error: {store} is damaged at row 2: the row was altered{RESTORE}\n"


def test_shells_complete_ids(store: Path) -> None:
    def completed_words(words: str) -> list[str]:
        asked = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        done = subprocess.run(
            CLI, capture_output=True, text=True, timeout=60, check=True,
            env={**os.environ, **asked, "_OPSLIFECYCLE_COMPLETE": "zsh_complete"},
        )  # fmt: skip
        return done.stdout.split()

    assert completed_words("opslifecycle show ") == []
    has_run(store, name="first")
    has_run(store, name="second")
    first, second = (each["id"][-8:] for each in listed())
    offered = ["plain", second, "completed", "second", "plain", first, "completed", "first"]
    assert completed_words("opslifecycle show ") == offered
    assert completed_words(f"opslifecycle wait {first[:7]}") == offered[4:]
    assert completed_words(f"opslifecycle logs --store {store}-other ") == []


def test_help_names_every_command_and_imports_none_of_them_and_no_library() -> None:
    program = (
        "import sys\n"
        "from opslifecycle.cli.group import COMMANDS, cli\n"
        "cli(['--help'], standalone_mode=False)\n"
        "loaded = {each.removeprefix('opslifecycle.cli.') for each in sys.modules}\n"
        "slow = {'attr', 'opslifecycle.operations', 'rich', 'sqlite3', 'yaml'}\n"
        "print(sorted(loaded & (COMMANDS.keys() | slow)))\n"
    )
    command = [sys.executable, "-c", program]
    environ = {**os.environ, "COLUMNS": "80"}
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=environ).stdout
    *lines, imported = shown.splitlines()
    assert imported == "[]"
    modules = {path.stem for path in (Path(opslifecycle.__file__).parent / "cli").glob("*.py")}
    assert COMMANDS.keys() <= modules
    for name, summary in COMMANDS.items():
        assert f"  {name:8}  {summary}" in lines
