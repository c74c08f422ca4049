"""Registries of other hosts, through handles: commands, reads, waits and the feed."""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from opslifecycle import (
    AlreadyRegisteredError,
    AsyncRegistry,
    BarrierMemberRolledBackError,
    ChannelClosedError,
    Completed,
    CompletionCursorConsumer,
    CompletionFeedGap,
    InvalidTransitionError,
    InvalidValueError,
    OperationId,
    OperationSpec,
    OperationStatus,
    OpsLifecycleError,
    PostgresStore,
    Registry,
    RegistryClosedError,
    RunId,
    StoreVersionError,
    UnsupportedError,
)
from opslifecycle.cluster import Cluster, NotAnsweredError
from opslifecycle.cluster.remote import RemoteExecutor
from opslifecycle.cluster.worker import ClusterStore
from opslifecycle.shell.commands import Command, Decision

from tests.codegen.test_returns import DEAL, RETURNING
from tests.support.builders import HANDLE, SLOT, UPDATE, result, spec
from tests.support.codegen.projects import package
from tests.support.postgres.databases import Database
from tests.support.waiting import eventually

DEADLINE_SECONDS = 30
APPLIED = CompletionCursorConsumer.AGENT_APPLIED


def clusters(database: Database, **arguments: Any) -> Cluster[AsyncRegistry]:
    arguments = {"schema": database.schema, "poll_seconds": 0.2, **arguments}
    return Cluster(database.dsn, AsyncRegistry, **arguments)


@asynccontextmanager
async def owner_and_handle(
    database: Database, **arguments: Any
) -> AsyncIterator[tuple[AsyncRegistry, AsyncRegistry]]:
    """A registry of one host, and the handle that another host has of it."""
    async with clusters(database, **arguments) as one, clusters(database, **arguments) as other:
        yield await one.open("shared"), await other.open("shared")


async def running(registry: AsyncRegistry, name: str = "work") -> OperationId:
    made = spec(name=name)
    await registry.register_operation(made)
    await registry.provisioning_succeeded(made.id)
    return made.id


def test_a_caller_reads_what_its_own_commands_have_done(postgres: Database) -> None:
    async def main() -> None:
        async with owner_and_handle(postgres) as (owner, handle):
            id = await running(handle)
            assert handle.snapshot(id) == owner.snapshot(id)
            await handle.report_progress(id, UPDATE)
            seen = handle.snapshot(id)
            assert seen is not None
            assert seen.latest_progress == UPDATE
            await handle.complete_operation(id, result())
            (entry,) = handle.completion_feed().list_since(0).entries
            assert entry.operation_id == id
            assert await handle.advance_completion_cursor(APPLIED, 1) == 1
            assert (handle.completion_cursor(APPLIED), owner.completion_cursor(APPLIED)) == (1, 1)
            assert handle.broken_invariants() == []

    asyncio.run(main())


def test_a_handle_that_is_closed_again_leaves_a_later_one_alone(postgres: Database) -> None:
    """So is one that is collected, which closes it, too."""

    async def main() -> None:
        async with clusters(postgres) as one, clusters(postgres) as other:
            await one.open("r")
            first = await other.open("r")
            await first.close()
            second = await other.open("r")
            assert second is not first
            await first.close()
            # The thread of the cluster has nothing left of the first.
            await asyncio.wrap_future(other._the_worker.ask(lambda link, until: None))
            id = await running(second)
            assert second.snapshot(id) is not None
            assert await other.open("r") is second

    asyncio.run(main())


