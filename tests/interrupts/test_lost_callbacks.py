"""Callbacks that the loop loses, because an interrupt comes before their first bytecode."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opslifecycle import AsyncRegistry, Completed, Failed, MemoryStore, Registry
from opslifecycle.work import Supervisor, current, jobs, tending
from opslifecycle.work.cancelling import finished
from opslifecycle.work.job import Job

from tests.support.builders import result, running, spec
from tests.support.interrupts.checking import DEADLINE_SECONDS, Helper
from tests.support.waiting import eventually


class Losing(asyncio.SelectorEventLoop):
    """A loop that loses every second callback of this project from another thread."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Any, *arguments: Any, context: Any = None
    ) -> Any:
        """Lose the first, the third and so on."""
        if str(getattr(callback, "__module__", "")).startswith("opslifecycle"):
            self.calls += 1
            callback = callback if self.calls % 2 == 0 else _lost
        return super().call_soon_threadsafe(callback, *arguments, context=context)


def _lost(*_: object) -> None:
    """Stand for a callback that was interrupted before it began."""


def _run(main: Callable[[], Any]) -> Any:
    def run() -> Any:
        with asyncio.Runner(loop_factory=Losing) as runner:
            return runner.run(main())

    return Helper().ask(run)


def test_a_command_is_answered() -> None:
    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry:
            await registry.register_operation(spec())

    _run(main)


def test_a_wait_ends() -> None:
    registry = Registry()
    id = running(registry)

    async def main() -> object:
        ending = asyncio.get_running_loop().run_in_executor(
            None, lambda: registry.complete_operation(id, result())
        )
        outcome = await registry.register_watcher(id)
        del ending
        return outcome

    assert isinstance(_run(main), Completed)


async def _until_stopped() -> str:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not current().stop_requested:
            await asyncio.sleep(0.001)
    return "stopped"


def _nothing_is_called(patch: pytest.MonkeyPatch, name: str) -> None:
    patch.setattr(jobs.Jobs if hasattr(jobs.Jobs, name) else Job, name, lambda *_: None)


@pytest.mark.parametrize("lost", ["_task_ended", "_record_ended", "_stop_without_record"])
def test_a_supervisor_makes_up_for_a_callback(lost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tending, "ROUND_SECONDS", 0.02)
    _nothing_is_called(monkeypatch, lost)

    async def main() -> None:
        registry = Registry()
        async with Supervisor(registry, max_running=1) as work:
            first = await work.start(_until_stopped)
            second = await work.start(_until_stopped)
            # Ended by another caller than the supervisor.
            await asyncio.sleep(0.01)
            registry.cancel_operation(first.id)
            await first
            await second.cancel()
        assert registry.list_operations(terminal=False) == []

    Helper().ask(lambda: asyncio.run(main()))


def test_a_timeout_ends_work_whose_timer_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tending, "ROUND_SECONDS", 0.02)

    class Loop(asyncio.SelectorEventLoop):
        def call_later(  # type: ignore[override]
            self, delay: float, callback: Any, *arguments: Any, context: Any = None
        ) -> Any:
            if getattr(callback, "__name__", "") == "time_out":
                callback = _lost
            return super().call_later(delay, callback, *arguments, context=context)

    async def main() -> bool:
        async with Supervisor(Registry()) as work:
            operation = await work.start(asyncio.sleep, DEADLINE_SECONDS, timeout=0.01)
            await operation
            return operation.timed_out()

    def run() -> bool:
        with asyncio.Runner(loop_factory=Loop) as runner:
            return runner.run(main())

    assert Helper().ask(run)


class _AlarmError(Exception):
    """What a handler of a signal raises."""


def _torn() -> None:
    raise _AlarmError


