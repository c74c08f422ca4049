"""Transactions: all commands of a block happen together at its end, or none, on every executor."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opslifecycle import (
    AlreadyRegisteredError,
    AsyncRegistry,
    Completed,
    CompletionCursorConsumer,
    InvalidTransitionError,
    InvalidValueError,
    MemoryStore,
    OperationId,
    OperationStatus,
    OwnerRetiredError,
    Registry,
    RegistryClosedError,
    RunId,
    Store,
    TransactionEndedError,
    UnsupportedError,
)

from tests.support.builders import SLOT, UPDATE, completed, registered, result, running, spec
from tests.support.codegen.projects import package
from tests.support.gate import snapshot

CODEGEN = Path(__file__).parent / "codegen"
MakeMaybe = Callable[[], Store | None]


@pytest.fixture(params=["without a store", "memory"])
def make(request: pytest.FixtureRequest) -> MakeMaybe:
    store = MemoryStore() if request.param == "memory" else None
    return lambda: store


@pytest.fixture
def registry(make: MakeMaybe) -> Iterator[Registry]:
    with Registry(store=make(), max_completed=3) as registry:
        yield registry


def seen(registry: Registry) -> Any:
    """Everything that a reader sees, besides times."""
    state = registry.capture()
    return state["records"], state["rows"], state["state"], registry.list_operations()


class TestAllOfIt:
    def test_commands_are_decided_in_their_order_on_each_other(self, registry: Registry) -> None:
        made, given = spec(), result()
        with registry.transaction() as transaction:
            transaction.register_operation(made)
            transaction.provisioning_succeeded(made.id)
            transaction.report_progress(made.id, UPDATE)
            transaction.complete_operation(made.id, given)
            assert registry.snapshot(made.id) is None
            assert transaction.snapshot(made.id) is None
        found = snapshot(registry, made.id)
        assert (found.terminal_outcome, found.progress_count) == (Completed(given), 1)
        assert registry.broken_invariants() == []

    def test_waiters_and_the_feed_see_one_step(self, registry: Registry) -> None:
        ids = [running(registry) for _ in range(3)]
        watches = [registry.register_watcher(id) for id in ids]
        barrier = registry.wait_all(RunId.new(), ids)
        feed = registry.completion_feed()
        advance = feed.wait_for_advance(0)
        registry.list_operations(terminal=True)
        with registry.transaction() as transaction:
            for id in ids:
                transaction.mark_retired(id)
            waits: list[Any] = [*watches, barrier, advance]
            assert not any(each.done() for each in waits)
        assert [each.operation_id for each in feed.list_since(0).entries] == ids
        assert all(each.done() for each in waits)
        assert len(registry.list_operations(terminal=True)) == 3

    def test_a_command_on_all_records_sees_the_earlier_commands(self, registry: Registry) -> None:
        old, new = running(registry), spec()
        with registry.transaction() as transaction:
            transaction.register_operation(new)
            transaction.retire_owner("moved")
        for id in (old, new.id):
            assert snapshot(registry, id).status is OperationStatus.TERMINATED
        with pytest.raises(OwnerRetiredError):
            registry.register_operation(spec())

    def test_retention_evicts_within_the_transaction(self, registry: Registry) -> None:
        old, slot = completed(registry), running(registry, SLOT)
        ids = [running(registry) for _ in range(4)]
        with registry.transaction() as transaction:
            transaction.mark_retired(slot)
            for id in ids:
                transaction.mark_retired(id)
        batch = registry.completion_feed().list_since(2)
        assert [each.operation_id for each in batch.entries] == ids[1:]
        assert [registry.snapshot(id) for id in (old, slot, ids[0])] == [None] * 3
        assert registry.broken_invariants() == []

    def test_an_id_is_removed_and_registered_again(self, registry: Registry) -> None:
        id = registered(registry, name="old")
        with registry.transaction() as transaction:
            transaction.rollback_unreturned_operation(id)
            transaction.register_operation(spec(id=id, name="new"))
        assert snapshot(registry, id).display_name == "new"

    def test_an_empty_block_asks_nothing_of_the_registry(self, registry: Registry) -> None:
        registry.close()
        with registry.transaction():
            pass


class TestNoneOfIt:
    def test_a_rejection_undoes_the_whole_and_says_which(self, registry: Registry) -> None:
        completed(registry)
        id, new = running(registry), spec()
        watch, before = registry.register_watcher(id), seen(registry)
        with pytest.raises(InvalidTransitionError) as caught, registry.transaction() as transaction:
            transaction.register_operation(new)
            transaction.mark_retired(id)
            for each in [spec() for _ in range(4)]:
                transaction.register_operation(each)
                transaction.provisioning_failed(each.id, "no")
            transaction.complete_operation(new.id, result())
            transaction.retire_owner("never reached")
        error = caught.value
        assert (error.id, error.status) == (new.id, OperationStatus.PROVISIONING)
        assert (error.command_index, error.guard) == (10, "legal_status")
        assert error.__notes__ == [
            "command 10 of the transaction was rejected, so none has happened"
        ]
        assert pickle.loads(pickle.dumps(error)).command_index == 10
        assert error.clone().command_index == 10
        assert seen(registry) == before
        assert not watch.done()
        assert registry.broken_invariants() == []
        registry.mark_retired(id)
        assert registry.completion_feed().watermark == 2

    def test_a_rejection_outside_names_no_command(self, registry: Registry) -> None:
        with pytest.raises(AlreadyRegisteredError) as caught:
            registry.register_operation(spec(id=registered(registry)))
        assert caught.value.command_index is None

    def test_an_exception_in_the_block_leaves_nothing(self, registry: Registry) -> None:
        new = spec()
        with pytest.raises(ZeroDivisionError), registry.transaction() as transaction:
            transaction.register_operation(new)
            raise ZeroDivisionError
        assert registry.snapshot(new.id) is None

    def test_arguments_are_checked_at_the_call(self, registry: Registry) -> None:
        new, wrong = spec(), "x"
        with registry.transaction() as transaction:
            transaction.register_operation(new)
            with pytest.raises(InvalidValueError, match="expected OperationId"):
                transaction.provisioning_succeeded(wrong)  # type: ignore[arg-type]
        assert snapshot(registry, new.id).status is OperationStatus.PROVISIONING

    def test_a_closed_registry_refuses_the_end_of_the_block(self, registry: Registry) -> None:
        with pytest.raises(RegistryClosedError), registry.transaction() as transaction:
            transaction.register_operation(spec())
            registry.close()


class TestUse:
    def test_commands_with_a_value_are_refused(self, registry: Registry) -> None:
        agent = CompletionCursorConsumer.AGENT_APPLIED
        with registry.transaction() as transaction:
            with pytest.raises(UnsupportedError, match="collect_completed in a transaction"):
                transaction.collect_completed()
            with pytest.raises(UnsupportedError, match="advance_completion_cursor in a"):
                transaction.advance_completion_cursor(agent, 0)

    def test_a_transaction_neither_nests_nor_closes(self, registry: Registry) -> None:
        with registry.transaction() as transaction:
            with pytest.raises(UnsupportedError, match="a transaction in a transaction"):
                transaction.transaction()
            with pytest.raises(UnsupportedError, match="close in a transaction"):
                transaction.close()
        registry.register_operation(spec())

    def test_it_ends_with_its_block(self, registry: Registry) -> None:
        block = registry.transaction()
        with block as transaction:
            pass
        with pytest.raises(TransactionEndedError):
            transaction.register_operation(spec())
        with pytest.raises(TransactionEndedError), block:
            pass

    def test_the_object_is_a_registry_of_the_same_class(self, registry: Registry) -> None:
        with registry.transaction() as transaction:
            assert type(transaction) is Registry
            assert transaction.completion_feed() is registry.completion_feed()


def test_tasks_await_the_commands_and_the_end(make: MakeMaybe) -> None:
    async def scenario() -> None:
        async with AsyncRegistry(store=make()) as registry:
            made, other = spec(), OperationId.new()
            async with registry.transaction() as transaction:
                await transaction.register_operation(made)
                await transaction.provisioning_succeeded(made.id)
            with pytest.raises(InvalidTransitionError) as caught:
                async with registry.transaction() as transaction:
                    await transaction.mark_retired(made.id)
                    await transaction.register_operation(spec(id=other))
                    await transaction.complete_operation(other, result())
            assert caught.value.command_index == 2
            found = registry.snapshot(made.id)
            assert found is not None
            assert found.status is OperationStatus.RUNNING
            with pytest.raises(ZeroDivisionError):
                async with registry.transaction() as transaction:
                    await transaction.mark_retired(made.id)
                    raise ZeroDivisionError
            with pytest.raises(UnsupportedError):
                async with registry.transaction() as transaction:
                    await transaction.close()
            with pytest.raises(UnsupportedError):
                async with registry.transaction() as transaction:
                    await transaction.collect_completed()
            assert registry.snapshot(other) is None

    asyncio.run(scenario())


def test_a_machine_without_a_store_undoes_as_well(tmp_path: Path) -> None:
    turnstile = package(tmp_path, CODEGEN / "turnstile.yaml", "turnstile_together")
    one, two = turnstile.GateId.new(), turnstile.GateId.new()
    with turnstile.GateRegistry() as gates:
        gates.install(one, "north")
        with pytest.raises(turnstile.NotNowError), gates.transaction() as transaction:
            transaction.coin(one)
            transaction.install(two, "south")
            transaction.coin(one)
        assert gates.snapshot(one).coins == 0
        assert gates.snapshot(two) is None
        with gates.transaction() as transaction:
            transaction.coin(one)
            transaction.push(one)
            transaction.install(two, "south")
            transaction.coin(one)
        assert (gates.snapshot(one).coins, gates.snapshot(two).coins) == (2, 0)


@pytest.mark.parametrize("make_store", [lambda: None, MemoryStore], ids=["without", "memory"])
def test_effects_follow_the_whole_only(
    tmp_path: Path, make_store: MakeMaybe, request: pytest.FixtureRequest
) -> None:
    name = f"parcel_together_{request.node.callspec.indices['make_store']}"
    parcel = package(tmp_path, CODEGEN / "parcel.yaml", name)
    first, id = parcel.ParcelId.new(), parcel.ParcelId.new()
    with parcel.ParcelRegistry(store=make_store()) as parcels:
        parcels.accept(first, "there")
        with pytest.raises(parcel.WrongPlaceError), parcels.transaction() as transaction:
            transaction.accept(id, "here")
            transaction.move(id)
            transaction.deliver(first)
        assert len(parcels.pending_effects()) == 1
        with parcels.transaction() as transaction:
            transaction.accept(id, "here")
            transaction.move(id)
            transaction.deliver(id)
        told = [(each.number, each.effect.value) for each in parcels.pending_effects()]
        assert told == [
            (1, "print_label"), (2, "print_label"), (3, "tell_receiver"), (4, "tell_receiver"),
        ]  # fmt: skip
