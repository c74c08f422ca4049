"""The SQLite store: killed, fenced, faulted and damaged; what it shows, and how it stays small."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from opslifecycle import (
    AsyncRegistry,
    CompletionCursorConsumer,
    InvalidValueError,
    OwnershipLostError,
    PersistenceError,
    Registry,
    RegistryOwnedError,
    SqliteStore,
    StoreDamagedError,
    StoreVersionError,
)
from opslifecycle.stores.sqlite import lease as leases

from opslifecycle.operations.storage import CODEC
from tests.support.builders import completed, running, spec
from tests.support.kill_test import kill_repeatedly
from tests.support.scale import whole_or
from tests.support.waiting import until

ROOT = Path(__file__).parents[1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def filled(path: Path, count: int = 5) -> None:
    with Registry(store=SqliteStore(path)) as registry:
        for _ in range(count):
            completed(registry)


def query(path: Path, statement: str, *values: object) -> list[tuple[Any, ...]]:
    database = sqlite3.connect(path, isolation_level=None)
    try:
        return database.execute(statement, values).fetchall()
    finally:
        database.close()


class TestKilled:
    def test_nothing_acknowledged_is_lost(self, tmp_path: Path) -> None:
        rounds = whole_or(20, 2)
        kills, acknowledged = kill_repeatedly(rounds, 7, tmp_path)
        assert kills == rounds
        assert acknowledged > 5 * rounds

    def test_a_store_that_forgets_is_caught(self, tmp_path: Path) -> None:
        with pytest.raises(AssertionError, match="lost"):
            kill_repeatedly(10, 7, tmp_path, stores=["forgetful"])


class TestOwner:
    def test_a_second_process_is_told_who_holds_it(self, path: Path) -> None:
        command = [
            sys.executable,
            "-m",
            "tests.support.durable_worker",
            str(path),
            "process",
            "1",
            "10",
        ]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            with pytest.raises(RegistryOwnedError) as caught:
                Registry(store=SqliteStore(path))
            process.kill()
        assert caught.value.path == str(path)
        assert f"process {process.pid} on " in caught.value.holder
        with Registry(store=SqliteStore(path)) as registry:
            completed(registry)

    def test_heartbeats_keep_the_lease(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(leases, "BEAT_SECONDS", 0.01)
        with Registry(store=SqliteStore(path)):
            (before,) = query(path, "SELECT expires_ms FROM registries")
            until(lambda: query(path, "SELECT expires_ms FROM registries") > [before])

    def test_a_fenced_owner_notices_at_its_heartbeat(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(leases, "BEAT_SECONDS", 0.01)
        registry = Registry(store=SqliteStore(path))
        watch = registry.register_watcher(running(registry))
        query(path, "UPDATE registries SET fence = fence + 1")
        with pytest.raises(Exception, match="channel closed"):
            watch.result(30)
        with pytest.raises(OwnershipLostError):
            registry.register_operation(spec())

    def test_several_registries_share_a_file(self, path: Path) -> None:
        with (
            Registry(store=SqliteStore(path, registry="one")) as one,
            Registry(store=SqliteStore(path, registry="two")) as two,
        ):
            for _ in range(3):
                completed(one)
            completed(two)
        for name, watermark in (("one", 3), ("two", 1), ("three", 0)):
            with Registry(store=SqliteStore(path, registry=name)) as registry:
                assert registry.completion_feed().watermark == watermark


def test_many_processes_may_create_one_file_at_once(path: Path) -> None:
    count = whole_or(8, 4)
    script = (
        "import sys; from opslifecycle import *\n"
        "with Registry(store=SqliteStore(sys.argv[1], registry=sys.argv[2])) as r:\n"
        "    r.register_operation(OperationSpec(OperationId.new(),"
        " OperationKind.BACKGROUND_TOOL_OP, SessionId.new(), 'n', 'l'))\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    processes = [subprocess.Popen([*command, str(n)], stderr=-1) for n in range(count)]
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert errors == [b""] * count
    assert query(path, "SELECT count(*) FROM registries") == [(count,)]
    assert sorted(os.listdir(path.parent)) == [path.name, f"{path.name}-lease"]


class TestReading:
    def test_views_for_people_while_it_is_owned(self, path: Path) -> None:
        with Registry(store=SqliteStore(path)) as registry:
            done, live = completed(registry), running(registry)
            registry.advance_completion_cursor(CompletionCursorConsumer.AGENT_APPLIED, 1)
            registry.register_operation(spec())
            records = dict(query(path, "SELECT id, status FROM records"))
            assert records[str(done)] == "completed"
            assert records[str(live)] == "running"
            assert query(path, "SELECT sequence, id, status FROM feed") == [
                (1, str(done), "completed")
            ]
            cursors = dict(query(path, "SELECT consumer, cursor FROM cursors"))
            assert cursors == {"agent_applied": 1, "runtime_observed": 0, "runtime_injected": 0}


class TestSize:
    def test_the_file_stops_growing(self, path: Path) -> None:
        sizes = []
        with Registry(store=SqliteStore(path, durability="process"), max_completed=50) as registry:
            kept = [running(registry) for _ in range(20)]
            for _ in range(whole_or(6, 3)):
                for _ in range(400):
                    completed(registry)
                (count,) = query(path, "SELECT count(*) FROM transitions")[0]
                sizes.append(count)
            batch = registry.completion_feed().list_since(0)
        assert max(sizes) < 600, sizes
        with Registry(store=SqliteStore(path)) as registry:
            rows = registry.completion_feed().list_since(0)
            assert rows.entries[: 50 - 20] == batch.entries[20:]
            assert {row.operation_id for row in rows.entries[30:]} == set(kept)
            assert registry.broken_invariants() == []

    def test_collected_rows_stay_through_compaction(self, path: Path) -> None:
        with Registry(store=SqliteStore(path, durability="process"), max_completed=500) as registry:
            for _ in range(400):
                completed(registry)
            registry.collect_completed()
            for _ in range(400):
                registry.rollback_unreturned_operation(running(registry))
            batch = registry.completion_feed().list_since(0)
        kinds = dict(query(path, "SELECT kind, count(*) FROM transitions GROUP BY kind"))
        assert kinds["row"] > 0
        with Registry(store=SqliteStore(path)) as registry:
            assert registry.completion_feed().list_since(0) == batch
            assert registry.list_operations() == []

    def test_after_many_completions_only_what_is_retained_is_read(self, path: Path) -> None:
        count, kept = whole_or(100_000, 6_000), 300

        async def work() -> None:
            store = SqliteStore(path, durability="process")
            async with AsyncRegistry(store=store, max_completed=kept) as registry:

                async def one() -> None:
                    for _ in range(count // 1000):
                        made = spec()
                        await registry.register_operation(made)
                        await registry.provisioning_succeeded(made.id)
                        await registry.mark_retired(made.id)

                await asyncio.gather(*(one() for _ in range(1000)))

        asyncio.run(work())
        assert query(path, "SELECT count(*) < 10000 FROM log") == [(1,)]
        assert path.stat().st_size < 10_000_000
        with Registry(store=SqliteStore(path)) as registry:
            batch = registry.completion_feed().list_since(0)
            assert (len(batch.entries), batch.watermark) == (kept, count)
            assert len(registry.list_operations()) == kept
            completed(registry)


class TestDamage:
    @pytest.mark.parametrize(
        ("change", "rule"),
        [
            ("UPDATE log SET body = replace(body, 'work', 'w0rk') WHERE key & 255 = 3", "altered"),
            ("UPDATE log SET sequence = 9 WHERE sequence = 2", "altered"),
            ("UPDATE log SET id = upper(id) WHERE kind = 'put'", "altered"),
            ("UPDATE log SET kind = 'erase' WHERE key & 255 = 4", "altered"),
            ("UPDATE log SET checksum = checksum + 1 WHERE key & 255 = 4", "altered"),
            ("UPDATE log SET key = key + 1 WHERE key = (SELECT max(key) FROM log)", "missing"),
            ("DELETE FROM log WHERE key & 255 = 1", "missing"),
            ("DELETE FROM log WHERE key & 255 = 5", "missing"),
            ("DELETE FROM log WHERE key = (SELECT max(key) FROM log)", "missing at the end"),
            ("DELETE FROM log", "missing at the end"),
            ("UPDATE registries SET head = head - 1", "head does not fit"),
            ("UPDATE registries SET head_checksum = 1", "head does not fit"),
            ("UPDATE registries SET digest = 'x'", "own row was altered"),
        ],
    )
    def test_an_altered_file_is_refused_and_left_alone(
        self, path: Path, change: str, rule: str
    ) -> None:
        filled(path)
        query(path, change)
        before = query(path, "SELECT * FROM log"), query(path, "SELECT * FROM registries")
        with pytest.raises(StoreDamagedError) as caught:
            Registry(store=SqliteStore(path))
        assert rule in str(caught.value)
        assert str(path) in str(caught.value)
        assert isinstance(caught.value, PersistenceError)
        after = query(path, "SELECT * FROM log"), query(path, "SELECT * FROM registries")
        assert after == before

    @pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0 but no more"])
    def test_what_is_no_database_is_refused(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        with pytest.raises(StoreDamagedError):
            Registry(store=SqliteStore(path))
        assert path.read_bytes() == content

    def test_a_file_cut_anywhere_is_never_read_as_less(self, path: Path, tmp_path: Path) -> None:
        filled(path, 60)
        whole = path.read_bytes()
        cut = tmp_path / "cut.db"
        for length in range(0, len(whole), 4096):
            cut.write_bytes(whole[:length])
            with pytest.raises(PersistenceError):
                Registry(store=SqliteStore(cut))
            for rest in tmp_path.glob("cut.db*"):
                rest.unlink()

    def test_a_changed_byte_is_found_or_changes_nothing(self, path: Path, tmp_path: Path) -> None:
        filled(path, 20)
        with Registry(store=SqliteStore(path)) as registry:
            expected = registry.list_operations()
        whole = path.read_bytes()
        found = 0
        for place in range(100, len(whole), 499):
            flipped = tmp_path / "flipped.db"
            changed = bytes([whole[place] ^ 0x10])
            flipped.write_bytes(whole[:place] + changed + whole[place + 1 :])
            try:
                with Registry(store=SqliteStore(flipped)) as registry:
                    assert registry.list_operations() == expected, place
            except (PersistenceError, StoreVersionError):
                found += 1
            for rest in tmp_path.glob("flipped.db*"):
                rest.unlink()
        assert found > 5

    def test_other_programs_layouts_and_versions_are_refused(self, path: Path) -> None:
        filled(path)
        other = path.with_name("other.db")
        query(other, "CREATE TABLE things (x)")
        with pytest.raises(StoreVersionError, match="another program"):
            Registry(store=SqliteStore(other))
        newer = path.with_name("newer.db")
        shutil.copy(path, newer)
        query(newer, "PRAGMA user_version = 99")
        with pytest.raises(StoreVersionError, match="layout 99"):
            Registry(store=SqliteStore(newer))
        from opslifecycle.stores.schema_version import SchemaVersion

        store = SqliteStore(path)
        with pytest.raises(StoreVersionError, match="ops_lifecycle version 1"):
            store.open(SchemaVersion("ops_lifecycle", 2, "x"))
        assert store.open(CODEC.schema).state is not None
        store.close()


@pytest.mark.parametrize(
    "arguments",
    [{"durability": "maybe"}, {"interrupted": "ignore"}, {"registry": 3}],
)
def test_wrong_arguments_name_their_field(path: Path, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError) as caught:
        SqliteStore(path, **arguments)
    assert caught.value.field in arguments
    assert not path.exists()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PersistenceError, match="there is no folder"):
        Registry(store=SqliteStore(tmp_path / "no" / "store.db"))
    assert os.listdir(tmp_path) == []
