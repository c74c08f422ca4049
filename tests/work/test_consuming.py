"""Consumers: at least once, the cursor after success, gaps as values, redeliveries known."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from opslifecycle import (
    AsyncRegistry,
    CompletionCursorConsumer,
    CompletionEntry,
    CompletionFeedGap,
    Delivery,
    InvalidValueError,
    MemoryStore,
    PersistenceError,
    Registry,
    RegistryClosedError,
)
from opslifecycle.stores.base import Commit
from opslifecycle.work import Supervisor

from tests.support.audit import Cancelling, run
from tests.support.builders import completed
from tests.support.waiting import eventually, until

APPLIED = CompletionCursorConsumer.AGENT_APPLIED


async def ended(registry: AsyncRegistry, *names: str) -> None:
    async def give() -> None: ...

    async with Supervisor(registry) as work:
        for name in names:
            await (await work.start(give, name=name))


def name_of(item: Any) -> str:
    assert isinstance(item, Delivery)
    return str(item.entry.display_name) + ("?" if item.maybe_redelivered else "")


def test_the_cursor_moves_after_the_body() -> None:
    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry:
            await ended(registry, "a", "b", "c")
            seen = []
            async for item in registry.consume(APPLIED, wait=False):
                assert isinstance(item, Delivery)
                assert registry.completion_cursor(APPLIED) == item.entry.seq - 1
                seen.append(name_of(item))
            assert seen == ["a?", "b?", "c?"]
            assert registry.completion_cursor(APPLIED) == 3
            assert [each async for each in registry.consume(APPLIED, wait=False)] == []

    run(main())


@pytest.mark.parametrize("how", ["raise", "break"])
def test_a_body_that_does_not_succeed_gets_its_entry_again(how: str) -> None:
    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry:
            consumer = registry.consume(APPLIED)
            await ended(registry, "a", "b")
            try:
                async for item in consumer:
                    if name_of(item) == "b?":
                        if how == "break":
                            break
                        raise ZeroDivisionError
            except ZeroDivisionError:
                pass
            assert registry.completion_cursor(APPLIED) == 1
            async for item in consumer:
                assert name_of(item) == "b?"
                await consumer.succeed()
                break
            assert registry.completion_cursor(APPLIED) == 2

    run(main())


def test_what_comes_later_is_no_redelivery() -> None:
    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry:
            await ended(registry, "old")
            seen = []

            async def follow() -> None:
                async for item in registry.consume(APPLIED):
                    seen.append(name_of(item))

            following = asyncio.create_task(follow())
            await asyncio.sleep(0)
            await ended(registry, "new", "newer")
            await eventually(lambda: registry.completion_cursor(APPLIED) >= 3)
            await registry.close()
            with pytest.raises(RegistryClosedError):
                await following
            assert seen == ["old?", "new", "newer"]

    run(main())


def test_a_gap_is_a_value_and_the_cursor_passes_it() -> None:
    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore(), max_completed=2) as registry:
            await ended(registry, "a", "b", "c", "d")
            seen = [item async for item in registry.consume(APPLIED, wait=False)]
            assert seen[0] == CompletionFeedGap(0, 2, 4)
            assert [name_of(item) for item in seen[1:]] == ["c?", "d?"]
            assert registry.completion_cursor(APPLIED) == 4

    run(main())


def test_a_batch_succeeds_as_a_whole() -> None:
    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry:
            consumer = registry.consume(APPLIED, wait=False)
            await ended(registry, "a", "b", "c")
            with pytest.raises(ZeroDivisionError):
                async with consumer.batch(2) as items:
                    assert [name_of(item) for item in items] == ["a?", "b?"]
                    raise ZeroDivisionError
            assert registry.completion_cursor(APPLIED) == 0
            async with consumer.batch(2) as items:
                assert [name_of(item) for item in items] == ["a?", "b?"]
            assert registry.completion_cursor(APPLIED) == 2
            async with consumer.batch() as items:
                assert [name_of(item) for item in items] == ["c?"]
            async with consumer.batch() as items:
                assert items == []
            with pytest.raises(InvalidValueError):
                async with consumer.batch(0):
                    pass

    run(main())


def test_a_batch_waits_for_its_first_entry() -> None:
    async def main() -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry:

            async def first() -> list[str]:
                async with registry.consume(APPLIED).batch() as items:
                    return [name_of(item) for item in items]

            waiting = asyncio.create_task(first())
            await asyncio.sleep(0)
            await ended(registry, "a")
            assert await waiting == ["a"]
            assert registry.completion_cursor(APPLIED) == 1

    run(main())


class Refusing(MemoryStore):
    refuses = False

    def append(self, commit: Commit) -> None:
        if self.refuses:
            raise PersistenceError("store", "the disk is full")
        super().append(commit)


def test_a_cursor_that_cannot_be_moved_loses_nothing() -> None:
    async def main() -> None:
        store = Refusing()
        async with AsyncRegistry(store=store) as registry:
            await ended(registry, "a", "b")
            seen = []
            with pytest.raises(PersistenceError):
                async for item in registry.consume(APPLIED):
                    seen.append(name_of(item))
                    store.refuses = True
            store.refuses = False
            seen += [name_of(item) async for item in registry.consume(APPLIED, wait=False)]
            assert seen == ["a?", "a?", "b?"]

    run(main())


@pytest.mark.parametrize("form", ["loop", "batch"])
def test_cancelling_a_consumer_anywhere_loses_nothing(form: str) -> None:
    async def scenario(cancelling: Cancelling) -> None:
        async with AsyncRegistry(store=MemoryStore()) as registry:
            done: list[int] = []
            delivered: list[Delivery[CompletionEntry]] = []

            async def body(item: Any) -> None:
                assert isinstance(item, Delivery)
                if item.entry.seq in [each.entry.seq for each in delivered]:
                    assert item.maybe_redelivered
                delivered.append(item)
                await asyncio.sleep(0)
                done.append(item.entry.seq)

            async def follow(wait: bool) -> None:
                consumer = registry.consume(APPLIED, wait=wait)
                if form == "loop":
                    async for item in consumer:
                        await body(item)
                    return
                more = True
                while more:
                    async with consumer.batch(2) as items:
                        for item in items:
                            await body(item)
                    more = bool(items)

            following = asyncio.create_task(cancelling.around(follow(True)))
            await ended(registry, "a", "b")
            await asyncio.sleep(0.001)
            await ended(registry, "c")
            if not cancelling.reached:
                await eventually(lambda: len(done) >= 3)
                following.cancel()
            await asyncio.wait([following])
            assert registry.completion_cursor(APPLIED) <= max(done, default=0)
            await follow(False)
            assert set(done) == {1, 2, 3}
            assert registry.completion_cursor(APPLIED) == 3

    for step in range(1, 100):
        cancelling = Cancelling(step)
        run(scenario(cancelling))
        if not cancelling.reached:
            break
    assert step > 4


def test_consumers_in_threads() -> None:
    with Registry(store=MemoryStore()) as registry:
        for name in ("a", "b", "c"):
            completed(registry, name=name)
        consumer = registry.consume(APPLIED)
        seen = []
        for item in consumer:
            seen.append(name_of(item))
            if len(seen) == 2:
                break
        assert registry.completion_cursor(APPLIED) == 1
        with pytest.raises(ZeroDivisionError), consumer.batch() as items:
            assert [name_of(item) for item in items] == ["b?", "c?"]
            raise ZeroDivisionError
        with consumer.batch(1) as items:
            pass
        assert registry.completion_cursor(APPLIED) == 2
        next(iter(consumer))
        consumer.succeed()
        assert registry.completion_cursor(APPLIED) == 3
        assert list(registry.consume(APPLIED, wait=False)) == []

        def follow() -> None:
            for item in consumer:
                seen.append(name_of(item))

        def follow_to_the_end() -> None:
            with pytest.raises(RegistryClosedError):
                follow()

        thread = threading.Thread(target=follow_to_the_end)
        thread.start()
        completed(registry, name="later")
        until(lambda: registry.completion_cursor(APPLIED) >= 4)
        registry.close()
        thread.join()
        assert seen[-1].startswith("later")
    with pytest.raises(InvalidValueError, match="consumer"):
        registry.consume("agent_applied")  # type: ignore[arg-type]
    with pytest.raises(InvalidValueError, match="wait"):
        registry.consume(APPLIED, wait=1)  # type: ignore[arg-type]
