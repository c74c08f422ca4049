"""Decimal numbers: checked where they come in, computed exactly, kept in range, stored as text."""

from __future__ import annotations

import decimal
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import pytest
from opslifecycle import InvalidValueError, OutOfRangeError, SqliteStore, structure, unstructure
from opslifecycle.values.decimals import check_decimal, decimal_from, decimal_text
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.limits import widens
from opslifecycle_codegen.compat.versions import compared
from opslifecycle_codegen.ir.expr import Literal
from opslifecycle_codegen.ir.types import decimal as decimal_type
from opslifecycle_codegen.ir.types import decimal_notation, decimal_units
from opslifecycle_codegen.modelcheck import verification
from opslifecycle_codegen.modelcheck.scenarios import scenarios

from tests.support.codegen.projects import assert_clean, imported, project

CASE = Path(__file__).parent / "cases" / "decimals" / "machine.yaml"
TEXT = CASE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """Return a package of gates that take money."""
    folder = tmp_path_factory.mktemp("decimals")
    source = folder / "decimal_gate.yaml"
    source.write_text(TEXT.replace("machine: turnstile", "machine: decimal_gate"), "utf-8")
    made = project(folder / "project", source)
    assert_clean(made)
    return imported(made, "decimal_gate")


def test_sums_and_products_are_exact_whatever_the_context_is(
    gates: ModuleType, tmp_path: Path
) -> None:
    id = gates.GateId.new()
    with (
        decimal.localcontext(decimal.Context(prec=2)),
        gates.GateRegistry(store=SqliteStore(tmp_path / "gates.db")) as registry,
    ):
        registry.install(id, Decimal("33.33"))
        with pytest.raises(gates.TooLittleError, match=r"^0\.01 are missing"):
            registry.enter(id, 3, Decimal("99.98"))
        registry.enter(id, 3, Decimal("99.99"))
        registry.tax(id, Decimal("0.1999"))
        registry.bill(id, gates.Bill(Decimal("0.5")))
        registry.bill(id, gates.Bill(Decimal("1.00"), Decimal(-3)))
        before = registry.snapshot(id)
        assert (before.paid, before.back) == (Decimal("96.49"), Decimal("-96.49"))
        assert (before.tax, before.low) == (Decimal("6.662667"), Decimal(10))
    with gates.GateRegistry(store=SqliteStore(tmp_path / "gates.db")) as registry:
        assert registry.snapshot(id) == before
        assert [each.id for each in registry.gates(price=Decimal("33.330"))] == [id]
        assert registry.is_cheap(id, Decimal("33.34"))
        bill = unstructure(before.last)
        assert bill == {"price": "1.00", "tip": "-3"}
        assert structure(bill, gates.Bill) == before.last


def test_a_result_out_of_its_range_is_rejected(gates: ModuleType) -> None:
    with gates.GateRegistry() as registry:
        id = gates.GateId.new()
        registry.install(id)
        assert registry.snapshot(id).price == Decimal("1.20")
        for _ in range(100):
            registry.enter(id, 1, Decimal("9999.99"))
        with pytest.raises(OutOfRangeError, match=r"gate\.paid would be 1009996\.49"):
            registry.enter(id, 1, Decimal("9999.99"))
        assert registry.snapshot(id).paid == Decimal("999996.50")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (1, "expected a Decimal"), (1.5, "expected a Decimal"), ("1.5", "expected a Decimal"),
        (Decimal("NaN"), "expected a finite number"),
        (Decimal("Infinity"), "expected a finite number"),
        (Decimal("0.04"), r"expected a number from 0\.05 to 50\.00"),
        (Decimal("1E+999999"), r"expected a number from 0\.05 to 50\.00"),
        (Decimal("1.005"), "expected at most 2 digits behind the point"),
        (Decimal("1." + "0" * 200 + "1"), "expected at most 2 digits behind the point"),
    ],
)  # fmt: skip
def test_only_exact_numbers_of_the_range_are_taken(
    gates: ModuleType, value: object, told: str
) -> None:
    with (
        gates.GateRegistry() as registry,
        pytest.raises(InvalidValueError, match=f"^price: {told}"),
    ):
        registry.install(gates.GateId.new(), value)


