"""Watches and barriers, from threads and from event loops: ended, cancelled, dropped and lost."""

from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import gc
import pickle
import threading
import weakref
from typing import Any

import pytest
from opslifecycle import (
    BarrierMemberRolledBackError,
    ChannelClosedError,
    Completed,
    DuplicateWaitOperationError,
    EventLoopBlockedError,
    InvalidValueError,
    OperationCompletionWatch,
    OperationId,
    OperationNotFoundError,
    Registry,
    RegistryClosedError,
    Retired,
    RunId,
    Terminated,
    WaitAllSatisfied,
    WaitAlreadyActiveError,
)
from opslifecycle.sync.barriers import Barriers
from opslifecycle.sync.publication import PublicationLock
from opslifecycle.sync.waits import Wait

from tests.support.builders import SLOT, completed, registered, result, running, spec
from tests.support.waiting import until


def watchers(registry: Registry, id: OperationId) -> int:
    found = registry.snapshot(id)
    assert found is not None
    return found.watcher_count


def waiters_of(watch: Any) -> list[Any]:
    """Whom its end wakes."""
    return list(watch._cell.waiters)


class TestWatch:
    def test_every_watcher_gets_the_outcome(self) -> None:
        registry = Registry()
        id = running(registry)
        watches = [registry.register_watcher(id) for _ in range(3)]
        assert watchers(registry, id) == 3
        given = result()
        registry.complete_operation(id, given)
        late = registry.register_watcher(id)
        assert [w.result() for w in [*watches, late]] == [Completed(given)] * 4
        assert watchers(registry, id) == 0

    def test_an_unknown_id_raises_at_the_call(self) -> None:
        with pytest.raises(OperationNotFoundError):
            Registry().register_watcher(OperationId.new())

    def test_a_timeout_leaves_it_pending(self) -> None:
        registry = Registry()
        id = running(registry)
        watch = registry.register_watcher(id)
        for timeout in (0, 0.001):
            with pytest.raises(TimeoutError):
                watch.result(timeout)
        assert not watch.done()
        assert waiters_of(watch) == []
        registry.mark_retired(id)
        assert watch.result(0) == Retired()

    @pytest.mark.parametrize("timeout", [float("nan"), "1"])
    def test_a_wrong_timeout_is_refused(self, timeout: Any) -> None:
        registry = Registry()
        watch = registry.register_watcher(running(registry))
        with pytest.raises(InvalidValueError):
            watch.result(timeout)

    def test_a_thread_is_woken(self) -> None:
        registry = Registry()
        id = running(registry)
        watch = registry.register_watcher(id)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(watch.result, 30) for _ in range(2)]
            registry.mark_retired(id)
            assert [f.result(30) for f in waiting] == [Retired()] * 2

    def test_tasks_of_several_loops_are_woken(self) -> None:
        registry = Registry()
        id = running(registry)
        watch = registry.register_watcher(id)
        ready = threading.Barrier(3)

        async def wait() -> Any:
            tasks = [asyncio.ensure_future(_awaited(watch)) for _ in range(4)]
            await asyncio.sleep(0)
            ready.wait(30)
            return await asyncio.gather(*tasks)

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            loops = [pool.submit(asyncio.run, wait()) for _ in range(2)]
            ready.wait(30)
            registry.mark_retired(id)
            assert [f.result(30) for f in loops] == [[Retired()] * 4] * 2

    def test_cancelling_a_task_ends_that_await_only(self) -> None:
        async def scenario() -> None:
            registry = Registry()
            id = running(registry)
            watch = registry.register_watcher(id)
            first, second = (asyncio.ensure_future(_awaited(watch)) for _ in range(2))
            await asyncio.sleep(0)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            assert watchers(registry, id) == 1
            assert len(waiters_of(watch)) == 1
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            assert waiters_of(watch) == []
            third = asyncio.ensure_future(_awaited(watch))
            await asyncio.sleep(0)
            registry.mark_retired(id)
            assert await third == Retired()

        asyncio.run(scenario())

    def test_a_cancelled_watch_has_ended_and_is_forgotten(self) -> None:
        registry = Registry()
        id = running(registry)
        watch = registry.register_watcher(id)
        assert watch.cancel()
        assert not watch.cancel()
        assert watch.done()
        assert watchers(registry, id) == 0
        for kind in (asyncio.CancelledError, concurrent.futures.CancelledError):
            with pytest.raises(kind):
                watch.result()
        registry.mark_retired(id)
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(_awaited(watch))

    def test_cancel_wakes_who_waits_and_a_resolved_one_ignores_it(self) -> None:
        registry = Registry()
        id = running(registry)
        watch = registry.register_watcher(id)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(watch.result, 30)
            watch.cancel()
            with pytest.raises(concurrent.futures.CancelledError):
                waiting.result(30)
        registry.mark_retired(id)
        ended = registry.register_watcher(id)
        assert not ended.cancel()
        assert ended.result() == Retired()

    def test_a_task_is_woken_when_all_are_ended(self) -> None:
        async def scenario() -> None:
            registry = Registry()
            watch = registry.register_watcher(running(registry))
            waiting = asyncio.ensure_future(_awaited(watch))
            await asyncio.sleep(0)
            registry.terminate_owner("enough")
            assert await asyncio.wait_for(waiting, 30) == Terminated("enough")

        asyncio.run(scenario())

    def test_a_thread_may_wait_for_as_long_as_it_takes(self) -> None:
        registry = Registry()
        id = running(registry)
        watch = registry.register_watcher(id)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(watch.result)
            until(lambda: watch._cell.waiters)
            registry.mark_retired(id)
            assert waiting.result(30) == Retired()

    def test_cancel_wakes_tasks_too(self) -> None:
        async def scenario() -> None:
            registry = Registry()
            watch = registry.register_watcher(running(registry))
            tasks = [asyncio.ensure_future(_awaited(watch)) for _ in range(2)]
            await asyncio.sleep(0)
            assert watch.cancel()
            done, _ = await asyncio.wait(tasks, timeout=30)
            assert [task.cancelled() for task in done] == [True, True]

        asyncio.run(scenario())

    @pytest.mark.parametrize("how", ["end", "cancel", "close", "roll back", "late"])
    def test_a_callback_is_called_however_it_is_over(self, how: str) -> None:
        registry = Registry()
        id = running(registry)
        watch = registry.register_watcher(id)
        called: list[bool] = []
        if how == "late":
            watch.cancel()
        watch.add_done_callback(lambda: called.append(watch.done()))
        assert called == ([True] if how == "late" else [])
        match how:
            case "end":
                registry.complete_operation(id, result())
            case "cancel":
                watch.cancel()
            case "close":
                registry.close()
            case "roll back":
                registry.rollback_unreturned_operation(id)
        assert called == [True]

    def test_the_callback_of_a_dropped_watch_is_dropped(self) -> None:
        registry = Registry()
        id = running(registry)
        called: list[None] = []
        watch = registry.register_watcher(id)
        watch.add_done_callback(lambda: called.append(None))
        del watch
        gc.collect()
        registry.complete_operation(id, result())
        assert called == []
        assert watchers(registry, id) == 0

    def test_cancelling_one_watch_leaves_the_others(self) -> None:
        async def scenario() -> None:
            registry = Registry()
            id = running(registry)
            given_up, kept = registry.register_watcher(id), registry.register_watcher(id)
            tasks = [asyncio.ensure_future(_awaited(each)) for each in (given_up, kept, kept)]
            await asyncio.sleep(0)
            assert given_up.cancel()
            assert watchers(registry, id) == 1
            await asyncio.sleep(0)
            tasks[1].cancel()
            await asyncio.sleep(0)
            assert [task.done() for task in tasks] == [True, True, False]
            assert not kept.done()
            registry.mark_retired(id)
            assert await tasks[2] == kept.result() == Retired()
            assert tasks[0].cancelled()
            with pytest.raises(asyncio.CancelledError):
                given_up.result()

        asyncio.run(scenario())

    def test_a_new_watch_after_the_last_was_given_up_is_told(self) -> None:
        registry = Registry()
        id = running(registry)
        assert registry.register_watcher(id).cancel()
        watch = registry.register_watcher(id)
        assert watchers(registry, id) == 1
        registry.mark_retired(id)
        assert watch.result() == Retired()

    def test_a_dropped_watch_no_longer_counts_and_holds_nothing(self) -> None:
        registry = Registry()
        id = running(registry)
        kept = registry.register_watcher(id)
        for _ in range(100):
            registry.register_watcher(id)
        assert watchers(registry, id) == 1
        assert len(registry._engine.effects.watchers.cells[id]) == 1
        del kept
        assert watchers(registry, id) == 0
        assert registry._engine.effects.watchers.cells == {}

    def test_a_watch_dropped_while_another_is_taken_no_longer_counts(self) -> None:
        registry = Registry()
        id = running(registry)
        dropped = [registry.register_watcher(id)]

        def admit(authority: Any, id: OperationId) -> None:
            # As if the garbage were collected in the middle of it.
            dropped.clear()

        watch = registry._engine.watch(running(registry), admit, OperationCompletionWatch)
        assert watchers(registry, id) == 0
        assert not watch.done()

    def test_an_await_in_progress_keeps_the_watch(self) -> None:
        async def scenario() -> None:
            registry = Registry()
            id = running(registry)
            task = asyncio.ensure_future(_awaited(registry.register_watcher(id)))
            await asyncio.sleep(0)
            gc.collect()
            assert watchers(registry, id) == 1
            registry.mark_retired(id)
            assert await task == Retired()

        asyncio.run(scenario())

    def test_result_inside_a_loop_is_refused_only_if_it_would_block(self) -> None:
        async def scenario() -> None:
            registry = Registry()
            id = running(registry)
            watch = registry.register_watcher(id)
            with pytest.raises(EventLoopBlockedError):
                watch.result(1)
            with pytest.raises(TimeoutError):
                watch.result(0)
            registry.mark_retired(id)
            assert watch.result() == Retired()

        asyncio.run(scenario())

    def test_a_closed_loop_does_not_disturb_the_end(self) -> None:
        registry = Registry()
        id = running(registry)
        watch = registry.register_watcher(id)
        loop = asyncio.new_event_loop()
        task = loop.create_task(_awaited(watch))
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        registry.mark_retired(id)
        assert watch.result() == Retired()
        task.get_coro().close()
        task._log_destroy_pending = False  # type: ignore[attr-defined]

    def test_a_watch_does_not_keep_its_registry(self) -> None:
        registry = Registry()
        watch = registry.register_watcher(running(registry))
        gone = weakref.ref(registry)
        del registry
        gc.collect()
        assert gone() is None
        with pytest.raises(ChannelClosedError):
            watch.result()

    def test_it_cannot_be_copied(self) -> None:
        registry = Registry()
        watch = registry.register_watcher(running(registry))
        for make in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError):
                make(watch)


