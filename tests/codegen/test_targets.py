"""Actions with several targets: what is compiled, what registries do, and what is verified."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import yaml
from opslifecycle import ManualClock, MemoryStore
from opslifecycle_codegen.base.diagnostics import InvalidMachineError
from opslifecycle_codegen.cli.explain import explained, explained_status
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.behaviour import behaviour_changes
from opslifecycle_codegen.emit.diagram import mermaid
from opslifecycle_codegen.emit.docs import table
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

LOAN = Path(__file__).with_name("loan.yaml")
REPAID = "{when: total == loan.owed, status: repaid, outcome: Repaid(total)"

FROM_OVERDUE = ("- when: loan.status is overdue and", "- from: overdue\n        when:")


def compiled(*edits: tuple[str, str]) -> Program:
    """The machine with some of its text replaced."""
    text = replaced(LOAN.read_text(encoding="utf-8"), edits)
    return program_of(text.encode(), "loan.yaml")


@pytest.fixture(scope="module")
def loans(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return package(tmp_path_factory.mktemp("loans"), LOAN, "loan")


class TestRegistry:
    @pytest.mark.parametrize("kept", [False, True])
    def test_the_first_target_that_applies_is_taken(self, loans: ModuleType, kept: bool) -> None:
        store = MemoryStore() if kept else None
        with loans.LoanRegistry(store=store) as registry:
            id = loans.LoanId.new()
            registry.request(id, 100)
            registry.grant(id)
            watch = registry.watch(id)

            def paid(amount: int) -> tuple[str, int, int]:
                registry.repay(id, amount)
                found = registry.snapshot(id)
                return found.status.value, found.paid, found.reminders

            assert paid(9) == ("running", 9, 0)
            registry.remind(id)
            assert paid(9) == ("overdue", 18, 2)
            assert paid(20) == ("running", 38, 0)
            with pytest.raises(loans.TooMuchError):
                registry.repay(id, 63)
            assert not watch.done()
            assert paid(62) == ("repaid", 100, 0)
            assert watch.result(timeout=5) == loans.Repaid(100)
            with pytest.raises(loans.LoanStateError):
                registry.repay(id, 0)
            entries = registry.loan_feed().list_since(0).entries
            assert [(each.seq, each.status.value, each.amount) for each in entries] == [
                (1, "running", 9), (2, "overdue", 9), (3, "running", 20), (4, "repaid", 62),
            ]  # fmt: skip
            into = [each.to_status.value for each in registry.transitions(id)]
            assert into[-5:] == ["running", "overdue", "overdue", "running", "repaid"]

    def test_a_timer_takes_the_target_of_its_time(self, loans: ModuleType) -> None:
        clock = ManualClock()
        with loans.LoanRegistry(clock=clock) as registry:
            id = loans.LoanId.new()
            registry.request(id, 100)
            registry.grant(id)
            clock.advance(days=30)
            assert registry.snapshot(id).status is loans.LoanStatus.OVERDUE
            registry.remind(id)
            registry.remind(id)
            found = registry.snapshot(id)
            assert found.status is loans.LoanStatus.WRITTEN_OFF
            assert found.terminal_outcome == loans.WrittenOff(100)
            assert found.ended_ms is not None

    def test_the_next_process_finds_what_each_target_has_set(self, loans: ModuleType) -> None:
        store = MemoryStore()
        with loans.LoanRegistry(store=store) as registry:
            id, done = loans.LoanId.new(), loans.LoanId.new()
            for each in (id, done):
                registry.request(each, 20)
                registry.grant(each)
            registry.remind(id)
            registry.repay(id, 5)
            registry.repay(done, 20)
            before = registry.snapshot(id), registry.snapshot(done)
        with loans.LoanRegistry(store=store) as registry:
            assert (registry.snapshot(id), registry.snapshot(done)) == before
            assert before[0].reminders == 2
            assert before[1].terminal_outcome == loans.Repaid(20)


class TestCompiler:
    @pytest.mark.nightly
    def test_the_package_is_clean(self, tmp_path: Path) -> None:
        assert_clean(project(tmp_path, LOAN))

    @pytest.mark.parametrize(
        ("edit", "rule"),
        [
            (("{when: total == loan.owed,", "{when: total,"), "wrong-type"),
            (("{when: total == loan.owed,", "{when: sum == loan.owed,"), "unknown-name"),
            ((REPAID, REPAID.replace("status: repaid", "status: paid")), "unknown-status"),
            ((REPAID, REPAID.replace(", outcome: Repaid(total)", "")), "missing-key"),
            ((REPAID, REPAID.replace("Repaid(total)", "Repaid(true)")), "wrong-type"),
            (("effects: [say_thanks]", "effects: [shout]"), "unknown-effect"),
            (("effects: [say_thanks]", "effects: [wake_watchers]"), "built-in-effect"),
            (("update: {loan.reminders: 0}", "update: {loan.sequence: 0}"), "owned-field"),
            (("update: {loan.reminders: 0}", "update: {loan.ended_ms: 0}"), "owned-field"),
            (("status: running, update", "status: running, outcome: Repaid(1), update"),
             "wrong-shape"),
            (("{when: total == loan.owed,", "{when: amount < 0,"), "dead-target"),
            (("- when: loan.status is overdue and", "- from: requested\n        when:"),
             "dead-target"),
            (("- when: loan.status is overdue and", "- from: late\n        when:"),
             "unknown-status"),
            (("from: requested, to: running", "from: requested, to: []"), "wrong-shape"),
            (("from: requested, to: running", "from: requested, outcome: Repaid(1), to: running"),
             "wrong-shape"),
            (("effects: [note_payment]\n", "deferred: true\n"), "deferred-write"),
        ],
    )  # fmt: skip
    def test_a_mistake_is_reported_by_its_rule(self, edit: tuple[str, str], rule: str) -> None:
        with pytest.raises(InvalidMachineError) as found:
            compiled(edit)
        assert rule in {finding.rule for finding in found.value.findings}

    def test_each_target_is_tested_for_the_range_of_what_it_sets(self) -> None:
        (repay,) = [each for each in compiled().actions if each.name == "repay"]
        needed = [each.guard for each in repay.guards if "range of" in each.guard]
        assert needed == ["range of loan.paid in repay", "range of Repaid.total in repay"]
        # What one target sets is tested where that target applies.
        assert repay.guards[-1].condition.startswith("loan.paid + amount != loan.owed or")

    def test_a_target_can_be_proved_to_be_the_one_for_all_other_cases(self) -> None:
        last = "{status: running, update: {loan.reminders: 0}}"
        tested = "{when: total != loan.owed and not (loan.status is overdue and amount < 10),"
        compiled((last, last.replace("{status", f"{tested} status")))
        with pytest.raises(InvalidMachineError) as found:
            compiled((last, last.replace("{status", f"{tested.replace('10', '9')} status")))
        assert {finding.rule for finding in found.value.findings} == {"not-total"}

    def test_a_target_applies_in_the_statuses_of_its_own_from(self) -> None:
        program = compiled(FROM_OVERDUE)
        (repay,) = [each for each in program.actions if each.name == "repay"]
        (_, late, _) = repay.targets
        assert late.test == compiled().actions[1].targets[1].test
        assert late.way.from_statuses == ("overdue",)
        assert dict(table(program))["running"][1] == "→ repaid or running"
        assert dict(table(program))["overdue"][1] == "→ repaid or overdue or running"
        lines = [line.strip() for line in mermaid(program)]
        assert not any(each.startswith("s_running --> s_overdue: repay") for each in lines)

    def test_targets_that_share_the_statuses_out_need_none_for_other_cases(self) -> None:
        last = "- {status: running, update: {loan.reminders: 0}}"
        shared = "\n      ".join(
            f"- {{from: {each}, status: {each}}}" for each in ("running", "overdue")
        )
        compiled(FROM_OVERDUE, (last, shared))
        with pytest.raises(InvalidMachineError) as found:
            compiled(FROM_OVERDUE, (last, shared.splitlines()[0]))
        assert {finding.rule for finding in found.value.findings} == {"not-total"}

    def test_the_test_of_a_target_narrows_types(self) -> None:
        first = "- {when: loan.reminders >= 2,"
        known = "{when: loan.ended_ms is not None, status: overdue, update: {loan.reminders: X}}"
        compiled((first, f"- {known.replace('X', 'loan.ended_ms')}\n      {first}"))
        after = first.replace("loan.reminders", "loan.ended_ms")
        compiled(
            (first, f"- {known.replace('is not None', 'is None').replace('X', '0')}\n      {after}")
        )
        with pytest.raises(InvalidMachineError) as found:
            compiled((first, after))
        assert {finding.rule for finding in found.value.findings} == {"wrong-type"}

    def test_explain_says_when_each_target_is_taken(self) -> None:
        program = compiled()
        lines = explained(program).splitlines()
        place = lines.index("    to written_off if loan.reminders >= 2")
        assert lines[place + 1 : place + 5] == [
            "      outcome WrittenOff(max(loan.owed - loan.paid, 0))",
            "    to overdue otherwise",
            "      sets loan.reminders: loan.reminders + 1",
            "      effects send_reminder",
        ]
        status = explained_status(program, "overdue").splitlines()
        assert status[1] == "    reached by repay, remind"
        assert status[2].endswith(
            "repay → repaid or overdue or running, remind → written_off or overdue"
        )

    def test_tables_and_diagrams_have_every_target(self) -> None:
        program = compiled()
        rows = dict(table(program))
        assert rows["running"] == ["", "→ repaid or overdue or running", "→ written_off or overdue"]
        lines = [line.strip() for line in mermaid(program)]
        assert "s_running --> s_written_off: remind [loan.reminders #62;= 2]" in lines
        assert "s_running --> s_running: repay [owed_still, else] / note_payment" in lines

    @pytest.mark.parametrize(
        ("edit", "rule"),
        [
            (("{when: loan.reminders >= 2,", "{when: loan.reminders >= 3,"), "target-changed"),
            (("update: {loan.reminders: 0}", "update: {loan.reminders: 1}"), "update-changed"),
            ((", effects: [say_thanks]", ""), "effects-changed"),
            (("Repaid(total)", "Repaid(loan.owed)"), "outcome-changed"),
        ],
    )
    def test_diff_knows_targets(self, edit: tuple[str, str], rule: str) -> None:
        edits = [edit]
        if rule == "effects-changed":
            edits.append(("effects: [send_reminder]", "effects: [send_reminder, say_thanks]"))
        found = behaviour_changes(compiled(), compiled(*edits))
        assert rule in {change.rule for change in found}


class TestVerification:
    def test_the_search_follows_every_target(self) -> None:
        (scenario,) = scenarios(compiled())
        found = Search(scenario, NOTHING_SWAPPED).run()
        assert found.closed
        assert found.violation is None
        assert found.statuses == {"requested", "running", "overdue", "repaid", "written_off"}
        assert walked(relation(scenario)) == found.states

    def test_properties_are_proved_over_every_target(self) -> None:
        pytest.importorskip("z3")
        assert induction(compiled()).failed == []
        # A target that breaks a property is found, and so is the action.
        wrong = ("{when: total == loan.owed, status: repaid", "{when: amount == 1, status: repaid")
        (failed,) = induction(compiled(wrong)).failed
        assert failed.startswith("repaid_in_full is not preserved by repay")

    @pytest.mark.nightly
    def test_generated_code_does_what_the_interpreter_does(self) -> None:
        tree = yaml.safe_load(LOAN.read_text(encoding="utf-8"))
        tree.pop("scenarios")
        examination = Examination()
        assert examination.of(tree)
        assert examination.tally.calls > 100
