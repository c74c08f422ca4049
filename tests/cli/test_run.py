"""`opslifecycle run` on real commands: ends, exit statuses, groups ended, nothing left running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tests.support.command_line import command_line
from tests.support.processes import alive
from tests.support.waiting import until
from tests.support.warm import python

RUN = [sys.executable, "-m", "opslifecycle.cli.main", "run"]
PYTHON = sys.executable


@pytest.fixture(autouse=True)
def _own_store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path_factory.mktemp("store") / "operations.db"
    monkeypatch.setenv("OPSLIFECYCLE_STORE", str(store))


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return python(*RUN[1:], *arguments, cwd=cwd or Path.cwd(), errors_apart=True)


def batch(folder: Path, *commands: Mapping[str, object], **keys: object) -> str:
    path = folder / "batch.yaml"
    path.write_text(
        yaml.safe_dump({**keys, "commands": [dict(each) for each in commands]}), encoding="utf-8"
    )
    return str(path)


def entries(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, object]]:
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    return {line["display_name"]: line["terminal_outcome"] for line in lines}


class TestEnds:
    def test_every_end_with_its_reason(self, tmp_path: Path) -> None:
        path = batch(
            tmp_path,
            {"name": "fine", "command": "echo one; echo two"},
            {"name": "words", "command": [PYTHON, "-c", "print('a b')"]},
            {"name": "wrong", "command": "echo because >&2; exit 3"},
            {"name": "killed", "command": "kill -KILL $$"},
            {"name": "missing", "command": ["./no-such-program"]},
            {"name": "nowhere", "command": "true", "directory": "no-such-folder"},
            {"name": "slow", "command": "sleep 60", "timeout_seconds": 0.2},
        )
        done = run(path, "--json")
        assert done.returncode == 1
        ends = entries(done)
        assert ends["fine"]["outcome_type"] == "completed"
        assert ends["fine"]["content"] == "one\ntwo"
        assert ends["words"]["content"] == "a b"
        assert ends["wrong"] == {"outcome_type": "failed", "error": "exit status 3\nbecause"}
        assert ends["killed"]["error"] == "ended by SIGKILL"
        assert "No such file or directory" in str(ends["missing"]["error"])
        assert "no-such-folder" in str(ends["nowhere"]["error"])
        assert ends["slow"] == {"outcome_type": "cancelled", "reason": "timed out after 0.2 s"}

    def test_one_command_and_its_exit_status(self) -> None:
        done = run("--", PYTHON, "-c", "print('--json')")
        assert done.returncode == 0
        assert "1 command: 1 completed" in done.stdout
        assert run("--", "false").returncode == 1

    def test_environment_and_directory(self, tmp_path: Path) -> None:
        (tmp_path / "below").mkdir()
        command = {
            "name": "here",
            "command": 'echo "$COLOUR $(basename "$PWD") $OPSLIFECYCLE_PYTHON"',
            "environment": {"COLOUR": "blue"},
            "directory": "below",
        }
        ends = entries(run(batch(tmp_path, command), "--json", cwd=Path("/")))
        assert ends["here"]["content"] == f"blue below {PYTHON}"

    def test_each_begin_and_end_is_a_line_without_colours(self, tmp_path: Path) -> None:
        done = run(batch(tmp_path, {"name": "two", "command": "printf 'a\\rb\\nc'"}))
        assert done.stdout.splitlines()[0] == "running    two"
        assert done.stdout.splitlines()[1].startswith("completed  two (")
        assert "\x1b" not in done.stdout

    def test_no_more_than_so_many_run_at_once_and_none_is_refused(self, tmp_path: Path) -> None:
        script = "touch in-$N; ls in-* | wc -l >> counts; sleep 0.1; rm in-$N"
        commands = [
            {"name": str(n), "command": script, "directory": ".", "environment": {"N": str(n)}}
            for n in range(8)
        ]
        done = run(batch(tmp_path, *commands, max_concurrent=5), "--max-concurrent", "2", "--json")
        assert done.returncode == 0
        assert len(entries(done)) == 8
        counts = [int(line) for line in (tmp_path / "counts").read_text().split()]
        assert len(counts) == 8
        assert max(counts) == 2

    @pytest.mark.nightly
    def test_a_long_output_is_marked_where_it_was_shortened(self, tmp_path: Path) -> None:
        code = "for n in range(50_000): print(n)"
        done = run(batch(tmp_path, {"name": "much", "command": [PYTHON, "-c", code]}), "--json")
        first, *lines = str(entries(done)["much"]["content"]).splitlines()
        whole = "".join(f"{n}\n" for n in range(50_000))
        kept = "\n".join(lines) + "\n"
        assert first == f"[… {len(whole) - len(kept)} bytes before this: see the log]"
        assert whole.endswith(kept)
        assert len(kept) > 16_000

    def test_it_writes_only_into_its_folder_which_git_ignores(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("OPSLIFECYCLE_STORE")
        path = batch(tmp_path, {"name": "x", "command": "true"})
        assert run(path, cwd=tmp_path).returncode == 0
        assert {each.name for each in tmp_path.iterdir()} == {"batch.yaml", ".opslifecycle"}
        ours = tmp_path / ".opslifecycle"
        made = {".gitignore", "operations.db", "operations.db-lease", "operations.db.logs"}
        assert {each.name for each in ours.iterdir()} == made
        assert (ours / ".gitignore").read_text() == "*\n"

    def test_two_runs_share_a_store(self, tmp_path: Path) -> None:
        command = {"name": "x", "command": "sleep 0.3"}
        path = batch(tmp_path, command)
        with subprocess.Popen([*RUN, path], stdout=subprocess.DEVNULL) as other:
            assert run(path).returncode == 0
            assert other.wait(30) == 0

    @pytest.mark.parametrize("content", ["", "no database"])
    def test_a_store_that_cannot_be_used_is_told_before_anything_starts(
        self, tmp_path: Path, content: str
    ) -> None:
        store = tmp_path / "operations.db"
        store.write_text(content, encoding="utf-8")
        path = batch(tmp_path, {"name": "x", "command": f"touch {tmp_path}/started"})
        done = run(path, "--store", str(store))
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: {store} is damaged")
        assert not (tmp_path / "started").exists()

    def test_a_reader_that_goes_away_is_no_traceback(self, tmp_path: Path) -> None:
        commands = [{"name": str(n), "command": "true"} for n in range(20)]
        pipeline = f"{' '.join(RUN)} {batch(tmp_path, *commands)} --json | head -n 1"
        done = subprocess.run(["sh", "-c", pipeline], capture_output=True, text=True, timeout=60)
        assert "Traceback" not in done.stderr


class TestNeeds:
    def test_a_command_starts_after_those_that_it_needs(self, tmp_path: Path) -> None:
        path = batch(
            tmp_path,
            {"name": "report", "command": "cat one two", "directory": ".", "needs": ["part"]},
            {
                "name": "part",
                "command": "sleep 0.1; echo {{n}} > {{n}}",
                "directory": ".",
                "matrix": {"n": ["one", "two"]},
            },
        )
        done = run(path, "--json")
        assert done.returncode == 0
        ends = entries(done)
        assert list(ends)[-1] == "report"
        assert ends["report"]["content"] == "one\ntwo"

    def test_what_needs_a_failed_command_is_cancelled_and_what_always_runs_is_not(
        self, tmp_path: Path
    ) -> None:
        path = batch(
            tmp_path,
            {"name": "build", "command": "exit 1"},
            {"name": "test", "command": "touch test-ran", "directory": ".", "needs": "build"},
            {"name": "deploy", "command": "touch deploy-ran", "directory": ".", "needs": "test"},
            {"name": "clean", "command": "echo clean", "needs": "deploy", "when": "always"},
        )
        done = run(path, "--json")
        assert done.returncode == 1
        ends = entries(done)
        assert ends["test"]["reason"] == "not started: build did not complete"
        assert ends["deploy"]["reason"] == "not started: test did not complete"
        assert ends["clean"]["content"] == "clean"
        assert sorted(each.name for each in tmp_path.glob("*-ran")) == []

    def test_fail_fast_ends_what_runs_and_what_waits(self, tmp_path: Path) -> None:
        sleep = f"sleep 67.{os.getpid()}"
        path = batch(
            tmp_path,
            {"name": "slow", "command": f"touch ready; {sleep}", "directory": "."},
            {"name": "bad", "command": "until test -e ready; do sleep 0.01; done; exit 1",
             "directory": "."},
            {"name": "next", "command": "true"},
            {"name": "clean", "command": "echo clean", "needs": "next", "when": "always"},
            fail_fast=True,
            max_concurrent=2,
        )  # fmt: skip
        done = run(path, "--json")
        assert done.returncode == 1
        ends = entries(done)
        assert ends["slow"]["reason"] == "fail_fast: bad did not complete"
        assert ends["next"]["reason"] == "not started: fail_fast: bad did not complete"
        assert ends["clean"]["content"] == "clean"
        assert alive(sleep) == []


class TestRetry:
    def test_each_attempt_is_an_operation_and_the_last_one_counts(self, tmp_path: Path) -> None:
        script = "echo x >> tries; test $(wc -l < tries) -ge 3"
        path = batch(
            tmp_path,
            {"name": "flaky", "command": script, "directory": ".",
             "retry": {"attempts": 5, "delay_seconds": 0.05, "backoff": 2}},
            {"name": "after", "command": "true", "needs": "flaky"},
        )  # fmt: skip
        done = run(path)
        assert done.returncode == 0, done.stdout
        assert "2 commands in 4 attempts: 2 failed, 2 completed" in done.stdout
        assert "failed     flaky (attempt 2)" in done.stdout
        assert "completed  flaky (attempt 3)" in done.stdout

    def test_a_timeout_is_tried_again_and_the_last_failure_is_the_end(self, tmp_path: Path) -> None:
        path = batch(
            tmp_path,
            {"name": "slow", "command": "sleep 60", "timeout_seconds": 0.1,
             "retry": {"attempts": 2}},
        )  # fmt: skip
        done = run(path, "--json")
        assert done.returncode == 1
        reasons = {name: end["reason"] for name, end in entries(done).items()}
        assert reasons == dict.fromkeys(["slow", "slow (attempt 2)"], "timed out after 0.1 s")

    @pytest.mark.nightly
    def test_an_interrupt_during_a_pause_ends_the_run(self, tmp_path: Path) -> None:
        path = batch(
            tmp_path,
            {"name": "bad", "command": "touch ready; exit 1", "directory": ".",
             "retry": {"attempts": 2, "delay_seconds": 3600}},
        )  # fmt: skip
        output = tmp_path / "output"
        with output.open("w") as file, subprocess.Popen([*RUN, path], stdout=file) as process:
            until(lambda: "failed" in output.read_text())
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
        assert "not started: interrupted" in output.read_text()


class TestInput:
    def test_a_text_a_file_and_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "in.txt").write_text("from a file", encoding="utf-8")
        path = batch(
            tmp_path,
            {"name": "text", "command": "cat", "stdin": "a text"},
            {"name": "file", "command": "cat", "stdin_file": "in.txt"},
            {"name": "none", "command": "cat"},
            {"name": "missing", "command": "cat", "stdin_file": "no-such-file"},
        )
        ends = entries(run(path, "--json"))
        assert [ends[name]["content"] for name in ("text", "file", "none")] == [
            "a text", "from a file", "",
        ]  # fmt: skip
        assert "No such file or directory" in str(ends["missing"]["error"])

    def test_one_command_can_read_that_of_the_run(self, tmp_path: Path) -> None:
        command = [*RUN, "--stdin", "-", "--json", "--", "cat"]
        done = subprocess.run(command, input="given", capture_output=True, text=True, timeout=60)
        assert entries(done)["cat"]["content"] == "given"

    def test_variables_from_files_are_set_overridden_and_removed(self, tmp_path: Path) -> None:
        (tmp_path / "all.env").write_text("A=all\nB='b  b'\nexport C=${A}-c\n", encoding="utf-8")
        (tmp_path / "one.env").write_text("A=one\n", encoding="utf-8")
        show = 'echo "$A|$B|$C|${HOME-unset}|${EMPTY-unset}"'
        path = batch(
            tmp_path,
            {"name": "all", "command": show},
            {"name": "one", "command": show, "env_file": "one.env",
             "environment": {"B": "here", "HOME": None, "EMPTY": ""}},
            env_file=["all.env"],
        )  # fmt: skip
        ends = entries(run(path, "--json"))
        assert ends["all"]["content"] == f"all|b  b|all-c|{os.environ['HOME']}|unset"
        assert ends["one"]["content"] == "one|here|all-c|unset|"


class TestGroups:
    STUBBORN = "trap '' TERM; (trap '' TERM; {sleep}; :) & touch {ready}; {sleep}; wait"

    @pytest.mark.parametrize(
        "number", [pytest.param(signal.SIGINT, marks=pytest.mark.nightly), signal.SIGTERM]
    )
    def test_an_interrupt_leaves_nothing_running(
        self, tmp_path: Path, number: signal.Signals
    ) -> None:
        sleep, ready = f"sleep 61.{os.getpid()}{number:d}", tmp_path / "ready"
        stubborn = self.STUBBORN.format(sleep=sleep, ready=ready)
        commands = [
            {"name": "stubborn", "command": stubborn},
            {"name": "polite", "command": f"{sleep}; :"},
            {"name": "waiting", "command": "true"},
        ]
        path = batch(tmp_path, *commands, max_concurrent=2)
        command = [*RUN, path, "--json", "--grace-seconds", "0.5"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            until(ready.exists)
            assert alive(sleep)
            process.send_signal(number)
            output, _ = process.communicate(timeout=60)
        assert process.returncode == 128 + number
        ends = entries(subprocess.CompletedProcess(command, 0, output, ""))
        assert ends["waiting"]["reason"] == "not started: interrupted"
        for name in ("stubborn", "polite"):
            assert ends[name] == {"outcome_type": "cancelled", "reason": "interrupted"}
        assert alive(sleep) == []

    @pytest.mark.nightly
    def test_an_interrupt_cancels_a_long_line(self, tmp_path: Path) -> None:
        ready = tmp_path / "ready"
        # They end while the line is being cancelled, so that their turns meet what is stopped.
        slow = "trap 'sleep 0.0{n}; exit 1' TERM; touch {ready}{n}; sleep 61 & wait"
        first = [
            {"name": f"runs {n}", "command": slow.format(n=n, ready=ready)} for n in range(5, 8)
        ]
        rest = [{"name": f"waits {n}", "command": f"touch {ready}-late"} for n in range(200)]
        path = batch(tmp_path, *first, *rest, max_concurrent=3)
        command = [*RUN, path, "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=-1, text=True) as process:
            for n in range(5, 8):
                until((tmp_path / f"ready{n}").exists)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (130, "")
        ends = entries(subprocess.CompletedProcess(command, 0, output, ""))
        assert len(ends) == 203
        assert {end["outcome_type"] for end in ends.values()} == {"cancelled"}
        assert not (tmp_path / "ready-late").exists()

    def test_a_second_interrupt_does_not_wait(self, tmp_path: Path) -> None:
        sleep, ready = f"sleep 62.{os.getpid()}", tmp_path / "ready"
        stubborn = self.STUBBORN.format(sleep=sleep, ready=ready)
        path = batch(tmp_path, {"name": "stubborn", "command": stubborn})
        run = [*RUN, "--grace-seconds", "600", path]
        with subprocess.Popen(run, stdout=subprocess.DEVNULL) as process:
            until(ready.exists)
            process.send_signal(signal.SIGINT)
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 130
        assert alive(sleep) == []

    def test_a_timeout_ends_the_whole_group(self, tmp_path: Path) -> None:
        sleep = f"sleep 63.{os.getpid()}"
        command = {
            "name": "slow",
            "command": f"({sleep}; :) & {sleep}; :",
            "timeout_seconds": 0.3,
        }
        assert (
            entries(run(batch(tmp_path, command), "--json"))["slow"]["outcome_type"] == "cancelled"
        )
        assert alive(sleep) == []

    def test_what_a_command_leaves_behind_ends_with_it(self, tmp_path: Path) -> None:
        sleep = f"sleep 64.{os.getpid()}"
        command = {"name": "quick", "command": f"({sleep}; :) & echo done"}
        assert entries(run(batch(tmp_path, command), "--json"))["quick"]["content"] == "done"
        assert alive(sleep) == []

    def test_who_left_the_group_does_not_hold_up_the_run(self, tmp_path: Path) -> None:
        code = "import os,time\nif os.fork()==0:\n os.setsid(); time.sleep(8)\nelse: print('done')"
        start = time.monotonic()
        done = run(batch(tmp_path, {"name": "left", "command": [PYTHON, "-c", code]}), "--json")
        assert entries(done)["left"]["content"] == "done"
        assert time.monotonic() - start < 7


class TestMistakes:
    def test_in_a_batch_are_told_with_their_line(self, tmp_path: Path) -> None:
        path = tmp_path / "batch.yaml"
        path.write_text("commands: [a\n", encoding="utf-8")
        done = command_line("run", str(path))
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: {path}:2:1: "), done.stderr
        assert done.stdout == ""

    def test_nothing_starts_when_a_later_command_is_wrong(self, tmp_path: Path) -> None:
        path = tmp_path / "batch.yaml"
        path.write_text(f"commands:\n  - touch {tmp_path}/started\n  - {{command: []}}\n", "utf-8")
        assert command_line("run", str(path)).returncode == 2
        assert not (tmp_path / "started").exists()

    @pytest.mark.parametrize(
        "arguments",
        [[], ["--"], ["no-such-file.yaml"], ["x", "--", "y"], ["--max-concurrent", "0", "--", "y"]],
    )
    def test_in_the_arguments(self, arguments: list[str]) -> None:
        done = command_line("run", *arguments)
        assert done.returncode == 2
        assert "rror: " in done.stderr


@pytest.mark.nightly
def test_the_example_completes(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    done = run("examples/batch.yaml", cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 commands: 6 completed" in done.stdout
