"""The registry: registration, admission, ends, owners, rollback, listing, times, closing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opslifecycle import (
    AlreadyRegisteredError,
    BackendPeer,
    ChannelClosedError,
    CompletionCursorConsumer,
    Failed,
    InvalidSpecError,
    InvalidTransitionError,
    InvalidValueError,
    MaxConcurrentExceededError,
    MemoryStore,
    OperationId,
    OperationKind,
    OperationNotFoundError,
    OperationProgressUpdate,
    OperationSpec,
    OperationStatus,
    OwnerRetiredError,
    Registry,
    RunId,
    SessionChild,
    SessionId,
    Store,
    Terminated,
)
from opslifecycle.clock import Clock, CommandTime

from tests.support.builders import (
    ACTIONS,
    CHILD,
    SLOT,
    TOOL,
    UPDATE,
    completed,
    in_status,
    registered,
    result,
    running,
    spec,
)

_CONSUMER = CompletionCursorConsumer.AGENT_APPLIED


class SetClock:
    """What a clock reads, in milliseconds."""

    def __init__(self) -> None:
        self.wall, self.monotonic = 1_000_000, 50


def with_clock() -> tuple[Registry, SetClock]:
    registry, clock = Registry(), SetClock()
    read = Clock(lambda: clock.wall * 1_000_000, lambda: clock.monotonic * 1_000_000)
    registry._engine.clock, registry._engine.time = read, CommandTime(read)
    return registry, clock


@pytest.mark.parametrize("phase_ns", [0, 1, 250_000, 499_999, 500_000, 500_001, 999_999])
def test_a_time_is_that_of_the_wall_clock_whatever_the_phase_of_the_other(phase_ns: int) -> None:
    now_ns = 1_800_000_000_000_000_000
    time = CommandTime(Clock(lambda: now_ns, lambda: now_ns % 10**15 + phase_ns))
    authority, outdated_ns = Registry()._authority, 0
    for _ in range(50):
        # Each thread reads one clock a little after the other.
        if now_ns % 10**15 + phase_ns >= outdated_ns:
            outdated_ns = time.set_time(authority)
        wall_ms = now_ns // 1_000_000
        assert authority.clock_offset_ms + authority.now_ms == time.now_ms() == wall_ms
        now_ns += 77_777


class TestRegistration:
    @pytest.mark.parametrize("kind", [TOOL, SLOT])
    def test_only_a_child_has_a_source(self, kind: OperationKind) -> None:
        registry = Registry()
        for source in (SessionChild(SessionId.new()), BackendPeer("id", "address")):
            with pytest.raises(InvalidSpecError) as caught:
                registry.register_operation(spec(kind, source=source))
            assert caught.value.field == "operation_source"
            registry.register_operation(spec(CHILD, source=source))

    def test_no_other_object_is_a_source(self) -> None:
        source: Any = "session"
        with pytest.raises(InvalidSpecError):
            Registry().register_operation(spec(CHILD, source=source))

    def test_checks_come_in_order(self) -> None:
        registry = Registry(max_concurrent=0)
        wrong = spec(TOOL, source=BackendPeer("id", "address"))
        with pytest.raises(InvalidSpecError):
            registry.register_operation(wrong)
        with pytest.raises(MaxConcurrentExceededError) as caught:
            registry.register_operation(spec())
        assert (caught.value.limit, caught.value.active) == (0, 0)
        registry.register_operation_with_admission_limit(spec(id=wrong.id), 1)
        with pytest.raises(AlreadyRegisteredError):
            registry.register_operation_with_admission_limit(wrong, 0)

    def test_the_limit_counts_live_operations_of_every_kind(self) -> None:
        registry = Registry(max_concurrent=2)
        running(registry, SLOT)
        id = running(registry, CHILD)
        with pytest.raises(MaxConcurrentExceededError) as caught:
            registry.register_operation(spec())
        assert str(caught.value) == "max concurrent operations exceeded (limit: 2, active: 2)"
        registry.register_operation_with_admission_limit(spec(), 3)
        with pytest.raises(MaxConcurrentExceededError):
            registry.register_operation_with_admission_limit(spec(), None)
        registry.mark_retired(id)
        registry.request_retire(running_id(registry))
        assert len(registry.list_operations(terminal=False)) == 2

    def test_child_session_id_is_the_sources(self) -> None:
        session = SessionId.new()
        made = OperationSpec(
            OperationId.new(), CHILD, SessionId.new(), "n", "l", SessionChild(session), None
        )
        assert made.child_session_id == session
        lying = OperationSpec(
            OperationId.new(), TOOL, SessionId.new(), "n", "l", None, SessionId.new()
        )
        assert lying.child_session_id is None
        registry = Registry()
        registry.register_operation(made)
        found = registry.snapshot(made.id)
        assert found is not None
        assert found.child_session_id == session


def running_id(registry: Registry) -> OperationId:
    """Start the one operation that is provisioning."""
    (snapshot,) = registry.list_operations(status=OperationStatus.PROVISIONING)
    registry.provisioning_succeeded(snapshot.id)
    return snapshot.id


class TestEnds:
    def test_both_fail_methods_are_fail(self) -> None:
        registry = Registry()
        id = registered(registry)
        registry.provisioning_failed(id, "no such file")
        found = registry.snapshot(id)
        assert found is not None
        assert found.terminal_outcome == Failed("no such file")
        with pytest.raises(InvalidTransitionError, match=r"Failed -> fail_operation$"):
            registry.provisioning_failed(id, "again")

    def test_an_error_result_is_completed(self) -> None:
        registry = Registry()
        id = running(registry)
        registry.complete_operation(id, result(is_error=True))
        found = registry.snapshot(id)
        assert found is not None
        assert found.status is OperationStatus.COMPLETED

    def test_progress_is_kept_and_saturates(self) -> None:
        registry = Registry()
        id = running(registry)
        registry.report_progress(id, UPDATE)
        last = OperationProgressUpdate("more")
        registry.report_progress(id, last)
        found = registry.snapshot(id)
        assert found is not None
        assert (found.progress_count, found.latest_progress) == (2, last)
        registry._authority.records[id].progress_count = 2**32 - 1
        registry.report_progress(id, last)
        assert registry._authority.records[id].progress_count == 2**32 - 1

    def test_a_slot_is_erased_at_once_and_takes_a_sequence(self) -> None:
        registry = Registry()
        slot = completed(registry, SLOT)
        assert registry.snapshot(slot) is None
        assert registry.collect_completed() == []
        feed = registry.completion_feed()
        assert (feed.watermark, feed.list_since(0).entries) == (0, ())
        tool = completed(registry)
        assert [(e.seq, e.operation_id) for e in feed.list_since(0).entries] == [(2, tool)]
        registry.register_operation(spec(SLOT, id=slot))

    def test_collect_gives_oldest_first_and_erases(self) -> None:
        registry = Registry()
        ids = [running(registry, name=name) for name in "cab"]
        for id in reversed(ids):
            registry.mark_retired(id)
        live = running(registry)
        collected = registry.collect_completed()
        assert [id for id, _ in collected] == ids[::-1]
        assert registry.collect_completed() == []
        assert [s.id for s in registry.list_operations()] == [live]
        rows = registry.completion_feed().list_since(0).entries
        assert [row.display_name for row in rows] == ["b", "a", "c"]
        registry.register_operation(spec(id=ids[0]))


class TestOwner:
    def test_terminate_is_in_id_order_and_goes_on(self) -> None:
        registry = Registry()
        ids = [registered(registry) for _ in range(5)]
        watches = [registry.register_watcher(id) for id in ids]
        done = completed(registry)
        registry.terminate_owner("over")
        assert [watch.result(0) for watch in watches] == [Terminated("over")] * 5
        rows = registry.completion_feed().list_since(0).entries
        assert [row.operation_id for row in rows] == [done, *sorted(ids)]
        registered(registry)

    def test_the_fence_comes_before_every_other_check(self) -> None:
        registry = Registry()
        live, ended = running(registry, CHILD), completed(registry)
        registry.retire_owner("over")
        unknown = OperationId.new()
        for id in (live, ended, unknown):
            for name, act in ACTIONS.items():
                if name != "terminate":
                    with pytest.raises(OwnerRetiredError):
                        act(registry, id)
            with pytest.raises(OwnerRetiredError):
                registry.rollback_unreturned_operation(id)
        with pytest.raises(OwnerRetiredError):
            registry.register_operation(spec(id=ended))
        with pytest.raises(OwnerRetiredError):
            registry.collect_completed()
        for cursor in (0, 99):
            with pytest.raises(OwnerRetiredError):
                registry.advance_completion_cursor(CompletionCursorConsumer.AGENT_APPLIED, cursor)
        with pytest.raises(OwnerRetiredError):
            registry.wait_all(RunId.new(), [unknown, unknown]).result(0)

    def test_after_the_fence_reads_go_on_and_repeating_does_nothing(self) -> None:
        registry = Registry()
        live = running(registry)
        registry.retire_owner("over")
        before = registry.list_operations(), registry.completion_feed().list_since(0)
        registry.retire_owner("again")
        registry.terminate_owner("again")
        assert before == (registry.list_operations(), registry.completion_feed().list_since(0))
        assert registry.register_watcher(live).result(0) == Terminated("over")


class TestRollback:
    @pytest.mark.parametrize(
        "status", [OperationStatus.PROVISIONING, OperationStatus.RUNNING, OperationStatus.RETIRING]
    )
    def test_it_is_as_if_never_registered(self, status: OperationStatus) -> None:
        registry = Registry(max_concurrent=1)
        id = in_status(registry, status)
        watch = registry.register_watcher(id)
        registry.rollback_unreturned_operation(id)
        with pytest.raises(ChannelClosedError):
            watch.result(0)
        assert registry.snapshot(id) is None
        assert completed(registry) is not None
        assert registry.completion_feed().watermark == 1

    def test_of_the_unknown_and_of_the_ended(self) -> None:
        registry = Registry()
        with pytest.raises(OperationNotFoundError):
            registry.rollback_unreturned_operation(OperationId.new())
        id = completed(registry)
        with pytest.raises(InvalidTransitionError, match="rollback_unreturned_operation"):
            registry.rollback_unreturned_operation(id)


class TestListing:
    def test_order_and_filters(self) -> None:
        registry = Registry()
        owner = SessionId.new()
        registry.register_operation(spec(CHILD, owner=owner, name="b"))
        registry.register_operation(spec(TOOL, owner=owner, name="a"))
        same = sorted(spec(name="c").id for _ in range(3))
        for id in reversed(same):
            registry.register_operation(spec(id=id, name="c"))
        registry.provisioning_succeeded(same[0])
        registry.complete_operation(same[0], result())

        def names(**filters: Any) -> list[str]:
            return [s.display_name for s in registry.list_operations(**filters)]

        assert names() == ["a", "b", "c", "c", "c"]
        assert [s.id for s in registry.list_operations()][2:] == same
        assert names(owner_session_id=owner) == ["a", "b"]
        assert names(kind=CHILD) == ["b"]
        assert names(kind=TOOL, owner_session_id=owner) == ["a"]
        assert names(terminal=True) == ["c"]
        assert names(terminal=False) == ["a", "b", "c", "c"]
        assert names(status=OperationStatus.COMPLETED, kind=CHILD) == []
        assert names(status=OperationStatus.ABSENT) == []

    def test_the_index_follows_every_change(self) -> None:
        registry = Registry(max_completed=2)
        assert registry.list_operations(terminal=False) == []
        for round in range(4):
            ids = [running(registry) for _ in range(5)]
            registry.rollback_unreturned_operation(ids.pop())
            for id in ids[1:]:
                registry.mark_retired(id)
            for status in OperationStatus:
                listed = registry.list_operations(status=status)
                everything = registry.list_operations()
                assert listed == [s for s in everything if s.status is status]
            assert len(registry.list_operations(terminal=True)) == 2
            assert len(registry.list_operations(terminal=False)) == round + 1


@pytest.mark.parametrize("make_store", [lambda: None, MemoryStore])
@pytest.mark.parametrize("count", range(5))
def test_commands_may_take_any_number_of_arguments(
    count: int, make_store: Callable[[], Store | None]
) -> None:
    given: list[Any] = []

    def decide(authority: Any, *arguments: int) -> tuple[()]:
        given.extend(arguments)
        return ()

    with Registry(store=make_store()) as registry:
        registry._executor.act(running(registry), decide, tuple(range(count)))
    assert given == list(range(count))


class TestTimes:
    def test_one_anchor_and_monotonic_offsets(self) -> None:
        registry, clock = with_clock()
        id = registered(registry)
        clock.wall -= 900_000
        clock.monotonic += 10
        registry.provisioning_succeeded(id)
        clock.wall += 5_000_000
        clock.monotonic += 7
        registry.mark_retired(id)
        found = registry.snapshot(id)
        assert found is not None
        assert found.created_at_ms == 1_000_000
        assert found.started_at_ms == 1_000_010
        assert found.completed_at_ms == 1_000_017
        assert found.elapsed_ms == 17
        (row,) = registry.completion_feed().list_since(0).entries
        assert row.completed_at_ms == found.completed_at_ms

    def test_each_millisecond_counts(self) -> None:
        registry, clock = with_clock()
        for _ in range(3):
            found = registry.snapshot(registered(registry))
            assert found is not None
            assert found.created_at_ms == clock.wall
            clock.wall += 1
            clock.monotonic += 1


class TestBadArguments:
    @pytest.mark.parametrize(
        ("field", "call"),
        [
            ("id", lambda r: r.provisioning_succeeded("x")),
            ("id", lambda r: r.snapshot(SessionId.new())),
            ("spec", lambda r: r.register_operation("x")),
            ("error", lambda r: r.fail_operation(OperationId.new(), 3)),
            ("reason", lambda r: r.cancel_operation(OperationId.new(), 3)),
            ("handle", lambda r: r.peer_ready(OperationId.new(), None)),
            ("update", lambda r: r.report_progress(OperationId.new(), "half")),
            ("status", lambda r: r.list_operations(status="running")),
            ("terminal", lambda r: r.list_operations(terminal=1)),
            ("consumer", lambda r: r.completion_cursor("agent_applied")),
            ("cursor", lambda r: r.advance_completion_cursor(_CONSUMER, -1)),
            ("cursor", lambda r: r.advance_completion_cursor(_CONSUMER, True)),
            ("run_id", lambda r: r.wait_all("run", [])),
            ("ids[1]", lambda r: r.wait_all(RunId.new(), [OperationId.new(), "x"])),
            ("ids", lambda r: r.wait_all(RunId.new(), 3)),
            ("after", lambda r: r.completion_feed().list_since(-1)),
            ("max_concurrent", lambda r: Registry(max_concurrent="x")),  # type: ignore[arg-type]
            ("max_completed", lambda r: Registry(max_completed=-1)),
        ],
    )
    def test_name_the_field(self, field: str, call: Any) -> None:
        with pytest.raises(InvalidValueError) as caught:
            call(Registry())
        assert caught.value.field == field
        assert isinstance(caught.value, ValueError)
