"""Progress: reported inside the work, coalesced, recorded before the end, followed from outside."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from opslifecycle import (
    AsyncRegistry,
    Failed,
    InvalidValueError,
    MemoryStore,
    OperationProgressUpdate,
)
from opslifecycle.work import Supervisor, current
from opslifecycle.work.progress import INTERVAL_SECONDS

from tests.support.audit import run


class Counting(AsyncRegistry):
    """A registry that notes reports of progress."""

    reports: list[str]

    async def report_progress(self, id: Any, update: OperationProgressUpdate) -> None:
        self.__dict__.setdefault("reports", []).append(update.message)
        await super().report_progress(id, update)


def test_reports_are_coalesced_and_the_last_is_recorded_before_the_end() -> None:
    async def busy() -> None:
        for number in range(10_000):
            current().progress(f"{number} of 10000", number / 100)
        await asyncio.sleep(0)
        for number in range(10_000):
            current().progress(f"again {number}")

    async def main() -> None:
        async with Counting(store=MemoryStore()) as registry, Supervisor(registry) as work:
            operation = await work.start(busy)
            await operation
            snapshot = registry.snapshot(operation.id)
            assert snapshot is not None
            assert snapshot.latest_progress == OperationProgressUpdate("again 9999")
            assert snapshot.progress_count == len(registry.reports) <= 3

    run(main())


def test_slow_reports_are_all_recorded() -> None:
    async def slow() -> None:
        for number in range(3):
            current().progress(str(number))
            await asyncio.sleep(1.5 * INTERVAL_SECONDS)

    async def main() -> None:
        async with Counting(store=MemoryStore()) as registry, Supervisor(registry) as work:
            await (await work.start(slow))
            assert registry.reports == ["0", "1", "2"]

    run(main())


def test_progress_from_threads_and_tasks_of_the_work() -> None:
    def helper() -> None:
        current().progress("from a thread of the work's own", 50)

    async def child() -> None:
        current().progress("from a task of the work's own", 70)

    async def parent() -> None:
        await asyncio.to_thread(helper)
        await asyncio.create_task(child())

    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry, Supervisor(registry) as work:
            for start, text in ((helper, "from a thread"), (parent, "from a task")):
                operation = await work.start(start)
                await operation
                snapshot = registry.snapshot(operation.id)
                assert snapshot is not None
                assert snapshot.latest_progress is not None
                assert snapshot.latest_progress.message.startswith(text)

    run(main())


def test_a_wrong_report_is_an_error_of_the_work() -> None:
    async def wrong() -> None:
        current().progress("half", float("nan"))

    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry, Supervisor(registry) as work:
            operation = await work.start(wrong)
            outcome = await operation
            assert isinstance(outcome, Failed)
            assert "expected a finite number" in outcome.error
            snapshot = registry.snapshot(operation.id)
            assert snapshot is not None
            assert snapshot.progress_count == 0

    assert issubclass(InvalidValueError, ValueError)
    run(main())


def test_following_progress_to_the_end() -> None:
    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry, Supervisor(registry) as work:
            steps: asyncio.Queue[str] = asyncio.Queue()

            async def stepwise() -> None:
                while (text := await steps.get()) != "end":
                    current().progress(text)

            operation = await work.start(stepwise)
            seen = []
            steps.put_nowait("one")
            async with asyncio.timeout(30):
                async for update in operation.progress():
                    seen.append(update.message)
                    steps.put_nowait({"one": "two", "two": "three", "three": "end"}[update.message])
            assert seen == ["one", "two", "three"]
            # Afterwards there is the last one.
            assert [each.message async for each in operation.progress()] == ["three"]

    run(main())


@pytest.mark.parametrize("ending", ["cancel", "queued"])
def test_following_progress_ends_with_the_operation(ending: str) -> None:
    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry:
            async with Supervisor(registry, max_running=1, on_exit="cancel") as work:
                operation = await work.start(asyncio.Event().wait)
                if ending == "queued":
                    operation = await work.start(asyncio.Event().wait)

                async def follow() -> list[Any]:
                    return [each async for each in operation.progress()]

                following = asyncio.create_task(follow())
                await asyncio.sleep(0)
                await operation.cancel()
                async with asyncio.timeout(30):
                    assert await following == []

    run(main())


def test_a_report_after_the_end_does_no_harm() -> None:
    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry, Supervisor(registry) as work:
            kept = []
            released = threading.Event()

            def escape() -> None:
                kept.append(current())
                released.set()

            operation = await work.start(escape)
            await operation
            kept[0].progress("too late")
            await asyncio.sleep(2 * INTERVAL_SECONDS)
            snapshot = registry.snapshot(operation.id)
            assert snapshot is not None
            assert snapshot.progress_count == 0

    run(main())
