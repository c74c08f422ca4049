"""Cancelling with a grace time: work may end by itself, and is interrupted only afterwards."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from opslifecycle import (
    AsyncRegistry,
    Cancelled,
    Completed,
    InvalidValueError,
    OperationId,
    OperationStatus,
    Registry,
)
from opslifecycle.work import AlreadyFinished, Retry, Supervisor, WorkCancelled, current

from tests.support.audit import run

LONG = 1000.0


async def polite() -> str:
    # No timer: the loop keeps one that was cancelled, and its context keeps the work.
    deadline = time.monotonic() + 30
    while not current().stop_requested:
        assert time.monotonic() < deadline
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    return "partial"


async def stubborn() -> None:
    await asyncio.Event().wait()


async def until(registry: AsyncRegistry, id: OperationId, status: OperationStatus) -> None:
    async with asyncio.timeout(30):
        while (snapshot := registry.snapshot(id)) is None or snapshot.status is not status:
            await asyncio.sleep(0)


def test_work_may_return_and_others_see_that_it_was_asked() -> None:
    async def main() -> None:
        async with AsyncRegistry() as registry, Supervisor(registry) as work:
            operation = await work.start(polite)
            await until(registry, operation.id, OperationStatus.RUNNING)
            cancelling = asyncio.create_task(operation.cancel("enough", grace=LONG))
            await until(registry, operation.id, OperationStatus.RETIRING)
            answer = await cancelling
            assert isinstance(answer, AlreadyFinished)
            assert isinstance(answer.outcome, Completed)
            assert answer.outcome.result.content == "partial"

    run(main())


def test_work_that_goes_on_is_interrupted_afterwards() -> None:
    async def main() -> None:
        async with AsyncRegistry() as registry, Supervisor(registry) as work:
            operation = await work.start(stubborn)
            await until(registry, operation.id, OperationStatus.RUNNING)
            answer = await work.cancel(operation.id, "enough", grace=0.01)
            assert answer == WorkCancelled(Cancelled("enough"))

    run(main())


def test_a_second_request_without_a_grace_time_interrupts_at_once() -> None:
    async def main() -> None:
        async with AsyncRegistry() as registry, Supervisor(registry) as work:
            operation = await work.start(stubborn)
            await until(registry, operation.id, OperationStatus.RUNNING)
            asked = asyncio.create_task(operation.cancel("first", grace=LONG))
            await until(registry, operation.id, OperationStatus.RETIRING)
            assert not operation.done()
            assert await operation.cancel("second") == WorkCancelled(Cancelled("first"))
            assert await asked == WorkCancelled(Cancelled("first"))

    run(main())


def test_what_waits_for_a_place_or_an_attempt_ends_at_once() -> None:
    async def fail() -> None:
        raise OSError("busy")

    async def main() -> None:
        async with AsyncRegistry() as registry, Supervisor(registry, max_running=1) as work:
            pausing = await work.start(fail, retry=Retry(attempts=2, backoff=LONG))
            waiting = await work.start(polite)
            async for update in pausing.progress():
                assert update.message.startswith("attempt 1 of 2 failed")
                break
            cancelled = WorkCancelled(Cancelled("enough"))
            assert await waiting.cancel("enough", grace=LONG) == cancelled
            assert await pausing.cancel("enough", grace=LONG) == cancelled

    run(main())


def test_a_shorter_grace_time_replaces_a_longer_one() -> None:
    async def main() -> None:
        async with AsyncRegistry() as registry, Supervisor(registry) as work:
            operation = await work.start(stubborn)
            await until(registry, operation.id, OperationStatus.RUNNING)
            asked = [asyncio.create_task(operation.cancel(grace=LONG)) for _ in range(2)]
            await until(registry, operation.id, OperationStatus.RETIRING)
            asked += [asyncio.create_task(operation.cancel(grace=each)) for each in (0.01, LONG)]
            assert set(await asyncio.gather(*asked)) == {WorkCancelled(Cancelled(None))}

    run(main())


def test_work_that_has_ended_is_not_held_for_the_rest_of_its_grace_time() -> None:
    def made() -> Callable[[], Any]:
        async def work() -> str:
            return await polite()

        return work

    async def main() -> None:
        async with AsyncRegistry() as registry, Supervisor(registry) as work:
            function = made()
            held = weakref.ref(function)
            operation = await work.start(function)
            await until(registry, operation.id, OperationStatus.RUNNING)
            await operation.cancel(grace=LONG)
            del function, operation
            async with asyncio.timeout(10):
                while held() is not None:
                    await asyncio.sleep(0)
                    gc.collect()

    run(main())


def test_a_thread_is_asked() -> None:
    def work_in_steps() -> None:
        assert current().wait_for_stop(30)
        current().raise_if_stopped()

    with Registry() as registry, Supervisor(registry) as work:
        operation = work.start(work_in_steps)
        assert operation.cancel("enough", grace=LONG) == WorkCancelled(Cancelled("enough"))
        assert work.cancel(operation.id, grace=LONG) == AlreadyFinished(Cancelled("enough"))


@pytest.mark.parametrize("grace", [-1, "soon", float("nan"), True])
def test_a_grace_time_is_a_number_of_seconds(grace: object) -> None:
    async def main() -> None:
        async with AsyncRegistry() as registry, Supervisor(registry) as work:
            operation = await work.start(polite)
            with pytest.raises(InvalidValueError, match="grace: expected seconds"):
                await operation.cancel(grace=grace)  # type: ignore[arg-type]
            await operation.cancel(grace=LONG)

    run(main())
