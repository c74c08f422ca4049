"""Records that are stored without a field keep its value when its initial value changes."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from opslifecycle_codegen.cli.main import main

from tests.support.codegen.projects import assert_clean, edit, project
from tests.support.edits import replaced
from tests.support.scale import share
from tests.support.warm import python

ROOT = Path(__file__).parents[2]

TURNSTILE = Path(__file__).parent / "turnstile.yaml"

WRITE = """
from opslifecycle import SqliteStore
from turnstile import *
with GateRegistry(store=SqliteStore("store.db")) as registry:
    registry.install(GateId.new(), "old")
"""
READ = """
from opslifecycle import SqliteStore
from turnstile import *
with GateRegistry(store=SqliteStore("store.db")) as registry:
    registry.install(GateId.new(), "new")
with GateRegistry(store=SqliteStore("store.db")) as registry:
    for gate in sorted(registry._authority.records.values(), key=lambda gate: gate.place):
        print(gate.place, gate.coins)
"""


@pytest.fixture
def gates(tmp_path: Path) -> Path:
    """Return a project whose store has a gate of version 1 without coins."""
    return project_with(tmp_path)


def project_with(tmp_path: Path, *edits: tuple[str, str]) -> Path:
    source = tmp_path / "turnstile.yaml"
    text = replaced(TURNSTILE.read_text(encoding="utf-8"), edits)
    source.write_text(text.replace("watch:", "recovery: {persist_if: 'true'}\n\nwatch:"), "utf-8")
    folder = project(tmp_path / "project", source)
    assert python("-c", WRITE, cwd=folder / "src").returncode == 0
    return folder


def generate(folder: Path) -> int:
    return main(["--project", str(folder), "generate"])


def test_another_beginning_needs_a_migration(
    gates: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = gates / "machine/turnstile.yaml"
    edit(machine, "initial: '0'", "initial: '5'")
    assert generate(gates) == 2
    error = capsys.readouterr().err
    assert "records whose coins is 0 are stored without it, and would have 5" in error
    assert "`adds: {fields: {coins: …}}` gives them what they had" in error
    steps = "version: 2\nmigrations: {2: {reason: A gift., adds: {fields: {coins: 0}}}}\n"
    edit(machine, "version: 1\n", steps)
    assert generate(gates) == 0
    assert_clean(gates)
    done = python("-c", READ, cwd=gates / "src")
    assert (done.returncode, done.stdout) == (0, "new 5\nold 0\n"), done.stdout


#: A coin, and then a step of the next version, so that the record is written by both.
PAY = """
from opslifecycle import SqliteStore
from turnstile import *
with GateRegistry(store=SqliteStore("store.db")) as registry:
    (gate,) = registry._authority.records.values()
    registry.coin(gate.id)
"""
GO = """
from opslifecycle import SqliteStore
from turnstile import *
for step in ("push", "coin", "push"):
    with GateRegistry(store=SqliteStore("store.db")) as registry:
        (gate,) = registry._authority.records.values()
        getattr(registry, step)(gate.id)
        print(gate.coins, gate.side)
"""
SIDES = """
from opslifecycle import SqliteStore
from turnstile import *
with GateRegistry(store=SqliteStore("store.db")) as registry:
    for gate in registry._authority.records.values():
        print(gate.side)
"""
COIN = "update: {gate.coins: gate.coins + 1}"


@pytest.mark.parametrize(
    ("side", "first", "update", "shown"),
    share(
        [
            ("int", "7", "gate.side + 1", "8"),
            ("int | None", "7", "None", "None"),
            ("bool", "true", "false", "False"),
            ("str", "place", "'''west'''", "west"),
            ("int", "len(place)", "9", "9"),
        ],
        1,
    ),
)
def test_what_an_older_version_has_set_stays_when_nothing_sets_it_any_more(
    tmp_path: Path, side: str, first: str, update: str, shown: str
) -> None:
    field = f"coins: {{type: int, initial: '0'}}\n  side: {{type: {side}, initial: {first}}}"
    sets = f"update: {{gate.coins: gate.coins + 1, gate.side: {update}}}"
    gates = project_with(tmp_path, ("coins: {type: int, initial: '0'}", field), (COIN, sets))
    machine = gates / "machine/turnstile.yaml"
    assert python("-c", PAY, cwd=gates / "src").returncode == 0
    edit(machine, f", {sets}", "")
    assert generate(gates) == 0
    assert_clean(gates)
    done = python("-c", GO, cwd=gates / "src")
    assert (done.returncode, done.stdout) == (0, f"1 {shown}\n" * 3), done.stdout


def test_what_is_left_out_because_it_is_none_stays_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A field that was given is stored without None, and one that nothing sets is derived."""
    field = "coins: {type: int, initial: '0'}\n  side: {type: str | None, initial: place}"
    sets = "update: {gate.coins: gate.coins + 1, gate.side: None}"
    gates = project_with(tmp_path, ("coins: {type: int, initial: '0'}", field), (COIN, sets))
    machine = gates / "machine/turnstile.yaml"
    assert python("-c", PAY, cwd=gates / "src").returncode == 0
    edit(machine, f", {sets}", "")
    assert generate(gates) == 2
    error = capsys.readouterr().err
    assert "records whose side is None are stored without it, and would have place" in error
    steps = "version: 2\nmigrations: {2: {reason: All alike., adds: {fields: {side: None}}}}\n"
    edit(machine, "version: 1\n", steps)
    assert generate(gates) == 0
    done = python("-c", GO, cwd=gates / "src")
    assert (done.returncode, done.stdout) == (0, "1 None\n" * 3), done.stdout


