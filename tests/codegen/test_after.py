"""Timers in the machine language: what the compiler places, refuses, locks and verifies."""

from __future__ import annotations

from pathlib import Path

import pytest
from opslifecycle_codegen.base.diagnostics import InvalidMachineError
from opslifecycle_codegen.cli.explain import explained_status
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.behaviour import behaviour_changes
from opslifecycle_codegen.compat.compare import changes
from opslifecycle_codegen.compat.lock import lock_of
from opslifecycle_codegen.emit.timers import timers_view
from opslifecycle_codegen.ir.program import Program, named_timers
from opslifecycle_codegen.ir.public_names import public_names
from opslifecycle_codegen.modelcheck.counterexample import counterexample, source_of_test
from opslifecycle_codegen.modelcheck.scenarios import scenarios
from opslifecycle_codegen.modelcheck.search import Found, Search
from opslifecycle_codegen.modelcheck.symbolic.induction import induction
from opslifecycle_codegen.modelcheck.symbolic.relation import relation
from opslifecycle_codegen.modelcheck.symmetry import NOTHING_SWAPPED

from tests.proof.test_symbolic import walked
from tests.support.codegen.projects import assert_clean, project
from tests.support.edits import replaced

KETTLE = Path(__file__).with_name("kettle.yaml")
#: A kettle without the rule that reads the time, which other checkers do not cover.
TIMELESS = ("kettle.alarm_ms: now + 60000", "kettle.alarm_ms: None")


def compiled(*edits: tuple[str, str]) -> Program:
    """The machine with some of its text replaced."""
    text = replaced(KETTLE.read_text(encoding="utf-8"), edits)
    return program_of(text.encode(), "kettle.yaml")


def searched(*edits: tuple[str, str]) -> Found:
    (scenario,) = scenarios(compiled(*edits))
    return Search(scenario, NOTHING_SWAPPED).run()


def test_the_package_is_clean(tmp_path: Path) -> None:
    assert_clean(project(tmp_path, KETTLE))


def test_a_single_timer_stands_on_one_line() -> None:
    text = KETTLE.read_text(encoding="utf-8")
    begin, end = text.index("  heating: {minutes"), text.index("  live: {at: kettle.alarm_ms")
    methods = ("from: [heating], to: warm}", "methods: [keep_warm], from: [heating], to: warm}")
    program = compiled((text[begin:end], ""), methods)
    view = timers_view(program, public_names(program.machine), 100)
    assert view is not None
    assert view.timers == ["TIMERS: tuple[_rt.Timer, ...] = (_rt.Timer(KettleAuthority.ring),)"]


@pytest.mark.parametrize(
    ("edit", "rule"),
    [
        (("{minutes: 3, do: keep_warm}", "{minutes: 3, do: boil}"), "unknown-action"),
        (("  heating: {minutes", "  boiling: {minutes"), "unknown-status"),
        (("{minutes: 3, do: keep_warm}", "{minutes: 0, do: keep_warm}"), "wrong-shape"),
        (("{minutes: 3, do", "{minutes: 3, at: kettle.alarm_ms, do"), "wrong-shape"),
        (("{at: kettle.alarm_ms, do", "{at: kettle.why, do"), "wrong-type"),
        (("  heating: {minutes", "  cold: {minutes"), "dead-timer"),
        (("{minutes: 3, do: keep_warm}", "{minutes: 3, do: pour}"), "endless-timer"),
        ((", kettle.alarm_ms: now + 60000", ""), "endless-timer"),
        (("with: {why: \"'too long'\"}", "with: {reason: \"'too long'\"}"), "unknown-name"),
        (("with: {why: \"'too long'\"}", "with: {why: '12'}"), "wrong-type"),
        (("params: {why: str | None}", "params: {why: str, how: str}"), "missing-key"),
        (("  cups: {type", "  status_since_ms: {type: int | None}\n  cups: {type"), "owned-field"),
        (("kettle.cups: kettle.cups + 1", "kettle.status_since_ms: 1"), "owned-field"),
    ],
)  # fmt: skip
def test_a_mistake_is_reported_by_its_rule(edit: tuple[str, str], rule: str) -> None:
    with pytest.raises(InvalidMachineError) as found:
        compiled(edit)
    assert rule in {finding.rule for finding in found.value.findings}


