"""Callbacks that the loop loses, because an interrupt comes before their first bytecode."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from opslifecycle import AsyncRegistry, Completed, MemoryStore, Registry
from opslifecycle.work import Supervisor, current, tending

from tests.support.builders import result, running, spec
from tests.support.interrupts.checking import DEADLINE_SECONDS, Helper


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
    from opslifecycle.work.job import Job
    from opslifecycle.work.jobs import Jobs

    patch.setattr(Jobs if hasattr(Jobs, name) else Job, name, lambda *_: None)


@pytest.mark.parametrize("lost", ["_task_ended", "_record_ended", "_stop_without_record"])
def test_a_supervisor_makes_up_for_a_callback(lost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tending, "INTERVAL_SECONDS", 0.02)
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
    monkeypatch.setattr(tending, "INTERVAL_SECONDS", 0.02)

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
