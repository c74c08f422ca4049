"""Methods that ask for the first of several actions that is legal."""

from __future__ import annotations

from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
import yaml
from opslifecycle import MemoryStore
from opslifecycle_codegen.base.diagnostics import InvalidMachineError
from opslifecycle_codegen.cli.explain import explained
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.behaviour import behaviour_changes
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.modelcheck.scenarios import scenarios
from opslifecycle_codegen.modelcheck.search import Search
from opslifecycle_codegen.modelcheck.symbolic.relation import relation
from opslifecycle_codegen.modelcheck.symmetry import NOTHING_SWAPPED

from tests.proof.test_symbolic import walked
from tests.support.codegen.projects import assert_clean, package, project
from tests.support.edits import replaced
from tests.support.random_machines.examining import Examination

DEAL = Path(__file__).with_name("deal.yaml")
COMPLAIN = "methods:\n  complain: {summary: Complain., actions: [dispute, drop]}\n"
#: A deal with a method over two actions, one of which has no method of its own.
CHOOSING = (
    ("bulk:\n", f"{COMPLAIN}\nbulk:\n"),
    ("methods: [dispute], from: paid", "effects: [tell], from: paid"),
    ("Give it up., methods: [drop],", "Give it up., methods: [drop], effects: [tell],"),
    ("fields:\n  amount:", "effects:\n  tell: {summary: Tell them.}\n\nfields:\n  amount:"),
)


def text(*edits: tuple[str, str]) -> str:
    return replaced(DEAL.read_text(encoding="utf-8"), (*CHOOSING, *edits))


def compiled(*edits: tuple[str, str]) -> Program:
    return program_of(text(*edits).encode(), "deal.yaml")


@pytest.mark.parametrize("kept", [False, True])
def test_the_status_chooses_the_action(tmp_path: Path, kept: bool) -> None:
    deals = package(tmp_path, DEAL, f"choosing_deal_{kept}".lower(), *CHOOSING)
    messages: SimpleQueue[Any] = SimpleQueue()
    store = MemoryStore() if kept else None
    with deals.DealRegistry(store=store, on_effect=messages.put) as registry:
        paid, offered = deals.DealId.new(), deals.DealId.new()
        for id in (paid, offered):
            registry.offer(id)
        registry.pay(paid, 5)
        registry.complain(paid)
        assert registry.snapshot(paid).status is deals.DealStatus.DISPUTED
        registry.complain(paid)
        registry.complain(offered)
        for id in (paid, offered):
            assert registry.snapshot(id).status is deals.DealStatus.DROPPED
        # Where no action is legal, the first one answers.
        with pytest.raises(deals.DealStateError, match="cannot dispute"):
            registry.complain(paid)
        with pytest.raises(deals.DealNotFoundError):
            registry.complain(deals.DealId.new())
        told = [messages.get(timeout=10) for _ in range(3)]
    # A message names the action that was chosen.
    assert [(each.snapshot.id, each.action.value) for each in told if each.snapshot.id == paid] == [
        (paid, "dispute"), (paid, "drop"),
    ]  # fmt: skip
    assert {each.action.value for each in told if each.snapshot.id == offered} == {"drop"}


@pytest.mark.parametrize(
    ("edit", "rule"),
    [
        (("actions: [dispute, drop]", "actions: [dispute, leave]"), "unknown-action"),
        (("actions: [dispute, drop]", "actions: [drop]"), "wrong-shape"),
        (("actions: [dispute, drop]", "actions: [drop, dispute]"), "dead-action"),
        (("actions: [dispute, drop]", "actions: [dispute, settle]"), "wrong-type"),
        (("  complain: {", "  note: {"), "name-collision"),
    ],
)
def test_a_mistake_is_reported_by_its_rule(edit: tuple[str, str], rule: str) -> None:
    with pytest.raises(InvalidMachineError) as found:
        compiled(edit)
    assert rule in {finding.rule for finding in found.value.findings}


def test_explain_and_diff_know_what_is_asked_for() -> None:
    lines = explained(compiled()).splitlines()
    place = lines.index("  complain: Complain.")
    assert lines[place + 1 : place + 3] == [
        "    asks for dispute in paid", "    asks for drop in offered, disputed",
    ]  # fmt: skip
    other = ("actions: [dispute, drop]", "actions: [dispute, note]")
    rules = {each.rule for each in behaviour_changes(compiled(), compiled(other))}
    assert rules == {"target-changed"}


def test_an_action_that_is_waived_is_asked_for_nowhere(tmp_path: Path) -> None:
    waived = "waivers:\n  - {rule: dead-action, of: dispute, reason: It comes later.}\n\nbulk:\n"
    edits = (("actions: [dispute, drop]", "actions: [drop, dispute]"), ("bulk:\n", waived))
    lines = explained(compiled(*edits)).splitlines()
    place = lines.index("  complain: Complain.")
    assert lines[place + 1] == "    asks for drop in offered, paid, disputed"
    assert "dispute" not in lines[place + 2]
    deals = package(tmp_path, DEAL, "waiving_deal", *CHOOSING, *edits)
    code = Path(str(deals.__file__)).with_name("authority.py").read_text(encoding="utf-8")
    assert " in ():" not in code


def test_the_search_and_the_formulas_choose_alike() -> None:
    (scenario,) = scenarios(compiled())
    found = Search(scenario, NOTHING_SWAPPED).run()
    assert found.closed
    # Nothing else disputes a deal here.
    assert "disputed" in found.statuses
    assert walked(relation(scenario)) == found.states


@pytest.mark.nightly
def test_generated_code_does_what_the_interpreter_does(tmp_path: Path) -> None:
    tree = yaml.safe_load(text())
    tree.pop("scenarios")
    assert Examination().of(tree)
    source = tmp_path / "choosing.yaml"
    source.write_text(text(("machine: deal\n", "machine: choosing\n")), encoding="utf-8")
    assert_clean(project(tmp_path / "project", source))