def test_running_jobs_keep_their_places_after_a_torn_change() -> None:
    async def main() -> tuple[int, int]:
        running, most, gate = 0, 0, asyncio.Event()

        async def busy() -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await gate.wait()
            running -= 1

        async with Supervisor(Registry(), max_running=2) as work:
            started = [await work.start(busy) for _ in range(5)]
            await eventually(lambda: running >= 2)
            assert work._block is not None
            with pytest.raises(_AlarmError):
                work._block.jobs._change(_torn)
            # The next change puts them in order.
            started.append(await work.start(busy))
            for _ in range(50):
                await asyncio.sleep(0)
            before = most
            gate.set()
            for each in started:
                await each
            return before, most

    assert Helper().ask(lambda: asyncio.run(main())) == (2, 2)


def test_many_jobs_are_looked_at_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tending, "ROUND_SECONDS", DEADLINE_SECONDS)
    monkeypatch.setattr(jobs, "_TENDED_MAX", 3)
    looked_at: list[Job] = []
    monkeypatch.setattr(jobs.Jobs, "_tend", lambda _, job: looked_at.append(job))

    async def main() -> tuple[list[int], list[float | None]]:
        async with Supervisor(Registry(), max_running=1, on_exit="cancel") as work:
            started = [(await work.start(_until_stopped)).id for _ in range(8)]
            assert work._block is not None
            pauses = [work._block.jobs.tend() for _ in range(6)]
            return [[*map(str, started)].index(str(job.id)) for job in looked_at], pauses

    # Each once in a round, the oldest first.
    of_a_round = [tending.PART_SECONDS, tending.PART_SECONDS, DEADLINE_SECONDS]
    expected = 2 * [*range(8)], 2 * of_a_round
    assert Helper().ask(lambda: asyncio.run(main())) == expected


def test_an_interrupt_before_the_wait_for_a_program_starts_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised = [_AlarmError()]

    async def interrupted(future: Any, on_cancel: Any) -> None:
        if raised:
            raise raised.pop()
        await finished(future, on_cancel)

    monkeypatch.setattr("opslifecycle.work.processes.finished", interrupted)

    async def main() -> None:
        async with Supervisor(Registry()) as work:
            before = asyncio.all_tasks()
            outcome = await (await work.start(["touch", str(tmp_path / "started")]))
            assert isinstance(outcome, Failed)
            assert "_AlarmError" in outcome.error
        # A task that starts a program and is cancelled with its loop lets the loop hang.
        assert asyncio.all_tasks() <= before

    Helper().ask(lambda: asyncio.run(main()))
    assert not raised
    assert not (tmp_path / "started").exists()


def test_an_interrupt_before_the_wait_for_a_call_ends_the_record_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raised, may_end, has_ended = [_AlarmError()], threading.Event(), threading.Event()

    async def interrupted(future: Any, on_cancel: Any) -> None:
        if raised:
            raise raised.pop()
        may_end.set()
        await finished(future, on_cancel)

    monkeypatch.setattr("opslifecycle.work.attempts.finished", interrupted)

    def call() -> None:
        assert may_end.wait(DEADLINE_SECONDS)
        has_ended.set()

    async def main() -> None:
        async with Supervisor(Registry()) as work:
            outcome = await (await work.start(call))
            assert has_ended.is_set()
            assert isinstance(outcome, Failed)
            assert "_AlarmError" in outcome.error

    Helper().ask(lambda: asyncio.run(main()))
    assert not raised


def test_a_block_that_is_thrown_away_with_its_loop_awaits_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    supervisor: Supervisor[Any, Any, Any] = Supervisor(Registry())

    async def main() -> None:
        async with supervisor as work:
            await work.start(asyncio.sleep, DEADLINE_SECONDS)
            await asyncio.sleep(DEADLINE_SECONDS)

    loop = asyncio.new_event_loop()
    task = loop.create_task(main())
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    # asyncio says so of every task that does not end.
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    del task
    gc.collect()
    assert [each.exc_value for each in told] == []
    asyncio.run(_used_again(supervisor))


async def _used_again(supervisor: Supervisor[Any, Any, Any]) -> None:
    async with supervisor as work:
        await (await work.start(asyncio.sleep, 0))
