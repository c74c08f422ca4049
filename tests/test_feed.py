"""The feed and its cursors: order, retention, gaps, waiting without losing a wake-up."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any

import pytest
from opslifecycle import (
    CompletionCursorConsumer,
    CompletionFeedGap,
    CompletionFeedGapError,
    CursorOutOfRangeError,
    EpochChangedError,
    EpochCursorState,
    InvalidValueError,
    OperationId,
    Registry,
    RegistryClosedError,
    RuntimeEpochId,
)

from tests.support.builders import SLOT, completed, registered, running, spec


def sequences(registry: Registry, after: int = 0) -> list[int]:
    return [entry.seq for entry in registry.completion_feed().list_since(after).entries]


class TestRetention:
    def test_the_oldest_goes_with_its_record(self) -> None:
        registry = Registry(max_completed=2)
        ids = [completed(registry) for _ in range(3)]
        batch = registry.completion_feed().list_since(0)
        assert [entry.operation_id for entry in batch.entries] == ids[1:]
        assert (batch.watermark, batch.dropped_through) == (3, 1)
        assert registry.snapshot(ids[0]) is None
        registry.register_operation(spec(id=ids[0]))

    def test_zero_counts_as_one(self) -> None:
        registry = Registry(max_completed=0)
        completed(registry)
        last = completed(registry)
        assert registry.snapshot(last) is not None
        assert sequences(registry) == [2]

    def test_a_reused_id_is_not_dragged_out_by_its_predecessor(self) -> None:
        registry = Registry(max_completed=2)
        id = completed(registry)
        registry.collect_completed()
        registry.register_operation(spec(id=id))
        completed(registry)
        completed(registry)
        assert sequences(registry) == [2, 3]
        assert registry.snapshot(id) is not None

    def test_rows_of_collected_operations_count(self) -> None:
        registry = Registry(max_completed=2)
        for _ in range(3):
            completed(registry)
            registry.collect_completed()
        assert sequences(registry) == [2, 3]

    def test_many_evictions_keep_the_rows_right(self) -> None:
        registry = Registry(max_completed=10)
        for count in range(1, 500):
            completed(registry)
            assert sequences(registry) == list(range(max(1, count - 9), count + 1))
        assert registry.broken_invariants() == []
        assert len(registry.completion_feed()._rows) < 100

    def test_slots_leave_gaps_in_the_numbers_only(self) -> None:
        registry = Registry()
        completed(registry)
        completed(registry, SLOT)
        completed(registry)
        assert sequences(registry) == [1, 3]
        assert registry.completion_feed().list_since(0).dropped_through == 0


class TestGap:
    def test_exactly_when_the_position_is_before_what_was_dropped(self) -> None:
        registry = Registry(max_completed=1)
        for _ in range(3):
            completed(registry)
        batch = registry.completion_feed().list_since(0)
        assert batch.gap_after(1) == CompletionFeedGap(1, 2, 3)
        assert batch.gap_after(2) is None

    def test_readers_are_told(self) -> None:
        registry = Registry(max_completed=1)
        completed(registry)
        completed(registry)
        feed = registry.completion_feed()
        with pytest.raises(CompletionFeedGapError) as caught:
            next(feed.iterate())
        assert caught.value.gap == CompletionFeedGap(0, 1, 2)
        assert next(feed.iterate(after=1)).seq == 2

        async def subscribed() -> None:
            async for _ in feed.subscribe():
                break

        with pytest.raises(CompletionFeedGapError):
            asyncio.run(subscribed())


class TestEpoch:
    def test_a_position_from_another_life_is_refused(self) -> None:
        feed = Registry().completion_feed()
        other = RuntimeEpochId.new()
        feed.list_since(0, epoch_id=feed.epoch_id)
        for read in (feed.list_since, lambda after, epoch_id: feed.subscribe(epoch_id=epoch_id)):
            with pytest.raises(EpochChangedError) as caught:
                read(0, epoch_id=other)
            assert (caught.value.expected, caught.value.actual) == (other, feed.epoch_id)


class TestPositions:
    @pytest.mark.parametrize("after", [-1, "0", None, 1.0])
    def test_what_is_no_position_is_refused_at_the_call(self, after: Any) -> None:
        feed = Registry().completion_feed()
        calls: list[Callable[[], object]] = [
            lambda: feed.list_since(after),
            lambda: feed.wait_for_advance(after),
            lambda: feed.subscribe(after=after),
            lambda: feed.iterate(after=after),
        ]
        for call in calls:
            with pytest.raises(InvalidValueError) as found:
                call()
            assert found.value.field == "after"

    def test_what_is_no_epoch_is_refused_at_the_call(self) -> None:
        feed = Registry().completion_feed()
        with pytest.raises(InvalidValueError) as found:
            feed.iterate(epoch_id=str(feed.epoch_id))  # type: ignore[arg-type]
        assert found.value.field == "epoch_id"


class TestWaiting:
    def test_it_gives_the_watermark_once_it_is_past(self) -> None:
        registry = Registry()
        feed = registry.completion_feed()
        first, second = feed.wait_for_advance(0), feed.wait_for_advance(1)
        completed(registry, SLOT)
        assert not first.done()
        completed(registry)
        assert (first.result(0), second.result(0)) == (2, 2)
        later = feed.wait_for_advance(2)
        completed(registry)
        assert later.result(0) == 3

    def test_giving_it_up_holds_nothing(self) -> None:
        registry = Registry()
        feed = registry.completion_feed()
        assert feed.wait_for_advance(0).cancel()
        feed.wait_for_advance(5)
        assert registry.list_operations() == []
        assert feed._waits.cells == {}
        both = [feed.wait_for_advance(0) for _ in range(2)]
        assert [each.cancel() for each in both] == [True, True]
        assert feed._waits.cells == {}

    def test_giving_one_up_leaves_another_at_the_same_place(self) -> None:
        registry = Registry()
        feed = registry.completion_feed()
        given_up, kept = feed.wait_for_advance(0), feed.wait_for_advance(0)
        assert given_up.cancel()
        completed(registry)
        assert kept.result(0) == 1
        assert feed._waits.cells == {}

    def test_close_ends_waits_and_subscriptions_after_what_is_there(self) -> None:
        registry = Registry()
        feed = registry.completion_feed()
        completed(registry)

        async def scenario() -> list[int]:
            seen: list[int] = []

            async def read() -> None:
                async for entry in feed.subscribe():
                    seen.append(entry.seq)

            task = asyncio.ensure_future(read())
            await asyncio.sleep(0.01)
            registry.close()
            with pytest.raises(RegistryClosedError):
                await task
            return seen

        assert asyncio.run(scenario()) == [1]
        assert [entry.seq for entry in feed.list_since(0).entries] == [1]
        with pytest.raises(RegistryClosedError):
            list(feed.iterate())

    def test_a_step_times_out_and_the_iterator_stays_usable(self) -> None:
        registry = Registry()
        steps = registry.completion_feed().iterate(timeout=0.001)
        with pytest.raises(TimeoutError):
            next(steps)
        id = completed(registry)
        assert next(steps).operation_id == id

    def test_every_entry_once_and_in_order_while_it_grows(self) -> None:
        registry = Registry(max_completed=5000)
        feed = registry.completion_feed()
        count = 1500

        async def read() -> list[OperationId]:
            seen = []
            async for entry in feed.subscribe():
                seen.append(entry.operation_id)
                if len(seen) == count:
                    break
            return seen

        def iterate() -> list[OperationId]:
            entries = feed.iterate(timeout=30)
            return [next(entries).operation_id for _ in range(count)]

        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            readers = [pool.submit(asyncio.run, read()), pool.submit(iterate)]
            ids = [completed(registry) for _ in range(count)]
            assert [reader.result(60) for reader in readers] == [ids, ids]


class TestCursors:
    def test_three_independent_maxima(self) -> None:
        registry = Registry()
        for _ in range(3):
            completed(registry)
        agent, observed, injected = CompletionCursorConsumer
        assert registry.advance_completion_cursor(agent, 2) == 2
        assert registry.advance_completion_cursor(agent, 1) == 2
        assert registry.advance_completion_cursor(observed, 3) == 3
        cursors = [registry.completion_cursor(c) for c in (agent, observed, injected)]
        assert cursors == [2, 3, 0]

    def test_not_past_the_watermark(self) -> None:
        registry = Registry()
        completed(registry)
        completed(registry, SLOT)
        with pytest.raises(CursorOutOfRangeError) as caught:
            registry.advance_completion_cursor(CompletionCursorConsumer.AGENT_APPLIED, 2)
        assert str(caught.value) == "completion cursor 2 is past the watermark 1"
        assert registry.completion_cursor(CompletionCursorConsumer.AGENT_APPLIED) == 0

    def test_the_cache_is_told_what_was_accepted_and_never_read(self) -> None:
        registry = Registry()
        completed(registry)
        cache = EpochCursorState(runtime_observed_seq=9)
        observed = CompletionCursorConsumer.RUNTIME_OBSERVED
        with pytest.raises(CursorOutOfRangeError):
            registry.advance_completion_cursor(observed, 5, cache)
        assert cache == EpochCursorState(0, 9, 0)
        assert registry.advance_completion_cursor(observed, 1, cache) == 1
        assert cache == EpochCursorState(0, 1, 0)
        for consumer in CompletionCursorConsumer:
            registry.advance_completion_cursor(consumer, 1, cache)
        assert cache == EpochCursorState(1, 1, 1)


def test_reads_are_of_one_instant() -> None:
    registry = Registry(max_completed=3)
    feed = registry.completion_feed()
    stop = threading.Event()

    def check() -> int:
        count = 0
        while not stop.is_set():
            batch = feed.list_since(0)
            seqs = [entry.seq for entry in batch.entries]
            assert seqs == sorted(set(seqs))
            assert len(seqs) <= 3
            assert not seqs or (seqs[-1] == batch.watermark and seqs[0] > batch.dropped_through)
            count += 1
        return count

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(check) for _ in range(2)]
        try:
            for _ in range(500):
                completed(registry)
                registered(registry)
                running(registry)
        finally:
            stop.set()
        assert all(reader.result(30) > 0 for reader in readers)


class TestBeyondTheWatermark:
    """A position that no reader can have reached comes from somewhere else."""

    def test_a_subscription_is_refused_at_the_call(self) -> None:
        registry = Registry()
        completed(registry)
        feed = registry.completion_feed()
        for call in (feed.subscribe, feed.iterate):
            with pytest.raises(CursorOutOfRangeError) as caught:
                call(after=2)
            assert (caught.value.cursor, caught.value.watermark) == (2, 1)
            call(after=1)

    def test_an_epoch_is_asked_for_first(self) -> None:
        feed = Registry().completion_feed()
        with pytest.raises(EpochChangedError):
            feed.subscribe(after=5, epoch_id=RuntimeEpochId.new())

    def test_a_list_is_empty_and_a_wait_goes_on(self) -> None:
        registry = Registry()
        completed(registry)
        feed = registry.completion_feed()
        batch = feed.list_since(2)
        assert (batch.entries, batch.watermark, batch.gap_after(2)) == ((), 1, None)
        wait = feed.wait_for_advance(2)
        completed(registry)
        assert not wait.done()
        completed(registry)
        assert wait.result(0) == 3


class TestAReaderThatIsUpToDate:
    def test_gets_the_edges_of_now_and_nothing_twice(self) -> None:
        registry = Registry(max_completed=2)
        feed = registry.completion_feed()
        for seq in range(1, 6):
            id = completed(registry)
            assert [entry.operation_id for entry in feed.list_since(seq - 1).entries] == [id]
            for _ in range(2):
                batch = feed.list_since(seq)
                assert batch.entries == ()
                assert (batch.watermark, batch.dropped_through) == (seq, max(0, seq - 2))

    def test_is_asked_for_a_count_and_the_epoch_of_the_feed(self) -> None:
        registry = Registry()
        feed = registry.completion_feed()
        completed(registry)
        assert feed.list_since(1).entries == ()
        for wrong in (True, 1.0):
            with pytest.raises(InvalidValueError):
                feed.list_since(wrong)  # type: ignore[arg-type]
        with pytest.raises(EpochChangedError):
            feed.list_since(1, epoch_id=RuntimeEpochId.new())
        assert feed.list_since(1, epoch_id=feed.epoch_id).entries == ()
