"""Batches in YAML: what they mean, and the line of each mistake."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from opslifecycle.cli.batches.model import Batch, InvalidBatchError, When
from opslifecycle.cli.batches.reading import read_batch


def read(folder: Path, text: str) -> Batch:
    path = folder / "batch.yaml"
    path.write_text(text, encoding="utf-8")
    return read_batch(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ": expected a mapping with the key commands"),
        ("max_concurrent: 2\n", ":1:1: expected the key commands"),
        ("commands: []\n", ":1:11: commands: expected a list with at least one entry"),
        ("commands:\n  - {name: a}\n", ":2:5: expected the key command"),
        (
            "commands:\n  - {comand: a}\n",
            ":2:6: a command has no key 'comand'; do you mean 'command'?",
        ),
        (
            "commands:\n  - {command: a, colour: b}\n",
            ":2:18: a command has no key 'colour'; it",
        ),
        ("commands:\n  - {command: a, timeout_seconds: soon}\n", ":2:35: timeout_seconds:"),
        ("commands:\n  - {command: a, timeout_seconds: 0}\n", ":2:35: timeout_seconds:"),
        ("commands:\n  - {command: [a, 3]}\n", ":2:19: a word: expected a text"),
        ("commands:\n  - {command: a, environment: {A: 1}}\n", ":2:35: environment: A:"),
        ("commands:\n  - {command: a, environment: {A-: x}}\n", ":2:32: environment: 'A-'"),
        ("commands:\n  - {command: yes}\n", ":2:15: command: expected a text, got bool yes"),
        ("commands: [a, a]\n", ":1:15: two commands are called 'a': rename one"),
        ("commands: [a]\ncommands: [b]\n", ":2:1: a batch: the key 'commands' occurs twice"),
        ("commands: [a\n", ":2:1: "),
        ("max_concurrent: many\ncommands: [a]\n", ":1:17: max_concurrent: expected a whole"),
        ("max_concurrent: 0\ncommands: [a]\n", ":1:17: max_concurrent: expected a whole"),
        ("fail_fast: yes\ncommands: [a]\n", ":1:12: fail_fast: expected true or false"),
        ("[" * 2_000, ": "),
        ("commands:\n  - {command: a, needs: b}\n", ":2:5: needs: there is no command 'b'"),
        ("commands:\n  - {command: a, needs: a}\n", ":2:5: needs: commands wait for each other: a"),
        (
            "commands:\n  - {command: a, needs: [b]}\n  - {command: b, needs: [a]}\n",
            ":2:5: needs: commands wait for each other: a needs b needs a",
        ),
        ("commands:\n  - {command: a, when: always}\n", ":2:24: when: it says how the commands"),
        (
            "commands:\n  - b\n  - {command: a, needs: b, when: never}\n",
            ":3:34: when: expected success or always, got 'never'",
        ),
        ("commands:\n  - {command: a, retry: 3}\n", ":2:25: retry: expected a mapping"),
        (
            "commands:\n  - {command: a, retry: {backoff: 2}}\n",
            ":2:25: retry: expected the key",
        ),
        (
            "commands:\n  - {command: a, retry: {attempts: 2, backoff: 0.5}}\n",
            ":2:48: retry: backoff: expected a number of at least 1",
        ),
        (
            "commands:\n  - {command: a, stdin: x, stdin_file: y}\n",
            ":2:40: stdin_file: stdin is given, too",
        ),
        ("commands:\n  - {command: a, matrix: {v: [x]}}\n", ":2:26: matrix: expected a name"),
        ("commands:\n  - {name: n, command: a, matrix: {v: []}}\n", ":2:39: matrix: v: expected"),
        (
            "commands:\n  - {name: n, command: a, matrix: {v: [x, x]}}\n",
            ":2:43: matrix: v: 'x' occurs twice",
        ),
        (
            "commands:\n  - {name: n, command: 'a {{w}}', matrix: {v: [x]}}\n",
            ":2:24: {{w}} is not in the matrix, which has v",
        ),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(InvalidBatchError) as raised:
        read(tmp_path, text)
    message = str(raised.value)
    assert message.startswith(f"{tmp_path / 'batch.yaml'}{expected}"), message


def test_a_matrix_gives_a_command_for_each_combination(tmp_path: Path) -> None:
    text = """
commands:
  - name: test
    command: [tox, -e, "py{{ python }}-{{os}}"]
    matrix: {python: ["311", "312"], os: [linux, macos]}
    directory: "{{os}}"
    stdin: "{{python}}"
    environment: {P: "{{python}}"}
  - {name: all, command: 'echo {{ not a placeholder }}', needs: test, when: always}
  - {name: one, command: one, needs: [test 312 macos]}
"""
    found = {each.name: each for each in read(tmp_path, text).commands}
    variants = ["test 311 linux", "test 311 macos", "test 312 linux", "test 312 macos"]
    assert list(found) == [*variants, "all", "one"]
    each = found["test 312 macos"]
    assert each.command == ("tox", "-e", "py312-macos")
    assert each.directory == tmp_path / "macos"
    assert (each.stdin, each.environment) == ("312", {"P": "312"})
    assert found["all"].needs == set(variants)
    assert found["all"].when is When.ALWAYS
    assert found["all"].command == "echo {{ not a placeholder }}"
    assert found["one"].needs == {"test 312 macos"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\nnonsense\n", ":2: expected NAME=value"),
        ("A=1\nB='open\n", ":2: expected NAME=value"),
        (None, ": No such file or directory"),
    ],
)
def test_mistakes_in_a_file_of_variables_are_told(
    tmp_path: Path, text: str | None, expected: str
) -> None:
    if text is not None:
        (tmp_path / "x.env").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidBatchError) as raised:
        read(tmp_path, "env_file: x.env\ncommands: [a]\n")
    assert str(raised.value) == f"{tmp_path / 'x.env'}{expected}"


def test_pauses_between_attempts_grow_by_their_factor(tmp_path: Path) -> None:
    text = "commands:\n  - {command: a, retry: {attempts: 4, delay_seconds: 0.5, backoff: 3}}\n"
    (command,) = read(tmp_path, text).commands
    assert [command.retry.pause_seconds(n) for n in (1, 2, 3)] == [0.5, 1.5, 4.5]


def test_garbage_is_not_searched_for_while_a_batch_is_read(tmp_path: Path) -> None:
    path = tmp_path / "batch.yaml"
    entries = "".join(f"  - {{name: c{n}, command: [echo, {n}x]}}\n" for n in range(2000))
    path.write_text(f"commands:\n{entries}", encoding="utf-8")
    searches: list[str] = []

    def note(phase: str, info: dict[str, int]) -> None:
        searches.append(phase)

    gc.collect()
    gc.callbacks.append(note)
    try:
        batch = read_batch(path)
    finally:
        gc.callbacks.remove(note)
    assert len(batch.commands) == 2000
    # The one that was due when the collector went on.
    assert searches.count("start") <= 1
    with pytest.raises(InvalidBatchError):
        read(tmp_path, "commands: []")
    assert gc.isenabled()
