"""Reading a registry that another process owns: what is seen, and what ends waits and readers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest
from opslifecycle import (
    AsyncRegistry,
    ChannelClosedError,
    Completed,
    CompletionCursorConsumer,
    CompletionFeedGapError,
    EpochChangedError,
    InvalidValueError,
    MemoryStore,
    OperationId,
    OperationLifecycleSnapshot,
    OperationNotFoundError,
    OperationStatus,
    OpsLifecycleError,
    PersistenceError,
    Reader,
    Registry,
    RegistryClosedError,
    RunId,
    SqliteStore,
    Store,
    StoreDamagedError,
    Terminated,
    UnsupportedError,
)

from tests.stores.test_archive import EDITS, consume, done
from tests.support.audit import run
from tests.support.builders import SLOT, TOOL, UPDATE, completed, registered, result, running, spec
from tests.support.codegen.projects import package
from tests.support.owners import owning
from tests.support.waiting import until

APPLIED = CompletionCursorConsumer.AGENT_APPLIED
LONG = 1000.0
COLLECTS = 0.05
MACHINES = Path(__file__).parents[1] / "codegen"


@pytest.fixture(params=["sqlite", "postgres"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    if request.param == "postgres":
        store: Callable[[], Store] = request.getfixturevalue("postgres").store
        return store
    return lambda: SqliteStore(tmp_path / "store.db", durability="process")


def seen(records: Any) -> dict[OperationId, OperationLifecycleSnapshot]:
    """Every record, but for the watches that only one of the two has."""
    return {
        each.id: attrs.evolve(each, watcher_count=0) for each in records.list_operations()
    }  # fmt: skip


def test_it_shows_what_the_owner_has_committed(make: Callable[[], Store]) -> None:
    with Registry(store=make()) as owner:
        one = completed(owner)
        with Reader(Registry, make(), poll_seconds=LONG) as reader:
            two = running(owner)
            three = registered(owner, name="other")
            assert {each.id for each in reader.records.list_operations()} == {one}
            reader.refresh()
            assert seen(reader.records) == seen(owner)
            assert [each.id for each in reader.records.list_operations(terminal=False)] == [
                three,
                two,
            ]
            snapshot = reader.records.snapshot(one)
            assert snapshot is not None
            assert isinstance(snapshot.terminal_outcome, Completed)
            assert reader.records.snapshot(OperationId.new()) is None
            assert reader.owner is not None
            assert reader.owner_responds


def test_the_feed_goes_on_from_a_cursor(make: Callable[[], Store]) -> None:
    with Registry(store=make()) as owner:
        ids = [completed(owner) for _ in range(3)]
        owner.advance_completion_cursor(APPLIED, 1)
        with Reader(Registry, make(), poll_seconds=0.02) as reader:
            feed = reader.records.completion_feed()
            assert reader.records.completion_cursor(APPLIED) == 1
            batch = feed.list_since(1, epoch_id=owner.completion_feed().epoch_id)
            assert [each.operation_id for each in batch.entries] == ids[1:]
            entries = feed.iterate(after=1, timeout=30)
            assert [next(entries).operation_id for _ in range(2)] == ids[1:]
            ids.append(completed(owner))
            assert next(entries).operation_id == ids[3]
            owner.advance_completion_cursor(APPLIED, 4)
            reader.refresh()
            assert reader.records.completion_cursor(APPLIED) == 4


def test_waits_end_with_the_records(make: Callable[[], Store]) -> None:
    with Registry(store=make()) as owner:
        ids = [running(owner) for _ in range(3)]
        with Reader(Registry, make(), poll_seconds=0.02) as reader:
            watch = reader.records.register_watcher(ids[0])
            barrier = reader.records.wait_all(RunId.new(), ids[:2])
            erased = reader.records.register_watcher(ids[2])
            with pytest.raises(OperationNotFoundError):
                reader.records.register_watcher(OperationId.new())
            with pytest.raises(TimeoutError):
                watch.result(0.05)
            owner.complete_operation(ids[0], result("it"))
            outcome = watch.result(30)
            assert isinstance(outcome, Completed)
            assert outcome.result.content == "it"
            assert not barrier.done()
            owner.fail_operation(ids[1], "no")
            assert barrier.result(30).satisfied.operation_ids == tuple(ids[:2])
            owner.rollback_unreturned_operation(ids[2])
            with pytest.raises(ChannelClosedError):
                erased.result(30)


def test_what_ended_and_was_erased_between_two_looks_has_its_outcome(
    make: Callable[[], Store],
) -> None:
    with Registry(store=make()) as owner:
        id = running(owner)
        with Reader(Registry, make(), poll_seconds=LONG) as reader:
            watch = reader.records.register_watcher(id)
            owner.complete_operation(id, result())
            owner.collect_completed()
            reader.refresh()
            assert isinstance(watch.result(0), Completed)
            assert reader.records.snapshot(id) is None
            assert [each.operation_id for each in entries_of(reader)] == [id]


def entries_of(reader: Reader[Any]) -> list[Any]:
    return list(reader.records.completion_feed().list_since(0).entries)


def test_a_reader_that_falls_behind_finds_a_gap(make: Callable[[], Store]) -> None:
    with Registry(max_completed=2, store=make()) as owner:
        completed(owner)
        with Reader(Registry, make(), poll_seconds=LONG) as reader:
            entries = reader.records.completion_feed().iterate(timeout=0)
            next(entries)
            for _ in range(4):
                completed(owner)
            reader.refresh()
            with pytest.raises(CompletionFeedGapError):
                next(entries)


def test_in_an_event_loop(make: Callable[[], Store]) -> None:
    async def main() -> None:
        async with await AsyncRegistry.open(store=make()) as owner:
            made = spec()
            await owner.register_operation(made)
            async with Reader(AsyncRegistry, make(), poll_seconds=0.02) as reader:
                watch = reader.records.register_watcher(made.id)
                await owner.provisioning_succeeded(made.id)
                await owner.complete_operation(made.id, result())
                async with asyncio.timeout(30):
                    assert isinstance(await watch, Completed)
                    async for entry in reader.records.completion_feed().subscribe():
                        assert entry.operation_id == made.id
                        break
                await asyncio.to_thread(reader.refresh)

    run(main())


def commands(owner: Registry, choice: random.Random) -> None:
    """Call a few commands with whatever effect they have."""
    for _ in range(choice.randint(1, 6)):
        ids = [each.id for each in owner.list_operations()]
        id = choice.choice(ids) if ids else OperationId.new()
        calls: list[Callable[[], object]] = [
            partial(registered, owner, choice.choice([TOOL, SLOT])),
            partial(registered, owner),
            partial(owner.provisioning_succeeded, id),
            partial(owner.report_progress, id, UPDATE),
            partial(owner.complete_operation, id, result()),
            partial(owner.cancel_operation, id, "enough"),
            partial(owner.rollback_unreturned_operation, id),
            partial(owner.advance_completion_cursor, APPLIED, owner.completion_feed().watermark),
        ]
        if choice.random() < COLLECTS:
            calls = [owner.collect_completed]
        with contextlib.suppress(OpsLifecycleError):
            choice.choice(calls)()
    # A commit, with which deferred changes are written.
    registered(owner, name="last")


@pytest.mark.parametrize("seed", range(4))
def test_it_equals_the_owner_after_any_commands(make: Callable[[], Store], seed: int) -> None:
    choice = random.Random(seed)
    with Registry(max_completed=4, store=make()) as owner:
        commands(owner, choice)
        with Reader(Registry, make(), poll_seconds=LONG) as reader:
            for _ in range(30):
                commands(owner, choice)
                reader.refresh()
                # A capacity slot is in no store.
                stored = {id: each for id, each in seen(owner).items() if each.kind is not SLOT}
                assert seen(reader.records) == stored
                there, here = owner.completion_feed(), reader.records.completion_feed()
                after = here.list_since(0)
                assert after.entries == there.list_since(0).entries
                assert after.dropped_through == there.list_since(0).dropped_through
                assert reader.records.completion_cursor(APPLIED) == owner.completion_cursor(APPLIED)
                assert reader.records.broken_invariants() == []


# Owners that end -------------------------------------------------------------------------------


def test_an_owner_that_is_killed_and_its_successor(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with owning(path) as process, Reader(Registry, SqliteStore(path)) as reader:
        assert reader.owner is not None
        watch = reader.records.register_watcher(OperationId(process.id))
        process.process.kill()
        process.process.wait()
        reader.refresh()
        assert reader.owner is None
        assert not watch.done()
        snapshot = reader.records.snapshot(OperationId(process.id))
        assert snapshot is not None
        assert snapshot.status is OperationStatus.PROVISIONING or snapshot.started_at_ms
        with Registry(store=SqliteStore(path)):
            assert isinstance(watch.result(30), Terminated)
            assert reader.owner is not None


def test_an_empty_registry_gets_its_epoch_later(make: Callable[[], Store]) -> None:
    with Registry(store=make()) as owner, Reader(Registry, make(), poll_seconds=LONG) as reader:
        assert reader.records.list_operations() == []
        id = completed(owner)
        reader.refresh()
        feed = reader.records.completion_feed()
        assert feed.epoch_id == owner.completion_feed().epoch_id
        assert [each.operation_id for each in entries_of(reader)] == [id]


def test_a_restored_store_ends_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with Registry(store=SqliteStore(path)) as owner:
        completed(owner)
        kept = running(owner)
    with Reader(Registry, SqliteStore(path), poll_seconds=LONG) as reader:
        wait = reader.records.completion_feed().wait_for_advance(2)
        assert reader.records.snapshot(kept) is not None
        with Registry(store=SqliteStore(path, restored=True)):
            pass
        for _ in range(2):
            with pytest.raises(EpochChangedError):
                reader.refresh()
        with pytest.raises(RegistryClosedError):
            wait.result(0)
        assert reader.records.snapshot(kept) is not None


@pytest.mark.parametrize("more", [0, 1, 5])
def test_an_older_copy_ends_the_reader_when_it_is_opened(more: int, tmp_path: Path) -> None:
    path, copy = tmp_path / "store.db", tmp_path / "copy.db"
    with Registry(store=SqliteStore(path)) as owner:
        completed(owner)
    shutil.copy(path, copy)
    with Registry(store=SqliteStore(path)) as owner:
        completed(owner)
    with Reader(Registry, SqliteStore(path), poll_seconds=LONG) as reader:
        wait = reader.records.completion_feed().wait_for_advance(2)
        os.replace(copy, path)
        # The copy is sound, and nothing says yet that it is one.
        with pytest.raises(PersistenceError, match="it was restored from a backup") as found:
            reader.refresh()
        assert not isinstance(found.value, StoreDamagedError)
        assert not wait.done()
        with Registry(store=SqliteStore(path)) as owner:
            for _ in range(more):
                completed(owner)
            with pytest.raises(EpochChangedError):
                reader.refresh()
        with pytest.raises(RegistryClosedError):
            wait.result(0)


def test_a_copy_that_was_put_back_between_two_looks_ends_the_reader(tmp_path: Path) -> None:
    path, copy = tmp_path / "store.db", tmp_path / "copy.db"
    with Registry(store=SqliteStore(path)) as owner:
        completed(owner)
    shutil.copy(path, copy)
    with Registry(store=SqliteStore(path)) as owner:
        completed(owner)
    with Reader(Registry, SqliteStore(path), poll_seconds=LONG) as reader:
        os.replace(copy, path)
        with Registry(store=SqliteStore(path)) as owner:
            for _ in range(9):
                completed(owner)
        with pytest.raises(EpochChangedError):
            reader.refresh()


def test_a_store_that_cannot_be_read_for_a_while(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, aside = tmp_path / "store.db", tmp_path / "aside.db"
    with Registry(store=SqliteStore(path)) as owner:
        id = completed(owner)
    with Reader(Registry, SqliteStore(path), poll_seconds=0.01) as reader:
        with caplog.at_level(logging.WARNING, "opslifecycle"):
            os.replace(path, aside)
            with pytest.raises(PersistenceError):
                reader.refresh()
            until(lambda: caplog.records)
        assert reader.records.snapshot(id) is not None
        assert "cannot be read now" in caplog.text
        os.replace(aside, path)
        reader.refresh()
        assert reader.records.snapshot(id) is not None


# Misuse ----------------------------------------------------------------------------------------


def test_it_has_no_commands(make: Callable[[], Store]) -> None:
    with Registry(store=make()) as owner:
        id = running(owner)
        with Reader(Registry, make()) as reader, Reader(AsyncRegistry, make()) as other:
            registry: Any = reader.records
            with pytest.raises(UnsupportedError, match="commands of a reader"):
                registry.complete_operation(id, result())
            with pytest.raises(UnsupportedError, match="commands of a reader"):
                registry.collect_completed()

            async def main() -> None:
                registry: Any = other.records
                with pytest.raises(UnsupportedError, match="commands of a reader"):
                    await registry.complete_operation(id, result())

            run(main())
        owner.complete_operation(id, result())


def test_what_is_no_registry_or_no_store(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    for machine in (Registry(), int, None):
        with pytest.raises(InvalidValueError, match="machine"):
            Reader(machine, store)  # type: ignore[arg-type]
    with pytest.raises(InvalidValueError, match="store"):
        Reader(Registry, "store.db")  # type: ignore[arg-type]
    with pytest.raises(InvalidValueError, match="only by the registry that owns it"):
        Reader(Registry, MemoryStore())
    for seconds in (0, -1, float("nan"), "1"):
        with pytest.raises(InvalidValueError, match="poll_seconds"):
            Reader(Registry, store, poll_seconds=seconds)  # type: ignore[arg-type]
    reader = Reader(Registry, store)
    for use in (lambda: reader.records, lambda: reader.owner, reader.refresh):
        with pytest.raises(RegistryClosedError):
            use()
    with pytest.raises(PersistenceError, match=r"store\.db"), reader:
        pass
    assert not (tmp_path / "store.db").exists()


def test_a_registry_that_is_not_there(make: Callable[[], Store], tmp_path: Path) -> None:
    with Registry(store=make()):
        pass
    other = make()
    other._registry = "other"  # type: ignore[attr-defined]
    with pytest.raises(PersistenceError, match="no registry 'other'"), Reader(Registry, other):
        pass


def test_after_its_end_reads_work_and_waits_do_not(make: Callable[[], Store]) -> None:
    with Registry(store=make()) as owner:
        id = running(owner)
        with Reader(Registry, make()) as reader:
            watch = reader.records.register_watcher(id)
        reader.close()
        assert reader.records.snapshot(id) is not None
        with pytest.raises(ChannelClosedError):
            watch.result(0)
        with pytest.raises(RegistryClosedError):
            reader.refresh()
        with pytest.raises(RegistryClosedError), reader:
            pass


# Machines of users -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def errand(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    folder = tmp_path_factory.mktemp("read")
    return package(folder, MACHINES / "errand.yaml", "read_errand", *EDITS)


def test_a_feed_of_transitions(errand: Any, make: Callable[[], Store]) -> None:
    with errand.ErrandRegistry(store=make()) as owner:
        ids = [errand.ErrandId.new() for _ in range(3)]
        for id in ids:
            owner.ask(id, "bread")
        with Reader(errand.ErrandRegistry, make(), poll_seconds=LONG) as reader:
            owner.take(ids[0], "Ada")
            owner.give_back(ids[0], "rain")
            owner.take(ids[0], "Bob")
            owner.drop(ids[1], None)
            owner.forget(ids[2])
            reader.refresh()
            there, here = owner.changes().list_since(0), reader.records.changes().list_since(0)
            assert here == there
            for id in ids:
                assert reader.records.snapshot(id) == owner.snapshot(id)


def test_it_reads_the_archive(errand: Any, make: Callable[[], Store]) -> None:
    with errand.ErrandRegistry(store=make(), changes_max=1) as owner:
        with Reader(errand.ErrandRegistry, make(), poll_seconds=LONG) as reader:
            assert reader.records.past_errands() == []
            ids = [done(errand, owner, f"{n}") for n in range(4)]
            consume(errand, owner)
            # The archive is that of the store now, whenever the last look was.
            assert reader.records.past_errands() == owner.past_errands()
            assert len(reader.records.past_errands(limit=2)) == 2
            for asked in ({"descending": True}, {"beyond": "1"}, {"runner": "Ada"}):
                assert reader.records.past_errands(**asked) == owner.past_errands(**asked)
            assert reader.records.past_errand(ids[0]) == owner.past_errand(ids[0])
            assert reader.records.past_errand(ids[3]) is None
        with pytest.raises(RegistryClosedError):
            reader.records.past_errand(ids[0])
    with Reader(errand.ErrandRegistry, make(), poll_seconds=LONG) as reader:
        assert [each.snapshot.id for each in reader.records.past_errands()] == ids[:3]
    view = make().reading(errand.ErrandRegistry._definition.codec.schema)
    assert view._reader.check_archive("default") == 3


def test_an_async_one_reads_the_archive_in_a_thread(errand: Any, make: Callable[[], Store]) -> None:
    with errand.ErrandRegistry(store=make(), changes_max=1) as owner:
        ids = [done(errand, owner) for _ in range(2)]
        consume(errand, owner)

    async def look() -> None:
        async with Reader(errand.AsyncErrandRegistry, make()) as reader:
            (found,) = await reader.records.past_errands()
            assert found.snapshot == await reader.records.past_errand(ids[0])

    asyncio.run(look())


def test_it_reads_no_altered_archive(errand: Any, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with errand.ErrandRegistry(store=SqliteStore(path), changes_max=1) as owner:
        done(errand, owner)
        done(errand, owner)
        consume(errand, owner)
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE archive SET body = body || ' '")
    with (
        Reader(errand.ErrandRegistry, SqliteStore(path)) as reader,
        pytest.raises(StoreDamagedError, match="archived record with the sequence number"),
    ):
        reader.records.past_errands()


def test_effects_that_wait_for_their_delivery(tmp_path: Path, make: Callable[[], Store]) -> None:
    parcel: Any = package(tmp_path, MACHINES / "parcel.yaml", "read_parcel")
    with parcel.ParcelRegistry(store=make()) as owner:
        id = parcel.ParcelId.new()
        owner.accept(id, "here")
        owner.move(id)
        with Reader(parcel.ParcelRegistry, make(), poll_seconds=LONG) as reader:
            assert reader.records.pending_effects() == owner.pending_effects()
            owner.move(id)
            owner.deliver(id)
            assert owner.pending_effects()
            reader.refresh()
            assert reader.records.pending_effects() == owner.pending_effects()
            assert reader.records.capture() == owner.capture()


def test_who_waits_for_a_successor_finds_it_as_the_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that a look wakes may run before the look has returned."""
    path, owners = tmp_path / "store.db", []
    with (
        owning(path) as process,
        Reader(Registry, SqliteStore(path), poll_seconds=60) as reader,
    ):
        take = reader._copy.take  # type: ignore[union-attr]

        def waking(*look: Any) -> None:
            take(*look)
            owners.append(reader.owner)

        monkeypatch.setattr(reader._copy, "take", waking)
        process.process.kill()
        process.process.wait()
        reader.refresh()
        with Registry(store=SqliteStore(path)):
            reader.refresh()
        reader.refresh()
    assert [each is None for each in owners] == [True, False, True]
