"""Defaults: what a call, a method or stored data leaves out has the declared value."""

from __future__ import annotations

import inspect
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest
from opslifecycle import InvalidValueError, SqliteStore
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.versions import compared
from opslifecycle_codegen.modelcheck.scenarios import scenarios

from tests.support.codegen.projects import assert_clean, edit, imported, project

CASE = Path(__file__).parent / "cases" / "defaults" / "machine.yaml"
TEXT = CASE.read_text(encoding="utf-8")
#: A reason that fits on no line of a method's signature.
LONG = "'the gate was taken away because nobody had gone through it for more than a year'"
SIGN = LONG.strip("'")


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """Return a package of gates whose methods have defaults."""
    folder = tmp_path_factory.mktemp("defaults")
    source = folder / "defaulted_gate.yaml"
    source.write_text(TEXT.replace("machine: turnstile", "machine: defaulted_gate"), "utf-8")
    edit(source, "{type: str, default: unspecified}", f'{{type: str, default: "{LONG}"}}')
    edit(source, "default: entry", f'default: "{LONG}"')
    made = project(folder / "project", source)
    assert_clean(made)
    return imported(made, "defaulted_gate")


def test_a_call_leaves_out_parameters_with_a_default(gates: ModuleType, tmp_path: Path) -> None:
    place = gates.Place("north")
    assert (place.floor, place.kind, place.sign) == (1, gates.Coin.TOKEN, SIGN)
    one, other = gates.GateId.new(), gates.GateId.new()
    with gates.GateRegistry(store=SqliteStore(tmp_path / "gates.db")) as registry:
        registry.install(one, place)
        assert registry.snapshot(one).coins == 10
        assert registry.snapshot(one).open_for == timedelta(minutes=2)
        registry.coin(one)
        assert registry.snapshot(one).coins == 11
        registry.scrap(one)
        # A method without the parameter creates records with its default.
        registry.deliver(other, 3)
        assert registry.snapshot(other).open_for == timedelta(minutes=2)
        registry.coin(other, gates.Coin.TOKEN)
        assert registry.snapshot(other).coins == 3
        registry.scrap(other, note="sold", reason="rust")
        assert (registry.holds(other), registry.holds(other, count=4)) == (True, False)
    with gates.GateRegistry(store=SqliteStore(tmp_path / "gates.db")) as registry:
        found = registry.snapshot(one)
        assert (found.place, found.reason, found.note) == (place, SIGN, None)
        found = registry.snapshot(other)
        assert (found.place, found.reason, found.note) == (None, "rust", "sold")


def test_the_interface_and_both_registries_say_the_defaults(gates: ModuleType) -> None:
    for kind in (gates.AbstractGateRegistry, gates.GateRegistry, gates.AsyncGateRegistry):
        signature = inspect.signature(kind.coin)
        assert signature.parameters["coin"].default is gates.Coin.EURO
        assert signature.parameters["count"].default == 1


def test_an_argument_for_a_parameter_with_a_default_is_checked(gates: ModuleType) -> None:
    with gates.GateRegistry() as registry:
        id = gates.GateId.new()
        with pytest.raises(InvalidValueError, match=r"^coins: expected an integer"):
            registry.deliver(id, coins=None)


def test_stored_values_without_a_field_have_its_default(gates: ModuleType) -> None:
    storage = __import__(f"{gates.__name__}.storage").storage
    body = '{"status":"locked","place":{"hall":"north"},"coins":10,"open_for":1}'
    record = storage.deserialize(gates.GateId.new(), body)
    assert record.place == gates.Place("north", 1, gates.Coin.TOKEN, SIGN)


def test_a_search_calls_methods_with_their_defaults() -> None:
    (scenario,) = scenarios(program_of(TEXT.encode(), "m.yaml"))
    given = [dict(call.arguments) for call in scenario.calls if call.method == "deliver"]
    # It leaves out a place and a duration, and 10 is no number that a rule knows.
    assert {each["open_for"] for each in given} == {120_000_000}
    assert 10 in {each["coins"] for each in given}
    assert {each["place"] for each in given} == {None}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("coin: {type: Coin, default: euro}", "coin: Coin", {"method-changed"}),
        ("params: {count: {type: Coins, default: 1}}", "params: {count: Coins}",
         {"method-changed"}),
        ("default: euro}", "default: token}", {"default-changed"}),
        ("note: str | None\n", "note: str | None\n      by: str | None\n", {"parameter-added"}),
        ("      note: str | None\n", "      note: {type: str, default: none}\n",
         {"method-changed"}),
        ("floor: {type: int, default: 1}", "floor: int", {"field-type"}),
        ("sign: {type: str, default: entry}", "sign: {type: str, default: entry}\n"
         "      more: {type: int, default: 0}", {"field-added"}),
    ],
)  # fmt: skip
def test_a_change_of_defaults_is_told(old: str, new: str, told: set[str]) -> None:
    assert TEXT.count(old) == 1
    before, after = (program_of(each.encode(), "m.yaml") for each in (TEXT, TEXT.replace(old, new)))
    rules = {change.rule for change, _ in compared(before, after).changes}
    assert told == rules - {"timer-changed"}


def test_a_default_that_is_added_breaks_no_call() -> None:
    before = TEXT.replace("count: {type: Coins, default: 1}}\n", "count: Coins}\n")
    before = before.replace("coin: {type: Coin, default: euro}", "coin: Coin")
    old, new = (program_of(each.encode(), "m.yaml") for each in (before, TEXT))
    changes = [change for change, _ in compared(old, new).changes]
    assert {each.rule for each in changes} == {"parameter-added"}
    assert not any(each.breaking for each in changes)
