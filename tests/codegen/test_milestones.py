"""Milestones: statuses that announce themselves and are not terminal."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from opslifecycle import MemoryStore, SqliteStore, Store
from opslifecycle_codegen.base.diagnostics import InvalidMachineError
from opslifecycle_codegen.cli.explain import explained_status
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.compare import changes
from opslifecycle_codegen.compat.lock import lock_of
from opslifecycle_codegen.emit.diagram import mermaid
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
TURNSTILE = Path(__file__).with_name("turnstile.yaml")


def text(*edits: tuple[str, str], source: Path = DEAL) -> str:
    """A machine with some of its text replaced."""
    return replaced(source.read_text(encoding="utf-8"), edits)


def compiled(*edits: tuple[str, str]) -> Program:
    return program_of(text(*edits).encode(), "deal.yaml")


@pytest.fixture(scope="module")
def deals(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return package(tmp_path_factory.mktemp("deals"), DEAL, "deal")


@pytest.fixture(params=["none", "memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store | None:
    stores = {"none": None, "memory": MemoryStore(), "sqlite": SqliteStore(tmp_path / "d.db")}
    return stores[request.param]


def offered(deals: ModuleType, registry: Any) -> Any:
    id = deals.DealId.new()
    registry.offer(id)
    return id


def said(registry: Any) -> list[tuple[int, str, object]]:
    entries = registry.outcomes().list_since(0).entries
    return [(each.seq, each.status.value, each.outcome) for each in entries]


class TestRegistry:
    def test_it_announces_itself_and_goes_on(self, deals: ModuleType, store: Any) -> None:
        with deals.DealRegistry(store=store) as registry:
            id = offered(deals, registry)
            first = registry.watch(id)
            registry.pay(id, 7)
            assert first.result(timeout=5) == deals.Paid(7)
            assert registry.snapshot(id).outcome == deals.Paid(7)
            # It has an outcome already.
            assert registry.watch(id).result(timeout=0) == deals.Paid(7)
            registry.note(id)
            assert registry.snapshot(id).outcome == deals.Paid(7)
            registry.dispute(id)
            assert registry.snapshot(id).outcome is None
            second = registry.watch(id)
            assert not second.done()
            registry.settle(id, 3)
            assert second.result(timeout=5) == deals.Paid(3)
            registry.dispute(id)
            last = registry.watch(id)
            registry.settle(id, 0)
            assert last.result(timeout=5) == deals.Refunded(3)
            assert said(registry) == [
                (1, "paid", deals.Paid(7)), (2, "paid", deals.Paid(3)),
                (3, "refunded", deals.Refunded(3)),
            ]  # fmt: skip
            with pytest.raises(deals.DealStateError):
                registry.dispute(id)

    def test_a_barrier_waits_for_every_outcome(self, deals: ModuleType, store: Any) -> None:
        with deals.DealRegistry(store=store) as registry:
            paid, other, dropped = (offered(deals, registry) for _ in range(3))
            registry.pay(paid, 1)
            wait = registry.wait_for_all(deals.BuyerId.new(), [paid, other, dropped])
            registry.drop(dropped)
            assert not wait.done()
            registry.pay(other, 2)
            outcomes = dict(wait.result(timeout=5).outcomes)
            expected = {paid: deals.Paid(1), other: deals.Paid(2), dropped: deals.Dropped()}
            assert outcomes == expected

    def test_tasks_await_it(self, deals: ModuleType) -> None:
        async def awaited() -> object:
            async with deals.AsyncDealRegistry() as registry:
                id = deals.DealId.new()
                await registry.offer(id)
                watch = registry.watch(id)
                await registry.pay(id, 4)
                return await watch

        assert asyncio.run(asyncio.wait_for(awaited(), 30)) == deals.Paid(4)

    def test_an_entry_that_leaves_takes_no_live_record_with_it(
        self, deals: ModuleType, store: Any
    ) -> None:
        with deals.DealRegistry(entries_max=1, store=store) as registry:
            paid, ended = offered(deals, registry), offered(deals, registry)
            registry.pay(paid, 1)
            registry.drop(ended)
            assert [each[0] for each in said(registry)] == [2]
            assert registry.snapshot(paid).status is deals.DealStatus.PAID
            registry.dispute(paid)
            registry.settle(paid, 2)
            assert registry.snapshot(ended) is None
            assert said(registry) == [(3, "paid", deals.Paid(2))]

    def test_entries_stay_of_what_is_rolled_back_or_discarded(self, tmp_path: Path) -> None:
        more = (
            "rollback: {summary: Undo it., method: undo, from: live}\n\n"
            "discard_when: deal.status is refunded\n\nretention:"
        )
        deals = package(tmp_path, DEAL, "undone_deals", ("retention:", more))
        with deals.DealRegistry() as registry:
            undone, refunded = offered(deals, registry), offered(deals, registry)
            registry.pay(undone, 1)
            registry.undo(undone)
            registry.pay(refunded, 2)
            registry.dispute(refunded)
            registry.settle(refunded, 0)
            assert (registry.snapshot(undone), registry.snapshot(refunded)) == (None, None)
            assert said(registry) == [
                (1, "paid", deals.Paid(1)), (2, "paid", deals.Paid(2)),
                (3, "refunded", deals.Refunded(2)),
            ]  # fmt: skip

    def test_only_ends_are_collected_and_the_command_for_all_ends_both(
        self, deals: ModuleType, store: Any
    ) -> None:
        with deals.DealRegistry(store=store) as registry:
            paid = offered(deals, registry)
            registry.pay(paid, 1)
            assert registry.take_ended() == []
            assert [each.id for each in registry.deals(milestone=True)] == [paid]
            registry.close_shop()
            assert registry.take_ended() == [(paid, deals.Dropped())]
            assert registry.snapshot(paid) is None

    @pytest.mark.parametrize("kind", ["memory", "sqlite", "postgres"])
    def test_the_next_process_finds_milestones(
        self, deals: ModuleType, kind: str, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        kept = MemoryStore()

        def store() -> Store:
            if kind == "postgres":
                opened: Store = request.getfixturevalue("postgres").store()
                return opened
            return SqliteStore(tmp_path / "deals.db") if kind == "sqlite" else kept

        with deals.DealRegistry(store=store()) as registry:
            paid, disputed, ended = (offered(deals, registry) for _ in range(3))
            for id in (paid, disputed):
                registry.pay(id, 5)
            registry.dispute(disputed)
            registry.drop(ended)
            before = [registry.snapshot(id) for id in (paid, disputed, ended)]
            entries = said(registry)
        with deals.DealRegistry(store=store()) as registry:
            assert [registry.snapshot(id) for id in (paid, disputed, ended)] == before
            assert said(registry) == entries
            assert [outcome for _, _, outcome in entries[:2]] == [deals.Paid(5)] * 2
            assert registry.watch(paid).result(timeout=0) == deals.Paid(5)
            assert not registry.watch(disputed).done()
            assert registry.take_ended() == [(ended, deals.Dropped())]

    def test_a_status_can_become_a_milestone(self, deals: ModuleType, tmp_path: Path) -> None:
        """A stored record of that status has no outcome, until it announces itself again."""
        plain = text(
            (", milestone: true", ""), ("    outcome: Paid(deal.amount)\n", ""),
            ("{status: paid, outcome: Paid(amount),", "{status: paid,"),
            (", milestone: deal.status.milestone", ""),
            ("(each.status.terminal or each.status.milestone)", "each.status.terminal"),
            ("machine: deal\n", "machine: plain_deal\n"),
        )  # fmt: skip
        for folder in ("old", "new"):
            (tmp_path / folder).mkdir()
        old = tmp_path / "plain_deal.yaml"
        old.write_text(plain, encoding="utf-8")
        before = package(tmp_path / "old", old, "plain_deal")
        store = MemoryStore()
        with before.DealRegistry(store=store) as registry:
            id = offered(before, registry)
            registry.pay(id, 5)
        new = package(
            tmp_path / "new",
            DEAL,
            "milestone_deal",
            ("machine: milestone_deal", "machine: plain_deal"),
        )
        with new.DealRegistry(store=store) as registry:
            watch = registry.watch(new.DealId(str(id)))
            registry.dispute(new.DealId(str(id)))
            registry.settle(new.DealId(str(id)), 2)
            assert watch.result(timeout=5) == new.Paid(2)


class TestCompiler:
    @pytest.mark.nightly
    def test_the_package_is_clean(self, tmp_path: Path) -> None:
        assert_clean(project(tmp_path, DEAL))

    @pytest.mark.parametrize(
        ("edit", "rule"),
        [
            (("    outcome: Paid(deal.amount)\n", ""), "missing-key"),
            (("for the money., methods", "for it., outcome: Dropped(), methods"), "wrong-shape"),
            (("it came from., terminal: true}", "it came from., terminal: true, milestone: true}"),
             "wrong-shape"),
            (("guards: [new], to: offered", "guards: [new], to: paid"), "terminal-start"),
            (("offered\n    to: paid\n", "offered\n    to: paid\n    deferred: true\n"),
             "deferred-write"),
            (("from: paid, to: disputed", "from: milestones, to: disputed"), "unknown-status"),
            (("statuses:\n", "statuses:\n  properties: {milestone: {type: bool, summary: A.}}\n"),
             "reserved-name"),
        ],
    )  # fmt: skip
    def test_a_mistake_is_reported_by_its_rule(self, edit: tuple[str, str], rule: str) -> None:
        with pytest.raises(InvalidMachineError) as found:
            compiled(edit)
        assert rule in {finding.rule for finding in found.value.findings}

    def test_a_group_names_all_of_them(self) -> None:
        program = compiled(("from: paid, to: disputed", "from: milestone, to: disputed"))
        (dispute,) = [each for each in program.actions if each.name == "dispute"]
        assert dispute.from_statuses == ("paid",)

    def test_explain_and_diagrams_show_them(self) -> None:
        program = compiled()
        assert explained_status(program, "paid").startswith(
            "  paid: The money is here. A milestone."
        )
        lines = [line.strip() for line in mermaid(program)]
        assert "class s_paid milestone" in lines
        assert "s_paid --> [*]" not in lines

    def test_the_lock_knows_what_has_an_outcome(self) -> None:
        old = lock_of(compiled(), "")
        assert old["milestone"] == ["paid"]
        lost = {**old, "milestone": []}
        assert {each.rule for each in changes(old, lost) if each.breaking} == {"milestone-lost"}
        assert [each for each in changes(lost, old) if each.breaking] == []

    def test_a_machine_that_runs_for_ever_needs_no_waiver(self) -> None:
        repair = "repair: {summary: Repair it., methods: [repair], from: scrapped, to: locked}"
        forever = (
            (", terminal: true", ""),
            ("from: live, to: scrapped}", f"from: unlocked, to: scrapped}}\n  {repair}"),
        )
        watch = "watch: {summary: Watch a gate until it is taken away., method: watch"
        program_of(
            text(*forever, (f"{watch}, guards: [known]}}\n", ""), source=TURNSTILE).encode(), ""
        )
        with pytest.raises(InvalidMachineError) as found:
            program_of(text(*forever, source=TURNSTILE).encode(), "")
        assert [each.of for each in found.value.findings] == ["watch"]
        milestone = ("person gets through.}", "person gets through., milestone: true}")
        program_of(text(*forever, milestone, source=TURNSTILE).encode(), "")


class TestVerification:
    def test_the_search_follows_milestones(self) -> None:
        (scenario,) = scenarios(compiled())
        found = Search(scenario, NOTHING_SWAPPED).run()
        assert found.closed
        assert found.violation is None
        assert found.statuses == {"offered", "paid", "disputed", "refunded", "dropped"}
        assert walked(relation(scenario)) == found.states

    def test_properties_are_proved_for_milestones(self) -> None:
        pytest.importorskip("z3")
        assert induction(compiled()).failed == []
        wrong = ("(each.status.terminal or each.status.milestone)", "each.status.terminal")
        failed = induction(compiled(wrong)).failed
        assert {each.partition(":")[0] for each in failed} >= {"outcomes is not preserved by pay"}

    @pytest.mark.nightly
    def test_generated_code_does_what_the_interpreter_does(self) -> None:
        tree = yaml.safe_load(DEAL.read_text(encoding="utf-8"))
        tree.pop("scenarios")
        examination = Examination()
        assert examination.of(tree)
        assert examination.tally.calls > 100
