"""Stores that refuse for a while, or for good."""

from __future__ import annotations

import asyncio

import pytest
from opslifecycle import (
    AsyncRegistry,
    Completed,
    MemoryStore,
    OwnershipLostError,
    PersistenceError,
)
from opslifecycle.stores.base import Commit
from opslifecycle.work import Supervisor, WorkNotRecordedError

from tests.support.audit import audit, run


class Refusing(MemoryStore):
    """A store that refuses while told to."""

    error: Exception | None = None
    refused = 0

    def append(self, commit: Commit) -> None:
        if self.error is not None:
            self.refused += 1
            raise self.error
        super().append(commit)


FULL = PersistenceError("store", "the disk is full")


def test_an_end_is_recorded_once_the_store_accepts_it_again() -> None:
    async def main() -> None:
        store = Refusing()
        async with AsyncRegistry(store=store) as registry:
            async with Supervisor(registry) as work:
                watch = audit(registry, work)

                async def observed() -> str:
                    with watch.inside():
                        store.error = FULL
                        return "kept"

                operation = await work.start(observed)
                async with asyncio.timeout(30):
                    while store.refused < 3:
                        await asyncio.sleep(0.001)
                assert not operation.done()
                store.error = None
                outcome = await operation
                assert isinstance(outcome, Completed)
                assert outcome.result.content == "kept"
            watch.check_end()

    run(main())


def test_a_store_that_refuses_too_long_is_reported() -> None:
    async def main() -> None:
        store, filled = Refusing(), asyncio.Event()
        registry = AsyncRegistry(store=store)
        with pytest.raises(WorkNotRecordedError, match="the disk is full") as caught:
            async with Supervisor(registry, store_patience_seconds=0.05) as work:

                async def fill() -> None:
                    store.error = FULL
                    filled.set()
                    await asyncio.Event().wait()

                operation = await work.start(fill)
                async with asyncio.timeout(30):
                    await filled.wait()
                    # Who waits for it within the block learns of it; the block could not end else.
                    with pytest.raises(WorkNotRecordedError, match="the disk is full"):
                        await operation.cancel()
                    with pytest.raises(WorkNotRecordedError, match="the disk is full"):
                        await operation
        assert caught.value.ids == (str(operation.id),)
        snapshot = registry.snapshot(operation.id)
        assert snapshot is not None
        assert not snapshot.status.terminal
        store.error = None
        await registry.close()

    run(main())


def test_an_owner_that_has_lost_its_store_ends_its_work_and_reports_it() -> None:
    async def main() -> None:
        store = Refusing()
        registry = AsyncRegistry(store=store)
        ended = []

        async def endless() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("endless")

        async def lose() -> None:
            store.error = OwnershipLostError()

        with pytest.raises(WorkNotRecordedError):
            async with Supervisor(registry) as work:
                await work.start(endless)
                await asyncio.sleep(0.01)
                await work.start(lose)
        assert ended == ["endless"]
        await registry.close()

    run(main())


def test_a_block_that_raises_is_not_hidden_by_the_store() -> None:
    async def main() -> None:
        store = Refusing()
        registry = AsyncRegistry(store=store)
        with pytest.raises(ValueError, match="mine"):
            async with Supervisor(registry, store_patience_seconds=0) as work:
                await work.start(asyncio.Event().wait)
                store.error = FULL
                raise ValueError("mine")
        store.error = None
        await registry.close()

    run(main())


def test_a_defect_in_recording_is_reported() -> None:
    class Defective(AsyncRegistry):
        async def complete_operation(self, id: object, result: object) -> None:
            raise ZeroDivisionError("a defect")

    async def give() -> None: ...

    async def main() -> None:
        async with Defective(store=MemoryStore()) as registry:
            with pytest.raises(WorkNotRecordedError, match="ZeroDivisionError: a defect"):
                async with Supervisor(registry) as work:
                    await work.start(give)

    run(main())