def test_an_interrupted_opening_of_a_handle_leaves_nothing_behind(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[object] = []

    def interrupted(*_: object) -> None:
        raise MemoryError

    async def main() -> None:
        async with clusters(postgres) as one, clusters(postgres) as other:
            owner = await one.open("r")
            with monkeypatch.context() as patched:
                patched.setattr("opslifecycle.cluster.cluster.Replica", interrupted)
                with pytest.raises(MemoryError):
                    await other.open("r")
            # What was made of the handle is finalized.
            gc.collect()
            handle = await other.open("r")
            assert owner.snapshot(await running(handle)) is not None

    monkeypatch.setattr(sys, "unraisablehook", lambda given: raised.append(given.exc_value))
    asyncio.run(main())
    assert raised == []


def test_leaving_that_is_cancelled_leaves_nothing_that_runs(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        one = clusters(postgres)
        await one.__aenter__()
        owner = await one.open("r")
        id = await running(owner)
        closing, close = asyncio.Event(), AsyncRegistry._close

        async def slow(self: AsyncRegistry) -> None:
            if not closing.is_set():
                closing.set()
                await asyncio.sleep(DEADLINE_SECONDS)
            await close(self)

        monkeypatch.setattr(AsyncRegistry, "_close", slow)
        leaving = asyncio.create_task(one.__aexit__(None, None, None))
        await closing.wait()
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert not one._the_worker._thread.is_alive()
        async with clusters(postgres) as other:
            found = (await other.open("r")).snapshot(id)
            assert found is not None

    asyncio.run(main())


def test_a_store_that_is_closed_late_leaves_its_successor_alone(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that has lost its lease opens its registry again before the old store is closed."""
    real, may_close, closed = ClusterStore.close, threading.Event(), threading.Event()

    def late(self: ClusterStore) -> None:
        may_close.wait(DEADLINE_SECONDS)
        real(self)
        closed.set()

    async def main() -> None:
        # The other host does not look whether the registry is free, and so does not take it.
        seldom = {"poll_seconds": 60, "patience_seconds": 5}
        async with (
            clusters(postgres, lease_seconds=1) as one, clusters(postgres, **seldom) as other
        ):  # fmt: skip
            first = await one.open("r")
            handle = await other.open("r")
            monkeypatch.setattr(ClusterStore, "close", late)
            postgres.query("UPDATE owners SET lease_until = clock_timestamp()")
            await eventually(lambda: first._engine.closed is not None)
            second = await one.open("r")
            assert second is not first
            assert not isinstance(second._executor, RemoteExecutor)
            may_close.set()
            await eventually(closed.is_set)
            await running(handle)

    asyncio.run(main())


def test_rejections_are_those_of_the_owner(postgres: Database) -> None:
    async def main() -> None:
        async with owner_and_handle(postgres) as (owner, handle):
            made = spec()
            await owner.register_operation(made)
            rejected: list[OpsLifecycleError] = []
            for registry in (owner, handle):
                with pytest.raises(AlreadyRegisteredError) as caught:
                    await registry.register_operation(made)
                rejected.append(caught.value)
                with pytest.raises(InvalidTransitionError) as illegal:
                    await registry.complete_operation(made.id, result())
                rejected.append(illegal.value)
                with pytest.raises(InvalidTransitionError) as done:
                    await registry.mark_retired(made.id)
                rejected.append(done.value)
            assert rejected[:3] == rejected[3:]
            assert [each.guard for each in rejected[:3]] == [each.guard for each in rejected[3:]]
            with pytest.raises(InvalidValueError, match="error"):
                await handle.fail_operation(made.id, 5)  # type: ignore[arg-type]

    asyncio.run(main())


def test_every_kind_of_command_is_decided_by_the_owner(postgres: Database) -> None:
    async def main() -> None:
        async with owner_and_handle(postgres) as (owner, handle):
            async with handle.transaction() as together:
                first, second = spec(), spec()
                await together.register_operation(first)
                await together.provisioning_succeeded(first.id)
                await together.register_operation(second)
            third = spec()
            with pytest.raises(AlreadyRegisteredError) as caught:
                await register_together(handle, third, first)
            assert caught.value.command_index == 1
            assert owner.snapshot(third.id) is None
            await handle.complete_operation(first.id, result("one"))
            collected = await handle.collect_completed()
            assert [(id, type(outcome)) for id, outcome in collected] == [(first.id, Completed)]
            assert handle.snapshot(first.id) is owner.snapshot(first.id) is None
            await handle.rollback_unreturned_operation(second.id)
            assert owner.list_operations() == handle.list_operations() == []
            await running(handle)
            await handle.terminate_owner("enough")
            assert [each.status for each in owner.list_operations()] == [OperationStatus.TERMINATED]

    asyncio.run(main())


def test_waits_of_a_handle_end_with_what_the_owner_does(postgres: Database) -> None:
    async def main() -> None:
        async with owner_and_handle(postgres) as (owner, handle):
            first, second, third = [await running(owner) for _ in range(3)]
            await eventually(lambda: handle.snapshot(third))
            watch, gone = handle.register_watcher(first), handle.register_watcher(third)
            barrier = handle.wait_all(RunId.new(), [first, second])
            broken = handle.wait_all(RunId.new(), [first, third])
            advanced = handle.completion_feed().wait_for_advance(1)
            await owner.complete_operation(first, result())
            await owner.fail_operation(second, "no")
            await owner.rollback_unreturned_operation(third)
            async with asyncio.timeout(DEADLINE_SECONDS):
                assert isinstance(await watch, Completed)
                assert [id for id, _ in (await barrier).outcomes] == [first, second]
                assert await advanced == 2
                with pytest.raises(ChannelClosedError):
                    await gone
                with pytest.raises(BarrierMemberRolledBackError):
                    await broken

    asyncio.run(main())


def test_consumers_of_a_handle_find_every_entry_or_a_gap(postgres: Database) -> None:
    async def main() -> None:
        async with owner_and_handle(postgres, max_completed=3) as (owner, handle):
            for at in range(10):
                id = await running(owner, str(at))
                await owner.complete_operation(id, result())
            await eventually(lambda: handle.completion_feed().watermark == 10)
            gaps, names = [], []
            async for delivery in handle.consume(APPLIED, wait=False):
                if isinstance(delivery, CompletionFeedGap):
                    gaps.append(delivery.dropped_through)
                else:
                    names.append(delivery.entry.display_name)
            assert (gaps, names) == ([7], ["7", "8", "9"])
            assert owner.completion_cursor(APPLIED) == 10
            assert handle.list_operations() == owner.list_operations()

    asyncio.run(main())


def test_both_see_the_same_after_any_commands(postgres: Database) -> None:
    async def main() -> None:
        chance = random.Random(5)
        async with owner_and_handle(postgres, max_completed=8) as (owner, handle):
            ids: list[OperationId] = []
            for _ in range(150):
                registry = chance.choice((owner, handle))
                try:
                    await chance.choice(list(commands(registry, ids, chance)))()
                except OpsLifecycleError:
                    continue
            # A command of the handle, whose answer brings it up to date.
            with pytest.raises(OpsLifecycleError):
                await handle.mark_retired(OperationId.new())
            assert len(owner.list_operations()) > 3
            assert handle.list_operations() == owner.list_operations()
            assert handle.completion_feed().list_since(0) == owner.completion_feed().list_since(0)
            assert handle.broken_invariants() == owner.broken_invariants() == []

    asyncio.run(main())


def commands(
    registry: AsyncRegistry, ids: list[OperationId], chance: random.Random
) -> list[Callable[[], Awaitable[object]]]:
    id = chance.choice(ids) if ids else OperationId.new()

    async def register() -> None:
        made = spec(name=str(len(ids)))
        ids.append(made.id)
        await registry.register_operation(made)

    return [
        register,
        register,
        lambda: registry.provisioning_succeeded(id),
        lambda: registry.provisioning_succeeded(id),
        lambda: registry.report_progress(id, UPDATE),
        lambda: registry.peer_ready(id, HANDLE),
        lambda: registry.complete_operation(id, result()),
        lambda: registry.cancel_operation(id, None),
        lambda: registry.request_retire(id),
        lambda: registry.rollback_unreturned_operation(id),
        lambda: registry.collect_completed() if chance.random() < 0.2 else register(),
        lambda: registry.advance_completion_cursor(APPLIED, chance.randint(0, 30)),
    ]


def test_what_no_store_holds_is_not_seen_elsewhere(postgres: Database) -> None:
    async def main() -> None:
        async with owner_and_handle(postgres) as (owner, handle):
            slot = spec(SLOT)
            await handle.register_operation(slot)
            assert owner.snapshot(slot.id) is not None
            assert handle.snapshot(slot.id) is None

    asyncio.run(main())


def test_closing_a_handle_leaves_the_registry_alone(postgres: Database) -> None:
    async def main() -> None:
        async with owner_and_handle(postgres) as (owner, handle):
            id = await running(handle)
            watch = handle.register_watcher(id)
            await handle.close()
            with pytest.raises(ChannelClosedError):
                await watch
            with pytest.raises(RegistryClosedError):
                await handle.cancel_operation(id)
            await owner.complete_operation(id, result())

    asyncio.run(main())


async def register_together(registry: AsyncRegistry, *specs: OperationSpec) -> None:
    async with registry.transaction() as together:
        for each in specs:
            await together.register_operation(each)


def test_one_cluster_returns_the_same_registry_again(postgres: Database) -> None:
    async def main() -> None:
        async with clusters(postgres) as one, clusters(postgres) as other:
            here, again = await asyncio.gather(one.open("r"), one.open("r"))
            assert here is again
            handle = await other.open("r")
            assert handle is await other.open("r")
            await here.close()
            assert await one.open("r") is not here

    asyncio.run(main())


def test_an_owner_outside_of_the_cluster_is_told_from_one_that_answers(postgres: Database) -> None:
    async def main() -> None:
        store = PostgresStore(postgres.dsn, registry="lonely", schema=postgres.schema)
        with Registry(store=store) as registry:
            made = spec()
            registry.register_operation(made)
            async with clusters(postgres, patience_seconds=0.3) as cluster:
                handle = await cluster.open("lonely")
                assert handle.snapshot(made.id) is not None
                with pytest.raises(NotAnsweredError, match=r"'lonely'.*nothing has happened"):
                    await handle.cancel_operation(made.id)
                assert postgres.query("SELECT count(*) FROM requests") == [(0,)]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ('{"version":1,"form":"act","name":"erase","id":"x","arguments":[]}', "expected a command"),
        ('{"version":1,"form":"act","name":"__init__","id":"x","arguments":[]}', "expected a comm"),
        ('{"version":1,"form":"act","name":"cancel","id":"x","arguments":[]}', "expected a UUID"),
        ('{"version":7,"form":"collect","name":"collect_completed"}', "expected version 1"),
        ('{"version":1,"form":"explode","name":"collect_completed","arguments":[]}', "explode"),
        ("[]", "expected an object"),
    ],
)
def test_requests_that_no_host_has_sent_are_refused(
    postgres: Database, command: str, reason: str
) -> None:
    async def main() -> None:
        async with clusters(postgres) as cluster:
            registry = await cluster.open("r")
            postgres.query(
                "INSERT INTO requests (request, registry, sender, command)"
                " SELECT gen_random_uuid(), number, 1, %s FROM registries",
                command,
            )
            answer = "SELECT answer FROM requests WHERE answer IS NOT NULL"
            await eventually(lambda: postgres.query(answer))
            ((text,),) = postgres.query(answer)
            assert reason in text
            await running(registry)

    asyncio.run(main())


def _discard_dead_letter() -> None: ...


def _nothing(authority: object) -> Decision[None, Any]:
    return None, (), False


def test_commands_of_the_owner_alone_are_refused(postgres: Database) -> None:
    async def main() -> None:
        async with owner_and_handle(postgres) as (_, handle):
            with pytest.raises(UnsupportedError, match="discard_dead_letter"):
                await handle._executor.run_async(Command(_nothing, _discard_dead_letter))

    asyncio.run(main())


def test_arguments_are_checked(postgres: Database) -> None:
    for arguments, field in (
        ({"machine": Registry}, "machine"),
        ({"poll_seconds": 0}, "poll_seconds"),
        ({"patience_seconds": "1"}, "patience_seconds"),
        ({"schema": "no schema"}, "schema"),
        ({"dsn": 5}, "dsn"),
    ):
        given = {"dsn": postgres.dsn, "machine": AsyncRegistry, **arguments}
        with pytest.raises(InvalidValueError, match=field):
            Cluster(**given)  # type: ignore[arg-type]


def test_a_registry_of_another_machine_is_refused(postgres: Database) -> None:
    async def main() -> None:
        async with clusters(postgres) as cluster:
            await cluster.open("r")
            postgres.query("UPDATE registries SET machine = 'other'")
            async with clusters(postgres) as other:
                link = other._the_worker._link
                with pytest.raises(StoreVersionError):
                    await other.open("r")
                # The connection is in no transaction that was left open.
                postgres.query("UPDATE registries SET machine = 'ops_lifecycle'")
                await running(await other.open("r"))
                assert other._the_worker._link is link


def test_a_cluster_opens_nothing_outside_of_its_block(postgres: Database) -> None:
    async def main() -> None:
        cluster = clusters(postgres)
        with pytest.raises(RegistryClosedError):
            await cluster.open("r")
        async with cluster:
            registry = await cluster.open("r")
        with pytest.raises(RegistryClosedError):
            await cluster.open("r")
        with pytest.raises(RegistryClosedError):
            await cluster.__aenter__()
        with pytest.raises(RegistryClosedError):
            await running(registry)
        assert postgres.query("SELECT count(*) FROM registries WHERE owner IS NOT NULL") == [(0,)]

    asyncio.run(main())

    asyncio.run(main())


def test_a_handle_has_the_value_that_an_action_returns(postgres: Database, tmp_path: Path) -> None:
    deals = package(tmp_path, DEAL, "deal_of_hosts", *RETURNING)
    arguments: dict[str, Any] = {"schema": postgres.schema, "poll_seconds": 0.2}

    async def main() -> None:
        async with (
            Cluster(postgres.dsn, deals.AsyncDealRegistry, **arguments) as one,
            Cluster(postgres.dsn, deals.AsyncDealRegistry, **arguments) as other,
        ):
            owner, handle = await one.open("deals"), await other.open("deals")
            id = deals.DealId.new()
            await owner.offer(id)
            assert await handle.note(id) == 1
            assert await owner.note(id) == 2
            assert await handle.pay(id, 7) == 3
            await handle.dispute(id)
            assert await handle.settle(id, 5) == deals.Paid(5)
            with pytest.raises(deals.DealStateError):
                await handle.settle(id, 5)

    asyncio.run(main())
