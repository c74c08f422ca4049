"""Times and durations: checked where they come in, computed, compared, stored and read."""

from __future__ import annotations

import importlib
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from opslifecycle import InvalidValueError, OutOfRangeError, SqliteStore
from opslifecycle.values.moments import datetime_from, timedelta_from
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.ir.moments import (
    datetime_arguments,
    microseconds_of,
    moment_of,
    timedelta_arguments,
)
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.modelcheck.scenarios import scenarios
from opslifecycle_codegen.modelcheck.symbolic.promela import promela
from opslifecycle_codegen.modelcheck.symbolic.relation import NotCoveredError, relation

from tests.support.codegen.projects import assert_clean, project

CASE = Path(__file__).parent / "cases" / "times" / "machine.yaml"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
LAST = datetime.max.replace(tzinfo=UTC)


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a package of gates that are open until a time."""
    folder = tmp_path_factory.mktemp("moments")
    text = CASE.read_text(encoding="utf-8").replace("machine: turnstile", "machine: timed_gate")
    text = text.replace("errors:", "recovery: {persist_if: 'true'}\n\nerrors:", 1)
    listing = "listing: {summary: All., method: gates, order: [gate.until, gate.id]}\n\nwatch:"
    source = folder / "timed_gate.yaml"
    source.write_text(text.replace("watch:", listing, 1), encoding="utf-8")
    made = project(folder / "project", source)
    assert_clean(made)
    sys.path.insert(0, str(made / "src"))
    yield importlib.import_module("timed_gate")
    sys.path.remove(str(made / "src"))


def test_times_are_computed_compared_and_stored(gates: Any, tmp_path: Path) -> None:
    id, other = gates.GateId.new(), gates.GateId.new()
    with gates.GateRegistry(store=SqliteStore(tmp_path / "gates.db")) as registry:
        registry.install(id, "door", NOON)
        with pytest.raises(gates.TooLateError) as caught:
            registry.visit(id, NOON + timedelta(microseconds=1))
        assert caught.value.left == timedelta(microseconds=-1)
        registry.visit(id, NOON - timedelta(hours=3, minutes=59))
        registry.extend(id, timedelta(days=-1, microseconds=5))
        registry.install(other, "gate", NOON - timedelta(days=2))
        registry.scrap(other)
        before = [registry.snapshot(each) for each in (id, other)]
    with gates.GateRegistry(store=SqliteStore(tmp_path / "gates.db")) as registry:
        found = registry.snapshot(id)
        assert [found, registry.snapshot(other)] == before
        assert found.until == NOON - timedelta(days=1) + timedelta(microseconds=5)
        assert (found.coins, found.longest) == (3, timedelta(hours=3, minutes=59))
        assert (found.pause, found.gone) == (timedelta(days=1, microseconds=-5), None)
        assert found.age == found.until - found.created
        assert [each.id for each in registry.gates()] == [other, id]
        created, gone = found.created, registry.snapshot(other).gone
        assert created.tzinfo is UTC
        assert created <= gone <= datetime.now(UTC)


def test_a_time_that_python_cannot_compute_is_rejected(gates: Any) -> None:
    with gates.GateRegistry() as registry:
        id = gates.GateId.new()
        registry.install(id, "door", LAST)
        with pytest.raises(OutOfRangeError, match="outside the years 1 to 9999"):
            registry.extend(id, timedelta(microseconds=1))
        assert registry.snapshot(id).until == LAST
        registry.extend(id, timedelta(days=-3_652_058))
        assert registry.snapshot(id).until.year == 1
        with pytest.raises(OutOfRangeError, match="outside the years 1 to 9999"):
            registry.extend(id, timedelta(days=-1))


@pytest.mark.parametrize(
    ("until", "told"),
    [
        (datetime(2026, 1, 31), "expected a time with a time zone"),
        (datetime(2026, 1, 31, tzinfo=timezone(timedelta(hours=1))), "expected a time in UTC"),
        ("2026-01-31", "expected a datetime"),
        (NOON.date(), "expected a datetime"),
    ],
)
def test_only_times_in_utc_are_taken(gates: Any, until: object, told: str) -> None:
    with gates.GateRegistry() as registry:
        id = gates.GateId.new()
        with pytest.raises(InvalidValueError, match=f"^until: {told}"):
            registry.install(id, "door", until)
        registry.install(id, "door", NOON.replace(tzinfo=timezone(timedelta(0))))
        for by in (3, timedelta(days=999_999_999)):
            with pytest.raises(InvalidValueError, match=r"^by: expected"):
                registry.extend(id, by)


@pytest.mark.parametrize(
    "data", ["2026-01-31T12:00:00Z", "2026-13-31T12:00:00.000000Z", "2026-01-31", 5, None, True]
)
def test_stored_data_that_is_no_time_is_refused(data: object) -> None:
    with pytest.raises(InvalidValueError, match="expected a time like"):
        datetime_from(data)


@pytest.mark.parametrize("data", ["PT1H", 1.5, True, None, 2**63])
def test_stored_data_that_is_no_duration_is_refused(data: object) -> None:
    with pytest.raises(InvalidValueError, match="expected an integer of microseconds"):
        timedelta_from(data)


@pytest.mark.parametrize(
    "moment", [NOON, LAST, datetime.min.replace(tzinfo=UTC), NOON.replace(microsecond=7)]
)
def test_a_time_is_written_as_the_call_that_makes_it(moment: datetime) -> None:
    assert moment_of(microseconds_of(moment)) == moment
    numbers = list(map(int, datetime_arguments(microseconds_of(moment))))
    year, month, day, *rest = numbers
    assert datetime(year, month, day, *rest, tzinfo=UTC) == moment  # type: ignore[misc, arg-type]


def test_a_duration_is_written_with_its_units() -> None:
    assert timedelta_arguments(90_000_001) == ["minutes=1", "seconds=30", "microseconds=1"]
    assert timedelta_arguments(-86_400_000_000) == ["days=-1"]
    assert timedelta_arguments(0) == ["seconds=0"]


def test_the_search_tries_the_times_at_which_guards_decide_otherwise() -> None:
    program = program_of(CASE.read_bytes(), "m.yaml")
    (scenario,) = scenarios(program)
    limit = microseconds_of(datetime(2020, 1, 1, tzinfo=UTC))
    assert {limit - 1, limit, limit + 1} <= set(scenario.values.chosen["at"])
    # Microseconds are more than SPIN counts to: it says so, and prints no model.
    with pytest.raises(NotCoveredError, match="32 bits"):
        promela(scenario, relation(scenario), "m.yaml")
    (early,) = (c for a in program.actions for c in a.guards if c.guard == "early")
    assert notation(early.test) == "at < gate.until and at >= datetime(2020, 1, 1)"
