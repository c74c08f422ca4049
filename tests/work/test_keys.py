"""Idempotency keys: one key, one operation, also in a later process."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from opslifecycle import (
    AsyncRegistry,
    Cancelled,
    Completed,
    MemoryStore,
    OperationId,
    PersistenceError,
    SqliteStore,
    Terminated,
)
from opslifecycle.stores.base import Commit
from opslifecycle.work import REQUEUES_MAX, AlreadyFinished, Supervisor, WorkCancelled

from tests.support.audit import run
from tests.test_kill import killed

KILLED = """
import asyncio, os, signal, sys
from opslifecycle import *
from opslifecycle.work import *

async def give(value):
    return value

async def hang():
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    registry = await AsyncRegistry.open(store=SqliteStore(sys.argv[1]))
    async with registry, Supervisor(registry) as work:
        await (await work.start(give, "first", key="done"))
        await work.start(hang, key="interrupted")
        await asyncio.Event().wait()

asyncio.run(main())
"""


class Counted:
    """Work that knows how often it ran."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self) -> str:
        self.count += 1
        await asyncio.sleep(0)
        return f"run {self.count}"


def test_a_key_starts_its_work_once() -> None:
    async def main() -> None:
        work = Counted()
        async with AsyncRegistry(store=MemoryStore()) as registry, Supervisor(registry) as on:
            started = await asyncio.gather(*(on.start(work, key="call-17") for _ in range(10)))
            other = await on.start(work, key="call-18")
            assert len({each.id for each in started}) == 1
            assert other.id != started[0].id
            outcomes = [await each for each in started]
            assert outcomes[0] == outcomes[9]
            again = await on.start(work, key="call-17")
            assert again.done()
            assert await again == outcomes[0]
            assert [each async for each in again.progress()] == []
            assert await again.cancel() == AlreadyFinished(outcomes[0])
            await other
            assert work.count == 2

    run(main())


def test_the_id_of_a_key_never_changes() -> None:
    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry, Supervisor(registry) as on:
            operation = await on.start(Counted(), key="call-17")
            assert operation.id == OperationId("74f18167-0d5c-5023-aa26-1480c42e4ada")

    run(main())


def test_a_key_is_free_again_when_its_operation_is_collected() -> None:
    async def main() -> None:
        work = Counted()
        async with AsyncRegistry(store=MemoryStore()) as registry, Supervisor(registry) as on:
            await (await on.start(work, key="call-17"))
            await registry.collect_completed()
            outcome = await (await on.start(work, key="call-17"))
            assert isinstance(outcome, Completed)
            assert outcome.result.content == "run 2"

    run(main())


def test_two_supervisors_of_one_registry_share_keys() -> None:
    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry:
            async with Supervisor(registry) as one, Supervisor(registry) as two:
                gate = asyncio.Event()
                first, second = await asyncio.gather(
                    one.start(gate.wait, key="call-17"), two.start(gate.wait, key="call-17")
                )
                assert first.id == second.id
                assert one._block is not None
                assert two._block is not None
                mine, other = one._block.jobs, two._block.jobs
                assert [len(mine), len(other)] in ([1, 0], [0, 1])
                # Through the registry it reaches the supervisor that runs the work.
                stranger = second if mine else first
                assert await stranger.cancel("enough") == WorkCancelled(Cancelled("enough"))

    run(main())


class Failing(MemoryStore):
    """A store whose next commits fail as often as asked."""

    failures = 0

    def append(self, commit: Commit) -> None:
        if self.failures:
            self.failures -= 1
            raise PersistenceError("store", "the disk is full")
        super().append(commit)


def test_a_start_that_fails_leaves_its_key_to_the_next() -> None:
    async def main() -> None:
        store, work = Failing(), Counted()
        async with AsyncRegistry(store=store) as registry, Supervisor(registry) as on:
            store.failures = 1
            starts: list[Any] = await asyncio.gather(
                *(on.start(work, key="call-17") for _ in range(3)), return_exceptions=True
            )
            assert isinstance(starts[0], PersistenceError)
            assert starts[1].id == starts[2].id
            assert isinstance(await starts[1], Completed)
            assert work.count == 1

    run(main())


def test_keys_outlive_a_process_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "ops.db"
    killed(KILLED, str(path))

    async def main() -> None:
        work = Counted()
        registry = await AsyncRegistry.open(store=SqliteStore(path))
        async with registry, Supervisor(registry) as on:
            done = await on.start(work, key="done")
            outcome = await done
            assert isinstance(outcome, Completed)
            assert outcome.result.content == "first"
            interrupted = await on.start(work, key="interrupted")
            assert isinstance(await interrupted, Terminated)
            assert work.count == 0
            again = await on.start(work, key="interrupted", on_interrupt="requeue")
            assert isinstance(await again, Completed)
            assert again.id != interrupted.id
            same = await on.start(work, key="interrupted", on_interrupt="requeue")
            assert same.id == again.id
            assert (await on.start(work, key="interrupted")).id == interrupted.id
            done_again = await on.start(work, key="done", on_interrupt="requeue")
            assert done_again.id == done.id
            assert work.count == 1

    run(main())


def test_the_same_key_after_a_clean_close(tmp_path: Path) -> None:
    async def once() -> str:
        registry = await AsyncRegistry.open(store=SqliteStore(tmp_path / "ops.db"))
        async with registry, Supervisor(registry) as on:
            outcome = await (await on.start(work, key="call-17"))
            assert isinstance(outcome, Completed)
            return outcome.result.content

    work = Counted()
    assert run(once()) == run(once()) == "run 1"


def test_an_interrupted_key_is_started_again_a_limited_number_of_times() -> None:
    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry:
            ids = []
            for _ in range(REQUEUES_MAX + 3):
                async with Supervisor(registry) as on:
                    operation = await on.start(
                        asyncio.Event().wait, key="call-17", on_interrupt="requeue"
                    )
                    # It stands for the end of the process: the next one has no job for it.
                    await registry.terminate_owner("the process ended")
                    same = await on.start(Counted(), key="call-17", on_interrupt="requeue")
                    assert same.id == operation.id
                    assert isinstance(await operation, Terminated)
                ids.append(operation.id)
            assert len(set(ids)) == REQUEUES_MAX + 1
            assert ids[-1] == ids[-2] == ids[-3]

    run(main())


def test_requeueing_once_for_several_callers() -> None:
    async def main() -> None:
        work = Counted()
        async with AsyncRegistry(store=MemoryStore()) as registry:
            async with Supervisor(registry) as on:
                await on.start(asyncio.Event().wait, key="call-17")
                await registry.terminate_owner("the process ended")
            async with Supervisor(registry) as on:
                started = await asyncio.gather(
                    *(on.start(work, key="call-17", on_interrupt="requeue") for _ in range(5))
                )
                assert len({each.id for each in started}) == 1
                assert isinstance(await started[0], Completed)
                assert work.count == 1

    run(main())
