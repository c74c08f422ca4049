"""Counterexamples name values as the machine does; their tests pass what the registry accepts."""

from __future__ import annotations

from pathlib import Path

import pytest
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.modelcheck.counterexample import counterexample, source_of_test
from opslifecycle_codegen.modelcheck.scenarios import scenarios
from opslifecycle_codegen.modelcheck.search import Search, Violation
from opslifecycle_codegen.modelcheck.symbolic.induction import induction

from tests.support.codegen.projects import package

MACHINE = """
machine: booking
version: 1
entity: booking
summary: A booking of a room.
ids: {BookingId: {summary: Names a booking.}}
types:
  Money: {summary: In euros., type: Decimal, digits: 6, places: 2, minimum: -10}
  Currency: {summary: Three letters., type: str, pattern: '[a-z]{3}', example: eur}
values:
  Room: {summary: A room., fields: {beds: int, fee: Money}}
statuses:
  members:
    held: {summary: It is held.}
    gone: {summary: It is over., terminal: true}
fields:
  price: {type: Money, initial: room.fee}
  until: {type: datetime, initial: until}
errors:
  exists: {class: BookingExistsError, message: it exists}
  unknown: {class: BookingNotFoundError, message: there is none}
  not_now: {class: BookingStateError, message: not now}
guards:
  new: {when: booking is None, error: {exists: {}}}
  known: {when: booking is not None, error: {unknown: {}}}
illegal_transition: {not_now: {}}
default_guards: [known]
create:
  summary: Hold a room.
  methods: {hold: [id, room, currency, until]}
  params: {id: BookingId, room: Room, currency: Currency, until: datetime}
  id: id
  guards: [new]
  to: held
actions:
  prolong:
    summary: Hold it longer, for money.
    methods: [prolong]
    params: {amount: Money, by: timedelta}
    from: held
    update: {booking.price: booking.price + amount, booking.until: booking.until + by}
  leave: {summary: End it., methods: [leave], params: {amount: int}, from: held, to: gone}
snapshot: {summary: One., method: snapshot, fields: {id: booking.id, price: booking.price}}
invariants:
  cheap:
    summary: It is cheap.
    expr: all(b.price <= 0.5 for b in bookings if b.until > datetime(2026, 1, 31))
"""
#: The same, where only a change breaks the property.
DEAR_LATER = MACHINE.replace("initial: room.fee", "initial: 0.25")
#: A machine that holds a text as its callers pass it, with a property that compares it.
WITH_CURRENCY = MACHINE.replace(
    "  until: {type:", "  currency: {type: Currency, initial: currency}\n  until: {type:"
)


def compared(test: str) -> str:
    """Return the machine with a property of its currencies."""
    at = WITH_CURRENCY.index("    expr:")
    return f"{WITH_CURRENCY[:at]}    expr: {test}\n"


def violation_of(text: str) -> Violation:
    program = program_of(text.encode(), "booking.yaml")
    found = Search(scenarios(program)[0]).run()
    assert found.violation is not None
    return found.violation


def test_values_are_spelled_as_the_machine_does() -> None:
    text = counterexample(violation_of(MACHINE))
    assert "hold(id: a, room: 0, 0.51, until: datetime(2026, 1, 31, 0, 0, 0, 1))" in text


def test_changes_are_spelled_as_the_machine_does() -> None:
    lines = counterexample(violation_of(DEAR_LATER)).splitlines()
    assert [line.strip() for line in lines[-3:]] == [
        "2. prolong(a, amount: 0.26, by: timedelta(days=20484, microseconds=1))",
        "a.price: 0.25 → 0.51",
        "a.until: datetime(1970, 1, 1) → datetime(2026, 1, 31, 0, 0, 0, 1)",
    ]


def test_bounds_are_spelled_as_the_machine_does() -> None:
    (scenario,) = scenarios(program_of(MACHINE.encode(), "booking.yaml"))
    (bound,) = [each for each in scenario.bounds if each.name == "booking.price"]
    assert [bound.notation(each) for each in (bound.least or 0, bound.most)] == ["-0.51", "0.51"]


def test_the_test_of_a_counterexample_calls_the_registry_with_what_it_accepts(
    tmp_path: Path,
) -> None:
    source = tmp_path / "booking.yaml"
    source.write_text(DEAR_LATER, encoding="utf-8")
    package(tmp_path, source, "booking_of_a_counterexample")
    test = source_of_test(violation_of(DEAR_LATER), "booking_of_a_counterexample")
    assert test is not None
    names: dict[str, object] = {}
    exec(test, names)
    run = names["test_cheap"]
    assert callable(run)
    with pytest.raises(AssertionError):
        run()


@pytest.mark.parametrize(
    "test",
    [
        "all(a.currency == b.currency for a in bookings for b in bookings)",
        "count(b for b in bookings) < 2 or not distinct(b.currency for b in bookings)",
    ],
)
def test_a_text_has_two_values_where_rules_compare_the_field_that_holds_it(test: str) -> None:
    violation = violation_of(compared(test))
    assert "currency: y" in counterexample(violation)
    # No text but the example is known to match the pattern.
    assert source_of_test(violation, "booking") is None


def test_elements_have_two_values_where_rules_compare_the_list_that_holds_them() -> None:
    text = MACHINE.replace(
        "  Currency:", "  Names: {type: 'list[str]', max_length: 3}\n  Currency:"
    )
    text = text.replace(
        "  until: {type:", "  names: {type: Names, initial: names}\n  until: {type:"
    )
    text = text.replace("currency: Currency, until", "currency: Currency, names: Names, until")
    text = text.replace("[id, room, currency, until]", "[id, room, currency, names, until]")
    at = text.index("    expr:")
    # One has the names of the other, or none; two lists of one element may differ.
    same = "a.names == b.names or len(a.names) != len(b.names)"
    rule = f"all({same} for a in bookings for b in bookings)"
    violation = violation_of(f"{text[:at]}    expr: {rule}\n")
    assert "names: [y]" in counterexample(violation)


def test_a_class_of_the_program_is_not_spelled() -> None:
    text = MACHINE.replace(
        "Room: {summary: A room., fields: {beds: int, fee: Money}}",
        "Room: {summary: A room., python: hotel.Room}",
    ).replace("initial: room.fee", "initial: 2")
    assert source_of_test(violation_of(text), "booking") is None


def test_proofs_spell_decimal_numbers_as_the_machine_does() -> None:
    result = induction(program_of(MACHINE.encode(), "booking.yaml"))
    (failed, _) = [each for each in result.failed if each.startswith("cheap")]
    assert "room: Room(fee 0.51)" in failed
    assert "booking 1: is new, status held, price 0.51, until datetime(2026, 1, 31," in failed


def test_a_scenario_bounds_the_length_of_a_list() -> None:
    text = MACHINE.replace(
        "  Currency:", "  Names: {type: 'list[str]', max_length: 9}\n  Currency:"
    )
    text = text.replace("  until: {type:", "  names: {type: Names, initial: '[]'}\n  until: {type:")
    text = text.replace(
        "update: {booking.price:",
        "update: {booking.names: \"booking.names + ['a']\", booking.price:",
    )
    declared = "scenarios: {one: {summary: One., entities: 1, bounds: {booking.names: 2}}}\n"
    (scenario,) = scenarios(program_of(f"{text}{declared}".encode(), "booking.yaml"))
    assert [each.most for each in scenario.bounds if each.name == "booking.names"] == [2]
