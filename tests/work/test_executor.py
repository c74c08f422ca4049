"""An executor over a registry keeps the promises of `concurrent.futures`, and records its calls."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Iterator

import pytest
from opslifecycle import (
    AsyncRegistry,
    Cancelled,
    Completed,
    Failed,
    MemoryStore,
    OperationStatus,
    Registry,
    Terminated,
)
from opslifecycle.work import OperationEndedError, OperationExecutor, current

DEADLINE_SECONDS = 30.0


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry(store=MemoryStore()) as found:
        yield found


def square(number: int, *, offset: int = 0) -> int:
    return number * number + offset


def test_calls_are_operations_and_their_values_come_back(registry: Registry) -> None:
    thing = object()
    with OperationExecutor(registry, 2) as executor:
        future = executor.submit(square, 3, offset=1)
        assert future.result(DEADLINE_SECONDS) == 10
        assert executor.submit(lambda: thing).result(DEADLINE_SECONDS) is thing
        assert list(executor.map(square, range(5))) == [0, 1, 4, 9, 16]
        done, left = concurrent.futures.wait([executor.submit(square, 2)], DEADLINE_SECONDS)
        assert (len(done), len(left)) == (1, 0)
    assert len(registry.list_operations(status=OperationStatus.COMPLETED)) == 8
    assert {each.source_label for each in registry.list_operations()} == {"executor"}


def test_a_future_is_done_when_its_end_is_recorded(registry: Registry) -> None:
    with OperationExecutor(registry) as executor:
        future = executor.submit(lambda: current().id)
        id = future.result(DEADLINE_SECONDS)
        snapshot = registry.snapshot(id)
        assert snapshot is not None
        assert isinstance(snapshot.terminal_outcome, Completed)


def test_exceptions_come_back_and_are_recorded(registry: Registry) -> None:
    error = LookupError("no such page")

    def fail() -> None:
        raise error

    with OperationExecutor(registry) as executor:
        assert executor.submit(fail).exception(DEADLINE_SECONDS) is error
    (snapshot,) = registry.list_operations()
    assert isinstance(snapshot.terminal_outcome, Failed)
    assert snapshot.terminal_outcome.error.startswith("LookupError: no such page")


def test_results_are_recorded_if_asked(registry: Registry) -> None:
    with OperationExecutor(registry, records_results=True) as executor:
        assert executor.submit(square, 3).result(DEADLINE_SECONDS) == 9
        with pytest.raises(OperationEndedError, match="not serialisable"):
            executor.submit(object).result(DEADLINE_SECONDS)
    contents = [
        each.terminal_outcome.result.content
        for each in registry.list_operations()
        if isinstance(each.terminal_outcome, Completed)
    ]
    assert contents == ["9"]


def test_a_call_is_cancelled_before_it_begins_and_not_after(registry: Registry) -> None:
    begun, gate = threading.Event(), threading.Event()

    def hold() -> bool:
        begun.set()
        return gate.wait(DEADLINE_SECONDS)

    with OperationExecutor(registry, 1) as executor:
        running = executor.submit(hold)
        assert begun.wait(DEADLINE_SECONDS)
        waiting = executor.submit(square, 2)
        assert not running.cancel()
        assert waiting.cancel()
        assert waiting.cancel()
        with pytest.raises(concurrent.futures.CancelledError):
            waiting.result(DEADLINE_SECONDS)
        gate.set()
        assert running.result(DEADLINE_SECONDS)
    (cancelled,) = registry.list_operations(status=OperationStatus.CANCELLED)
    assert cancelled.terminal_outcome == Cancelled("its future was cancelled")


def test_another_caller_ends_the_record(registry: Registry) -> None:
    begun = threading.Event()

    def hold() -> None:
        begun.set()
        current().wait_for_stop(DEADLINE_SECONDS)

    with OperationExecutor(registry, 1) as executor:
        running, waiting = executor.submit(hold), executor.submit(hold)
        assert begun.wait(DEADLINE_SECONDS)
        registry.terminate_owner("enough")
        for future in (running, waiting):
            error = future.exception(DEADLINE_SECONDS)
            assert isinstance(error, OperationEndedError)
            assert error.outcome == Terminated("enough")


@pytest.mark.parametrize("wait", [True, False])
def test_a_shutdown_waits_for_what_runs_if_asked(registry: Registry, wait: bool) -> None:
    begun, gate = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        gate.wait(DEADLINE_SECONDS)

    executor = OperationExecutor(registry, 1)
    running, waiting = executor.submit(hold), executor.submit(hold)
    assert begun.wait(DEADLINE_SECONDS)
    if wait:
        gate.set()
    executor.shutdown(wait, cancel_futures=True)
    assert waiting.cancelled() or wait
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(square, 2)
    gate.set()
    executor.shutdown()
    assert running.result(0) is None
    assert registry.list_operations(terminal=False) == []


def test_an_event_loop_uses_it(registry: Registry) -> None:
    async def main() -> int:
        async with AsyncRegistry(store=MemoryStore()) as found:
            executor = await asyncio.to_thread(OperationExecutor, found)
            value = await asyncio.get_running_loop().run_in_executor(executor, square, 4)
            await asyncio.to_thread(executor.shutdown)
            assert len(found.list_operations(terminal=True)) == 1
            return value

    assert asyncio.run(main()) == 16
