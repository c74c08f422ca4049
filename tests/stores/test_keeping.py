"""Every store: what is acknowledged is kept, and what was live ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from opslifecycle import (
    ChannelClosedError,
    CompletionCursorConsumer,
    InvalidTransitionError,
    MemoryStore,
    OperationStatus,
    Registry,
    RegistryOwnedError,
    Retired,
    SqliteStore,
    Terminated,
)
from opslifecycle.shell import commits

from tests.support.builders import (
    CHILD,
    HANDLE,
    SLOT,
    UPDATE,
    completed,
    registered,
    result,
    running,
    spec,
)
from tests.support.gate import AGENT, REASON, Gate, MakeStore, committer_of, snapshot, statuses
from tests.support.waiting import until


class TestKeeping:
    def test_everything_comes_back(self, make_store: MakeStore) -> None:
        with Registry(store=make_store(), max_completed=3, max_concurrent=9) as registry:
            dropped = [completed(registry) for _ in range(2)]
            failed = running(registry)
            registry.fail_operation(failed, "why")
            child = running(registry, CHILD)
            registry.peer_ready(child, HANDLE)
            registry.report_progress(child, UPDATE)
            registry.mark_retired(child)
            collected = completed(registry)
            registry.collect_completed()
            last = completed(registry)
            registry.advance_completion_cursor(AGENT, 4)
            before = registry.list_operations()
            feed = registry.completion_feed()
            batch, epoch = feed.list_since(0), feed.epoch_id
        with Registry(store=make_store()) as registry:
            assert registry.list_operations() == before
            assert registry.completion_feed().list_since(0) == batch
            assert registry.completion_feed().epoch_id == epoch
            assert batch.dropped_through == 3
            assert registry.completion_cursor(AGENT) == 4
            assert registry.completion_cursor(CompletionCursorConsumer.RUNTIME_OBSERVED) == 0
            assert (registry._authority.max_completed, registry._authority.max_concurrent) == (3, 9)
            assert registry.broken_invariants() == []
            for id in (*dropped, failed, child, collected):
                registry.register_operation(spec(id=id))
            assert registry.register_watcher(last).result(0)
            assert completed(registry)
            assert registry.completion_feed().watermark == batch.watermark + 1

    def test_what_was_live_ends_once_in_id_order(self, make_store: MakeStore) -> None:
        with Registry(store=make_store()) as registry:
            ids = [registered(registry), running(registry), running(registry)]
            registry.request_retire(ids[2])
            registry.report_progress(ids[1], UPDATE)
            slot = running(registry, SLOT)
            gone = running(registry)
            registry.rollback_unreturned_operation(gone)
            done = completed(registry)
        for _ in range(2):
            with Registry(store=make_store()) as registry:
                rows = registry.completion_feed().list_since(0).entries
                assert [row.operation_id for row in rows] == [done, *sorted(ids)]
                assert [row.seq for row in rows] == [1, 2, 3, 4]
                for id in ids:
                    assert snapshot(registry, id).terminal_outcome == Terminated(REASON)
                found = snapshot(registry, ids[1])
                assert (found.progress_count, found.latest_progress) == (1, UPDATE)
                assert found.started_at_ms is not None
                assert registry.snapshot(slot) is None
                assert registry.snapshot(gone) is None
                assert registry._authority.active_count == 0
                assert registry.broken_invariants() == []

    def test_lower_limits_evict_and_settings_given_win(self, make_store: MakeStore) -> None:
        with Registry(store=make_store()) as registry:
            for _ in range(5):
                completed(registry)
        with Registry(store=make_store(), max_completed=2, max_concurrent=0) as registry:
            batch = registry.completion_feed().list_since(0)
            assert [entry.seq for entry in batch.entries] == [4, 5]
            assert batch.dropped_through == 3
            assert len(registry.list_operations()) == 2
            registry.register_operation_with_admission_limit(spec(), 5)
        with Registry(store=make_store()) as registry:
            assert registry._authority.max_concurrent == 0
            assert len(registry.completion_feed().list_since(0).entries) == 2

    def test_a_reused_id_keeps_its_predecessors_row(self, make_store: MakeStore) -> None:
        with Registry(store=make_store()) as registry:
            id = completed(registry)
            registry.collect_completed()
            registry.register_operation(spec(id=id, name="again"))
            registry.provisioning_succeeded(id)
            registry.mark_retired(id)
            batch = registry.completion_feed().list_since(0)
        with Registry(store=make_store()) as registry:
            assert registry.completion_feed().list_since(0) == batch
            assert [entry.display_name for entry in batch.entries] == ["work", "again"]
            assert snapshot(registry, id).terminal_outcome == Retired()

    def test_slots_write_nothing(self, registry: Registry, gate: Gate) -> None:
        slot = running(registry, SLOT)
        registry.complete_operation(slot, result())
        registry.rollback_unreturned_operation(running(registry, SLOT))
        assert gate.commits == []
        completed(registry)
        assert json.loads(gate.commits[-1].state)["next_completion_seq"] == 2

    def test_deferred_actions_wait_for_the_next_commit(
        self, registry: Registry, gate: Gate
    ) -> None:
        id = registered(registry, CHILD)
        assert len(gate.commits) == 1
        registry.provisioning_succeeded(id)
        registry.peer_ready(id, HANDLE)
        registry.report_progress(id, UPDATE)
        registry.request_retire(id)
        assert len(gate.commits) == 1
        registry.register_operation(spec())
        assert statuses(gate.commits[1]) == ["provisioning", "retiring"]

    def test_a_deferred_write_does_not_wait_for_ever(
        self, registry: Registry, gate: Gate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(commits, "DEFERRED_SECONDS", 0.01)
        id = registered(registry)
        gate.waiting.clear()
        registry.provisioning_succeeded(id)
        assert gate.waiting.wait(30)
        until(lambda: len(gate.commits) >= 2)
        assert statuses(gate.commits[1]) == ["running"]

    def test_rejections_write_nothing(self, registry: Registry, gate: Gate) -> None:
        id = completed(registry)
        count = len(gate.commits)
        with pytest.raises(InvalidTransitionError):
            registry.mark_retired(id)
        assert registry.advance_completion_cursor(AGENT, 0) == 0
        registry.terminate_owner("nobody")
        registry.collect_completed()
        assert registry.collect_completed() == []
        assert len(gate.commits) == count + 1

    def test_one_owner_at_a_time(self, make_store: MakeStore) -> None:
        with Registry(store=make_store()) as registry:
            completed(registry)
            with pytest.raises(RegistryOwnedError):
                Registry(store=make_store())
            completed(registry)
        with Registry(store=make_store()) as registry:
            assert registry.completion_feed().watermark == 2

    def test_a_dropped_registry_gives_its_store_up(self, make_store: MakeStore) -> None:
        registry = Registry(store=make_store())
        id = running(registry)
        watch = registry.register_watcher(id)
        thread = committer_of(registry)._thread
        assert thread is not None
        del registry
        with pytest.raises(ChannelClosedError):
            watch.result(30)
        thread.join(30)
        with Registry(store=make_store()) as again:
            assert snapshot(again, id).status is OperationStatus.TERMINATED


def test_interrupted_work_can_be_discarded(tmp_path: Path) -> None:
    for make in (
        lambda: MemoryStore(interrupted="discard"),
        lambda: SqliteStore(tmp_path / "store.db", interrupted="discard"),
    ):
        store = make()
        with Registry(store=store) as registry:
            id, done = running(registry), completed(registry)
        with Registry(store=store) as registry:
            assert registry.snapshot(id) is None
            assert [s.id for s in registry.list_operations()] == [done]
            assert registry.completion_feed().watermark == 1
