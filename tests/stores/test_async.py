"""The registry of coroutines over every store."""

from __future__ import annotations

import asyncio

import pytest
from opslifecycle import (
    AsyncRegistry,
    ChannelClosedError,
    InvalidTransitionError,
    Registry,
    RegistryClosedError,
    Retired,
    RunId,
)

from tests.builders import spec
from tests.stores.gate import AGENT, Gate, MakeStore


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
                while registry.snapshot(made.id) is None:
                    await asyncio.sleep(0.001)

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