def test_only_what_may_change_a_timer_plans_it() -> None:
    program = compiled()
    planning = {
        command.name
        for command in (program.create, *program.actions)
        if any("plan_timers" in step.effects for step in command.steps)
    }
    assert planning == {"create", "heat", "keep_warm", "cool", "set_alarm", "ring"}
    assert program.rollback is not None
    assert "cancel_timers" in program.rollback.effects


def test_a_machine_without_timers_has_none_of_it() -> None:
    text = KETTLE.read_text(encoding="utf-8")
    before, _, rest = text.partition("after:\n")
    rest = rest[rest.index("watch:") :]
    methods = (
        ("Keep the water warm., from", "Keep the water warm., methods: [warm_up], from"),
        ("Ring, and ring again a minute later.\n", "Ring.\n    methods: [ring]\n"),
    )
    for old, new in methods:
        before = before.replace(old, new)
    program = program_of((before + rest).encode(), "kettle.yaml")
    assert "status_since_ms" not in program.symbols.entity_fields
    assert not any(command.notes or command.steps for command in program.actions)


def test_a_timer_can_be_added_to_a_machine_that_has_stored_records() -> None:
    """No migration is needed: the status of such a record begins when its store is opened."""
    edit = ("  heating: {minutes: 3, do: keep_warm}\n", "")
    method = (
        "keep_warm: {summary: Keep the water warm., ",
        "keep_warm: {summary: Keep the water warm., methods: [keep_warm], ",
    )
    untimed = (
        "  warm:\n    - {minutes: 30, seconds: 30, do: cool, with: {why: \"'too long'\"}}\n",
        "",
    )
    old, new = compiled(edit, method, untimed), compiled()
    found = [each for each in changes(lock_of(old, ""), lock_of(new, "")) if each.breaking]
    assert found == []
    rules = {each.rule for each in behaviour_changes(old, new)}
    assert "timer-added" in rules


def test_explain_and_diff_know_when_a_timer_is_due() -> None:
    old = compiled()
    lines = explained_status(old, "warm").splitlines()
    assert "    asks for cool after 1830 s with why: 'too long'" in lines
    assert "    asks for ring at kettle.alarm_ms" in lines
    new = compiled(("{minutes: 3, do", "{minutes: 4, do"))
    (change,) = [each for each in behaviour_changes(old, new) if each.rule == "timer-changed"]
    assert "after 180 s" in change.text
    assert "after 240 s" in change.text


class TestVerification:
    def test_a_timer_may_be_due_at_any_time_in_its_status(self) -> None:
        found = searched()
        assert found.closed
        assert {"timer_keep_warm", "timer_cool", "timer_ring"} <= set(found.fired)

    def test_a_timer_that_breaks_a_property_is_in_the_counterexample(self) -> None:
        never = (
            "scenarios:",
            "invariants:\n  never_warm:\n    summary: No kettle is warm.\n"
            "    expr: not any(k.status is warm for k in kettles)\n\nscenarios:",
        )
        found = searched(never)
        assert found.violation is not None
        assert "  3. timer_keep_warm(a)" in counterexample(found.violation).splitlines()
        assert source_of_test(found.violation, "kettle") is None

    def test_a_scenario_can_leave_timers_out(self) -> None:
        found = searched(("    entities: 1\n", "    entities: 1\n    exclude: [timer_cool]\n"))
        assert "timer_cool" not in found.fired

    def test_timers_with_other_arguments_have_names_of_their_own(self) -> None:
        both = ("warm:\n", "warm:\n    - {hours: 1, do: cool}\n")
        assert set(named_timers(compiled(both).timers)) == {
            "timer_keep_warm", "timer_cool", "timer_cool_2", "timer_ring",
        }  # fmt: skip

    def test_other_checkers_know_timers(self) -> None:
        program = compiled(TIMELESS)
        (scenario,) = scenarios(program)
        assert walked(relation(scenario)) == Search(scenario, NOTHING_SWAPPED).run().states
        pytest.importorskip("z3")
        assert induction(program).failed == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("with: {why: \"'too long'\"}", "with: {why: \"'a' if 1 % 0 == 0 else 'b'\"}"),
        ("\n  rings:", "\n  odd: {type: int, initial: '2 // 0'}\n  rings:"),
    ],
    ids=["an argument of a timer", "a constant of a record"],
)
def test_a_divisor_of_zero_is_refused_where_no_guard_is_asked(old: str, new: str) -> None:
    with pytest.raises(InvalidMachineError) as refused:
        compiled((old, new))
    assert "the divisor 0 is always 0 here" in [each.message for each in refused.value.findings]
