"""What rules read of the time: `now`, which is that of the command and never falls."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from opslifecycle import InvalidValueError, ManualClock, MemoryStore, Store
from opslifecycle_codegen.base.diagnostics import InvalidMachineError
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.modelcheck.counterexample import counterexample, source_of_test
from opslifecycle_codegen.modelcheck.scenarios import later, scenarios
from opslifecycle_codegen.modelcheck.search import Found, Search
from opslifecycle_codegen.modelcheck.symbolic.induction import induction
from opslifecycle_codegen.modelcheck.symbolic.relation import NotCoveredError, relation

from tests.support.codegen.projects import assert_clean, imported, project
from tests.support.edits import replaced

TICKET = Path(__file__).with_name("ticket.yaml")
_NUMBERS = itertools.count()
MINUTE_MS = 60_000


@pytest.fixture(scope="module")
def tickets(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The package of the machine."""
    return imported(project(tmp_path_factory.mktemp("times") / "project", TICKET), "ticket")


@pytest.fixture(params=[None, MemoryStore], ids=["without a store", "with a store"])
def store(request: pytest.FixtureRequest) -> Store | None:
    return None if request.param is None else request.param()


def text(*edits: tuple[str, str]) -> bytes:
    """The machine with some of its text replaced."""
    found = replaced(TICKET.read_text(encoding="utf-8"), edits)
    return found.encode()


def searched(*edits: tuple[str, str]) -> Found:
    (scenario,) = scenarios(program_of(text(*edits), "ticket.yaml"))
    return Search(scenario).run()


def rules_of(*edits: tuple[str, str]) -> list[str]:
    """The rules that the machine breaks."""
    with pytest.raises(InvalidMachineError) as found:
        program_of(text(*edits), "ticket.yaml")
    return [finding.rule for finding in found.value.findings]


def test_the_package_is_clean(tmp_path: Path) -> None:
    assert_clean(project(tmp_path, TICKET))


class TestCommands:
    def test_guards_and_updates_read_the_time(self, tickets: ModuleType, store: Any) -> None:
        clock = ManualClock(1_000_000)
        with tickets.TicketRegistry(store=store, clock=clock) as registry:
            id = tickets.TicketId.new()
            registry.sell(id)
            clock.advance(minutes=5)
            registry.stamp(id)
            good_until_ms = 1_000_000 + 95 * MINUTE_MS
            clock.advance(minutes=90)
            registry.ride(id)
            with pytest.raises(tickets.TooEarlyError):
                registry.expire(id)
            clock.advance(milliseconds=1)
            with pytest.raises(tickets.TooLateError) as refused:
                registry.ride(id)
            assert refused.value.late_ms == 1
            registry.expire(id)
            found = registry.snapshot(id)
            assert (found.sold_ms, found.good_until_ms) == (1_000_000, good_until_ms)

    def test_what_is_allowed_is_said_of_this_moment(self, tickets: ModuleType, store: Any) -> None:
        clock = ManualClock()
        with tickets.TicketRegistry(store=store, clock=clock) as registry:
            id = tickets.TicketId.new()
            registry.sell(id)
            registry.stamp(id)
            assert {each.action for each in registry.allowed(id) if each.allowed} == {"ride"}
            clock.advance(minutes=91)
            assert {each.action for each in registry.allowed(id) if each.allowed} == {"expire"}

    def test_the_time_never_falls(self, tickets: ModuleType, store: Any) -> None:
        clock = ManualClock(5_000_000)
        with tickets.TicketRegistry(store=store, clock=clock) as registry:
            first, second, third = (tickets.TicketId.new() for _ in range(3))
            registry.sell(first)
            clock.set_wall(1_000)
            clock.advance(seconds=1)
            registry.sell(second)
            clock.set_wall(9_000_000)
            clock.advance(milliseconds=1)
            registry.sell(third)
            sold = [registry.snapshot(id).sold_ms for id in (first, second, third)]
            assert sold == [5_000_000, 5_001_000, 9_000_001]

    def test_the_time_does_not_fall_with_the_next_process(self, tickets: ModuleType) -> None:
        store = MemoryStore()
        with tickets.TicketRegistry(store=store, clock=ManualClock(5_000_000)) as registry:
            registry.sell(tickets.TicketId.new())
        with tickets.TicketRegistry(store=store, clock=ManualClock(1_000)) as registry:
            id = tickets.TicketId.new()
            registry.sell(id)
            assert registry.snapshot(id).sold_ms == 5_000_000

    def test_a_clock_is_a_clock(self, tickets: ModuleType) -> None:
        with pytest.raises(InvalidValueError, match="clock"):
            tickets.TicketRegistry(clock=12)

    def test_a_manual_clock_only_goes_forward(self) -> None:
        with pytest.raises(ValueError, match="got -1"):
            ManualClock().advance(milliseconds=-1)

    def test_a_manual_clock_has_whole_times_that_a_datetime_has(self, tickets: ModuleType) -> None:
        clock = ManualClock(5_000_000)
        half: Any = 0.5
        with tickets.TicketRegistry(store=MemoryStore(), clock=clock) as registry:
            for unit in ("days", "hours", "minutes", "seconds", "milliseconds"):
                with pytest.raises(ValueError, match=r"expected an integer, got 0\.5"):
                    clock.advance(**{unit: half})
            for wrong in (half, True, -1, 253_402_300_800_000):
                with pytest.raises(ValueError, match=r"expected"):
                    clock.set_wall(wrong)
                with pytest.raises(ValueError, match=r"expected"):
                    ManualClock(wrong)
            with pytest.raises(ValueError, match="years 1970 to 9999"):
                clock.advance(days=3_000_000)
            # Nothing of it has passed, and the registry is not closed.
            assert clock.wall_ms() == 5_000_000
            registry.sell(tickets.TicketId.new())


