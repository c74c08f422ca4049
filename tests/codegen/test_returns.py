"""Actions that return values: typed, of the record as the action has left it, after the commit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from opslifecycle import MemoryStore, SqliteStore, Store, UnsupportedError
from opslifecycle.cluster.wire import Wire
from opslifecycle.errors import InternalError, InvalidValueError
from opslifecycle.shell.batch import NotStorableError, without
from opslifecycle.shell.commands import Command, returning
from opslifecycle.shell.pending import ThreadWaiter, pending_of
from opslifecycle_codegen.base.diagnostics import InvalidMachineError
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.behaviour import behaviour_changes
from opslifecycle_codegen.ir.program import Program

from tests.support.codegen.projects import assert_clean, package, project
from tests.support.edits import replaced
from tests.support.random_machines.examining import Examination
from tests.support.random_machines.stores import contents_of

DEAL = Path(__file__).with_name("deal.yaml")
COMPLAIN = "summary: Complain., actions: [dispute, drop], returns: deal.status"
RETURNING = (
    ("bulk:\n", f"methods:\n  complain: {{{COMPLAIN}}}\n\nbulk:\n"),
    (
        "    outcome: Paid(deal.amount)\n",
        "    outcome: Paid(deal.amount)\n    returns: deal.amount // 2\n",
    ),
    (
        "summary: Write a note., methods: [note],",
        "summary: Write a note., methods: [note], deferred: true, returns: deal.notes,",
    ),
    (
        "    to:\n      - {when: amount",
        "    returns: deal.terminal_outcome\n    to:\n      - {when: amount",
    ),
    ("Give it up., methods: [drop],", "Give it up., methods: [drop], returns: deal.sequence,"),
)


def text(*edits: tuple[str, str]) -> str:
    return replaced(DEAL.read_text(encoding="utf-8"), (*RETURNING, *edits))


def compiled(*edits: tuple[str, str]) -> Program:
    return program_of(text(*edits).encode(), "deal.yaml")


@pytest.fixture(scope="module")
def deals(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return package(tmp_path_factory.mktemp("deals"), DEAL, "returning_deal", *RETURNING)


@pytest.fixture(params=["without a store", "memory", "sqlite"])
def registry(request: pytest.FixtureRequest, deals: ModuleType, tmp_path: Path) -> Iterator[Any]:
    store: Store | None = MemoryStore() if request.param == "memory" else None
    if request.param == "sqlite":
        store = SqliteStore(tmp_path / "deals.db")
    with deals.DealRegistry(store=store) as registry:
        yield registry


class TestCalls:
    def test_a_value_is_of_the_record_as_the_action_has_left_it(
        self, deals: ModuleType, registry: Any
    ) -> None:
        id = deals.DealId.new()
        assert registry.offer(id) is None
        assert [registry.note(id), registry.note(id)] == [1, 2]
        assert registry.pay(id, 7) == 3
        # The status that the action leads to, and what its target has made of the outcome.
        assert registry.complain(id) is deals.DealStatus.DISPUTED
        assert registry.settle(id, 5) == deals.Paid(5)
        assert registry.dispute(id) is None
        # The end has numbered the record before.
        assert registry.drop(id) == registry.outcomes().watermark == 3

    def test_a_rejected_call_raises(self, deals: ModuleType, registry: Any) -> None:
        id = deals.DealId.new()
        with pytest.raises(deals.DealNotFoundError):
            registry.pay(id, 7)
        registry.offer(id)
        with pytest.raises(deals.DealStateError):
            registry.settle(id, 7)
        with pytest.raises(InvalidValueError, match="expected DealId"):
            registry.note(str(id))

    def test_a_transaction_has_no_value_before_its_end(
        self, deals: ModuleType, registry: Any
    ) -> None:
        id = deals.DealId.new()
        with registry.transaction() as transaction:
            transaction.offer(id)
            with pytest.raises(UnsupportedError, match="pay in a transaction"):
                transaction.pay(id, 7)
        assert registry.snapshot(id).amount == 0

    def test_event_loops_await_it(self, deals: ModuleType) -> None:
        async def run() -> list[object]:
            async with deals.AsyncDealRegistry(store=MemoryStore()) as registry:
                id = deals.DealId.new()
                await registry.offer(id)
                return [await registry.note(id), await registry.pay(id, 7)]

        assert asyncio.run(run()) == [1, 3]

    def test_an_action_of_many_records_returns_nothing(
        self, deals: ModuleType, registry: Any
    ) -> None:
        registry.offer(deals.DealId.new())
        assert registry.close_shop() is None

    def test_it_is_stored_when_the_call_returns(self, deals: ModuleType) -> None:
        store, id = MemoryStore(), deals.DealId.new()
        with deals.DealRegistry(store=store) as registry:
            registry.offer(id)
            registry.pay(id, 7)
            left = contents_of(store)
            registry.note(id)
            noted = contents_of(store)
        with deals.DealRegistry(store=left) as registry:
            assert registry.snapshot(id).amount == 7
        with deals.DealRegistry(store=noted) as registry:
            # A deferred write waits for the next commit.
            assert registry.snapshot(id).notes == 0
        with deals.DealRegistry(store=contents_of(store)) as registry:
            assert registry.snapshot(id).notes == 1


class TestRuntime:
    def test_a_command_says_which_record_it_changes(self, deals: ModuleType) -> None:
        """So that a value which cannot be stored fails this command, and not the registry."""
        id, authority = deals.DealId.new(), deals.authority.DealAuthority
        command = returning(authority.pay, authority._pay_returned, (id, 7))
        assert command.acts_on(id)
        assert not command.acts_on(deals.DealId.new())
        guilty: ThreadWaiter[Any] = ThreadWaiter()
        other: ThreadWaiter[Any] = ThreadWaiter()
        all_of_them = returning(authority.pay, authority._pay_returned, (deals.DealId.new(), 7))
        batch = [pending_of(guilty, command), pending_of(other, all_of_them)]
        assert without(batch, NotStorableError(id)) == batch[1:]
        with pytest.raises(InvalidValueError, match="cannot be stored"):
            guilty.join()

    @pytest.mark.parametrize("rejected", [False, True])
    def test_another_host_has_the_value_typed(self, deals: ModuleType, rejected: bool) -> None:
        wire = Wire(deals.base.DEFINITION)
        id, authority = deals.DealId.new(), deals.authority.DealAuthority
        with deals.DealRegistry() as registry:
            registry.offer(id)
            if not rejected:
                registry.pay(id, 7)
                registry.dispute(id)
            sent = returning(authority.settle, authority._settle_returned, (id, 5))
            command = wire.request(wire.of_command(sent), "a request")
            assert isinstance(command, Command)
            value, changes, durable = command.run(registry._engine.authority)
            assert command.reply is not None
            found = wire.answer(command.reply.encode(value, changes))
        assert durable is not rejected
        if rejected:
            assert isinstance(found, deals.DealStateError)
        else:
            assert found == deals.Paid(5)
            assert type(found) is deals.Paid

    def test_an_answer_that_has_no_function_is_an_error(self, deals: ModuleType) -> None:
        found = Wire(deals.base.DEFINITION).answer('{"value": 1, "answer": "nothing"}')
        assert isinstance(found, InternalError)


class TestCompiler:
    def test_diff_shows_other_values(self) -> None:
        def rules(*edits: tuple[str, str]) -> set[str]:
            return {each.rule for each in behaviour_changes(compiled(), compiled(*edits))}

        assert rules(("returns: deal.notes,", "returns: deal.notes + 0,")) == {"result-changed"}
        assert rules((", returns: deal.status", ", returns: deal.status.terminal")) == {
            "method-changed", "result-changed",
        }  # fmt: skip
        assert rules(("    returns: deal.amount // 2\n", "")) == {"method-changed"}

    def test_a_value_that_could_leave_its_range_is_refused(self) -> None:
        with pytest.raises(InvalidMachineError) as found:
            compiled(("deal.amount // 2", "deal.amount * 2"))
        (finding,) = found.value.findings
        assert (finding.rule, finding.message[:16]) == ("out-of-range", "what pay returns")

    @pytest.mark.nightly
    def test_generated_code_does_what_the_interpreter_does(self, tmp_path: Path) -> None:
        tree = yaml.safe_load(text())
        tree.pop("scenarios")
        assert Examination().of(tree)
        source = tmp_path / "returned.yaml"
        source.write_text(text(("machine: deal\n", "machine: returned\n")), encoding="utf-8")
        assert_clean(project(tmp_path / "project", source))
