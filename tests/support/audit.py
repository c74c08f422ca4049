"""Watches a supervisor: what runs is recorded as running, and what is recorded as running runs."""

from __future__ import annotations

import asyncio
import contextlib
import types
from collections.abc import Callable, Coroutine, Generator, Iterator
from typing import Any, TypeVar

from opslifecycle import AsyncRegistry, OperationId, OperationStatus
from opslifecycle.work import Supervisor, current
from opslifecycle.work.job import Phase
from opslifecycle.work.jobs import Jobs

T = TypeVar("T")

UNDER_WAY = (Phase.STARTING, Phase.WORKING, Phase.PAUSING, Phase.RECORDING)


class Audit:
    """What work has really begun and ended, compared with the registry at every step of the loop.

    `ended_outside` names operations whose record a test ends behind the supervisor's back.
    """

    def __init__(self, registry: AsyncRegistry, supervisor: Supervisor) -> None:
        self.registry = registry
        self.supervisor = supervisor
        self._jobs: Jobs | None = None
        self.running: set[OperationId] = set()
        self.begun: list[OperationId] = []
        self.ended_outside: set[OperationId] = set()

    @property
    def jobs(self) -> Jobs:
        """The jobs of the supervisor's block, also once the block has ended."""
        if self.supervisor._block is not None:
            self._jobs = self.supervisor._block.jobs
        assert self._jobs is not None, "the block never began"
        return self._jobs

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Work is within this block as long as it runs."""
        id = current().id
        assert id not in self.running, "it runs twice at once"
        self.running.add(id)
        self.begun.append(id)
        try:
            yield
        finally:
            self.running.discard(id)

    def check(self) -> None:
        """Compare what runs with what the registry and the supervisor have."""
        if self.supervisor._block is None and self._jobs is None:
            assert self.running == set()
            return
        jobs = self.jobs
        for id in self.running - self.ended_outside:
            snapshot = self.registry.snapshot(id)
            assert snapshot is not None, f"{id} runs and is not registered"
            assert snapshot.status is OperationStatus.RUNNING, f"{id} runs in {snapshot.status}"
        for snapshot in self.registry.list_operations(status=OperationStatus.RUNNING):
            job = jobs.find(snapshot.id)
            assert job is not None, f"{snapshot.id} is recorded as running and has no job"
            assert job.phase in UNDER_WAY, f"{snapshot.id} is recorded as running: {job.phase}"

    def check_end(self) -> None:
        """Check what holds once the block of the supervisor has ended."""
        assert self.running == set()
        assert self.registry.list_operations(terminal=False) == []
        if self._jobs is not None:
            assert len(self._jobs) == 0
            assert self._jobs._latest == {}
            assert len(self._jobs._admission) == 0
        assert self.registry.broken_invariants() == []


class AuditedLoop(asyncio.SelectorEventLoop):
    """An event loop that calls `check` after each of its rounds."""

    check: Callable[[], object] = staticmethod(lambda: None)

    def _run_once(self) -> None:
        super()._run_once()  # type: ignore[misc]
        self.check()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a loop that can be audited; no task may be left behind."""
    with asyncio.Runner(loop_factory=AuditedLoop) as runner:
        result = runner.run(main)
        left = asyncio.all_tasks(runner.get_loop())
        assert left == set(), left
        return result


def audit(registry: AsyncRegistry, supervisor: Supervisor) -> Audit:
    """Return an audit that the running loop calls after each of its rounds."""
    found = Audit(registry, supervisor)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, AuditedLoop)
    loop.check = found.check
    return found


class Cancelling:
    """Cancels the task that runs a coroutine at its suspension number `step`, from 1."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.count = 0

    @property
    def reached(self) -> bool:
        return self.count >= self.step

    async def around(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return what the coroutine does."""
        return await self._steps(coroutine)

    @types.coroutine
    def _steps(self, coroutine: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        go_on: Callable[[Any], Any] = coroutine.send
        given: Any = None
        while True:
            try:
                waited = go_on(given)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            self.count += 1
            if self.count == self.step:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                go_on, given = coroutine.send, (yield waited)
            except BaseException as error:
                go_on, given = coroutine.throw, error
