"""`opslifecycle map`: a command for each value, and outputs in one piece."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from opslifecycle.cli.batches.model import Retry
from opslifecycle.cli.batches.templates import commands_of

MAP = [sys.executable, "-m", "opslifecycle.cli.main", "map"]


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSLIFECYCLE_STORE", str(tmp_path / "operations.db"))


def mapped(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*MAP, *arguments], input=given, capture_output=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("cat", "cat 'a dir/it'\"'\"'s.tar.gz'"),
        ("mv {} {.}.zip", "mv 'a dir/it'\"'\"'s.tar.gz' 'a dir/it'\"'\"'s.tar'.zip"),
        ("{/} {/.} {//}", "'it'\"'\"'s.tar.gz' 'it'\"'\"'s.tar' 'a dir'"),
        ("echo {#} ${HOME} {x}", "echo 1 ${HOME} {x}"),
    ],
)
def test_placeholders_are_replaced_by_quoted_texts(template: str, expected: str) -> None:
    values = ["a dir/it's.tar.gz"]
    (command,) = commands_of(template, values, timeout_seconds=None, retry=Retry())
    assert command.command == expected


def test_values_that_occur_twice_are_commands_of_their_own() -> None:
    found = commands_of("echo", ["a", "b", "a"], timeout_seconds=2, retry=Retry(3))
    assert [each.name for each in found] == ["echo a", "echo b", "echo a #3"]
    assert {(each.timeout_seconds, each.retry.attempts) for each in found} == {(2, 3)}


def test_outputs_come_in_the_order_of_the_values() -> None:
    script = "test {} != 1 || sleep 0.3; echo begin {}; echo why {} >&2; echo end {}"
    done = mapped("-n", "3", "--keep-order", script, "1", "2", "3")
    assert done.returncode == 0
    lines = done.stdout.decode().splitlines()
    assert lines == [f"{word} {n}" for n in (1, 2, 3) for word in ("begin", "end")]
    assert done.stderr.decode().splitlines() == ["why 1", "why 2", "why 3"]


def test_an_output_is_printed_as_it_was_and_in_one_piece() -> None:
    script = "for each in 1 2 3; do printf '{}\\000\\377'; sleep 0.02; done"
    done = mapped("-n", "2", script, given=b"a\nb\n")
    assert done.returncode == 0
    a, b = b"a\0\xff" * 3, b"b\0\xff" * 3
    assert done.stdout in (a + b, b + a)


@pytest.mark.nightly
def test_failures_are_named_and_change_the_status() -> None:
    done = mapped("--attempts", "2", "echo {}; test {} = a", "a", "b")
    assert done.returncode == 1
    assert done.stdout.decode().split() == ["a", "b"]
    lines = done.stderr.decode().splitlines()
    assert lines == [
        "echo b; test b = a (attempt 2): failed: exit status 1",
        "1 of 2 commands did not complete",
    ]


def test_the_first_failure_ends_the_others() -> None:
    done = mapped("-n", "1", "--fail-fast", "false", "a", "b")
    assert done.returncode == 1
    assert b"cancelled: not started: fail_fast: false a did not complete" in done.stderr


@pytest.mark.nightly
def test_no_value_is_an_error() -> None:
    done = mapped("echo")
    assert done.returncode == 2
    assert b"nothing to run" in done.stderr
