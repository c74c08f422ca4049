"""The archive: records that left memory stay in the store, and are read on demand."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from opslifecycle import (
    InvalidValueError,
    MemoryStore,
    PersistenceError,
    RegistryClosedError,
    SqliteStore,
    StoreDamagedError,
    StoreRolledBackError,
    StoreVersionError,
    UnsupportedError,
)
from opslifecycle.shell import archive
from opslifecycle.shell.archive import Archive, ArchivedForm
from opslifecycle.shell.direct import DirectExecutor
from opslifecycle.shell.engine import Engine
from opslifecycle.shell.replica import replicate_registry
from opslifecycle.stores.base import Commit, StoreContents
from opslifecycle.stores.schema_version import SchemaVersion
from opslifecycle.stores.sqlite import archive as sqlite_archive
from opslifecycle.stores.sqlite.admin import forget
from opslifecycle.stores.sqlite.backup import back_up
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.behaviour import behaviour_changes

from tests.support.codegen.projects import package
from tests.support.edits import replaced
from tests.support.gate import Gate, MakeStore

if TYPE_CHECKING:
    from tests.support.postgres.databases import Database

ERRAND = Path(__file__).parents[1] / "codegen" / "errand.yaml"
ARCHIVE = """{evict: records, max_entries: registry.changes_max, archive:
  {summary: The errands of the past., get: past_errand, since: past_errands}}"""
COMPLETIONS = [
    ("  of: transitions\n", ""), ("      action: transition.action\n", ""),
    ("      before: transition.from_status\n", ""), ("      reason: transition.reason\n", ""),
    ("      at_ms: transition.at_ms\n", ""),
]  # fmt: skip
LISTING = """listing:
  summary: Errands by what they are for.
  method: errands
  order: [errand.what]
  filters: {status: errand.status, runner: errand.runner}
  orders: {what: errand.what}
  above: {beyond: what}
  below: {until: what}

