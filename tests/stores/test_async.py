"""The registry of coroutines over every store."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest
from opslifecycle import (
    AsyncRegistry,
    ChannelClosedError,
    InvalidTransitionError,
    InvalidValueError,
    MemoryStore,
    Registry,
    RegistryClosedError,
    RegistryOwnedError,
    Retired,
    RunId,
    Terminated,
)
from opslifecycle.stores.base import StoreContents
from opslifecycle.stores.schema_version import SchemaVersion

from tests.support.builders import spec
from tests.support.gate import AGENT, REASON, Gate, MakeStore
from tests.support.waiting import eventually


class Slow(MemoryStore):
    """A store that opens when it is let to."""

    def __init__(self) -> None:
        super().__init__()
        self.may_open = threading.Event()
        self.closed = threading.Event()

    def open(self, schema: SchemaVersion) -> StoreContents:
        assert self.may_open.wait(30)
        return super().open(schema)

    def close(self) -> None:
        super().close()
        self.closed.set()


class TestOpening:
    def test_the_loop_runs_while_a_store_is_opened(self) -> None:
        async def scenario() -> None:
            store = Slow()
            opening = asyncio.ensure_future(AsyncRegistry.open(store=store, max_completed=3))
            for _ in range(10):
                await asyncio.sleep(0)
            assert not opening.done()
            store.may_open.set()
            async with await opening as registry:
                made = spec()
                await registry.register_operation(made)
                assert registry.snapshot(made.id) is not None

        asyncio.run(scenario())

    def test_what_was_live_is_recovered_there_too(self, make_store: MakeStore) -> None:
        async def scenario() -> None:
            async with await AsyncRegistry.open(store=make_store()) as registry:
                made = spec()
                await registry.register_operation(made)
                document = registry.capture()
            async with await AsyncRegistry.open(store=make_store()) as registry:
                (found,) = registry.list_operations()
                assert found.terminal_outcome == Terminated(REASON)
            restored = await asyncio.to_thread(AsyncRegistry.restore, document)
            assert [each.id for each in restored.list_operations()] == [made.id]
            await restored.close()

        asyncio.run(scenario())

    def test_it_raises_what_the_constructor_raises(self) -> None:
        async def scenario() -> None:
            store = MemoryStore()
            with pytest.raises(InvalidValueError, match="max_completed"):
                await AsyncRegistry.open(max_completed=-1, store=store)
            async with await AsyncRegistry.open(store=store):
                with pytest.raises(RegistryOwnedError):
                    await AsyncRegistry.open(store=store)

        asyncio.run(scenario())

    def test_a_store_is_closed_if_its_opening_is_cancelled(self) -> None:
        async def scenario() -> Slow:
            store = Slow()
            opening = asyncio.ensure_future(AsyncRegistry.open(store=store))
            await asyncio.sleep(0)
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
            store.may_open.set()
            return store

        store = asyncio.run(scenario())
        gc.collect()
        assert store.closed.wait(30)


class TestAsync:
    def test_the_same_methods_as_coroutines(self, make_store: MakeStore) -> None:
        async def scenario() -> None:
            async with AsyncRegistry(store=make_store()) as registry:
                specs = [spec(name=str(n)) for n in range(100)]
                await asyncio.gather(*(registry.register_operation(s) for s in specs))
                ids = [made.id for made in specs]
                watches = [registry.register_watcher(id) for id in ids]
                barrier = registry.wait_all(RunId.new(), ids)
                await asyncio.gather(*(registry.provisioning_succeeded(id) for id in ids))
                await asyncio.gather(*(registry.mark_retired(id) for id in ids))
                assert [await watch for watch in watches] == [Retired()] * 100
                assert len((await barrier).outcomes) == 100
                with pytest.raises(InvalidTransitionError):
                    await registry.mark_retired(ids[0])
                assert await registry.advance_completion_cursor(AGENT, 5) == 5
                assert len(await registry.collect_completed()) == 100
                assert registry.list_operations() == []
            with pytest.raises(RegistryClosedError):
                await registry.register_operation(spec())

        asyncio.run(scenario())

    def test_deferred_actions_wait_for_the_next_commit(self, gate: Gate) -> None:
        async def scenario() -> None:
            async with AsyncRegistry(store=gate) as registry:
                made = spec()
                await registry.register_operation(made)
                await registry.provisioning_succeeded(made.id)
                assert len(gate.commits) == 1
                await registry.mark_retired(made.id)
                assert len(gate.commits) == 2

        asyncio.run(scenario())

    def test_the_loop_goes_on_while_a_commit_is_held(self, gate: Gate) -> None:
        async def scenario() -> None:
            async with AsyncRegistry(store=gate) as registry:
                gate.hold()
                made = spec()
                task = asyncio.ensure_future(registry.register_operation(made))
                for _ in range(50):
                    await asyncio.sleep(0)
                assert not task.done()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                gate.open_gate.set()
                await eventually(lambda: registry.snapshot(made.id) is not None)

        asyncio.run(scenario())

    def test_closing_ends_thousands_of_waits(self, make_store: MakeStore) -> None:
        async def scenario() -> None:
            registry = AsyncRegistry(store=make_store())
            made = spec()
            await registry.register_operation(made)
            feed = registry.completion_feed()

            async def follow() -> None:
                async for _ in feed.subscribe():
                    pass

            async def watch() -> None:
                await registry.register_watcher(made.id)

            async def wait() -> None:
                await registry.wait_all(RunId.new(), [made.id])

            tasks = [
                asyncio.ensure_future(do()) for do in (follow, watch, wait) for _ in range(1000)
            ]
            await asyncio.sleep(0.05)
            await registry.close()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            kinds = [type(each) for each in ended]
            assert kinds[:1000] == [RegistryClosedError] * 1000
            assert kinds[1000:2000] == [ChannelClosedError] * 1000
            assert kinds[2000:] == [RegistryClosedError] * 1000

        asyncio.run(scenario())

    def test_both_registries_have_the_same_commands(self) -> None:
        def commands(kind: type) -> set[str]:
            return {name for name in dir(kind) if not name.startswith("_")}

        assert commands(AsyncRegistry) == commands(Registry)