@pytest.mark.parametrize(
    ("value", "text"),
    [("1.5", "1.50"), ("-0", "0.00"), ("1E+1", "10.00"), ("-0.050", "-0.05"), ("7", "7.00")],
)
def test_a_store_has_all_digits(value: str, text: str) -> None:
    check_decimal("it", Decimal(value), -1000, 1000, 2)
    assert decimal_text(Decimal(value), 2) == text
    assert decimal_from(text, -1000, 1000, 2) == Decimal(value)


@pytest.mark.parametrize(
    "data", [1, 1.5, True, None, "", "1e3", ".5", "01", "1.005", "10.01", "NaN"]
)
def test_stored_data_that_is_no_number_of_the_range_is_refused(data: object) -> None:
    with pytest.raises(InvalidValueError):
        decimal_from(data, -1000, 1000, 2)


@pytest.mark.parametrize(
    ("text", "places", "units"),
    [("1.5", 2, 150), ("-0.05", 2, -5), ("7", 0, 7), ("1.500", 1, 15), ("1.05", 1, None),
     ("1e5", 2, None), ("", 2, None), ("007.0", 2, 700)],
)  # fmt: skip
def test_the_text_of_a_number_in_units_of_its_last_digit(
    text: str, places: int, units: int | None
) -> None:
    assert decimal_units(text, places) == units
    if units is not None:
        assert Decimal(decimal_notation(units, places)) == Decimal(text)


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        ("(minimum=0, maximum=99, places=1)", "(minimum=0, maximum=990, places=2)", True),
        ("(minimum=0, maximum=99, places=1)", "(minimum=0, maximum=989, places=2)", False),
        ("(minimum=0, maximum=99, places=2)", "(minimum=0, maximum=99, places=1)", False),
        ("(minimum=0, maximum=99, places=2)", "(minimum=-1, maximum=99, places=2)", True),
    ],
)
def test_a_type_holds_the_numbers_of_another(old: str, new: str, verdict: bool) -> None:
    assert widens(f"decimal{old}", f"decimal{new}") is verdict


def test_more_digits_are_a_wider_type() -> None:
    wider = TEXT.replace("digits: 12, places: 6", "digits: 13, places: 7")
    wider = wider.replace("gate.price * rate", "gate.price * rate * Decimal('1.0')")
    old, new = (program_of(each.encode(), "m.yaml") for each in (TEXT, wider))
    told = {change.rule for change, _ in compared(old, new).changes}
    assert told == {"field-widened", "update-changed"}


def test_a_search_tries_the_numbers_that_rules_compare() -> None:
    # Each bill would multiply the states.
    only = "params: {guests: ['2'], money: ['1.5']}, exclude: [bill]"
    declared = f"scenarios: {{one: {{summary: One., entities: 1, {only}}}}}"
    text = TEXT.replace("snapshot:", f"{declared}\n\nsnapshot:", 1)
    (scenario,) = scenarios(program_of(text.encode(), "m.yaml"))
    assert {"0.05", "50.00"} <= set(map(str, scenario.values.chosen["price"]))
    given = [dict(call.arguments) for call in scenario.calls if call.method == "enter"]
    assert {(each["guests"], each["money"]) for each in given} == {(2, 150)}
    found, _ = verification.searched(scenario)
    assert found.violation is None


@pytest.mark.parametrize(
    "literal",
    ["1234567890123456.78", "Decimal('1234567890123456.78')", "1_234_567_890_123_456.78"],
)
def test_a_literal_keeps_all_its_digits(literal: str) -> None:
    """A float would have kept 16 or 17 of them."""
    text = TEXT.replace("type: Decimal, digits: 8", "type: Decimal, digits: 18", 1)
    program = program_of(text.replace("initial: -2.5", f"initial: {literal}", 1).encode(), "m")
    assert program.initial["paid"] == Literal(decimal_type(2), 123456789012345678)
