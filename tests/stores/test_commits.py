"""Group commit over every store: in order, as one step, and if it fails nothing has happened."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opslifecycle import (
    ChannelClosedError,
    Completed,
    InternalError,
    InvalidTransitionError,
    MaxConcurrentExceededError,
    MemoryStore,
    OperationId,
    OperationNotFoundError,
    OperationStatus,
    OwnerRetiredError,
    OwnershipLostError,
    PersistenceError,
    Registry,
    RegistryClosedError,
    Retired,
    RunId,
)
from opslifecycle.shell import commits
from opslifecycle.shell.commands import Command, Decision
from opslifecycle.stores.base import Commit

from opslifecycle.operations.authority import OperationRecord
from tests.support.builders import SLOT, UPDATE, completed, registered, result, running, spec
from tests.support.gate import Gate, MakeStore, committer_of, snapshot, statuses
from tests.support.waiting import until


class TestGroupCommit:
    def test_a_hundred_behind_one_held_commit_need_one_more(
        self, registry: Registry, gate: Gate
    ) -> None:
        ids = [running(registry) for _ in range(100)]
        first = running(registry)
        before = len(gate.commits)
        threads = threading.active_count()
        gate.hold()
        with ThreadPoolExecutor(101) as pool:
            held = pool.submit(registry.mark_retired, first)
            assert gate.waiting.wait(30)
            rest = [pool.submit(registry.mark_retired, id) for id in ids]
            queue = committer_of(registry)._mailbox._queue
            until(lambda: queue.qsize() >= 100)
            assert threading.active_count() <= threads + 101
            gate.open_gate.set()
            for each in (held, *rest):
                each.result(30)
        assert len(gate.commits) == before + 2
        assert registry.completion_feed().watermark == 101

    def test_readers_see_no_end_before_it_is_stored(self, registry: Registry, gate: Gate) -> None:
        id = running(registry)
        watch = registry.register_watcher(id)
        barrier = registry.wait_all(RunId.new(), [id])
        gate.hold()
        with ThreadPoolExecutor(1) as pool:
            ending = pool.submit(registry.mark_retired, id)
            assert gate.waiting.wait(30)
            assert snapshot(registry, id).status is OperationStatus.RUNNING
            assert registry.list_operations(terminal=True) == []
            assert registry.completion_feed().watermark == 0
            assert [each.done() for each in (watch, barrier, ending)] == [False] * 3
            assert not registry.register_watcher(id).done()
            gate.open_gate.set()
            ending.result(30)
        assert watch.result(0) == Retired()
        assert barrier.done()

    def test_a_batch_is_decided_in_order_on_its_own_predecessors(
        self, registry: Registry, gate: Gate
    ) -> None:
        id, slot = OperationId.new(), running(registry, SLOT)
        gate.hold()

        async def scenario() -> list[Any]:
            tasks = [asyncio.ensure_future(each) for each in _asked_at_once(registry, id, slot)]
            await asyncio.sleep(0.05)
            gate.open_gate.set()
            return await asyncio.gather(*tasks, return_exceptions=True)

        answers = asyncio.run(scenario())
        assert answers[:4] == [None] * 4
        assert answers[4] == InvalidTransitionError(id, OperationStatus.COMPLETED, "mark_retired")
        assert [outcome for _, outcome in answers[5]] == [Completed(GIVEN)]
        assert answers[6] == OperationNotFoundError(id)
        assert answers[7:] == [None, None, None]
        assert len(gate.commits) <= 2
        assert snapshot(registry, id).status is OperationStatus.PROVISIONING
        assert registry.broken_invariants() == []

    def test_a_failed_batch_has_not_happened_and_may_be_repeated(
        self, registry: Registry, gate: Gate
    ) -> None:
        ids = [running(registry) for _ in range(3)]
        watch = registry.register_watcher(ids[0])
        seen = registry.list_operations(), registry.completion_feed().list_since(0)
        new = spec()
        gate.fails = PersistenceError("disk", "full")
        calls: list[Callable[[], Any]] = [
            lambda: registry.mark_retired(ids[0]),
            lambda: registry.register_operation(new),
            lambda: registry.rollback_unreturned_operation(ids[1]),
            lambda: registry.terminate_owner("x"),
            lambda: registry.retire_owner("x"),
        ]
        for call in calls:
            with pytest.raises(PersistenceError):
                call()
            now = registry.list_operations(), registry.completion_feed().list_since(0)
            assert now == seen
            assert not watch.done()
        gate.fails = None
        registry.mark_retired(ids[0])
        assert registry.completion_feed().watermark == 1
        assert watch.result(0) == Retired()
        registry.register_operation(new)
        registry.rollback_unreturned_operation(ids[1])
        assert registry.broken_invariants() == []

    def test_a_failure_while_evicting_is_undone(self, make_store: MakeStore) -> None:
        gate = Gate(make_store())
        with Registry(store=gate, max_completed=2) as registry:
            for _ in range(3):
                completed(registry)
            ids = [running(registry) for _ in range(4)]
            seen = registry.completion_feed().list_since(0)
            gate.fails = PersistenceError("disk", "full")
            for _ in range(2):
                with pytest.raises(PersistenceError):
                    registry.terminate_owner("x")
                assert registry.completion_feed().list_since(0) == seen
            gate.fails = None
            registry.mark_retired(ids[0])
            rows = registry.completion_feed().list_since(0)
            assert [entry.seq for entry in rows.entries] == [3, 4]
            assert rows.dropped_through == 2
            assert registry.broken_invariants() == []
            registry.terminate_owner("x")
            rows = registry.completion_feed().list_since(0)
            assert [entry.seq for entry in rows.entries] == [6, 7]
            assert registry.broken_invariants() == []

    def test_close_finishes_what_was_asked_before(self, gate: Gate) -> None:
        registry = Registry(store=gate)
        id = running(registry)
        gate.hold()
        with ThreadPoolExecutor(3) as pool:
            first = pool.submit(registry.register_operation, spec())
            assert gate.waiting.wait(30)
            second = pool.submit(registry.mark_retired, id)
            queue = committer_of(registry)._mailbox._queue
            until(lambda: queue.qsize() >= 1)
            closing = pool.submit(registry.close)
            gate.open_gate.set()
            for each in (first, second, closing):
                each.result(30)
        assert snapshot(registry, id).status is OperationStatus.RETIRED
        with pytest.raises(RegistryClosedError):
            registry.register_operation(spec())

    def test_an_owner_that_lost_its_store_is_told_and_closed(
        self, registry: Registry, gate: Gate
    ) -> None:
        id = running(registry)
        watch = registry.register_watcher(id)
        gate.fails = OwnershipLostError()
        with pytest.raises(OwnershipLostError):
            registry.mark_retired(id)
        with pytest.raises(ChannelClosedError):
            watch.result(30)
        with pytest.raises(OwnershipLostError):
            registry.register_operation(spec())
        assert snapshot(registry, id).status is OperationStatus.RUNNING

    def test_a_registry_that_lost_its_store_is_forgotten_with_its_last_reference(self) -> None:
        gate = Gate(MemoryStore())
        registry = Registry(store=gate)
        thread = committer_of(registry)._thread
        assert thread is not None
        gate.fails = OwnershipLostError()
        with contextlib.suppress(OwnershipLostError):
            registry.register_operation(spec())
        thread.join(30)
        # It refers to the frames that it was raised in.
        gate.fails = None
        found = weakref.ref(registry)
        del registry
        gc.collect()
        assert found() is None

    def test_closing_from_within_does_not_wait_for_itself(self, registry: Registry) -> None:
        committer = committer_of(registry)

        def closing(authority: object) -> Decision[None, OperationRecord]:
            committer.close()
            return None, (), False

        registry._executor.run(Command(closing))
        with pytest.raises(RegistryClosedError):
            running(registry)

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_a_broken_store_closes_the_registry(self, registry: Registry, gate: Gate) -> None:
        id = running(registry)
        gate.fails = ZeroDivisionError("a bug")
        with pytest.raises(InternalError):
            registry.mark_retired(id)
        thread = committer_of(registry)._thread
        assert thread is not None
        thread.join(30)
        with pytest.raises(RegistryClosedError):
            registry.register_operation(spec())

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_a_failure_while_publishing_leaves_no_caller_waiting(self, registry: Registry) -> None:
        ids = [running(registry), running(registry)]
        watch = registry.register_watcher(ids[1])
        registry._engine.effects._plans = None  # type: ignore[assignment]
        with pytest.raises(InternalError):
            registry.mark_retired(ids[0])
        # Its exception is reported in this test, and not in the next one.
        thread = committer_of(registry)._thread
        assert thread is not None
        thread.join(30)
        with pytest.raises(ChannelClosedError):
            watch.result(30)
        with pytest.raises(RegistryClosedError):
            registry.mark_retired(ids[1])

    def test_a_deferred_write_that_failed_is_tried_again(
        self, registry: Registry, gate: Gate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(commits, "DEFERRED_SECONDS", 0.01)
        monkeypatch.setattr(commits, "RETRY_SECONDS", 0.01)
        id = registered(registry)
        gate.waiting.clear()
        gate.fails = PersistenceError("disk", "full")
        registry.provisioning_succeeded(id)
        assert gate.waiting.wait(30)
        gate.fails = None
        until(lambda: len(gate.commits) >= 2)
        assert statuses(gate.commits[1]) == ["running"]

    def test_readers_are_not_held_up_by_a_commit(self, registry: Registry, gate: Gate) -> None:
        id = running(registry)
        gate.hold()
        with ThreadPoolExecutor(1) as pool:
            ending = pool.submit(registry.mark_retired, id)
            assert gate.waiting.wait(30)
            for _ in range(100):
                registry.list_operations()
                registry.completion_feed().list_since(0)
                registry.register_watcher(id)
            assert not ending.done()
            gate.open_gate.set()


GIVEN = result()


def _asked_at_once(registry: Registry, id: OperationId, slot: OperationId) -> list[Any]:
    from opslifecycle.shell.commands import collecting

    from opslifecycle.operations import OperationAuthority as Authority
    from opslifecycle.operations import OperationEffect

    act, first, second = registry._executor.act_async, spec(), spec(id=id)
    collect = collecting(Authority.collect_completed, (OperationEffect.ERASE,))
    return [
        act(first.id, Authority.register, (first, None, None)),
        act(id, Authority.register, (second, None, None)),
        act(id, Authority.start, (id,)),
        act(id, Authority.complete, (id, GIVEN)),
        act(id, Authority.retire_completed, (id,)),
        registry._executor.run_async(collect),
        act(id, Authority.start, (id,)),
        act(id, Authority.register, (second, None, None)),
        act(slot, Authority.complete, (slot, GIVEN)),
        act(slot, Authority.register, (spec(SLOT, id=slot), None, None)),
    ]


class Hand:
    """A clock that only goes on when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        monkeypatch.setattr(commits, "_now", lambda: self.seconds)