async def _awaited(wait: Any) -> Any:
    return await wait


class TestBarrier:
    def test_outcomes_come_in_the_order_asked_with_a_token(self) -> None:
        registry = Registry()
        run = RunId.new()
        ids = [running(registry) for _ in range(3)]
        wait = registry.wait_all(run, ids)
        for id in reversed(ids):
            assert not wait.done()
            registry.mark_retired(id)
        given = wait.result(0)
        assert list(given.outcomes) == [(id, Retired()) for id in ids]
        assert given.satisfied.run_id == run
        assert list(given.satisfied.operation_ids) == ids
        assert given is wait.result(0)

    def test_nothing_left_to_wait_for_is_satisfied_at_once(self) -> None:
        registry = Registry()
        ended = completed(registry)
        for ids in ([], [ended]):
            wait = registry.wait_all(RunId.new(), ids)
            assert wait.done()
            assert [id for id, _ in wait.result().outcomes] == ids

    def test_refusals_in_their_order(self) -> None:
        registry = Registry()
        run, unknown = RunId.new(), OperationId.new()
        live, other = running(registry), running(registry)
        first = registry.wait_all(run, [live])
        repeated = registry.wait_all(run, [unknown, other, live, other, unknown])
        with pytest.raises(DuplicateWaitOperationError) as caught:
            repeated.result(0)
        assert caught.value.id == other
        with pytest.raises(WaitAlreadyActiveError):
            registry.wait_all(run, [unknown]).result(0)
        with pytest.raises(OperationNotFoundError) as missing:
            registry.wait_all(RunId.new(), [live, unknown, OperationId.new()]).result(0)
        assert missing.value.id == unknown
        assert not first.done()

    def test_two_runs_wait_at_once_and_a_run_may_wait_again(self) -> None:
        registry = Registry()
        one, two = RunId.new(), RunId.new()
        id = running(registry)
        waits = [registry.wait_all(one, [id]), registry.wait_all(two, [id])]
        registry.mark_retired(id)
        assert [w.result(0).satisfied.run_id for w in waits] == [one, two]
        assert registry.wait_all(one, [id]).done()

    def test_a_slot_resolves_it(self) -> None:
        registry = Registry()
        slot = running(registry, SLOT)
        wait = registry.wait_all(RunId.new(), [slot])
        given = result()
        registry.complete_operation(slot, given)
        assert list(wait.result(0).outcomes) == [(slot, Completed(given))]

    def test_eviction_and_collection_lose_nothing(self) -> None:
        registry = Registry(max_completed=1)
        ids = [running(registry) for _ in range(4)]
        wait = registry.wait_all(RunId.new(), ids)
        for id in ids[:3]:
            registry.mark_retired(id)
        registry.collect_completed()
        registry.register_operation(spec(id=ids[0]))
        registry.cancel_operation(ids[0])
        registry.mark_retired(ids[3])
        assert list(wait.result(0).outcomes) == [(id, Retired()) for id in ids]

    def test_rollback_of_a_member_fails_it_at_once(self) -> None:
        registry = Registry()
        run = RunId.new()
        ids = [running(registry) for _ in range(2)]
        wait = registry.wait_all(run, ids)
        registry.rollback_unreturned_operation(ids[0])
        with pytest.raises(BarrierMemberRolledBackError) as caught:
            wait.result(0)
        assert caught.value.id == ids[0]
        assert not registry.wait_all(run, [ids[1]]).done()

    @pytest.mark.parametrize("how", ["cancel", "drop"])
    def test_giving_it_up_clears_it(self, how: str) -> None:
        registry = Registry()
        run, id = RunId.new(), running(registry)
        wait = registry.wait_all(run, [id])
        if how == "cancel":
            assert wait.cancel()
        del wait
        assert registry.broken_invariants() == []
        assert registry._engine.effects.barriers.by_member == {}
        again = registry.wait_all(run, [id])
        registry.mark_retired(id)
        assert again.result(0)

    def test_it_acts_at_the_call(self) -> None:
        registry = Registry()
        id = registered(registry)
        wait = registry.wait_all(RunId.new(), iter([id]))
        registry.cancel_operation(id)
        assert wait.done()

    def test_close_ends_it(self) -> None:
        registry = Registry()
        wait = registry.wait_all(RunId.new(), [running(registry)])
        registry.close()
        with pytest.raises(RegistryClosedError):
            wait.result()

    def test_only_the_registry_makes_a_token(self) -> None:
        with pytest.raises(TypeError):
            WaitAllSatisfied()
        token = Registry().wait_all(RunId.new(), []).result().satisfied
        for make in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError):
                make(token)
        with pytest.raises(AttributeError):
            token.run_id = RunId.new()


class TestBarriers:
    def test_those_of_one_key_are_told_apart_and_leave_nothing_behind(self) -> None:
        barriers: Barriers[str, str] = Barriers()
        lock = PublicationLock()
        first, second = (barriers.add("key", [id], {}, list, Wait, lock) for id in "ab")
        barriers.forget(first._cell)
        assert barriers.active("key") == 1
        barriers.forget(second._cell)
        assert barriers.active("key") == 0
        assert not barriers._by_key
        assert not barriers.by_member


def test_a_wait_that_has_ended_holds_nothing_of_the_registry() -> None:
    registry = Registry()
    id = running(registry)
    watch, barrier = registry.register_watcher(id), registry.wait_all(RunId.new(), [id])
    cells: list[Any] = [watch._cell, barrier._cell]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(each.result, 30) for each in (watch, barrier)]
        until(lambda: all(cell.waiters for cell in cells))
        registry.mark_retired(id)
        assert [each.exception(30) for each in waiting] == [None, None]
    assert [(cell.key, cell.owner, cell.waiters) for cell in cells] == [(None, None, None)] * 2
