"""Every store: what is acknowledged is kept, what fails has not happened, what was live ends."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from opslifecycle import (
    AsyncRegistry,
    ChannelClosedError,
    Completed,
    CompletionCursorConsumer,
    InternalError,
    InvalidTransitionError,
    InvalidValueError,
    MemoryStore,
    OperationId,
    OperationLifecycleSnapshot,
    OperationNotFoundError,
    OperationStatus,
    OwnershipLostError,
    PersistenceError,
    Registry,
    RegistryClosedError,
    RegistryOwnedError,
    Retired,
    RunId,
    SqliteStore,
    Store,
    StoreDamagedError,
    StoreVersionError,
    Terminated,
    commits,
)
from opslifecycle.store import Commit, Identity, Stored

from tests.builders import CHILD, HANDLE, SLOT, UPDATE, completed, registered, result, running, spec

AGENT = CompletionCursorConsumer.AGENT_APPLIED
REASON = "the process that owned this operation ended before it did"


class Gate(Store):
    """A store whose commits can be held, counted and made to fail."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.open_gate = threading.Event()
        self.open_gate.set()
        self.waiting = threading.Event()
        self.commits: list[Commit] = []
        self.fails: BaseException | None = None

    def open(self, identity: Identity) -> Stored:
        return self._inner.open(identity)

    def append(self, commit: Commit) -> None:
        self.waiting.set()
        assert self.open_gate.wait(30)
        if self.fails is not None:
            raise self.fails
        self._inner.append(commit)
        self.commits.append(commit)

    def close(self) -> None:
        self._inner.close()

    def hold(self) -> None:
        self.waiting.clear()
        self.open_gate.clear()


def statuses(commit: Commit) -> list[str]:
    """The statuses of the records in a commit."""
    return [json.loads(body)["status"] for _, _, body in commit.puts]


MakeStore = Callable[[], Store]