class TestDeferredWrites:
    def test_what_is_refused_is_not_kept(self, registry: Registry, gate: Gate) -> None:
        registry.retire_owner("done")
        before = len(gate.commits)
        with pytest.raises(OwnerRetiredError):
            registry.collect_completed()
        assert len(gate.commits) == before

    def test_what_was_written_with_another_command_is_not_written_again(
        self, registry: Registry, gate: Gate
    ) -> None:
        running(registry)
        for _ in range(2):
            registry.register_operation(spec())
        assert [statuses(commit) for commit in gate.commits] == [
            ["provisioning"], ["provisioning", "running"], ["provisioning"]
        ]  # fmt: skip

    def test_what_a_deadline_has_written_is_not_written_again(
        self, registry: Registry, gate: Gate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(commits, "DEFERRED_SECONDS", 0.01)
        running(registry)
        until(lambda: len(gate.commits) >= 2)
        monkeypatch.setattr(commits, "DEFERRED_SECONDS", 1000.0)
        registry.register_operation(spec())
        assert [statuses(commit) for commit in gate.commits] == [
            ["provisioning"], ["running"], ["provisioning"]
        ]  # fmt: skip

    def test_commands_that_keep_arriving_do_not_put_off_a_deferred_write(
        self, registry: Registry, gate: Gate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = Hand(monkeypatch)
        id = running(registry)
        for _ in range(3):
            clock.seconds += 400
            registry.report_progress(id, UPDATE)
        # The deadline is counted from the start of the operation, not from the latest report.
        until(lambda: len(gate.commits) == 2)
        registry.report_progress(id, UPDATE)
        assert len(gate.commits) == 2
        assert json.loads(gate.commits[1].writes[0][2])["progress_count"] == 3

    def test_a_deferred_command_is_answered_before_the_write_that_is_due(
        self, registry: Registry, gate: Gate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = Hand(monkeypatch)
        id = running(registry)
        clock.seconds += 1001
        gate.hold()
        registry.report_progress(id, UPDATE)
        assert gate.waiting.wait(30)
        gate.open_gate.set()
        registry.mark_retired(id)
        assert [statuses(commit) for commit in gate.commits] == [
            ["provisioning"], ["running"], ["retired"]
        ]  # fmt: skip

    def test_a_store_that_fails_keeps_no_deferred_command_from_going_on(
        self, registry: Registry, gate: Gate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = Hand(monkeypatch)
        id = running(registry)
        gate.fails = PersistenceError("disk", "full")
        for _ in range(5):
            clock.seconds += 1001
            registry.report_progress(id, UPDATE)
        with pytest.raises(PersistenceError):
            registry.register_operation(spec())
        gate.fails = None
        registry.register_operation(spec())
        assert statuses(gate.commits[1]) == ["provisioning", "running"]

    def test_a_busy_owner_keeps_its_heartbeat(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = Hand(monkeypatch)

        class Beating(MemoryStore):
            beats = 0

            def heartbeat_seconds(self) -> float:
                return 300.0

            def heartbeat(self) -> None:
                self.beats += 1

        store = Beating()
        with Registry(store=store) as registry:
            id = running(registry)
            for expected in range(1, 4):
                clock.seconds += 200
                registry.report_progress(id, UPDATE)
                clock.seconds += 200
                registry.report_progress(id, UPDATE)
                until(lambda expected=expected: store.beats >= expected)  # type: ignore[misc]

    def test_closing_says_what_it_could_not_write(
        self, make_store: MakeStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        gate = Gate(make_store())
        registry = Registry(store=gate)
        running(registry)
        gate.fails = PersistenceError("disk", "full")
        registry.close()
        assert caplog.messages == ["closed without the deferred writes of 1 record(s): disk: full"]
        with pytest.raises(RegistryClosedError):
            registry.register_operation(spec())
        with Registry(store=make_store()) as registry:
            assert registry.completion_feed().watermark == 1

    def test_a_row_is_kept_of_what_ended_and_left_in_one_batch(self, make_store: MakeStore) -> None:
        gate = Gate(make_store())
        with Registry(store=gate) as registry, ThreadPoolExecutor(4) as pool:
            ended, gone = running(registry), running(registry)
            queue = committer_of(registry)._mailbox._queue
            gate.hold()
            held = pool.submit(registry.register_operation, spec())
            assert gate.waiting.wait(30)
            calls: list[Callable[[], Any]] = [
                lambda: registry.mark_retired(ended),
                registry.collect_completed,
                lambda: registry.rollback_unreturned_operation(gone),
            ]
            rest = []
            for number, call in enumerate(calls):
                rest.append(pool.submit(call))
                until(lambda number=number: queue.qsize() > number)  # type: ignore[misc]
            gate.open_gate.set()
            for each in (held, *rest):
                each.result(30)
            batch = registry.completion_feed().list_since(0)
            assert statuses(gate.commits[-1]) == ["retired"]
        with Registry(store=make_store()) as registry:
            rows = registry.completion_feed().list_since(0).entries
            assert rows[:1] == batch.entries
            assert [registry.snapshot(id) for id in (ended, gone)] == [None, None]


def test_a_store_is_told_that_its_owner_is_alive() -> None:
    class Beating(MemoryStore):
        beats = 0

        def heartbeat_seconds(self) -> float:
            return 0.001

        def heartbeat(self) -> None:
            self.beats += 1

    store = Beating()
    with Registry(store=store) as registry:
        registered(registry)
        until(lambda: store.beats >= 3)


@pytest.mark.parametrize("noticed_by", ["append", "heartbeat"])
def test_who_hears_that_ownership_is_lost_may_open_the_store_again(noticed_by: str) -> None:
    closed = threading.Event()

    class Losing(MemoryStore):
        is_lost = False

        def append(self, commit: Commit) -> None:
            if self.is_lost and noticed_by == "append":
                raise OwnershipLostError
            super().append(commit)

        def heartbeat_seconds(self) -> float:
            return 0.001

        def heartbeat(self) -> None:
            if self.is_lost and noticed_by == "heartbeat":
                raise OwnershipLostError

        def close(self) -> None:
            # An answer that came before the end of this would be seen before it.
            closed.wait(0.05)
            closed.set()
            super().close()

    store = Losing()
    registry = Registry(store=store)
    watch = registry.register_watcher(registered(registry))
    store.is_lost = True
    if noticed_by == "append":
        with pytest.raises(OwnershipLostError):
            registry.register_operation(spec())
    else:
        with pytest.raises(ChannelClosedError):
            watch.result(30)
    assert closed.is_set()


def test_a_registry_that_is_never_closed_lets_its_process_end() -> None:
    program = "from opslifecycle import *; registry = Registry(store=MemoryStore())"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


class TestLimits:
    def test_what_a_lower_limit_evicts_at_opening_does_not_come_back(
        self, make_store: MakeStore
    ) -> None:
        """Contract 9.21 and 9.23."""
        with Registry(store=make_store()) as registry:
            ids = [completed(registry) for _ in range(6)]
        for _ in range(2):
            with Registry(store=make_store(), max_completed=2) as registry:
                assert [each.id for each in registry.list_operations()] == ids[4:]
        with Registry(store=make_store(), max_completed=1) as registry:
            again = spec(id=ids[4])
            registry.register_operation(again)
        with Registry(store=make_store()) as registry:
            assert {each.id for each in registry.list_operations()} == {ids[4]}

    def test_a_limit_that_was_given_is_stored_without_a_command(
        self, make_store: MakeStore
    ) -> None:
        """Contract 9.23."""
        Registry(store=make_store(), max_concurrent=3, max_completed=7).close()
        with Registry(store=make_store()) as registry:
            for _ in range(3):
                registered(registry)
            with pytest.raises(MaxConcurrentExceededError) as caught:
                registered(registry)
            assert caught.value.limit == 3
        Registry(store=make_store(), max_concurrent=None).close()
        with Registry(store=make_store()) as registry:
            for _ in range(4):
                registered(registry)
