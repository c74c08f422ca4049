"""The end of a batch that is requested while one of its commands is between two attempts."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from opslifecycle import AsyncRegistry
from opslifecycle.cli.batches.model import Batch, Command, Retry
from opslifecycle.cli.running.capture import Capture
from opslifecycle.cli.running.execution import RunOptions
from opslifecycle.cli.running.job import Job
from opslifecycle.cli.running.processes import Process
from opslifecycle.cli.running.runner import Runner
from opslifecycle.inspection.locations import FileLocation

_PAUSE_SECONDS = 3600.0


async def reasons(folder: Path, command: Command, prepare: Callable[[Runner], None]) -> list[str]:
    """Run one command, and return how each of its attempts ended."""
    options = RunOptions(FileLocation(folder / "operations.db"), 1, 1.0, 5.0, 1024)
    async with AsyncRegistry() as registry:
        runner = Runner(registry, Batch((command,)), options)
        prepare(runner)
        async with asyncio.timeout(60):
            await runner.run()
        ends = [each.terminal_outcome for each in runner.snapshots()]
        return [str(getattr(each, "reason", None) or getattr(each, "error", "")) for each in ends]


def test_an_interrupt_while_the_next_attempt_is_recorded_waits_for_no_pause(
    tmp_path: Path,
) -> None:
    def prepare(runner: Runner) -> None:
        register = runner._register_one

        async def interrupted(job: Job) -> None:
            if job.attempt == 2:
                runner.interrupt(signal.SIGINT)
                # What the interrupt starts comes before the record.
                await asyncio.sleep(0.01)
            await register(job)

        runner._register_one = interrupted  # type: ignore[method-assign]

    command = Command("bad", "exit 3", retry=Retry(5, _PAUSE_SECONDS))
    found = asyncio.run(reasons(tmp_path, command, prepare))
    assert found == ["exit status 3", "not started: interrupted"]


@pytest.mark.parametrize("by_request", [True, False])
def test_a_command_that_ends_after_its_limit_is_not_tried_again_after_a_request(
    tmp_path: Path, by_request: bool
) -> None:
    def prepare(runner: Runner) -> None:
        retire = runner.registry.request_retire

        async def ended(id: object) -> None:
            await retire(id)  # type: ignore[arg-type]
            if by_request:
                runner.cancel(id, "no longer wanted")  # type: ignore[arg-type]
            else:
                runner.interrupt(signal.SIGINT)

        runner.registry.request_retire = ended  # type: ignore[method-assign]

    command = Command("slow", "sleep 60", timeout_seconds=0.1, retry=Retry(5, _PAUSE_SECONDS))
    found = asyncio.run(reasons(tmp_path, command, prepare))
    assert found == ["timed out after 0.1 s"]


def test_a_command_that_has_ended_leaves_its_process_and_its_output(tmp_path: Path) -> None:
    async def main() -> tuple[int, int]:
        options = RunOptions(FileLocation(tmp_path / "operations.db"), 2, 1.0, 5.0, 1024)
        commands = tuple(Command(f"c{number}", "echo it") for number in range(4))
        async with AsyncRegistry() as registry:
            runner = Runner(registry, Batch(commands), options)
            async with asyncio.timeout(60):
                await runner.run()
            gc.collect()
            kept = [each for each in gc.get_objects() if isinstance(each, Process | Capture)]
            return len(runner.snapshots()), len(kept)

    assert asyncio.run(main()) == (4, 0)