def test_a_migration_gives_a_constant_that_nothing_sets(gates: Path) -> None:
    machine = gates / "machine/turnstile.yaml"
    edit(machine, f", {COIN}", "")
    edit(machine, "initial: '0'", "initial: '5'")
    steps = "version: 2\nmigrations: {2: {reason: A gift., adds: {fields: {coins: 1}}}}\n"
    edit(machine, "version: 1\n", steps)
    assert generate(gates) == 0
    assert_clean(gates)
    done = python("-c", READ, cwd=gates / "src")
    assert (done.returncode, done.stdout) == (0, "new 5\nold 1\n"), done.stdout


def test_a_migration_of_a_value_leaves_none_as_it_is(tmp_path: Path) -> None:
    """A field that began with a value is stored as null once it is None."""
    begins = "side: {type: Note | None, initial: \"Text('west')\"}"
    values = (
        "values:\n  Note: {summary: A note., tag: form, variants: {Text: {summary: A text., "
        "fields: {text: str}}}}\n\nstatuses:"
    )
    gates = project_with(
        tmp_path, ("statuses:", values),
        ("coins: {type: int, initial: '0'}", f"coins: {{type: int, initial: '0'}}\n  {begins}"),
        (COIN, f"{COIN[:-1]}, gate.side: None}}"),
    )  # fmt: skip
    assert python("-c", PAY, cwd=gates / "src").returncode == 0
    assert python("-c", WRITE, cwd=gates / "src").returncode == 0
    machine = gates / "machine/turnstile.yaml"
    edit(machine, "{text: str}", "{words: str}")
    steps = "version: 2\nmigrations: {2: {reason: Words., renames: {Text: {text: words}}}}\n"
    edit(machine, "version: 1\n", steps)
    assert generate(gates) == 0
    done = python("-c", SIDES, cwd=gates / "src")
    assert (done.returncode, done.stdout) == (0, "None\nText(words='west')\n"), done.stdout


GAINED = """
import sys
from opslifecycle import SqliteStore
from approval import *
with ApprovalRegistry(store=SqliteStore("a.db")) as registry:
    if sys.argv[1:]:
        print(*{registry.read_up_to(each) for each in DecisionReader})
        print(len(registry._engine.authority.records))
    else:
        asked = Ask(RequestId.new(), RequestKind.EXPENSE, PersonId.new(), "it", 120, 10**14)
        registry.draft(asked)
"""


def test_a_machine_gains_cursors(tmp_path: Path) -> None:
    whole = (ROOT / "examples/approval/machine/approval.yaml").read_text(encoding="utf-8")
    cursors = re.search(r"\ncursors:(\n  .*)+", whole)
    error = re.search(r"\n  past_the_end:(\n    .*)+", whole)
    assert cursors is not None
    assert error is not None
    without = replaced(whole, [(cursors[0], ""), (error[0], ""), (", mark_read]", "]")])
    folder = tmp_path / "src"
    machine = tmp_path / "machine/approval.yaml"
    machine.parent.mkdir()
    shutil.copy(ROOT / "examples/approval/pyproject.toml", tmp_path)
    for text, words in ((without, []), (whole.replace("version: 1", "version: 2", 1), ["again"])):
        machine.write_text(text, encoding="utf-8")
        assert main(["--project", str(tmp_path), "generate"]) == 0
        environment = {**os.environ, "PYTHONPATH": str(folder)}
        done = python("-c", GAINED, *words, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stdout
    assert done.stdout == "0\n1\n"
