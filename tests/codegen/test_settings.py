"""Settings of every type: given, stored, read again, and kept within their limits."""

from __future__ import annotations

import importlib
import operator
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from opslifecycle import InvalidValueError, SqliteStore
from opslifecycle.runtime.v1 import Anything
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.versions import compared
from opslifecycle_codegen.modelcheck.scenarios import scenarios

from tests.codegen.test_mistakes import mistakes
from tests.support.codegen.projects import assert_clean, project

TEXT = (Path(__file__).parent / "cases" / "types" / "machine.yaml").read_text(encoding="utf-8")
TYPES = """\
types:
  Wide: {summary: Any., type: int, minimum: -9223372036854775808}
  Label: {type: str, pattern: '[a-z]{2}', example: ab}"""
SETTINGS = """\
settings:
  lowest: {summary: The least change., type: Change, default: -4, at_least: -7}
  most_coins: {summary: The most coins., type: Coins | None, at_least: 2}
  label: {summary: A label., type: Label | None}
  since: {summary: When it began., type: datetime | None}

registry:
  total_of_all_the_gates: {summary: Of the changes., type: Wide, initial: 0}

recovery: {persist_if: 'true'}

errors:"""
GUARD = """\
  bearable:
    when: >-
      -by * 2 // 3 % 5 != 4 and by >= registry.lowest and registry.since is None
      and (registry.most_coins is None or by < registry.most_coins)
      and (registry.label is None or gate.place == 'door')
    error: {no_such_gate: {id: id}}
  new: {when"""
EDITS = (
    ("machine: turnstile", "machine: set_gate"),
    ("types:", TYPES),
    ("errors:", SETTINGS),
    ("  new: {when", GUARD),
    ("by: Change}, from: live, ", "by: Change}, from: live, guards: [known, bearable], "),
    ("gate.last: -by}", "gate.last: '-(- - -by)', registry.total_of_all_the_gates: by}"),
)  # fmt: skip


def machine(*edits: tuple[str, str]) -> str:
    text = TEXT
    for old, new in (*EDITS, *edits):
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the package of a machine with settings of several types."""
    folder = tmp_path_factory.mktemp("settings")
    source = folder / "set_gate.yaml"
    source.write_text(machine(), encoding="utf-8")
    made = project(folder / "project", source)
    assert_clean(made)
    sys.path.insert(0, str(made / "src"))
    yield importlib.import_module("set_gate")
    sys.path.remove(str(made / "src"))


def test_stored_settings_of_every_type_are_read_again(gates: Any, tmp_path: Path) -> None:
    since = datetime(2026, 1, 31, tzinfo=UTC)
    given = {"lowest": -7, "most_coins": 1000, "label": "xy", "since": since}

    def opened(**settings: object) -> dict[str, object]:
        with gates.GateRegistry(store=SqliteStore(tmp_path / "gates.db"), **settings) as registry:
            return {name: getattr(registry._authority, name) for name in given}

    defaults = {"lowest": -4, "most_coins": None, "label": None, "since": None}
    assert opened() == defaults
    assert opened(**given) == given
    assert opened() == given
    assert opened(lowest=-10, most_coins=0) == {**given, "most_coins": 2}
    assert opened(most_coins=None) == {**given, "most_coins": None}
    assert opened() == {**given, "most_coins": None}


def test_a_setting_that_is_out_of_its_range_is_refused(gates: Any) -> None:
    with pytest.raises(InvalidValueError, match="lowest: expected an integer of at most 1000"):
        gates.GateRegistry(lowest=1001)
    with pytest.raises(InvalidValueError, match="label"):
        gates.GateRegistry(label="abc")


def test_a_sign_twice_is_none(gates: Any) -> None:
    with gates.GateRegistry() as registry:
        id = gates.GateId.new()
        registry.install(id, "door")
        registry.give(id, 3)
        assert registry._authority.records[id].last == 3


def test_a_scenario_has_settings_of_the_type() -> None:
    begin = (
        "scenarios:\n  one: {summary: One., entities: 1, settings: {lowest: VALUE}}\n\nsnapshot:"
    )

    def found(value: str) -> list[str]:
        return mistakes(machine(("snapshot:", begin.replace("VALUE", value))).encode())

    for value in ("-8", "1001", "null", "few"):
        (message,) = found(value)
        assert message.endswith("wrong-shape: lowest: expected an integer from -7 to 1000")
    assert found("-5") == []
    (scenario,) = scenarios(program_of(machine().encode(), "m.yaml"))
    assert -4 in scenario.interpreter.initial().registry


@pytest.mark.parametrize("name", ["add", "sub", "mul", "floordiv", "mod", "neg"])
def test_anything_has_every_operator_of_expressions(name: str) -> None:
    anything, function = Anything(True), getattr(operator, name)
    if name == "neg":
        assert function(anything) is anything
        return
    assert function(anything, 3) is function(3, anything) is anything


@pytest.mark.parametrize(
    ("rule", "edits"),
    [
        ("field-type", [("type: Change, default: -4, at_least: -7", "type: Coins, default: 4")]),
        (
            "field-type",
            [
                ("type: Coins | None, at_least: 2", "type: Coins, default: 2"),
                ("registry.most_coins is None or by", "by"),
            ],
        ),
        ("field-type", [("'[a-z]{2}'", "'[a-c]{2}'")]),
        ("field-type", [("minimum: -9223372036854775808}", "minimum: -1000}")]),
        ("field-widened", [("type: Change, default: -4", "type: Wide, default: -4")]),
    ],
)
def test_a_lock_notices_what_stored_data_of_a_registry_would_no_longer_be(
    rule: str, edits: list[tuple[str, str]]
) -> None:
    before, after = (program_of(machine(*each).encode(), "m.yaml") for each in ((), edits))
    told = [str(change) for change, _ in compared(before, after).changes]
    assert [each for each in told if f"[{rule}]" in each and "registry." in each], told
