"""Properties shown for any number of records, with z3."""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path

import pytest
from opslifecycle_codegen.cli.main import main
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.modelcheck.scenarios import Scenario
from opslifecycle_codegen.modelcheck.state import Call, Draft, State
from opslifecycle_codegen.modelcheck.symbolic.induction import induction
from opslifecycle_codegen.modelcheck.symbolic.logic import outside

from tests.support.proof.machines import ROOT, edited, scenario_of, states_of
from tests.support.scale import share

MACHINES = [
    ROOT / "machine/ops_lifecycle.yaml",
    *sorted((ROOT / "examples").glob("*/machine/*.yaml")),
    ROOT / "tests/codegen/invoice.yaml",
    ROOT / "tests/codegen/job.yaml",
]


@pytest.mark.parametrize("path", share(MACHINES, 3, id=lambda path: path.stem))
def test_every_property_is_preserved_by_every_call(path: Path) -> None:
    program = program_of(path.read_bytes(), path.name)
    shown = induction(program)
    assert shown.failed == []
    assert shown.outside == {}
    # Of the beginning, only what speaks of states is shown.
    states = len(shown.properties) - len(program.machine.transition_invariants)
    assert shown.proved == states + len(shown.properties) * len(shown.possible)
    assert {action.name for action in program.actions} <= set(shown.possible)


ROLLBACK = (
    "  from: live\n  update: {registry.active_count: registry.active_count - 1}\n",
    "  from: live\n",
)
PEERLESS = (
    "    when: not operation.peer_ready\n",
    "    when: not operation.peer_ready and operation.peer_handle is not None\n",
)
GAP = (
    "expr: registry.dropped_through <= registry.watermark",
    "expr: registry.dropped_through <= registry.next_completion_seq + registry.watermark",
)


@cache
def failed(edit: tuple[str, str]) -> list[str]:
    """What induction says of the shipped machine with a mistake."""
    return induction(edited(edit)).failed


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        pytest.param(
            ROLLBACK,
            "active_count_is_the_live_ones is not preserved by rollback_unreturned_operation",
            marks=pytest.mark.nightly,
        ),
        pytest.param(PEERLESS, "peer_ready is never possible", marks=pytest.mark.nightly),
        (GAP, "rows_lie_between_gap_and_watermark is not preserved by fail"),
    ],
)
def test_a_mistake_is_told_by_its_call(edit: tuple[str, str], told: str) -> None:
    assert any(text.startswith(told) for text in failed(edit))


def test_a_counterexample_has_the_words_of_the_machine() -> None:
    """A state that the properties allow, the call, and what it changes; no name of z3's."""
    text = (ROOT / "examples/lamp/machine/lamp.yaml").read_text("utf-8")
    update = "    update: {lamp.switched: lamp.switched + 1}\n"
    assert update in text
    lit = "invariants:\n  lit_was_switched:\n    summary: A lit lamp was switched.\n"
    lit += "    expr: all(o.status is not lit or o.switched > 0 for o in lamps)\n"
    assert induction(program_of(f"{text}\n{lit}".encode(), "lamp.yaml")).failed == []
    text = f"{text.replace(update, '')}\n{lit}"
    assert induction(program_of(text.encode(), "lamp.yaml")).failed == [
        "lit_was_switched is not preserved by light:\n"
        "    before:\n"
        "      lamp 1: status dark\n"
        "    light(lamp 1)\n"
        "    after:\n"
        "      lamp 1.status: dark → lit"
    ]


@pytest.mark.nightly
def test_a_counterexample_shows_arguments_values_and_what_is_gone() -> None:
    told = "\n".join([*failed(ROLLBACK), *failed(GAP)])
    for pattern in (
        r"registry: max_completed \d+, active_count \d+",
        r"operation 1: status (retiring|running|provisioning), spec OperationSpec\(kind \w+",
        r"\n    rollback_unreturned_operation\(operation 1\)\n    after:\n",
        r"\n      operation 1: is gone",
        r"\n    fail\(operation 1, error: '[^']*'\)",
        r"operation 1.terminal_outcome: none → Failed\(",
        r"registry.active_count: (\d+) → \d+",
    ):
        assert re.search(pattern, told), pattern
    assert not re.search("registry_|_there|given_|_is=", told)


@pytest.mark.parametrize(
    ("prop", "reason"),
    [
        ("any(o.peer_ready for o in operations)", "any over records"),
        ("not all(o.peer_ready for o in operations)", "all where it is not asserted"),
        ("count(row for row in feed) < 5", "a count over feed"),
        (
            "count(o for o in operations if o.sequence == registry.watermark) < 2",
            "depends on registry",
        ),
        ("distinct(row.seq for row in feed)", "distinct over something else"),
        ("all(o.peer_ready or o.peer_handle is None for o in operations)", None),
        ("all(any(o.id == m for o in operations) for b in barriers for m in b.unfinished)", None),
    ],
)
def test_what_the_logic_cannot_speak_of_is_told(prop: str, reason: str | None) -> None:
    program = edited(
        ("\ninvariants:\n", f"\ninvariants:\n  asked: {{summary: Asked., expr: '{prop}'}}\n")
    )
    found = outside(program.invariants[0].tree)
    assert (found is None) is (reason is None)
    assert reason is None or reason in str(found)


def one_by_one(scenario: Scenario, state: State, call: Call) -> State:
    """A command that ends every live record, as if each end came by itself."""
    interpreter, now = scenario.interpreter, Draft(state)
    _, action, updates = interpreter._bulk[call.method]
    assert action is not None
    given = dict(call.arguments)
    interpreter.ends.update(now, updates, {"registry": state.registry, **given}, [])
    for place, id in enumerate(interpreter.ids):
        record = now.records[place]
        if record is None or interpreter.ends.is_ended(record):
            continue
        names = {"registry": tuple(now.registry), "id": id, "operation": record, **given}
        after, effects = interpreter._acting.acted(now, action.taken(names), names, record)
        interpreter.ends.apply_effects(now, id, after, effects)
    return now.state()


@pytest.mark.nightly
def test_ending_all_is_ending_one_after_another() -> None:
    """Induction shows each end by itself; that they add up is looked at in every state."""
    scenario = scenario_of(edited(), "waiting")
    calls = [call for call in scenario.calls if call.method in scenario.interpreter._bulk]
    together = 0
    for state in states_of("waiting"):
        for call in calls:
            answer = scenario.answer(state, call)
            if answer.value:
                together += len(answer.value) > 1
                assert answer.state == one_by_one(scenario, state, call)
    assert together > 100


def test_without_z3_it_says_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "z3", None)
    there = ["--project", str(ROOT / "examples/lamp")]
    assert main([*there, "verify", "--induction"]) == 0
    assert "induction: SKIPPED: needs z3" in capsys.readouterr().out
