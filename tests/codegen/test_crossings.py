"""The effects of leaving a status and of entering one."""

from __future__ import annotations

from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
import yaml
from opslifecycle import MemoryStore
from opslifecycle_codegen.base.diagnostics import InvalidMachineError
from opslifecycle_codegen.cli.explain import explained_status
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.behaviour import behaviour_changes
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.modelcheck.scenarios import scenarios
from opslifecycle_codegen.modelcheck.search import Search
from opslifecycle_codegen.modelcheck.symbolic.induction import induction
from opslifecycle_codegen.modelcheck.symbolic.relation import relation
from opslifecycle_codegen.modelcheck.symmetry import NOTHING_SWAPPED

from tests.proof.test_symbolic import walked
from tests.support.codegen.projects import assert_clean, package, project
from tests.support.edits import replaced
from tests.support.random_machines.examining import Examination

DEAL = Path(__file__).with_name("deal.yaml")
EFFECTS = ("ship", "call_back", "tell", "refund", "open", "close", "count", "bill")
#: A deal whose statuses have effects.
CROSSED = (
    (
        "fields:\n  amount:",
        "effects:\n" + "".join(f"  {e}: {{summary: Do it.}}\n" for e in EFFECTS)
        + "\nfields:\n  amount:",
    ),
    ("not paid.}", "not paid., entry: [open], exit: [close]}"),
    ("milestone: true}", "milestone: true, entry: [ship], exit: [call_back]}"),
    ("it came from., terminal: true}", "it came from., terminal: true, entry: [refund]}"),
    ("to nothing., terminal: true}", "to nothing., terminal: true, entry: [count]}"),
    (
        "    params: {amount: int}\n    from: offered\n",
        "    params: {amount: int}\n    effects: [tell]\n    from: offered\n",
    ),
    ("\nbulk:\n", "\non_terminal:\n  - effects: [bill]\n\nbulk:\n"),
)  # fmt: skip


def text(*edits: tuple[str, str]) -> str:
    return replaced(DEAL.read_text(encoding="utf-8"), (*CROSSED, *edits))


def compiled(*edits: tuple[str, str]) -> Program:
    return program_of(text(*edits).encode(), "deal.yaml")


class TestRegistry:
    def test_exit_comes_first_and_the_end_last(self, tmp_path: Path) -> None:
        deals = package(tmp_path, DEAL, "crossed_deal", *CROSSED)
        messages: SimpleQueue[Any] = SimpleQueue()
        with deals.DealRegistry(store=MemoryStore(), on_effect=messages.put) as registry:
            refunded, dropped, untouched = (deals.DealId.new() for _ in range(3))
            for id in (refunded, dropped, untouched):
                registry.offer(id)
            for id in (refunded, dropped):
                registry.pay(id, 5)
                # An action that stays in its status crosses nothing.
                registry.note(id)
            registry.dispute(refunded)
            registry.settle(refunded, 0)
            # The command for all leaves the status that each record has.
            registry.close_shop()
            told: dict[Any, list[str]] = {}
            for _ in range(18):
                message = messages.get(timeout=10)
                told.setdefault(message.snapshot.id, []).append(message.effect.value)
        paid = ["open", "close", "tell", "ship", "call_back"]
        assert told == {
            refunded: [*paid, "refund", "bill"],
            dropped: [*paid, "count", "bill"],
            untouched: ["open", "close", "count", "bill"],
        }


class TestCompiler:
    def test_each_way_has_the_effects_of_its_statuses(self) -> None:
        ways = {
            action.name: [(way.from_statuses, way.to, way.effects) for way in action.ways]
            for action in compiled().actions
        }
        # From several statuses, each target is taken from those that are left alike.
        assert ways["drop"] == [
            (("offered",), "dropped", ("close", "count")),
            (("paid",), "dropped", ("call_back", "count")),
            (("disputed",), "dropped", ("count",)),
        ]
        assert ways["settle"] == [
            (("disputed",), "refunded", ("refund",)), (("disputed",), "paid", ("ship",)),
        ]  # fmt: skip
        assert [effects for _, _, effects in ways["note"]] == [()]

    def test_an_action_that_leads_to_its_own_status_leaves_and_enters_it(self) -> None:
        again = ("from: paid, to: disputed}", "from: paid, outcome: Paid(1), to: paid}")
        waived = (
            "\nbulk:\n",
            "\nwaivers:\n  - {rule: unreachable-status, of: disputed, reason: A.}\n"
            "  - {rule: unreachable-status, of: refunded, reason: A.}\n\nbulk:\n",
        )
        (dispute,) = [each for each in compiled(again, waived).actions if each.name == "dispute"]
        assert dispute.effects == ("call_back", "ship")

    @pytest.mark.parametrize(
        ("edit", "rule"),
        [
            (("entry: [ship]", "entry: [sail]"), "unknown-effect"),
            (("entry: [ship]", "entry: [wake_watchers]"), "built-in-effect"),
            (("entry: [count]}", "exit: [count]}"), "terminal-exit"),
            (("It is not paid., entry", "Nobody., pseudo: true, entry"), "pseudo-status"),
            (("methods: [dispute],", "methods: [dispute], deferred: true,"), "deferred-write"),
            (("entry: [ship], exit: [call_back]", "entry: [ship]"), "unused-effect"),
            (("statuses:\n", "statuses:\n  properties: {exit: {type: bool, summary: A.}}\n"),
             "reserved-name"),
        ],
    )  # fmt: skip
    def test_a_mistake_is_reported_by_its_rule(self, edit: tuple[str, str], rule: str) -> None:
        with pytest.raises(InvalidMachineError) as found:
            compiled(edit)
        assert rule in {finding.rule for finding in found.value.findings}

    def test_explain_and_diff_know_them(self) -> None:
        lines = explained_status(compiled(), "paid").splitlines()
        assert "    on exit call_back" in lines
        assert "    on entry ship" in lines
        moved = ("entry: [ship], exit: [call_back]", "entry: [ship, call_back]")
        rules = {each.rule for each in behaviour_changes(compiled(), compiled(moved))}
        assert rules == {"effects-changed"}


class TestVerification:
    @pytest.mark.nightly
    def test_what_is_searched_and_proved_stays_the_same(self) -> None:
        (scenario,) = scenarios(compiled())
        found = Search(scenario, NOTHING_SWAPPED).run()
        assert found.closed
        assert walked(relation(scenario)) == found.states
        pytest.importorskip("z3")
        assert induction(compiled()).failed == []

    @pytest.mark.nightly
    def test_generated_code_does_what_the_interpreter_does(self, tmp_path: Path) -> None:
        tree = yaml.safe_load(text())
        tree.pop("scenarios")
        assert Examination().of(tree)
        source = tmp_path / "crossed.yaml"
        source.write_text(text(("machine: deal\n", "machine: crossed\n")), encoding="utf-8")
        assert_clean(project(tmp_path / "project", source))
