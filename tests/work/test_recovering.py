"""Operations whose calls are stored survive their process: they wait, run again, or are adopted."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from opslifecycle import (
    AsyncRegistry,
    Cancelled,
    Completed,
    Failed,
    InvalidValueError,
    MemoryStore,
    OperationId,
    OperationKind,
    OperationSpec,
    OperationStatus,
    OwnershipLostError,
    Registry,
    SessionId,
    SqliteStore,
    Terminated,
)
from opslifecycle.stores.base import Commit
from opslifecycle.work import (
    Adopt,
    Decision,
    EndAsFailed,
    Interrupted,
    Operation,
    Retry,
    StartAgain,
    Supervisor,
    WorkNotRecordedError,
    current,
)
from opslifecycle.work.stored_calls import OnInterrupted

from tests.support.waiting import DEADLINE_SECONDS
from tests.test_kill import killed


class Left(MemoryStore):
    """A store that outlives the registry which writes to it."""

    def __init__(self) -> None:
        super().__init__()
        self._guard = threading.Lock()
        self._is_dead = False

    def append(self, commit: Commit) -> None:
        with self._guard:
            if self._is_dead:
                raise OwnershipLostError
            super().append(commit)

    def after_a_kill(self) -> Left:
        """Let the owner write no more, and return a store with what it has written."""
        other = Left()
        with self._guard:
            self._is_dead = True
            other._records, other._rows = dict(self._records), dict(self._rows)
            other._state, other._schema = self._state, self._schema
        return other


async def give(value: str) -> str:
    return f"{value}, attempt {current().attempt}"


async def hang(value: str) -> None:
    await asyncio.Event().wait()


FUNCTIONS = {"give": give, "hang": hang}


async def left_behind(store: Left) -> tuple[Left, OperationId, OperationId]:
    """A store in which one operation was running and one was waiting when its process ended."""
    registry = AsyncRegistry(store=store)
    supervisor = Supervisor(registry, max_running=1, on_exit="cancel", store_patience_seconds=0.0)
    with pytest.raises(WorkNotRecordedError):
        async with supervisor as work:
            assert await work.recover(FUNCTIONS) == []
            running = await work.start(hang, "one", name="first", metadata={"job": 7}, key="one")
            waiting = await work.start(give, "two", name="second", timeout=30, priority=2)
            async with asyncio.timeout(DEADLINE_SECONDS):
                while registry.snapshot(running.id).status is not OperationStatus.RUNNING:  # type: ignore[union-attr]
                    await asyncio.sleep(0)
            # A commit, with which the deferred start of the first one is stored.
            await registry.register_operation(spec("plain"))
            after = store.after_a_kill()
    return after, running.id, waiting.id


def spec(name: str) -> OperationSpec:
    return OperationSpec(
        OperationId.new(), OperationKind.BACKGROUND_TOOL_OP, SessionId.new(), name, "test"
    )


def deciding(decision: Decision, seen: list[Interrupted]) -> OnInterrupted:
    def decide(interrupted: Interrupted) -> Decision:
        seen.append(interrupted)
        return decision

    return decide


async def by_id(operations: list[Operation]) -> dict[OperationId, object]:
    return {each.id: await each for each in operations}


@pytest.mark.parametrize(
    ("decision", "outcome"),
    [
        (EndAsFailed(), Failed("interrupted: the process that ran it ended before it did")),
        (EndAsFailed("lost"), Failed("lost")),
        (StartAgain(), "one, attempt 1"),
        (Adopt(give, "adopted"), "adopted, attempt 1"),
    ],
    ids=["by default", "as failed", "again", "adopted"],
)
def test_what_had_begun_is_decided_and_what_waited_waits_again(
    decision: Decision, outcome: object
) -> None:
    async def main() -> None:
        store, running, waiting = await left_behind(Left())
        async with AsyncRegistry(store=store) as registry:
            plain = registry.completion_feed().list_since(0).entries
            assert [type(each.terminal_outcome) for each in plain] == [Terminated]
            statuses = {each.id: each.status for each in registry.list_operations(terminal=False)}
            assert statuses == {
                running: OperationStatus.RUNNING,
                waiting: OperationStatus.PROVISIONING,
            }
            seen: list[Interrupted] = []
            async with Supervisor(registry, max_running=1) as work:
                found = await work.recover(
                    {"give": give, "hang": give}, on_interrupted=deciding(decision, seen)
                )
                assert [each.id for each in found] == [running, waiting]
                assert (await work.start(give, "other", key="one")).id == running
                ends = await by_id(found)
            assert seen == [Interrupted(running, "first", "hang", ("one",), {"job": 7})]
            assert_end(ends[running], outcome)
            assert_end(ends[waiting], "two, attempt 1")
            assert registry.broken_invariants() == []

    asyncio.run(main())


class Shop:
    """An object whose method is work."""

    async def pack(self, what: str) -> str:
        return f"{what} packed"


def test_the_method_of_an_object_is_stored_by_its_name() -> None:
    async def main() -> None:
        async with AsyncRegistry() as registry, Supervisor(registry) as work:
            shop = Shop()
            await work.recover({"pack": shop.pack})
            operation = await work.start(shop.pack, "shoes", metadata={"order": 1})
            assert_end(await operation, "shoes packed")
            with pytest.raises(InvalidValueError, match="metadata"):
                await work.start(Shop().pack, "shoes", metadata={"order": 1})

    asyncio.run(main())


def assert_end(end: object, expected: object) -> None:
    if isinstance(expected, str):
        assert isinstance(end, Completed)
        assert end.result.content == expected
    else:
        assert end == expected


def test_functions_that_are_not_known_are_left_to_another_supervisor() -> None:
    async def main() -> None:
        store, running, waiting = await left_behind(Left())
        async with AsyncRegistry(store=store) as registry:
            async with Supervisor(registry) as work:
                assert [each.id for each in await work.recover({"give": give})] == [waiting]
                assert await work.recover({"give": give}) == []
            assert [each.id for each in registry.list_operations(terminal=False)] == [running]
            async with Supervisor(registry) as work:
                (operation,) = await work.recover(FUNCTIONS)
                assert isinstance(await operation, Failed)

    asyncio.run(main())


def test_a_handler_that_raises_leaves_operations_to_the_next_call() -> None:
    def fail(interrupted: Interrupted) -> Decision:
        raise ValueError("cannot decide")

    async def main() -> None:
        store, running, _ = await left_behind(Left())
        async with AsyncRegistry(store=store) as registry, Supervisor(registry) as work:
            with pytest.raises(ValueError, match="cannot decide"):
                await work.recover({"hang": hang}, on_interrupted=fail)
            with pytest.raises(InvalidValueError, match="on_interrupted: expected EndAsFailed"):
                await work.recover({"hang": hang}, on_interrupted=lambda _: "end it")  # type: ignore[arg-type,return-value]
            (operation,) = await work.recover({"hang": hang})
            assert operation.id == running

    asyncio.run(main())


def test_an_operation_that_was_taken_up_can_be_cancelled() -> None:
    async def main() -> None:
        store, *_ = await left_behind(Left())
        async with AsyncRegistry(store=store) as registry, Supervisor(registry) as work:
            running, _ = await work.recover(FUNCTIONS, on_interrupted=lambda _: StartAgain())
            await running.cancel("enough")
            assert await running == Cancelled("enough")

    asyncio.run(main())


def test_what_is_ended_before_it_is_taken_up_is_left_alone() -> None:
    async def main() -> None:
        store, running, waiting = await left_behind(Left())
        async with AsyncRegistry(store=store) as registry, Supervisor(registry) as work:
            await registry.cancel_operation(running, "by hand")
            await registry.rollback_unreturned_operation(waiting)
            assert await work.recover(FUNCTIONS) == []

    asyncio.run(main())


def test_an_id_that_is_registered_again_is_not_taken_from_its_supervisor() -> None:
    async def main() -> None:
        store, running, _ = await left_behind(Left())
        async with AsyncRegistry(store=store) as registry:
            async with Supervisor(registry) as one, Supervisor(registry) as other:
                assert await one.recover({"elsewhere": hang}) == []
                await registry.rollback_unreturned_operation(running)
                again = await one.start(hang, "one", key="one")
                assert again.id == running
                assert await other.recover({"elsewhere": hang}) == []
                await again.cancel()

    asyncio.run(main())


def test_the_limit_counts_what_was_left_behind() -> None:
    async def main() -> None:
        store, *_ = await left_behind(Left())
        async with AsyncRegistry(store=store, max_concurrent=2) as registry:
            with pytest.raises(Exception, match=r"limit: 2, active: 2"):
                await registry.register_operation(spec("third"))

    asyncio.run(main())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"arguments": ((1, 2),)}, "arguments: expected values that JSON has"),
        ({"arguments": (float("nan"),)}, "arguments: expected values that JSON has"),
        ({"arguments": (object(),)}, "arguments: expected values that JSON has"),
        ({"metadata": {"key": {1: 2}}}, "metadata: expected values that JSON has"),
        ({"retry": Retry(2, backoff=float)}, "retry: the call of a function from `recover`"),
        ({"retry": Retry(2, on=(OSError,))}, "retry: the call of a function from `recover`"),
    ],
)
def test_what_cannot_be_stored_is_refused(given: dict[str, object], message: str) -> None:
    async def main() -> None:
        async with AsyncRegistry() as registry, Supervisor(registry) as work:
            await work.recover(FUNCTIONS)
            arguments = given.pop("arguments", ("one",))
            with pytest.raises(InvalidValueError, match=message):
                await work.start(give, *arguments, **given)  # type: ignore[misc,arg-type]
            assert registry.list_operations() == []

    asyncio.run(main())


def test_metadata_needs_a_function_that_is_stored() -> None:
    async def main() -> None:
        async with AsyncRegistry() as registry, Supervisor(registry) as work:
            with pytest.raises(InvalidValueError, match="metadata: only the call of a function"):
                await work.start(give, "one", metadata={})
            with pytest.raises(InvalidValueError, match="functions: expected names of functions"):
                await work.recover({"give": "one"})  # type: ignore[dict-item]

    asyncio.run(main())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 9}', "text"])
def test_a_call_of_another_program_stays_as_it_is(text: str) -> None:
    async def main() -> None:
        store, own = Left(), spec("own")
        registry = AsyncRegistry(store=store)
        await registry.register_resumable_operation(own, text)
        store = store.after_a_kill()
        async with AsyncRegistry(store=store) as registry, Supervisor(registry) as work:
            assert await work.recover(FUNCTIONS) == []
            assert [each.id for each in registry.list_operations(terminal=False)] == [own.id]

    asyncio.run(main())


def test_a_capture_has_the_calls() -> None:
    with Registry() as registry:
        registry.register_resumable_operation(spec("one"), "text")
        document = registry.capture()
    with Registry.restore(document) as restored:
        assert len(restored.list_operations(status=OperationStatus.PROVISIONING)) == 1


KILLED = """
import asyncio, os, signal, sys
from opslifecycle import *
from opslifecycle.work import *

async def give(value):
    return value

async def die(value):
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    registry = await AsyncRegistry.open(store=SqliteStore(sys.argv[1]))
    async with registry, Supervisor(registry, max_running=1) as work:
        await work.recover({"give": give, "hang": die})
        await work.start(die, "one")
        await work.start(give, "two")
        await asyncio.Event().wait()

asyncio.run(main())
"""


def test_a_process_that_is_killed_leaves_its_queue(tmp_path: Path) -> None:
    path = tmp_path / "ops.db"
    killed(KILLED, str(path))
    with Registry(store=SqliteStore(path)) as registry, Supervisor(registry) as work:
        # The start of the first one may not have been written when the process was killed.
        found = work.recover({"give": give, "hang": give})
        outcomes = [each.result(30) for each in found]
    contents = [each.result.content for each in outcomes if isinstance(each, Completed)]
    assert "two, attempt 1" in contents
    assert len(outcomes) == 2