@pytest.fixture(params=["memory", "process", "power"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStore:
    """Makes a store on what the last one has kept."""
    if request.param == "memory":
        store = MemoryStore()
        return lambda: store
    return lambda: SqliteStore(tmp_path / "store.db", durability=request.param)


@pytest.fixture(autouse=True)
def _never_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits are counted here, so none may come just because time has passed."""
    monkeypatch.setattr(commits, "IDLE_SECONDS", 1000.0)


@pytest.fixture
def gate(make_store: MakeStore) -> Gate:
    return Gate(make_store())


@pytest.fixture
def registry(gate: Gate) -> Iterator[Registry]:
    with Registry(store=gate) as registry:
        yield registry


def snapshot(registry: Registry, id: OperationId) -> OperationLifecycleSnapshot:
    found = registry.snapshot(id)
    assert found is not None
    return found


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

    def test_what_ends_nothing_rides_along(self, registry: Registry, gate: Gate) -> None:
        id = registered(registry, CHILD)
        assert len(gate.commits) == 1
        registry.provisioning_succeeded(id)
        registry.peer_ready(id, HANDLE)
        registry.report_progress(id, UPDATE)
        registry.request_retire(id)
        assert len(gate.commits) == 1
        registry.register_operation(spec())
        assert statuses(gate.commits[1]) == ["provisioning", "retiring"]

    def test_what_rides_along_does_not_wait_for_ever(
        self, registry: Registry, gate: Gate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(commits, "IDLE_SECONDS", 0.01)
        id = registered(registry)
        gate.waiting.clear()
        registry.provisioning_succeeded(id)
        assert gate.waiting.wait(30)
        while len(gate.commits) < 2:
            pass
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
        thread = registry._shell._committer._thread  # type: ignore[union-attr]
        assert thread is not None
        del registry
        with pytest.raises(ChannelClosedError):
            watch.result(30)
        thread.join(30)
        with Registry(store=make_store()) as again:
            assert snapshot(again, id).status is OperationStatus.TERMINATED


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
            queue = registry._shell._committer._queue  # type: ignore[union-attr]
            while queue.qsize() < 100:
                pass
            assert threading.active_count() <= threads + 101
            gate.open_gate.set()
            for each in (held, *rest):
                each.result(30)
        assert len(gate.commits) == before + 2
        assert registry.completion_feed().watermark == 101

    def test_nobody_sees_an_end_before_it_is_kept(self, registry: Registry, gate: Gate) -> None:
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
            run = registry._shell.start
            steps = _steps(registry, id, slot)
            tasks = [asyncio.ensure_future(run(step)) for step in steps]
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
            queue = registry._shell._committer._queue  # type: ignore[union-attr]
            while queue.qsize() < 1:
                pass
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

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_a_broken_store_closes_the_registry(self, registry: Registry, gate: Gate) -> None:
        id = running(registry)
        gate.fails = ZeroDivisionError("a bug")
        with pytest.raises(InternalError):
            registry.mark_retired(id)
        registry._shell._committer._thread.join(30)  # type: ignore[union-attr]
        with pytest.raises(RegistryClosedError):
            registry.register_operation(spec())

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_a_failure_while_publishing_leaves_nobody_waiting(self, registry: Registry) -> None:
        ids = [running(registry), running(registry)]
        watch = registry.register_watcher(ids[1])
        registry._shell.effects._plans.clear()
        registry._shell.effects._plan = None  # type: ignore[assignment, method-assign]
        with pytest.raises(InternalError):
            registry.mark_retired(ids[0])
        with pytest.raises(ChannelClosedError):
            watch.result(30)
        with pytest.raises(RegistryClosedError):
            registry.mark_retired(ids[1])

    def test_what_could_not_be_written_while_idle_rides_on(
        self, registry: Registry, gate: Gate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(commits, "IDLE_SECONDS", 0.01)
        id = registered(registry)
        gate.waiting.clear()
        gate.fails = PersistenceError("disk", "full")
        registry.provisioning_succeeded(id)
        assert gate.waiting.wait(30)
        gate.fails = None
        while len(gate.commits) < 2:
            pass
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


def _steps(registry: Registry, id: OperationId, slot: OperationId) -> list[Any]:
    from opslifecycle.steps import acting, collecting, creating

    from opslifecycle.generated import OperationAuthority as Authority
    from opslifecycle.generated import OperationEffect

    clock, first = registry._shell.clock, spec()
    create = creating(clock, id, Authority.register, spec(id=id), None)
    return [
        creating(clock, first.id, Authority.register, first, None),
        create,
        acting(id, Authority.start),
        acting(id, Authority.complete, GIVEN),
        acting(id, Authority.retire_completed),
        collecting(Authority.collect_completed, (OperationEffect.ERASE,)),
        acting(id, Authority.start),
        create,
        acting(slot, Authority.complete, GIVEN),
        creating(clock, slot, Authority.register, spec(SLOT, id=slot), None),
    ]


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


class TestCapture:
    def test_from_the_first_restore_on_it_is_a_fixed_point(self) -> None:
        registry = Registry(max_completed=4, max_concurrent=7)
        for _ in range(4):
            completed(registry)
        registry.collect_completed()
        completed(registry)
        child = running(registry, CHILD)
        registry.peer_ready(child, HANDLE)
        registry.report_progress(child, UPDATE)
        running(registry, SLOT)
        registry.advance_completion_cursor(AGENT, 3)
        first = Registry.restore(json.loads(json.dumps(registry.capture())))
        assert snapshot(first, child).terminal_outcome == Terminated(REASON)
        assert first.broken_invariants() == []
        assert first.completion_feed().epoch_id != registry.completion_feed().epoch_id
        once = first.capture()
        twice = Registry.restore(json.loads(json.dumps(once))).capture()
        for document in (once, twice):
            del document["state"]["epoch_id"], document["checksum"]
        assert once == twice
        assert once["state"]["max_concurrent"] == 7

    def test_it_can_be_restored_into_a_new_store(self, make_store: MakeStore) -> None:
        registry = Registry(max_completed=5)
        reused = completed(registry)
        registry.collect_completed()
        registry.register_operation(spec(id=reused, name="again"))
        gone = completed(registry)
        live = running(registry)
        document = json.loads(json.dumps(registry.capture()))
        with Registry.restore(document, store=make_store()) as restored:
            batch = restored.completion_feed().list_since(0)
            assert [row.seq for row in batch.entries] == [1, 2, 3, 4]
            assert batch.entries[:2] == registry.completion_feed().list_since(0).entries
            listed = restored.list_operations()
            assert {each.id for each in listed} == {reused, gone, live}
        with Registry(store=make_store()) as again:
            assert again.list_operations() == listed
            assert again.completion_feed().list_since(0) == batch
            assert again.broken_invariants() == []
        with pytest.raises(InvalidValueError, match="holds a registry already"):
            Registry.restore(document, store=make_store())
        with Registry(store=make_store()) as again:
            assert again.list_operations() == listed

    def test_what_was_altered_is_refused(self) -> None:
        registry = Registry()
        completed(registry)
        whole = registry.capture()
        for change in ("machine", "version", "format"):
            with pytest.raises(StoreVersionError):
                Registry.restore({**whole, change: "x"})
        for change in ("state", "records", "rows", "digest", "checksum"):
            with pytest.raises(StoreDamagedError):
                Registry.restore({**whole, change: []})
        with pytest.raises(StoreVersionError):
            Registry.restore([])
