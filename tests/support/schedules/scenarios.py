"""What two and three tasks or threads do to one registry at once, and what must hold then."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from opslifecycle import (
    AsyncRegistry,
    BarrierMemberRolledBackError,
    ChannelClosedError,
    InvalidTransitionError,
    MemoryStore,
    OperationId,
    OperationNotFoundError,
    OperationResult,
    OperationStatus,
    OpsLifecycleError,
    PersistenceError,
    Registry,
    RegistryClosedError,
    RunId,
)
from opslifecycle.stores.base import Commit

from tests.support.builders import spec
from tests.support.schedules.scheduling import Schedule

A, B = OperationId.new(), OperationId.new()
RUN = RunId.new()
RESULT = OperationResult(OperationId.new(), "done", False, 1, 2)
COMPLETED, FAILED = OperationStatus.COMPLETED, OperationStatus.FAILED


class TurnsStore(MemoryStore):
    """A store during whose commits others may go on; the commit numbered `fails` fails."""

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        self._schedule = schedule
        self.fails = 0
        self.commits = 0

    def append(self, commit: Commit) -> None:
        self.commits += 1
        self._schedule.switch()
        if self.commits == self.fails:
            raise PersistenceError("append", "the disk is full")
        super().append(commit)
        self._schedule.switch()

    def status(self, id: OperationId) -> str | None:
        """What is kept of an operation."""
        body = self._records.get(str(id))
        return None if body is None else str(json.loads(body)["status"])


class World:
    """A registry with two operations under way, on a store, in a loop of the schedule."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.store = TurnsStore(schedule)
        self.registry = AsyncRegistry(store=self.store)

    async def together(self, *parts: Awaitable[Any], fails: int = 0) -> None:
        """Do all of it at once, from two operations under way to a closed registry.

        The commit that is numbered `fails` from there on fails.
        """
        with self.schedule.undisturbed():
            for id in (A, B):
                await self.registry.register_operation(spec(id=id))
                await self.registry.provisioning_succeeded(id)
        self.store.fails = self.store.commits + fails
        names = "uvwxyz"
        tasks = [asyncio.create_task(_all_of(part), name=names[at])
                 for at, part in enumerate(parts)]  # fmt: skip
        await asyncio.gather(*tasks)
        assert self.registry.broken_invariants() == []
        with self.schedule.undisturbed():
            await self.registry.close()

    def terminal(self, id: OperationId) -> bool:
        snapshot = self.registry.snapshot(id)
        return snapshot is not None and snapshot.terminal


async def _all_of(part: Awaitable[Any]) -> None:
    await part


Tasks = Callable[[World], Any]


def _scenario(tasks: Tasks) -> Callable[[Schedule], None]:
    def scenario(schedule: Schedule) -> None:
        world = World(schedule)
        schedule.run(tasks(world))

    scenario.__name__ = tasks.__name__
    return scenario


@_scenario
async def a_watch_while_it_ends(world: World) -> None:
    registry = world.registry

    async def watch() -> None:
        outcome = await registry.register_watcher(A)
        snapshot = registry.snapshot(A)
        assert snapshot is not None
        assert snapshot.terminal_outcome == outcome
        assert world.store.status(A) == "completed"

    async def impatient() -> None:
        watch = registry.register_watcher(A)
        try:
            await asyncio.wait_for(watch, 1.0)
        except TimeoutError:
            assert not world.terminal(A)

    await world.together(registry.complete_operation(A, RESULT), watch(), impatient())


@_scenario
async def a_transaction_while_one_of_its_records_ends(world: World) -> None:
    registry = world.registry

    async def both() -> None:
        places: list[int | None] = []
        try:
            async with registry.transaction() as transaction:
                await transaction.complete_operation(A, RESULT)
                await transaction.fail_operation(B, "together")
        except InvalidTransitionError as rejection:
            places.append(rejection.command_index)
        assert places in ([], [1])
        assert world.terminal(A) is not bool(places)
        assert places or world.store.status(B) == "failed"

    async def look() -> None:
        snapshots = registry.list_operations(terminal=True)
        if any(each.id == A for each in snapshots):
            assert [each.id for each in snapshots if each.id == B] == [B]

    async def alone() -> None:
        try:
            await registry.cancel_operation(B)
        except InvalidTransitionError:
            assert world.terminal(A)

    await world.together(both(), alone(), look())


@_scenario
async def a_barrier_while_its_members_end(world: World) -> None:
    registry = world.registry

    async def wait() -> None:
        result = await registry.wait_all(RUN, [B, A])
        assert [(id, type(each).__name__) for id, each in result.outcomes] == [
            (B, "Failed"), (A, "Completed")
        ]  # fmt: skip
        again = await registry.wait_all(RUN, [A, B])
        assert len(again.outcomes) == 2

    ends = registry.complete_operation(A, RESULT), registry.fail_operation(B, "no")
    await world.together(*ends, wait())


