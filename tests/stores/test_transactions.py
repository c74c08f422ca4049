"""Transactions over every store: one commit, and beside other commands of the same one."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opslifecycle import (
    AsyncRegistry,
    InvalidTransitionError,
    InvalidValueError,
    OperationId,
    OperationStatus,
    PersistenceError,
    Registry,
)

from tests.support.builders import SLOT, UPDATE, registered, result, running, spec
from tests.support.gate import Gate, MakeStore, snapshot, statuses


def test_a_transaction_is_one_commit(registry: Registry, gate: Gate) -> None:
    before = len(gate.commits)
    made = [spec() for _ in range(100)]
    with registry.transaction() as transaction:
        for each in made:
            transaction.register_operation(each)
            transaction.provisioning_succeeded(each.id)
    assert len(gate.commits) == before + 1
    assert statuses(gate.commits[-1]) == ["running"] * 100


def test_it_is_durable_also_if_all_its_actions_are_deferred(registry: Registry, gate: Gate) -> None:
    id = registered(registry)
    before = len(gate.commits)
    with registry.transaction() as transaction:
        transaction.provisioning_succeeded(id)
        transaction.report_progress(id, UPDATE)
    assert len(gate.commits) == before + 1
    assert statuses(gate.commits[-1]) == ["running"]


def test_more_records_than_fit_in_a_statement_are_one_commit(make_store: MakeStore) -> None:
    made = [spec() for _ in range(2_100)]
    with Registry(store=make_store()) as registry:
        with registry.transaction() as transaction:
            for each in made:
                transaction.register_operation(each)
                transaction.provisioning_succeeded(each.id)
        ended = made[::7]
        with registry.transaction() as transaction:
            for each in ended:
                transaction.rollback_unreturned_operation(each.id)
    with Registry(store=make_store(), max_completed=3_000) as registry:
        assert len(registry.list_operations()) == len(made) - len(ended)


def test_a_failed_commit_leaves_nothing_and_may_be_repeated(registry: Registry, gate: Gate) -> None:
    id, new = running(registry), spec()
    watch = registry.register_watcher(id)

    def together() -> None:
        with registry.transaction() as transaction:
            transaction.register_operation(new)
            transaction.mark_retired(id)

    gate.fails = PersistenceError("disk", "full")
    with pytest.raises(PersistenceError):
        together()
    assert registry.snapshot(new.id) is None
    assert not watch.done()
    gate.fails = None
    together()
    assert watch.done()


def test_a_store_holds_all_of_it_or_nothing(make_store: MakeStore) -> None:
    made = spec()
    with Registry(store=make_store()) as registry:
        id = registered(registry)
        with pytest.raises(InvalidTransitionError), registry.transaction() as transaction:
            transaction.register_operation(made)
            transaction.provisioning_failed(id, "no")
            transaction.provisioning_succeeded(id)
        with registry.transaction() as transaction:
            transaction.register_operation(made)
            transaction.provisioning_failed(made.id, "no")
    with Registry(store=make_store()) as registry:
        assert snapshot(registry, made.id).status is OperationStatus.FAILED
        assert snapshot(registry, id).status is OperationStatus.TERMINATED
        assert registry.completion_feed().watermark == 2
        assert registry.broken_invariants() == []


def test_in_a_batch_a_rejected_one_leaves_the_others_as_they_are(make_store: MakeStore) -> None:
    """Commands and transactions behind a held commit are decided together, in their order."""
    gate = Gate(make_store())

    async def scenario() -> tuple[list[Any], AsyncRegistry]:
        registry = AsyncRegistry(store=gate, max_completed=2)
        ids = [spec() for _ in range(4)]
        slot = spec(SLOT)
        await registry.register_operation(slot)

        async def together(*, rejected: bool) -> None:
            async with registry.transaction() as transaction:
                await transaction.mark_retired(ids[0].id)
                await transaction.provisioning_failed(ids[1].id, "no")
                await transaction.provisioning_failed(slot.id, "no")
                await transaction.register_operation(ids[2])
                await transaction.provisioning_failed(ids[2].id, "no")
                if rejected:
                    await transaction.complete_operation(ids[2].id, result())

        gate.hold()
        asked = [
            registry.register_operation(spec()),
            registry.register_operation(ids[0]),
            registry.provisioning_succeeded(ids[0].id),
            registry.register_operation(ids[1]),
            together(rejected=True),
            registry.report_progress(ids[0].id, UPDATE),
            together(rejected=False),
            registry.register_operation(ids[3]),
            together(rejected=False),
        ]
        tasks = [asyncio.ensure_future(each) for each in asked]
        assert await asyncio.to_thread(gate.waiting.wait, 30)
        await asyncio.sleep(0)
        gate.open_gate.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        first = registry.snapshot(ids[0].id)
        assert first is None, "evicted: the feed has room for two"
        batch = registry.completion_feed().list_since(1)
        assert [each.operation_id for each in batch.entries] == [ids[1].id, ids[2].id]
        assert batch.entries[-1].seq == 4
        assert registry.broken_invariants() == []
        await registry.close()
        return answers, registry

    answers, _ = asyncio.run(scenario())
    assert answers[:4] == [None] * 4
    assert (type(answers[4]), answers[4].command_index) == (InvalidTransitionError, 5)
    assert answers[5:8] == [None] * 3
    assert answers[8].command_index == 0
    assert len(gate.commits) <= 4
    with Registry(store=make_store()) as registry:
        assert registry.broken_invariants() == []
        assert registry.completion_feed().watermark >= 4


def test_what_cannot_be_stored_fails_its_transaction_only(registry: Registry, gate: Gate) -> None:
    id, new = running(registry), spec()
    broken = result()
    gate.hold()
    with ThreadPoolExecutor(3) as pool:
        held = pool.submit(registry.register_operation, spec())
        assert gate.waiting.wait(30)

        def together() -> None:
            with registry.transaction() as transaction:
                transaction.register_operation(new)
                transaction.complete_operation(id, broken)

        guilty = pool.submit(together)
        other = pool.submit(registry.register_operation, spec())
        object.__setattr__(broken, "content", "\ud800")
        object.__setattr__(broken, "duration_ms", json)
        object.__setattr__(broken, "content", None)
        gate.open_gate.set()
        held.result(30)
        other.result(30)
        with pytest.raises(InvalidValueError, match="cannot be stored"):
            guilty.result(30)
    assert registry.snapshot(new.id) is None
    assert snapshot(registry, id).status is OperationStatus.RUNNING
    assert registry.snapshot(OperationId.new()) is None
