"""What a lock holds, and a lock that was damaged, by a merge for instance."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opslifecycle_codegen.cli import locking
from opslifecycle_codegen.cli.main import main
from opslifecycle_codegen.compat import compare, lock

from tests.support.codegen.projects import project
from tests.support.proof.machines import edited

SHIPPED = Path(__file__).parents[2] / "machine/ops_lifecycle.lock.json"
TURNSTILE = Path(__file__).parent / "turnstile.yaml"
WRONG: list[Any] = [
    None,
    True,
    1,
    1.5,
    "x",
    [],
    {},
    [1],
    [None],
    {"a": 1},
    {"a": {"b": 1}},
    [["x"]],
]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "this is no JSON"),
        ("[" * 100_000, "this is no JSON"),
        ("null", "this is no lock of format 2"),
        ('{"format": 2}', "the lock lacks 'version'"),
        ("<<<<<<< ours\n{}", "this is no JSON"),
    ],
)
def test_what_is_no_lock_is_one_error(
    tmp_path: Path, text: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project(tmp_path, TURNSTILE)
    (folder / "machine/turnstile.lock.json").write_text(text, encoding="utf-8")
    for command in ("check", "generate"):
        assert main(["--project", str(folder), command]) == 2
        said = capsys.readouterr().err
        assert told in said
        assert "restore the file from version control" in said
        assert "Traceback" not in said


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in keys:
        yield (*path, key)
        yield from _places(value[key], (*path, key))


def test_a_lock_of_another_shape_is_refused_or_has_the_shape() -> None:
    """Whatever is wrong in a lock, nothing behind `load` meets a value of another class."""
    text, chance = SHIPPED.read_text(encoding="utf-8"), random.Random(0)
    places = list(_places(json.loads(text)))
    refused = 0
    for _ in range(2_000):
        data = json.loads(text)
        *way, last = chance.choice(places)
        part = data
        for key in way:
            part = part[key]
        before = part[last]
        part[last] = chance.choice(WRONG)
        try:
            lock.load(json.dumps(data), "m.lock.json")
        except lock.InvalidLockError:
            refused += 1
        else:
            # What is accepted is of the same class, or a part that nothing requires.
            assert type(part[last]) is type(before) or not way, (way, last)
    assert refused > 1_000


@pytest.mark.parametrize(
    ("edit", "rule"),
    [
        (("    tag: outcome_type\n", "    tag: ended_as\n"), "tag-changed"),
        (("fields: {result: OperationResult}, flatten: result}",
          "fields: {result: OperationResult}}"), "field-type"),
    ],
)  # fmt: skip
def test_the_form_of_stored_unions_is_locked(edit: tuple[str, str], rule: str) -> None:
    invariant = ("o.terminal_outcome.outcome_type", "o.terminal_outcome.ended_as")
    edits = (edit, invariant) if rule == "tag-changed" else (edit,)
    old, new = lock.lock_of(edited(), ""), lock.lock_of(edited(*edits), "")
    (change,) = compare.changes(old, new)
    assert (change.rule, change.kind) == (rule, compare.PERSISTED)
    assert "a migration that says `refuses: true`" in locking.or_refuses(change, "")
    # An older lock says neither.
    del old["tags"], old["absent"]
    old["values"]["Completed"]["result"] = "OperationResult"
    for fields in old["stored"].values():
        fields.update({name: type.replace(" | absent", " | None") for name, type in fields.items()})
    assert compare.changes(old, new) == []
