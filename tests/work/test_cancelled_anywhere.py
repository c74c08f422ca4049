"""Cancellation at every await: of the block, of callers of `start`, and of the work itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from opslifecycle import (
    AsyncRegistry,
    Cancelled,
    Completed,
    Failed,
    MemoryStore,
    OperationTerminalOutcome,
    Registry,
)
from opslifecycle.work import Operation, Process, Retry, Supervisor, current, lifecycle
from opslifecycle.work.cancelling import unbroken
from opslifecycle.work.jobs import Jobs

from tests.support.audit import Audit, AuditedLoop, Cancelling, audit, run

STEPS_MAX = 400


def at_every_step(scenario: Callable[[Cancelling], Coroutine[Any, Any, None]]) -> int:
    """Run a scenario again and again, cancelled one step later each time; return how often."""
    for step in range(1, STEPS_MAX):
        cancelling = Cancelling(step)
        run(scenario(cancelling))
        if not cancelling.reached:
            return step
    raise AssertionError("the scenario does not end")


async def cancelled(task: Awaitable[Any]) -> bool:
    """Return whether awaiting ends with CancelledError."""
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False


class Works:
    """Pieces of work that an audit looks at."""

    def __init__(self, watch: Audit) -> None:
        self.watch = watch

    async def short(self) -> str:
        with self.watch.inside():
            await asyncio.sleep(0)
            current().progress("half", 50)
            await asyncio.sleep(0)
            return "done"

    async def fails(self) -> None:
        with self.watch.inside():
            await asyncio.sleep(0)
            raise ValueError("no")

    async def slow_to_stop(self) -> None:
        with self.watch.inside():
            try:
                await asyncio.sleep(0.01)
            finally:
                await asyncio.sleep(0)


@pytest.mark.parametrize("on_exit", ["wait", "cancel"])
@pytest.mark.parametrize("registry_class", [AsyncRegistry, Registry])
def test_a_block_that_is_cancelled_anywhere_leaves_nothing(
    on_exit: Any, registry_class: type[Any]
) -> None:
    async def scenario(cancelling: Cancelling) -> None:
        registry = registry_class(store=MemoryStore())
        supervisor = Supervisor(registry, max_running=2, on_exit=on_exit)
        watch = audit(registry, supervisor)
        works = Works(watch)

        async def block() -> None:
            async with supervisor as work:
                first = await work.start(works.short)
                again = Retry(attempts=2)
                second = await work.start(works.fails, key="once", retry=again)
                third = await work.start(works.slow_to_stop, timeout=0.005)
                await first
                await work.start(works.fails, key="once")
                await third.cancel("enough")
                await work.gather([first, second, third])

        task = asyncio.create_task(cancelling.around(block()))
        assert await cancelled(task) or not cancelling.reached
        watch.check_end()
        closing = registry.close()
        if closing is not None:
            await closing

    assert at_every_step(scenario) >= 6


@pytest.mark.parametrize("key", [None, "key"])
def test_a_start_that_is_cancelled_anywhere_starts_all_or_nothing(key: str | None) -> None:
    async def scenario(cancelling: Cancelling) -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry:
            async with Supervisor(registry) as work:
                watch = audit(registry, work)
                works = Works(watch)
                returned: list[Operation] = []

                async def start() -> None:
                    returned.append(await work.start(works.short, key=key))

                was_cancelled = await cancelled(asyncio.create_task(cancelling.around(start())))
                assert was_cancelled is not bool(returned)
                registered = {each.id for each in registry.list_operations()}
                assert registered == {each.id for each in returned}
            assert {each.id for each in registry.list_operations()} == registered
            assert set(watch.begun) == registered
            watch.check_end()

    assert at_every_step(scenario) >= 2


def test_another_start_with_the_same_key_goes_on_when_the_first_is_cancelled() -> None:
    async def scenario(cancelling: Cancelling) -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry:
            async with Supervisor(registry) as work:
                watch = audit(registry, work)
                works = Works(watch)
                first = asyncio.create_task(cancelling.around(work.start(works.short, key="key")))
                await asyncio.sleep(0)
                others = [asyncio.create_task(work.start(works.short, key="key")) for _ in "ab"]
                await cancelled(first)
                second, third = await asyncio.gather(*others)
                assert second.id == third.id
                assert isinstance(await second, Completed)
            assert watch.begun == [second.id]
            watch.check_end()

    assert at_every_step(scenario) >= 2


ENDS = (Completed, Failed, Cancelled)


@pytest.mark.parametrize("how", ["short", "fails", "slow_to_stop"])
@pytest.mark.parametrize("retry", [None, Retry(attempts=2, backoff=0.001)])
def test_work_that_is_cancelled_anywhere_ends_once(how: str, retry: Retry | None) -> None:
    """Each step of the task that runs the work, recording included."""

    async def scenario(cancelling: Cancelling) -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry:
            async with Supervisor(registry, max_running=1) as work:
                watch = audit(registry, work)
                works = Works(watch)
                real = Jobs._spawn

                def spawn(self: Jobs, job: Any, steps: Any) -> None:
                    real(self, job, cancelling.around(steps))

                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(Jobs, "_spawn", spawn)
                    operation = await work.start(getattr(works, how), retry=retry)
                    outcome = await operation
                assert isinstance(outcome, ENDS)
                if how == "short" and cancelling.reached and isinstance(outcome, Failed):
                    raise AssertionError(outcome)
                # The slot is free again.
                assert isinstance(await (await work.start(works.short)), Completed)
            watch.check_end()

    assert at_every_step(scenario) > 3


def test_a_loop_that_is_shut_down_around_the_block_ends_all_of_it() -> None:
    """As `asyncio.run` does when another task ends it: every task is cancelled once, at once."""
    for rounds in range(30):
        registry = AsyncRegistry(store=MemoryStore())
        supervisor = Supervisor(registry, max_running=2)
        watches: list[Audit] = []

        async def block(
            registry: AsyncRegistry = registry,
            supervisor: Supervisor = supervisor,
            watches: list[Audit] = watches,
        ) -> None:
            watches.append(audit(registry, supervisor))
            works = Works(watches[0])
            async with supervisor as work:
                for _ in range(3):
                    await work.start(works.short)
                await work.start(works.slow_to_stop)

        async def main(block: Any = block, rounds: int = rounds) -> asyncio.Task[None]:
            task = asyncio.create_task(block())
            for _ in range(rounds):
                await asyncio.sleep(0)
            return task

        with asyncio.Runner(loop_factory=AuditedLoop) as runner:
            runner.run(main())
        for watch in watches:
            watch.check_end()


@pytest.mark.parametrize("how", ["thread", "process"])
def test_cancelling_threads_and_processes_at_every_step_of_the_block(how: str) -> None:
    async def scenario(cancelling: Cancelling) -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry:
            supervisor = Supervisor(registry)
            watch = audit(registry, supervisor)
            ended: list[OperationTerminalOutcome] = []

            def in_thread() -> None:
                with watch.inside():
                    current().wait_for_stop(0.02)
                    current().raise_if_stopped()

            async def block() -> None:
                async with supervisor as work:
                    job = in_thread if how == "thread" else Process(["sleep", "0.02"])
                    operation = await work.start(job)
                    ended.append(await operation)

            assert await cancelled(asyncio.create_task(cancelling.around(block()))) or ended
            watch.check_end()

    assert at_every_step(scenario) >= 3


@pytest.mark.parametrize("key", [None, "call-17"])
def test_what_an_interrupt_abandons_in_a_thread_is_not_overtaken(
    monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    registry = Registry()
    register = registry.register_resumable_operation

    def slow(*arguments: Any) -> None:
        threading.Event().wait(0.2)
        register(*arguments)
        registered.set()

    interrupts, registered = [MemoryError()], threading.Event()

    async def interrupted(future: asyncio.Future[Any]) -> Any:
        if interrupts:
            # Nothing awaits the call any more, and its future is lost.
            raise interrupts.pop()
        return await unbroken(future)

    async def main() -> None:
        async with Supervisor(registry) as work:
            with pytest.raises(MemoryError):
                await work.start(len, "", key=key)

    monkeypatch.setattr(registry, "register_resumable_operation", slow)
    monkeypatch.setattr(lifecycle, "unbroken", interrupted)
    asyncio.run(main())
    assert registered.is_set()
    assert registry.list_operations() == []
