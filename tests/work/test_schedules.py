"""A supervisor under every schedule of its loop and the committer with two disturbances."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from opslifecycle import (
    AsyncRegistry,
    Cancelled,
    ChannelClosedError,
    Completed,
    CompletionCursorConsumer,
    Consumer,
    Delivery,
    InvalidTransitionError,
    OperationTerminalOutcome,
    OpsLifecycleError,
    PersistenceError,
    RegistryClosedError,
    Terminated,
)
from opslifecycle.work import (
    AlreadyFinished,
    Operation,
    Supervisor,
    UnknownOperation,
    WorkCancelled,
    WorkNotRecordedError,
)
from opslifecycle.work.job import Job
from opslifecycle.work.jobs import Jobs
from opslifecycle.work.lifecycle import AnyLifecycle, Lifecycle
from opslifecycle.work.recorder import Recorder
from opslifecycle.work.registering import Found, Registering
from opslifecycle.work.runner import Runner

from tests.support.audit import Audit
from tests.support.scale import whole_or
from tests.support.schedules.exploring import Scenario, ScenarioError, explore, sample
from tests.support.schedules.scenarios import TurnsStore
from tests.support.schedules.scheduling import Schedule

DISTURBANCES, SEEDS = whole_or(2, 1), range(whole_or(100, 8))


class World:
    """A registry on a store that takes turns, with a supervisor and its audit."""

    def __init__(self, schedule: Schedule) -> None:
        self.store = TurnsStore(schedule)
        self.registry = AsyncRegistry(store=self.store)
        self.supervisor = Supervisor(self.registry, max_running=1)
        self.audit = Audit(self.registry, self.supervisor)

    async def work(self) -> str:
        with self.audit.inside():
            self.audit.check()
            await asyncio.sleep(0)
            self.audit.check()
            return "done"

    async def endless(self) -> None:
        with self.audit.inside():
            await asyncio.Event().wait()

    async def close(self) -> None:
        self.audit.check_end()
        await self.registry.close()


async def bounded(main: Coroutine[Any, Any, None]) -> None:
    """End what would wait for ever, in the time of the schedule."""
    async with asyncio.timeout(60):
        await main


def scenario(main: Callable[[World], Coroutine[Any, Any, None]]) -> Scenario:
    def run(schedule: Schedule) -> None:
        schedule.run(bounded(main(World(schedule))))

    run.__name__ = main.__name__
    return run


async def outcome_of(operation: Operation) -> OperationTerminalOutcome | None:
    try:
        return await operation
    except ChannelClosedError:
        return None


@scenario
async def cancelling_while_it_ends(world: World) -> None:
    async with world.supervisor as work:
        operation = await work.start(world.work)
        answer, outcome = await asyncio.gather(operation.cancel("enough"), operation)
    if isinstance(outcome, Cancelled):
        assert answer == WorkCancelled(Cancelled("enough"))
    else:
        assert isinstance(outcome, Completed)
        assert answer == AlreadyFinished(outcome)
    await world.close()


@scenario
async def ending_the_record_behind_its_back(world: World) -> None:
    async with world.supervisor as work:
        first, second = await work.start(world.work), await work.start(world.work)
        world.audit.ended_outside = {first.id, second.id}

        async def by_hand() -> bool:
            try:
                await world.registry.cancel_operation(first.id, "by hand")
            except InvalidTransitionError:
                return False
            return True

        cancelled, _, outcomes = await asyncio.gather(
            by_hand(), world.registry.terminate_owner("all"), work.gather([first, second])
        )
        (_, one), (_, two) = outcomes.outcomes
        assert (one == Cancelled("by hand")) is cancelled
        assert isinstance(one, Cancelled | Terminated | Completed)
        assert isinstance(two, Terminated | Completed)
    await world.close()


@scenario
async def one_key_started_twice_and_cancelled_once(world: World) -> None:
    async with world.supervisor as work:
        starts = [asyncio.create_task(work.start(world.work, key="key")) for _ in range(2)]
        await asyncio.sleep(0)
        starts[0].cancel()
        await asyncio.wait(starts)
        operation = starts[1].result()
        assert isinstance(await operation, Completed)
    assert world.audit.begun == [operation.id]
    await world.close()


@scenario
async def a_key_that_is_collected_and_used_again(world: World) -> None:
    async with world.supervisor as work:
        for _ in range(2):
            operation = await work.start(world.work, key="key")
            assert isinstance(await operation, Completed)
            assert len(await world.registry.collect_completed()) == 1
    assert world.audit.begun == [operation.id] * 2
    await world.close()


@scenario
async def erasing_the_record_behind_its_back(world: World) -> None:
    async with world.supervisor as work:
        operation = await work.start(world.work)
        world.audit.ended_outside = {operation.id}

        async def roll_back() -> bool:
            try:
                await world.registry.rollback_unreturned_operation(operation.id)
            except InvalidTransitionError:
                return False
            return True

        erased, answer, outcome = await asyncio.gather(
            roll_back(), operation.cancel("enough"), outcome_of(operation)
        )
        assert erased is (outcome is None)
        assert isinstance(answer, UnknownOperation) is erased
    await world.close()


@scenario
async def closing_the_registry_under_it(world: World) -> None:
    operations: list[Operation] = []
    try:
        async with world.supervisor as work:
            operations.append(await work.start(world.work))
            operations.append(await work.start(world.endless))
            world.audit.ended_outside = {each.id for each in operations}
            _, *outcomes = await asyncio.gather(
                world.registry.close(), *(outcome_of(each) for each in operations)
            )
    except WorkNotRecordedError as error:
        lost = {str(each.id) for each, end in zip(operations, outcomes, strict=True) if end is None}
        assert set(error.ids) == lost
    assert outcomes[1] is None
    assert world.audit.running == set()


@scenario
async def commits_that_fail(world: World) -> None:
    async with world.supervisor as work:
        operations = []
        for number in range(3):
            world.store.fails = world.store.commits + 1 + number
            try:
                operations.append(await work.start(world.work))
            except PersistenceError:
                continue
        for operation in operations:
            assert isinstance(await operation, Completed)
    assert set(world.audit.begun) == {each.id for each in operations}
    assert len(world.registry.list_operations()) == len(operations)
    await world.close()


@scenario
async def leaving_by_an_exception(world: World) -> None:
    operations: list[Operation] = []
    try:
        async with world.supervisor as work:
            starting = asyncio.create_task(work.start(world.work))
            operations.append(await work.start(world.work))
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    try:
        operations.append(await starting)
    except OpsLifecycleError as error:
        assert "accepts no work" in str(error)
    for operation in operations:
        assert operation.done()
        assert isinstance(await operation, Cancelled | Completed)
    await world.close()


@scenario
async def consuming_what_ends(world: World) -> None:
    cursor = CompletionCursorConsumer.AGENT_APPLIED
    seen: list[int] = []

    async def follow() -> None:
        try:
            async for item in world.registry.consume(cursor):
                assert isinstance(item, Delivery)
                assert not item.maybe_redelivered or not seen
                seen.append(item.entry.seq)
        except RegistryClosedError:
            pass

    following = asyncio.create_task(follow())
    async with world.supervisor as work:
        operations = [await work.start(world.work) for _ in range(2)]
        await work.gather(operations)
        async with asyncio.timeout(60):
            while len(seen) < 2:
                await asyncio.sleep(0.1)
    await world.close()
    await following
    assert seen == [1, 2]
    assert world.registry.completion_cursor(cursor) in (1, 2)


SCENARIOS = [
    cancelling_while_it_ends,
    ending_the_record_behind_its_back,
    one_key_started_twice_and_cancelled_once,
    a_key_that_is_collected_and_used_again,
    erasing_the_record_behind_its_back,
    closing_the_registry_under_it,
    commits_that_fail,
    leaving_by_an_exception,
    consuming_what_ends,
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.__name__)
def test_every_schedule(scenario: Scenario) -> None:
    explored = explore(scenario, DISTURBANCES)
    assert explored.choices_max > 10
    assert sample(scenario, SEEDS).runs == len(SEEDS)


def an_end_that_is_not_announced(patch: pytest.MonkeyPatch) -> None:
    """The supervisor takes what it records itself for the doing of another caller."""

    async def record_end(self: Runner, job: Job, end: Any) -> None:
        await self._recorder.record(job, self._lifecycle.cancel, job.id, "early")
        await real(self, job, end)

    real = Runner.record_end
    patch.setattr(Runner, "record_end", record_end)


def a_cancelled_start_that_leaves_its_record(patch: pytest.MonkeyPatch) -> None:
    async def discard(self: AnyLifecycle, id: Any) -> None: ...

    patch.setattr(Lifecycle, "discard", discard)


def a_record_that_no_one_watches(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Jobs, "_record_ended", lambda self, job: None)
    patch.setattr(Jobs, "_note_record", lambda self, job: None)


def recording_that_gives_in_to_a_failing_store(patch: pytest.MonkeyPatch) -> None:
    async def record(self: Recorder, job: Job, call: Any, *arguments: Any) -> None:
        try:
            await call(*arguments)
        except OpsLifecycleError:
            job.record_is_over = True

    patch.setattr(Recorder, "record", record)


def keys_that_are_looked_up_once(patch: pytest.MonkeyPatch) -> None:
    async def register_once(self: Registering, job: Job) -> Found:
        found = self._find(job.id)
        if found is None:
            await self._try(job)
        return found or (job.watch, job)

    patch.setattr(Registering, "register_once", register_once)


def a_job_that_outlives_its_record(patch: pytest.MonkeyPatch) -> None:
    def find(self: Registering, id: Any) -> Found | None:
        job = self._jobs.find(id)
        return real(self, id) if job is None else (job.watch, job)

    real = Registering._find
    patch.setattr(Registering, "_find", find)


def a_cursor_that_is_moved_first(patch: pytest.MonkeyPatch) -> None:
    async def step(self: Consumer[Any]) -> Any:
        while (item := self._take()) is None:
            await self._feed.wait_for_advance(self._after)
        await self._advance(self._after + 1)
        return item

    patch.setattr(Consumer, "__anext__", step)


PLANTED: list[tuple[Callable[[pytest.MonkeyPatch], None], Scenario]] = [
    (an_end_that_is_not_announced, cancelling_while_it_ends),
    (a_cancelled_start_that_leaves_its_record, one_key_started_twice_and_cancelled_once),
    (a_record_that_no_one_watches, closing_the_registry_under_it),
    (recording_that_gives_in_to_a_failing_store, commits_that_fail),
    (keys_that_are_looked_up_once, one_key_started_twice_and_cancelled_once),
    (a_job_that_outlives_its_record, a_key_that_is_collected_and_used_again),
    (a_cursor_that_is_moved_first, consuming_what_ends),
]


@pytest.mark.parametrize(("plant", "scenario"), PLANTED)
def test_planted_faults_are_found(
    plant: Callable[[pytest.MonkeyPatch], None],
    scenario: Scenario,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant(monkeypatch)
    # The tasks of a run that fails are left pending, which asyncio logs when they are collected.
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    monkeypatch.setattr(logging.getLogger("asyncio"), "disabled", True)
    with pytest.raises(ScenarioError):
        explore(scenario, 1)
    gc.collect()
    gc.collect()