class TestCompiler:
    def test_no_number_can_leave_its_range_by_the_time(self) -> None:
        program = program_of(text(), "ticket.yaml")
        assert [check.guard for check in program.actions[0].guards] == ["known", "legal_status"]

    def test_a_machine_that_reads_the_time_calls_nothing_else_so(self) -> None:
        taken = (
            ("  ride:\n    summary: Use it again.", "  ride:\n    params: {now: int}\n"
             "    summary: Use it again."),
        )  # fmt: skip
        assert rules_of(*taken) == ["reserved-name"]
        setting = (("errors:", "settings:\n  clock: {summary: A., type: int | None}\n\nerrors:"),)
        assert rules_of(*setting) == ["reserved-name"]

    @pytest.mark.parametrize(
        "place",
        [
            ("rides: ticket.rides\n", "rides: ticket.rides + now\n"),
            ("t.good_until_ms is not None for", "t.rides < now for"),
            ("method: watch, guards: [known]", "method: watch, guards: [known, over]"),
        ],
    )
    def test_what_is_no_command_has_no_time(self, place: tuple[str, str]) -> None:
        assert "unknown-name" in rules_of(place)


class TestVerification:
    def test_every_command_is_tried_before_and_after_what_is_due(self) -> None:
        found = searched()
        assert found.closed
        assert found.statuses == {"sold", "stamped", "expired"}
        assert {"in_time", "over"} <= set(found.refusals)

    def test_a_counterexample_says_when(self) -> None:
        found = searched(
            (
                "expr: all(t.status",
                "expr: not any(t.status is expired for t in tickets) and all(t.status",
            )
        )
        assert found.violation is not None
        machine = program_of(text(), "ticket.yaml")
        lines = counterexample(found.violation).splitlines()
        assert f"  3. expire(a) at time {later(machine)}" in lines
        assert source_of_test(found.violation, "ticket") is None

    def test_induction_takes_any_time(self) -> None:
        pytest.importorskip("z3")
        shown = induction(program_of(text(), "ticket.yaml"))
        assert shown.failed == []
        assert "expire" in shown.possible

    def test_other_checkers_do_not_cover_the_time(self) -> None:
        (scenario,) = scenarios(program_of(text(), "ticket.yaml"))
        with pytest.raises(NotCoveredError):
            relation(scenario)
