"""Numbers in their ranges: what the generated code does where nothing is proved."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from opslifecycle import OutOfRangeError, SqliteStore
from opslifecycle_codegen.base.diagnostics import InvalidMachineError
from opslifecycle_codegen.cli.project import program_of

from tests.support.codegen.projects import project

TURNSTILE = Path(__file__).parent / "turnstile.yaml"
COUNT_MAX = 2**63 - 1


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a package of gates that count coins in and out, with a store and a rollback."""
    folder = tmp_path_factory.mktemp("gates")
    text = TURNSTILE.read_text(encoding="utf-8")
    for old, new in (
        ("machine: turnstile", "machine: coin_gate"),
        (
            "errors:",
            "registry:\n  paid: {type: int, initial: '0', summary: Paid until now.}\n\n"
            "recovery: {persist_if: true}\n\n"
            "rollback: {summary: Put off., method: put_off, from: live,"
            " update: {registry.paid: registry.paid - gate.coins}}\n\nerrors:",
        ),
        ("coins: {type: int, initial: '0'}", "coins: {type: int, initial: coins - 1}"),
        ("install: [id, place]", "install: [id, place, coins]"),
        ("params: {id: GateId, place: str}", "params: {id: GateId, place: str, coins: int}"),
        (
            "  push: {",
            "  give: {summary: Pay back., methods: [give], params: {amount: int}, from: [locked],"
            " update: {gate.coins: gate.coins - amount, registry.paid: registry.paid + gate.coins}}"
            "\n  push: {",
        ),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    source = folder / "coin_gate.yaml"
    source.write_text(text, encoding="utf-8")
    made = project(folder / "project", source)
    sys.path.insert(0, str(made / "src"))
    yield importlib.import_module("coin_gate")
    sys.path.remove(str(made / "src"))


@pytest.mark.parametrize("stored", [False, True])
def test_a_number_out_of_range_is_rejected_and_nothing_has_changed(
    gates: Any, stored: bool, tmp_path: Path
) -> None:
    store = SqliteStore(tmp_path / "gates.db") if stored else None
    id = gates.GateId.new()
    with gates.GateRegistry(store=store) as registry:
        with pytest.raises(OutOfRangeError, match=r"gate\.coins would be -1") as caught:
            registry.install(id, "door", 0)
        assert (caught.value.field, caught.value.value) == ("gate.coins", -1)
        registry.install(id, "door", 6)
        with pytest.raises(OutOfRangeError, match=r"gate\.coins would be -1"):
            registry.give(id, 6)
        assert registry.snapshot(id).coins == 5
        # 5 coins less 3 are 2, which were not yet paid: the second update sees the first.
        registry.give(id, 3)
        assert registry.snapshot(id).coins == 2
        registry.give(id, 2)
    if stored:
        with gates.GateRegistry(store=SqliteStore(tmp_path / "gates.db")) as registry:
            assert registry.snapshot(id).coins == 0


def test_the_greatest_count_is_not_passed(gates: Any) -> None:
    with gates.GateRegistry() as registry:
        id = gates.GateId.new()
        registry.install(id, "door", COUNT_MAX)
        registry.coin(id)
        registry.push(id)
        assert registry.snapshot(id).coins == COUNT_MAX
        with pytest.raises(OutOfRangeError, match=rf"gate\.coins would be {COUNT_MAX + 1}"):
            registry.coin(id)
        registry.give(id, 0)
        with pytest.raises(OutOfRangeError, match=r"registry\.paid would be"):
            registry.give(id, 1)
        assert registry.snapshot(id).coins == COUNT_MAX


@pytest.mark.parametrize(
    ("shown", "rejected"),
    [
        ("gate.coins - 5", "below 0"), ("-gate.coins", ""), ("gate.change - 2000", ""),
        ("gate.change * 9223372036854775807", "below -9223372036854775808"),
    ],
)  # fmt: skip
def test_what_is_shown_may_be_negative_if_its_parts_may(shown: str, rejected: str) -> None:
    text = TURNSTILE.read_text("utf-8")
    change = "types:\n  Change: {type: int, minimum: -9, maximum: 9}\n\nfields:\n"
    text = text.replace("fields:\n", f"{change}  change: {{type: Change, initial: 0}}\n", 1)
    text = text.replace("coins: gate.coins}", f"coins: gate.coins, shown: '{shown}'}}", 1)
    try:
        program_of(text.encode(), "m.yaml")
        found = ""
    except InvalidMachineError as error:
        found = "; ".join(each.message for each in error.findings)
    assert bool(found) == bool(rejected), found
    assert rejected in found


def test_a_rollback_is_rejected_too(gates: Any) -> None:
    with gates.GateRegistry() as registry:
        id = gates.GateId.new()
        registry.install(id, "door", 6)
        with pytest.raises(OutOfRangeError, match=r"registry\.paid would be -5"):
            registry.put_off(id)
        assert registry.snapshot(id).coins == 5