recovery:"""
EDITS = [
    ("{evict: records, max_entries: registry.changes_max}", ARCHIVE),
    ("recovery:", LISTING),
]


@pytest.fixture(scope="module")
def completions(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    edits = [*EDITS, *COMPLETIONS]
    return package(tmp_path_factory.mktemp("archive"), ERRAND, "archived_completions", *edits)


@pytest.fixture(scope="module")
def transitions(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    edits = [*EDITS, ("Names one errand.", "Names one errand., type: int")]
    return package(tmp_path_factory.mktemp("archive"), ERRAND, "archived_transitions", *edits)


@pytest.fixture(params=["completions", "transitions"])
def errands(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@contextlib.contextmanager
def opened(errands: ModuleType, store: Any, **settings: Any) -> Iterator[Any]:
    with errands.ErrandRegistry(store=store, **settings) as registry:
        yield registry


def done(errands: ModuleType, registry: Any, what: str = "milk", by: str = "Ada") -> Any:
    """Run an errand to its end, and return its id."""
    id = errands.ErrandId.new()
    registry.ask(id, what)
    registry.take(id, by)
    consume(errands, registry)
    registry.finish(id)
    return id


def consume(errands: ModuleType, registry: Any) -> None:
    registry.mark_read(errands.Follower.OFFICE, registry.changes().watermark)


def past(registry: Any, **asked: Any) -> list[Any]:
    return [each.snapshot.id for each in registry.past_errands(**asked)]


def test_what_leaves_memory_is_read_from_the_store(
    errands: ModuleType, make_store: MakeStore
) -> None:
    with opened(errands, make_store(), changes_max=1) as registry:
        ids = [done(errands, registry, f"{n}") for n in range(5)]
        consume(errands, registry)
        assert [registry.snapshot(id) for id in ids[:4]] == [None] * 4
        assert past(registry) == ids[:4]
        found = registry.past_errand(ids[2])
        assert (found.id, found.what, found.runner) == (ids[2], "2", "Ada")
        assert found.status is errands.ErrandStatus.DONE
        assert registry.past_errand(ids[4]) is None
        assert registry.past_errand(errands.ErrandId.new()) is None
        pages = [each.sequence for each in registry.past_errands(limit=3)]
        assert len(pages) == 3
        assert past(registry, after=pages[-1]) == ids[3:4]
        assert past(registry, after=2**63 - 1) == past(registry, limit=0) == []
        assert registry._authority.records.keys() == {ids[4]}
        # A new errand may have the id of an archived one. The latest is found by its id.
        registry.ask(ids[0], "again")
        assert registry.past_errand(ids[0]).what == "0"
        registry.drop(ids[0], None)
        consume(errands, registry)
        done(errands, registry)
        consume(errands, registry)
        assert registry.past_errand(ids[0]).what == "again"
        assert past(registry)[:6] == [*ids, ids[0]]


def test_pages_go_both_ways(
    errands: ModuleType, make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_ROWS_MAX", 2)
    with opened(errands, make_store(), changes_max=1) as registry:
        ids = [done(errands, registry, f"{n}") for n in range(6)]
        consume(errands, registry)
        every = registry.past_errands()
        assert [each.snapshot.id for each in every] == ids[:5]
        assert registry.past_errands(descending=True) == every[::-1]
        assert registry.past_errands(descending=True, limit=3) == every[:1:-1]
        before = every[2].sequence
        assert registry.past_errands(descending=True, limit=3, after=before) == every[1::-1]
        assert registry.past_errands(descending=True, after=2**63 - 1) == every[::-1]
        first = every[0].sequence
        assert past(registry, descending=True, after=first) == []
        assert past(registry, descending=True, limit=0) == []


def test_pages_have_the_filters_and_bounds_of_the_listing(
    errands: ModuleType, make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_ROWS_MAX", 2)
    monkeypatch.setattr(archive, "_ROWS_MIN", 1)
    statuses = errands.ErrandStatus
    with opened(errands, make_store(), changes_max=1) as registry:
        ids = [done(errands, registry, f"{n}", ("Ada", "Bob")[n % 2]) for n in range(6)]
        registry.ask(dropped := errands.ErrandId.new(), "9")
        registry.drop(dropped, "rain")
        done(errands, registry)
        consume(errands, registry)
        assert past(registry) == [*ids, dropped]
        assert past(registry, runner="Bob") == ids[1::2]
        assert past(registry, runner="Bob", limit=2) == ids[1:5:2]
        (third,) = registry.past_errands(runner="Bob", limit=1, after=registry.past_errands(
            runner="Bob", limit=2)[-1].sequence)  # fmt: skip
        assert third.snapshot.id == ids[5]
        assert past(registry, runner="Bob", descending=True) == ids[5::-2]
        assert past(registry, status=statuses.DROPPED) == [dropped]
        assert past(registry, status=statuses.DROPPED, runner="Ada") == []
        assert past(registry, beyond="3") == [*ids[4:], dropped]
        assert past(registry, until="3") == ids[:3]
        assert past(registry, beyond="1", until="4", runner="Ada") == ids[2:3]
        with pytest.raises(InvalidValueError, match="status: expected ErrandStatus"):
            registry.past_errands(status="done")


def test_the_next_process_finds_it_and_archives_what_opening_evicts(
    completions: ModuleType, make_store: MakeStore
) -> None:
    with opened(completions, make_store()) as registry:
        ids = [done(completions, registry) for _ in range(4)]
        consume(completions, registry)
        assert past(registry) == []
    for _ in range(2):
        store = make_store()
        with opened(completions, store, changes_max=1) as registry:
            registry.ask(completions.ErrandId.new(), "so that a commit comes")
            assert past(registry) == ids[:3]
            assert store.check_archive() == 3
            registry.forget(registry.snapshot(ids[3]) and _live(registry))
            assert registry.snapshot(ids[3]).id == ids[3]


def _live(registry: Any) -> Any:
    (id,) = (id for id, each in registry._authority.records.items() if not each.status.terminal)
    return id


def test_a_failed_commit_archives_nothing(completions: ModuleType, make_store: MakeStore) -> None:
    gate = Gate(make_store())
    gate.archives = True
    inner = gate._inner
    with opened(completions, gate, changes_max=1) as registry:
        first, second = done(completions, registry), completions.ErrandId.new()
        registry.ask(second, "bread")
        registry.mark_read(completions.Follower.OFFICE, 1)
        gate.fails = PersistenceError("the store", "it is full")
        with pytest.raises(PersistenceError):
            registry.drop(second, None)
        assert registry.snapshot(first) is not None
        assert inner.archived_after(0, 9) == []
        gate.fails = None
        registry.drop(second, None)
        consume(completions, registry)
        assert [row[1] for row in inner.archived_after(0, 9)] == [str(first)]


def test_a_rejected_transaction_archives_nothing(
    completions: ModuleType, make_store: MakeStore
) -> None:
    with opened(completions, make_store(), changes_max=1) as registry:
        first, second = completions.ErrandId.new(), completions.ErrandId.new()
        for id in (first, second):
            registry.ask(id, "milk")
        registry.drop(first, None)
        registry.mark_read(completions.Follower.OFFICE, 1)

        def both() -> None:
            with registry.transaction() as together:
                together.drop(second, None)
                together.finish(first)

        with pytest.raises(completions.ErrandNotFoundError):
            both()
        assert past(registry) == []
        assert registry.snapshot(first) is not None
        with registry.transaction() as together:
            together.drop(second, None)
            assert together.past_errand(first) is None
        assert past(registry) == [first]


def test_collected_and_erased_records_are_not_archived(
    completions: ModuleType, make_store: MakeStore
) -> None:
    with opened(completions, make_store(), changes_max=1) as registry:
        done(completions, registry)
        consume(completions, registry)
        registry.collect()
        last = done(completions, registry)
        consume(completions, registry)
        done(completions, registry)
        consume(completions, registry)
        assert past(registry) == [last]


def test_an_async_registry_reads_it_in_a_thread(
    completions: ModuleType, make_store: MakeStore
) -> None:
    async def run() -> None:
        async with await completions.AsyncErrandRegistry.open(
            store=make_store(), changes_max=1
        ) as registry:
            ids = [completions.ErrandId.new() for _ in range(2)]
            for id in ids:
                await registry.ask(id, "milk")
                await registry.drop(id, None)
                watermark = registry.changes().watermark
                await registry.mark_read(completions.Follower.OFFICE, watermark)
            assert (await registry.past_errand(ids[0])).id == ids[0]
            assert [each.snapshot.id for each in await registry.past_errands()] == ids[:1]

    asyncio.run(run())


def test_wrong_arguments_and_other_stores(completions: ModuleType) -> None:
    with opened(completions, None, changes_max=1) as registry:
        for _ in range(2):
            done(completions, registry)
        consume(completions, registry)
        assert past(registry) == []
        with pytest.raises(InvalidValueError, match="limit: expected an integer of at least 0"):
            registry.past_errands(limit=-1)
        with pytest.raises(InvalidValueError, match="id: expected ErrandId"):
            registry.past_errand("x")


def test_a_handle_on_a_registry_elsewhere_has_no_archive(completions: ModuleType) -> None:
    kind = completions.ErrandRegistry
    handle = replicate_registry(
        kind,
        kind._definition,
        StoreContents({}, {}, None),
        lambda engine: DirectExecutor(engine, completions.ErrandId),
    )
    with pytest.raises(UnsupportedError, match="archive of a registry of another host"):
        handle.past_errands()
    with pytest.raises(UnsupportedError):
        handle.past_errand(completions.ErrandId.new())


def test_a_filter_less_is_a_change_of_both_methods() -> None:
    text = replaced(ERRAND.read_text(encoding="utf-8"), EDITS)
    less = text.replace("{status: errand.status, runner: errand.runner}", "{status: errand.status}")
    old, new = (program_of(each.encode(), "m.yaml") for each in (text, less))
    changes = [str(each) for each in behaviour_changes(old, new) if each.rule == "method-changed"]
    assert len(changes) == 2
    assert any("the method past_errands was " in each for each in changes)


def test_a_store_without_an_archive_is_refused(
    completions: ModuleType, make_store: MakeStore
) -> None:
    with pytest.raises(InvalidValueError, match="has no archive"):
        completions.ErrandRegistry(store=Gate(make_store()))


def test_records_of_older_versions_are_migrated_when_they_are_read() -> None:
    store = MemoryStore()

    def migrate(version: int, contents: StoreContents) -> StoreContents:
        bodies = {id: f"{body} from {version}" for id, body in contents.records.items()}
        return StoreContents(bodies, {}, None)

    schema = SchemaVersion("errand", 2, "", migrate, archives=True)
    store.open(schema)
    archived = ((1, "a", 1, "old"), (2, "b", 2, "new"), (3, "c", 3, "future"))
    store.append(Commit((), (), 3, "{}", archived))
    engine = Engine.__new__(Engine)
    engine.closed = None
    form: ArchivedForm[str] = ArchivedForm(
        schema=schema,
        deserialize=lambda id, body: f"{id}: {body}",
        snapshot_of=lambda record, watches: str(record),
        filters_of=lambda record: (),
        orders_of=lambda record: (),
    )
    found = Archive(engine, store, form)
    assert [each.snapshot for each in found.list_since(0, 2)] == ["a: old from 1", "b: new"]
    with pytest.raises(StoreVersionError, match="errand version 3"):
        found.list_since(2, 1)


@pytest.fixture
def file(tmp_path: Path, completions: ModuleType) -> Path:
    """A file with three archived completions."""
    path = tmp_path / "completions.db"
    with opened(completions, SqliteStore(path), changes_max=1) as registry:
        for number in range(4):
            done(completions, registry, f"{number}")
        consume(completions, registry)
    return path


def change(path: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute(statement)


class TestFiles:
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE archive SET body = replace(body, 'milk', 'silk') || ' '",
            "UPDATE archive SET id = 'x'",
            "UPDATE archive SET version = version + 1",
        ],
    )
    def test_an_altered_record_is_damage(
        self, file: Path, completions: ModuleType, statement: str
    ) -> None:
        change(file, statement)
        store = SqliteStore(file)
        with opened(completions, store) as registry:
            with pytest.raises(StoreDamagedError, match="archived record with the sequence number"):
                registry.past_errands()
            with pytest.raises(StoreDamagedError):
                store.check_archive()

    def test_a_missing_record_is_found_by_the_check(
        self, file: Path, completions: ModuleType
    ) -> None:
        change(file, "DELETE FROM archive WHERE key = (SELECT min(key) FROM archive)")
        store = SqliteStore(file)
        with opened(completions, store) as registry:
            assert len(registry.past_errands()) == 2
            with pytest.raises(StoreDamagedError, match="records of the archive are missing"):
                store.check_archive()

    @pytest.mark.parametrize("part", ["TRIGGER archive_added", "INDEX archive_ids"])
    def test_altered_tables_are_damage(
        self, file: Path, completions: ModuleType, part: str
    ) -> None:
        change(file, f"DROP {part}")
        with opened(completions, SqliteStore(file)) as registry:
            with pytest.raises(StoreDamagedError, match="the tables of the archive were altered"):
                registry.past_errands()
            id = completions.ErrandId.new()
            registry.ask(id, "milk")
            with pytest.raises(StoreDamagedError):
                registry.drop(id, None)
            assert not registry.snapshot(id).status.terminal

    def test_registries_of_a_file_have_their_own(self, file: Path, completions: ModuleType) -> None:
        other = SqliteStore(file, registry="other")
        with opened(completions, other, changes_max=1) as registry:
            for _ in range(2):
                done(completions, registry)
            consume(completions, registry)
            assert other.check_archive() == 1
            (id,) = past(registry)
        first = SqliteStore(file)
        with opened(completions, first) as registry:
            assert first.check_archive() == len(past(registry)) == 3
            assert registry.past_errand(id) is None
        forget(file, "default")
        with opened(completions, SqliteStore(file)) as registry:
            assert past(registry) == []
        with opened(completions, other) as registry:
            assert len(past(registry)) == 1

    def test_a_backup_has_it(self, file: Path, completions: ModuleType, tmp_path: Path) -> None:
        back_up(file, tmp_path / "copy.db")
        store = SqliteStore(tmp_path / "copy.db")
        with opened(completions, store) as registry:
            assert len(past(registry)) == store.check_archive() == 3

    def test_a_check_lets_others_read(
        self, file: Path, completions: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        checked = sqlite_archive._checked
        reached, goes_on = threading.Event(), threading.Event()

        def slowly(*row: Any) -> Any:
            if threading.current_thread() is checking:
                reached.set()
                assert goes_on.wait(30)
            return checked(*row)

        monkeypatch.setattr(sqlite_archive, "_checked", slowly)
        store, counted = SqliteStore(file), []
        checking = threading.Thread(target=lambda: counted.append(store.check_archive()))
        with opened(completions, store, changes_max=1) as registry:
            checking.start()
            try:
                assert reached.wait(30)
                ids = past(registry)
                assert registry.past_errand(ids[1]).id == ids[1]
                done(completions, registry)
                consume(completions, registry)
                assert len(past(registry)) == 4
            finally:
                goes_on.set()
                checking.join()
            # What was archived meanwhile is no part of the check.
            assert counted == [3]
            assert store.check_archive() == 4

    def test_reads_end_with_the_registry(self, file: Path, completions: ModuleType) -> None:
        store = SqliteStore(file)
        with opened(completions, store) as registry:
            id = past(registry)[0]
        for read in (lambda: registry.past_errand(id), registry.past_errands):
            with pytest.raises(RegistryClosedError):
                read()
        with pytest.raises(PersistenceError, match="the store is closed; open a registry on it"):
            store.check_archive()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
    def test_a_forked_child_reads_nothing(self, file: Path, completions: ModuleType) -> None:
        with opened(completions, SqliteStore(file)) as registry:
            assert len(past(registry)) == 3
            child = os.fork()
            if child == 0:
                try:
                    registry.past_errands()
                except RegistryClosedError:
                    os._exit(7)
                os._exit(1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7

    def test_opening_reads_none_of_it(self, file: Path, completions: ModuleType) -> None:
        change(file, "UPDATE archive SET body = '{'")
        with opened(completions, SqliteStore(file)) as registry:
            done(completions, registry)


class TestServers:
    def test_a_file_is_imported_with_it(
        self, file: Path, completions: ModuleType, postgres: Database
    ) -> None:
        from opslifecycle.stores.postgres.importing import import_file
        from opslifecycle.stores.postgres.session import Target

        target = Target(postgres.dsn, postgres.schema, 10.0, session_lock=True)
        with opened(completions, SqliteStore(file)) as registry:
            wanted = registry.past_errands()
        assert import_file(file, target) == [("default", 1)]
        with opened(completions, postgres.store()) as registry:
            assert registry.past_errands() == wanted

    def test_what_a_server_has_lost_of_it_is_not_put_back(
        self, completions: ModuleType, postgres: Database
    ) -> None:
        with opened(completions, postgres.store(), changes_max=1) as registry:
            done(completions, registry)
            postgres.query("UPDATE registries SET head = head - 1")
            with pytest.raises(StoreRolledBackError):
                registry.ask(completions.ErrandId.new(), "milk")

    def test_a_removed_registry_leaves_nothing(
        self, completions: ModuleType, postgres: Database
    ) -> None:
        from opslifecycle.stores.postgres.admin import forget as forget_on
        from opslifecycle.stores.postgres.session import Target

        with opened(completions, postgres.store(), changes_max=1) as registry:
            for _ in range(2):
                done(completions, registry)
            consume(completions, registry)
        assert postgres.query("SELECT count(*) FROM archive") == [(1,)]
        forget_on(Target(postgres.dsn, postgres.schema, 10.0, session_lock=True), "default")
        assert postgres.query("SELECT count(*) FROM archive") == [(0,)]