@_scenario
async def a_barrier_while_a_member_is_rolled_back(world: World) -> None:
    registry = world.registry

    async def wait() -> None:
        try:
            await registry.wait_all(RUN, [A, B])
        except (BarrierMemberRolledBackError, OperationNotFoundError) as error:
            about = error.args
        else:
            about = ()
        assert about == (A,)

    rollback = registry.rollback_unreturned_operation(A)
    await world.together(rollback, registry.complete_operation(B, RESULT), wait())


@_scenario
async def following_the_feed(world: World) -> None:
    registry, feed = world.registry, world.registry.completion_feed()

    async def follow() -> None:
        seen = []
        async for entry in feed.subscribe():
            assert world.store.status(entry.operation_id) is not None
            seen.append(entry.seq)
            if len(seen) == 2:
                break
        assert seen == [1, 2]

    ends = registry.complete_operation(A, RESULT), registry.fail_operation(B, "no")
    await world.together(*ends, follow())


@_scenario
async def cancelling_who_waits(world: World) -> None:
    registry = world.registry
    ended = 0

    async def end(command: Callable[[], Awaitable[None]]) -> None:
        nonlocal ended
        try:
            await command()
        except (InvalidTransitionError, asyncio.CancelledError):
            return
        ended += 1

    async def cancelled() -> None:
        watch = registry.register_watcher(A)
        tasks = [
            asyncio.create_task(end(lambda: registry.complete_operation(A, RESULT)), name="end"),
            asyncio.create_task(_all_of(watch), name="watch"),
        ]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await watch

    async def watch() -> None:
        await registry.register_watcher(A)

    await world.together(cancelled(), end(lambda: registry.cancel_operation(A)), watch())
    assert ended <= 1
    assert registry.completion_feed().watermark == 1


@_scenario
async def closing_while_all_wait(world: World) -> None:
    registry = world.registry
    done = False

    async def complete() -> None:
        nonlocal done
        try:
            await registry.complete_operation(A, RESULT)
        except RegistryClosedError:
            return
        done = True

    async def wait(begin: Callable[[], Awaitable[Any]], signal: type[OpsLifecycleError]) -> None:
        try:
            await begin()
        except signal:
            assert not world.terminal(B)
        except RegistryClosedError:
            # It was closed before this began.
            pass

    waits = [
        wait(lambda: registry.register_watcher(B), ChannelClosedError),
        wait(lambda: registry.wait_all(RUN, [A, B]), RegistryClosedError),
        wait(lambda: registry.completion_feed().wait_for_advance(1), RegistryClosedError),
    ]
    await world.together(complete(), registry.close(), *waits)
    assert (world.store.status(A) == "completed") is done
    assert world.terminal(A) is done


@_scenario
async def a_command_while_it_closes(world: World) -> None:
    registry = world.registry

    async def complete() -> None:
        try:
            await registry.complete_operation(A, RESULT)
        except RegistryClosedError:
            assert world.store.status(A) == "running"

    await world.together(complete(), registry.close())


@_scenario
async def a_commit_that_fails(world: World) -> None:
    registry = world.registry

    failed = 0

    async def end(command: Callable[[], Awaitable[None]], id: OperationId, status: str) -> None:
        nonlocal failed
        try:
            await command()
        except PersistenceError:
            failed += 1
            await command()
        assert world.store.status(id) == status

    async def look() -> None:
        for _ in range(3):
            for id in (A, B):
                if world.terminal(id):
                    assert world.store.status(id) in ("completed", "failed")
            await asyncio.sleep(0)

    await world.together(
        end(lambda: registry.complete_operation(A, RESULT), A, "completed"),
        end(lambda: registry.fail_operation(B, "no"), B, "failed"),
        look(),
        fails=1,
    )
    assert [each.seq for each in registry.completion_feed().list_since(0).entries] == [1, 2]
    assert failed > 0


def threads_that_wait(schedule: Schedule) -> None:
    """The same without an event loop: each thread blocks."""
    registry = Registry(store=TurnsStore(schedule))
    found: list[Any] = []
    with schedule.undisturbed():
        for id in (A, B):
            registry.register_operation(spec(id=id))
            registry.provisioning_succeeded(id)

    def wait() -> None:
        found.append(registry.wait_all(RUN, [A, B]).result())

    def follow() -> None:
        entries = registry.completion_feed().iterate()
        found.append([next(entries).seq for _ in (A, B)])

    agents = [schedule.start("wait", wait), schedule.start("follow", follow)]
    registry.complete_operation(A, RESULT)
    registry.fail_operation(B, "no")
    schedule.block(lambda: all(agent.done for agent in agents))
    registry.close()
    assert len(found) == 2
    assert [1, 2] in found


SCENARIOS = [
    a_watch_while_it_ends,
    a_transaction_while_one_of_its_records_ends,
    a_barrier_while_its_members_end,
    a_barrier_while_a_member_is_rolled_back,
    following_the_feed,
    cancelling_who_waits,
    closing_while_all_wait,
    a_command_while_it_closes,
    a_commit_that_fails,
    threads_that_wait,
]
