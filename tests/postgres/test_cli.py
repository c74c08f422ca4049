"""The command line on a store on a server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from opslifecycle import (
    CompletionCursorConsumer,
    OperationProgressUpdate,
    Registry,
    RuntimeEpochId,
    SqliteStore,
)
from opslifecycle.cli.group import cli

from tests.support.builders import completed, result, running
from tests.support.ports import free_port
from tests.support.postgres.databases import Database
from tests.support.waiting import until

CONSUMER = CompletionCursorConsumer.AGENT_APPLIED


@pytest.fixture
def store(postgres: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The schema as `--store` names it, which a variable says as well."""
    location = f"{postgres.dsn}#{postgres.schema}"
    monkeypatch.setenv("OPSLIFECYCLE_STORE", location)
    monkeypatch.chdir(tmp_path)
    return location


def opslifecycle(*words: str, status: int = 0) -> Result:
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == status, (done.output, done.exception)
    return done


def epoch(registry: Registry) -> RuntimeEpochId:
    return registry.completion_feed().epoch_id


class TestOperations:
    def test_readers_see_what_an_owner_does(self, store: str, postgres: Database) -> None:
        with Registry(store=postgres.store("mine")) as registry:
            live, ended = running(registry, name="live"), completed(registry, name="ended")
            found = [json.loads(line) for line in opslifecycle("ls", "--json").stdout.splitlines()]
            assert [each["status"] for each in found] == ["running", "completed"]
            assert found[0]["holder"].startswith("process ")
            assert "completed" in opslifecycle("show", str(ended)).stdout
            (entry,) = opslifecycle("tail", "--run", "mine").stdout.splitlines()
            assert json.loads(entry)["operation_id"] == str(ended)
            assert opslifecycle("wait", str(ended)).stdout.startswith("completed")
            opslifecycle("wait", "--timeout", "0", str(live), status=124)
            assert "sound, 2 operations" in opslifecycle("doctor").stdout
            registry.complete_operation(live, result())
            assert opslifecycle("wait", str(live)).stdout.startswith("completed")

    def test_a_command_runs_and_is_recorded_there(self, store: str, tmp_path: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "opslifecycle.cli.main", "run", "--json", "--", "echo", "hi"],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        id = json.loads(done.stdout)["operation_id"]
        assert opslifecycle("logs", id).stdout == "hi\n"
        assert "completed" in opslifecycle("ls").stdout
        (line,) = opslifecycle("collect", "--forget").stdout.splitlines()
        assert json.loads(line)["id"] == id
        assert opslifecycle("ls", "--json").stdout == ""

    def test_a_run_is_asked_from_another_process(self, store: str, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "opslifecycle.cli.main", "run", "--", "sleep", "600"]
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
            shown: list[str] = []

            def is_running() -> bool:
                tables = CliRunner().invoke(cli, ["ls", "--json", "--status", "running"])
                shown[:] = tables.stdout.splitlines() if tables.exit_code == 0 else []
                return bool(shown)

            until(is_running)
            asked = opslifecycle("cancel", json.loads(shown[0])["id"])
            assert "asked process" in asked.stdout
            assert process.wait(60) == 1
        assert "cancelled" in opslifecycle("ls").stdout

    def test_what_a_dead_owner_left_is_interrupted(self, store: str, postgres: Database) -> None:
        with Registry(store=postgres.store()) as registry:
            id = running(registry)
            postgres.query("UPDATE owners SET lease_until = clock_timestamp()")
            assert "interrupted" in opslifecycle("ls").stdout
            opslifecycle("cancel", str(id), status=1)


class TestDatabase:
    def test_the_tables_are_made_once(self, store: str, postgres: Database) -> None:
        assert "layout 0" in opslifecycle("db", "status", status=1).stdout
        assert "layout 0 to 3" in opslifecycle("db", "migrate").stdout
        assert "layout 3 already" in opslifecycle("db", "migrate").stdout
        with Registry(store=postgres.store()):
            shown = opslifecycle("db", "status").stdout
        assert "registries: 1" in shown
        assert "lease for" in shown

    def test_the_doctor_finds_bad_settings_and_bad_rows(
        self, store: str, postgres: Database
    ) -> None:
        with Registry(store=postgres.store("mine")) as registry:
            running(registry)
        shown = opslifecycle("db", "doctor", status=1).stdout
        # The servers of tests run so.
        assert "fsync is off" in shown
        assert "damaged at row" not in shown
        postgres.query("UPDATE registries SET head = 0")
        shown = opslifecycle("db", "doctor", status=1).stdout
        assert "'mine'" in shown
        assert "behind the head" in shown

    def test_a_file_is_copied_whole(self, store: str, postgres: Database, tmp_path: Path) -> None:
        file = tmp_path / "operations.db"
        for name in ("one", "two"):
            with Registry(store=SqliteStore(file, registry=name), max_completed=3) as registry:
                for _ in range(5):
                    completed(registry)
                registry.report_progress(running(registry), OperationProgressUpdate("a", 0.1))
                registry.advance_completion_cursor(CONSUMER, 4)
                before = epoch(registry), registry.completion_cursor(CONSUMER)
        shown = opslifecycle("db", "import", str(file)).stdout
        assert shown == "one: 4 record(s)\ntwo: 4 record(s)\n"
        with Registry(store=postgres.store("two"), max_completed=3) as registry:
            assert (epoch(registry), registry.completion_cursor(CONSUMER)) == before
            # The live one was interrupted.
            assert registry.completion_feed().watermark == 6
        refused = opslifecycle("db", "import", str(file), status=2)
        assert "'one' already" in refused.stderr

    def test_a_restored_database_begins_new_epochs(self, store: str, postgres: Database) -> None:
        with Registry(store=postgres.store()) as registry:
            completed(registry)
            before = epoch(registry)
            refused = opslifecycle("restored", status=2)
            assert "is owned by" in refused.stderr
        opslifecycle("restored")
        with Registry(store=postgres.store()) as registry:
            assert epoch(registry) != before
            assert registry.completion_feed().watermark == 1

    @pytest.mark.parametrize("command", ["migrate", "status", "doctor"])
    def test_a_file_is_no_server(self, command: str, tmp_path: Path) -> None:
        path = str(tmp_path / "x.db")
        done = opslifecycle("db", command, "--store", path, status=2)
        assert "expected postgresql://" in done.stderr

    def test_a_server_that_is_not_there_is_one_line(self) -> None:
        gone = f"postgresql://me:secret@127.0.0.1:{free_port()}/app"
        for words in (["ls"], ["db", "status"], ["doctor"]):
            done = opslifecycle(*words, "--store", gone, status=2)
            assert done.stderr.startswith("error: postgresql://127.0.0.1:")
            assert len(done.stderr.splitlines()) == 1
            assert "secret" not in done.stderr
