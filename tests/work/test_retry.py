"""Work that is tried again: how often, after what, and visibly."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opslifecycle import (
    AsyncRegistry,
    Cancelled,
    Completed,
    Failed,
    MemoryStore,
    OperationTerminalOutcome,
)
from opslifecycle.work import Operation, Retry, Supervisor, current

from tests.support.audit import run


class Flaky:
    """Fails until it has been called often enough."""

    def __init__(self, failures: list[BaseException | None]) -> None:
        self.failures = failures
        self.attempts: list[int] = []

    async def __call__(self) -> str:
        self.attempts.append(current().attempt)
        failure = self.failures.pop(0) if self.failures else None
        await asyncio.sleep(0)
        if failure is not None:
            raise failure
        return "at last"


def outcome_of(work: Any, **how: Any) -> tuple[OperationTerminalOutcome, list[str]]:
    """Return how it ended, and the reports of progress."""

    async def main() -> tuple[OperationTerminalOutcome, list[str]]:
        async with AsyncRegistry(store=MemoryStore()) as registry, Supervisor(registry) as on:
            operation = await on.start(work, **how)
            told = [each.message async for each in operation.progress()]
            return await operation, told

    return run(main())


def test_it_is_tried_again_until_it_succeeds() -> None:
    flaky = Flaky([OSError("one"), OSError("two")])
    outcome, told = outcome_of(flaky, retry=Retry(attempts=5, backoff=0.15, on=(OSError,)))
    assert isinstance(outcome, Completed)
    assert outcome.result.content == "at last"
    assert flaky.attempts == [1, 2, 3]
    assert told == [
        "attempt 1 of 5 failed: OSError: one; the next begins in 0.15 s",
        "attempt 2 of 5 failed: OSError: two; the next begins in 0.15 s",
    ]


def test_the_last_failure_is_the_outcome() -> None:
    flaky = Flaky([OSError("one"), OSError("two"), OSError("three")])
    outcome, _ = outcome_of(flaky, retry=Retry(attempts=2))
    assert isinstance(outcome, Failed)
    assert outcome.error.startswith("OSError: two")
    assert flaky.attempts == [1, 2]


@pytest.mark.parametrize("error", [ValueError("no"), asyncio.CancelledError()])
def test_other_exceptions_are_not_tried_again(error: BaseException) -> None:
    flaky = Flaky([error])
    outcome, told = outcome_of(flaky, retry=Retry(attempts=5, on=(OSError,)))
    assert not isinstance(outcome, Completed)
    assert flaky.attempts == [1]
    assert told == []


def test_without_a_retry_nothing_is_tried_again() -> None:
    flaky = Flaky([OSError("one")])
    outcome, _ = outcome_of(flaky)
    assert isinstance(outcome, Failed)
    assert flaky.attempts == [1]


def test_a_timeout_limits_an_attempt_and_can_be_tried_again() -> None:
    attempts = []

    async def slow_at_first() -> str:
        attempts.append(current().stop_requested)
        if len(attempts) < 3:
            await asyncio.Event().wait()
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            # Cancellations of earlier attempts must not be taken for one of this.
            group.create_task(asyncio.sleep(0))
        return "at last"

    outcome, _ = outcome_of(
        slow_at_first, timeout=0.01, retry=Retry(attempts=3, on=(TimeoutError,))
    )
    assert isinstance(outcome, Completed)
    assert attempts == [False, False, False]


def test_a_group_of_tasks_fails_as_ever_after_a_timeout() -> None:
    attempts = []

    async def broken() -> None:
        raise OSError("inner")

    async def slow_then_broken() -> None:
        attempts.append(1)
        if len(attempts) == 1:
            await asyncio.Event().wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(broken())

    outcome, _ = outcome_of(slow_then_broken, timeout=0.02, retry=Retry(attempts=2))
    assert isinstance(outcome, Failed)
    assert outcome.error.startswith("ExceptionGroup")


def test_the_backoff_can_be_a_function_and_may_be_wrong() -> None:
    asked = []

    def backoff(attempt: int) -> float:
        asked.append(attempt)
        if attempt == 2:
            raise ZeroDivisionError("in the backoff")
        return 0.0

    outcome, _ = outcome_of(
        Flaky([OSError(), OSError(), OSError()]), retry=Retry(attempts=5, backoff=backoff)
    )
    assert isinstance(outcome, Failed)
    assert outcome.error.startswith("ZeroDivisionError: in the backoff")
    assert asked == [1, 2]


def test_cancelling_between_attempts() -> None:
    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry, Supervisor(registry) as work:
            flaky = Flaky([OSError("one")])
            again = Retry(attempts=5, backoff=3600)
            operation: Operation = await work.start(flaky, retry=again)
            async for _ in operation.progress():
                await operation.cancel("no more")
            assert await operation == Cancelled("no more")
            assert flaky.attempts == [1]

    run(main())
