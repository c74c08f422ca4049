"""Executors of other libraries, where they are installed."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import pytest
from opslifecycle import (
    AsyncRegistry,
    Completed,
    Failed,
    MemoryStore,
    OperationStatus,
    OperationTerminalOutcome,
)
from opslifecycle.work import AlreadyFinished, Retry, Supervisor

from tests.support.audit import run
from tests.support.waiting import eventually, until

RAY_EXECUTOR = Path(__file__).parents[2] / "examples/work/ray_executor.py"
DEADLINE_SECONDS = 60.0

# What other processes run is sent there by its module, which they may not be able to import.
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(sys.platform == "win32", reason="signals"),
]


def loky_executor(folder: Path) -> Iterator[Executor]:
    loky = pytest.importorskip("loky")
    executor = loky.get_reusable_executor(max_workers=1)
    yield executor
    executor.shutdown(wait=True, kill_workers=True)


def dask_executor(folder: Path) -> Iterator[Executor]:
    distributed = pytest.importorskip("distributed")
    dask = pytest.importorskip("dask")
    # Otherwise a task whose worker dies is run three times more.
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            dashboard_address=None,
            local_directory=str(folder),
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client.get_executor(pure=False, retries=0)


def ray_executor(folder: Path) -> Iterator[Executor]:
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    spec = importlib.util.spec_from_file_location("ray_executor_example", RAY_EXECUTOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    executor: Executor = module.RayExecutor()
    yield executor
    executor.shutdown()


SORTS = {"loky": loky_executor, "dask": dask_executor, "ray": ray_executor}


@pytest.fixture(params=SORTS)
def executor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Executor]:
    yield from SORTS[request.param](tmp_path)


# Functions are nested, so that they are sent by value: workers need not find this module.


def outcome_of(executor: Executor, work: Any, *arguments: Any) -> OperationTerminalOutcome:
    async def main() -> OperationTerminalOutcome:
        async with AsyncRegistry(store=MemoryStore()) as registry:
            async with Supervisor(registry, executor=executor) as supervisor:
                retry = Retry(attempts=2, on=(OSError,))
                operation = await supervisor.start(work, *arguments, retry=retry)
                return await asyncio.wait_for(operation, DEADLINE_SECONDS)

    return run(main())


def test_what_work_in_an_executor_returns_and_raises(executor: Executor) -> None:
    def square(number: int) -> int:
        return number * number

    def fail(number: int) -> int:
        raise LookupError(f"no such page: {number}")

    outcome = outcome_of(executor, square, 7)
    assert isinstance(outcome, Completed)
    assert outcome.result.content == "49"
    outcome = outcome_of(executor, fail, 7)
    assert isinstance(outcome, Failed)
    assert outcome.error.startswith("LookupError: no such page: 7")


def test_a_worker_that_dies_fails_its_operation_once(executor: Executor, tmp_path: Path) -> None:
    def die(path: str) -> None:
        with open(path, "a") as noted:
            noted.write("ran\n")
        os._exit(1)

    outcome = outcome_of(executor, die, str(tmp_path / "runs"))
    assert isinstance(outcome, Failed), outcome
    assert (tmp_path / "runs").read_text() == "ran\n"


def test_cancelling_does_not_interrupt_and_its_end_is_recorded(
    executor: Executor, tmp_path: Path
) -> None:
    """The executor cannot interrupt what runs, so the operation is running until it ends."""

    def wait_for(begun: str, gate: str) -> str:
        with open(begun, "w"):
            pass
        until(lambda: os.path.exists(gate))
        return "all of it"

    async def main() -> None:
        begun, gate = tmp_path / "begun", tmp_path / "gate"
        async with AsyncRegistry(store=MemoryStore()) as registry:
            async with Supervisor(registry, executor=executor) as supervisor:
                operation = await supervisor.start(wait_for, str(begun), str(gate))
                await eventually(begun.exists)
                cancelling = asyncio.create_task(operation.cancel("enough"))
                await asyncio.sleep(0)
                snapshot = registry.snapshot(operation.id)
                assert snapshot is not None
                assert snapshot.status is OperationStatus.RUNNING
                gate.touch()
                answer = await asyncio.wait_for(cancelling, DEADLINE_SECONDS)
                assert isinstance(answer, AlreadyFinished)
                assert isinstance(answer.outcome, Completed)

    run(main())
