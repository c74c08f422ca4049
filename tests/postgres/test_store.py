"""What a PostgreSQL store refuses, keeps and shows, and who owns what is in it."""

from __future__ import annotations

import gc
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import psycopg
import pytest
from opslifecycle import (
    ChannelClosedError,
    CommitInDoubtError,
    InvalidValueError,
    OperationId,
    OperationProgressUpdate,
    OwnershipLostError,
    PersistenceError,
    PostgresStore,
    Reader,
    Registry,
    RegistryClosedError,
    RegistryOwnedError,
    StoreDamagedError,
    StoreRolledBackError,
    StoreVersionError,
)
from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.stores.base import EMPTY, Commit, RecordWrite, StoreContents
from opslifecycle.stores.postgres import claims
from opslifecycle.stores.postgres.link import Deadline, Link, RefusedError, Row
from opslifecycle.stores.postgres.reader import PostgresReader
from opslifecycle.stores.postgres.session import Target
from opslifecycle.stores.postgres.writer import Write, Writer
from opslifecycle.stores.schema_version import SchemaVersion

from opslifecycle.operations.storage import CODEC
from tests.support.builders import completed, registered, result, running
from tests.support.ports import free_port
from tests.support.postgres.databases import Database
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
MACHINE = SchemaVersion("m", 1, "digest")


def commit(*writes: RecordWrite, erased: tuple[str, ...] = (), dropped: int = 0) -> Commit:
    return Commit(writes, erased, dropped, '{"a":1}')


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "field"),
        [
            ({"dsn": 5}, "dsn"),
            ({"dsn": "no connection string"}, "dsn"),
            ({"registry": ""}, "registry"),
            ({"registry": "a\nb"}, "registry"),
            ({"schema": "Upper"}, "schema"),
            ({"schema": 'a"b'}, "schema"),
            ({"schema": "pg_mine"}, "schema"),
            ({"lease_seconds": 0.5}, "lease_seconds"),
            ({"lease_seconds": "10"}, "lease_seconds"),
            ({"session_lock": 1}, "session_lock"),
            ({"interrupted": "keep"}, "interrupted"),
        ],
    )
    def test_a_wrong_one_is_refused(self, arguments: dict[str, Any], field: str) -> None:
        given = {"dsn": "postgresql://localhost/app", **arguments}
        with pytest.raises(InvalidValueError) as raised:
            PostgresStore(**given)
        assert raised.value.field == field

    def test_messages_name_the_place_without_the_password(self) -> None:
        store = PostgresStore("postgresql://me:secret@db.example:6000/app", schema="mine")
        assert store.name == "postgresql://db.example:6000/app schema mine"
        assert PostgresStore("service=app").name == "service=app schema opslifecycle"


class TestServers:
    def test_one_that_is_not_there_is_named(self) -> None:
        store = PostgresStore(f"postgresql://me:secret@127.0.0.1:{free_port()}/app")
        with pytest.raises(PersistenceError, match=r"127\.0\.0\.1") as raised:
            Registry(store=store)
        assert "secret" not in str(raised.value)

    def test_one_that_would_lose_commits_is_refused(self, postgres: Database) -> None:
        """A role can switch the setting off for all its sessions."""
        store = PostgresStore(f"{postgres.dsn}?options=-csynchronous_commit%3Doff")
        with pytest.raises(PersistenceError, match="synchronous_commit is off"):
            Registry(store=store)

    def test_a_role_without_rights_is_told_what_is_missing(self, postgres: Database) -> None:
        Registry(store=postgres.store()).close()
        role = f"{postgres.schema}_reader"
        postgres.query(f"CREATE ROLE {role} LOGIN")
        try:
            store = PostgresStore(
                postgres.dsn.replace("postgres@", f"{role}@"), schema=postgres.schema
            )
            with pytest.raises(PersistenceError, match="permission denied"):
                Registry(store=store)
        finally:
            postgres.query(f"DROP ROLE {role}")

    def test_roles_need_no_more_than_the_guide_grants(self, postgres: Database) -> None:
        Registry(store=postgres.store()).close()
        guide = (ROOT / "docs/howto/postgres.md").read_text(encoding="utf-8")
        grants = guide.partition("```sql\n")[2].partition("```")[0]
        owner, reader = f"{postgres.schema}_owner", f"{postgres.schema}_reader"
        for name, role in (("agents", owner), ("dashboards", reader)):
            grants = grants.replace(name, role)
            postgres.query(f"CREATE ROLE {role} LOGIN")
        grants = grants.replace("opslifecycle", postgres.schema)
        try:
            postgres.query(re.sub(r"--.*", "", grants))
            own = attrs.evolve(postgres, dsn=postgres.dsn.replace("postgres@", f"{owner}@"))
            with Registry(store=own.store()) as registry:
                id = completed(registry)
            read = attrs.evolve(postgres, dsn=postgres.dsn.replace("postgres@", f"{reader}@"))
            target = Target(read.dsn, read.schema)
            assert list(PostgresReader(target, CODEC.schema).all()[0].stored.records) == [str(id)]
            with pytest.raises(PersistenceError, match="permission denied"):
                Registry(store=read.store())
        finally:
            for role in (owner, reader):
                postgres.query(f"DROP OWNED BY {role}; DROP ROLE {role}")

    def test_a_process_has_three_connections_however_many_registries(
        self, postgres: Database
    ) -> None:
        registries = [Registry(store=postgres.store(f"r{number}")) for number in range(20)]
        for each in registries:
            running(each)
        ((count,),) = postgres.query(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'opslifecycle %%'"
            " AND query LIKE %s",
            f"%{postgres.schema}%",
        )
        assert count <= 3
        for each in registries:
            each.close()
        assert postgres.query("SELECT * FROM owners") == []

    def test_one_behind_a_pooler_keeps_nothing_in_its_sessions(self, postgres: Database) -> None:
        """A pooler in transaction mode may give each statement to another session."""
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        ((before,),) = postgres.query(held)
        with Registry(store=postgres.store(session_lock=False)) as registry:
            completed(registry)
            assert postgres.query(held) == [(before,)]
            # What a session keeps ends with it.
            postgres.query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'opslifecycle %'"
            )
            completed(registry)
            ((valid,),) = postgres.query("SELECT valid FROM leases")
            assert valid
        with Registry(store=postgres.store()):
            assert postgres.query(held) == [(before + 1,)]


@pytest.mark.nightly
def test_a_reader_that_looks_again_finds_what_a_new_one_finds(postgres: Database) -> None:
    chance = random.Random(3)
    target = Target(postgres.dsn, postgres.schema)
    again = PostgresReader(target, CODEC.schema)
    with Registry(store=postgres.store("r"), max_completed=5) as registry:
        ids: list[OperationId] = []
        for _ in range(60):
            for _ in range(chance.randint(0, 4)):
                if not ids or chance.random() < 0.5:
                    ids.append(running(registry))
                else:
                    id = ids.pop(chance.randrange(len(ids)))
                    if chance.random() < 0.7:
                        registry.complete_operation(id, result())
                    else:
                        registry.rollback_unreturned_operation(id)
            if chance.random() < 0.1:
                registry.collect_completed()
            found = again.registry("r").stored
            new = PostgresReader(target, CODEC.schema).registry("r").stored
            assert (found.records, found.rows, found.state) == (new.records, new.rows, new.state)
            assert list(found.rows) == list(new.rows)
    assert registry.completion_feed().watermark > 10


def test_a_reader_that_is_closed_has_no_connection(postgres: Database) -> None:
    def connections() -> int:
        text = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        return int(postgres.query(text, "a reader")[0][0])

    dsn = psycopg.conninfo.make_conninfo(postgres.dsn, application_name="a reader")
    with Registry(store=postgres.store()):
        watched = attrs.evolve(postgres, dsn=dsn)
        reader = Reader(Registry, watched.store())
        with reader:
            assert connections() == 1
        until(lambda: connections() == 0)
        with pytest.raises(RegistryClosedError):
            reader.refresh()
    assert connections() == 0


class TestTables:
    def test_many_create_them_at_once(self, postgres: Database) -> None:
        names = [f"r{number}" for number in range(8)]

        def opened(name: str) -> None:
            # Another lease is another session, as in another process.
            lease = 2.0 + int(name[1:])
            Registry(store=postgres.store(name, lease_seconds=lease)).close()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(opened, names))
        found = postgres.query("SELECT name FROM registries ORDER BY name")
        assert [name for (name,) in found] == names
        assert postgres.query("SELECT version FROM layout") == [(1,), (2,), (3,)]

    def test_those_of_a_newer_program_are_refused(self, postgres: Database) -> None:
        Registry(store=postgres.store()).close()
        postgres.query("INSERT INTO layout (version) VALUES (99)")
        with pytest.raises(StoreVersionError, match="layout 99"):
            Registry(store=postgres.store())

    def test_views_show_records_feed_cursors_and_leases(self, postgres: Database) -> None:
        with Registry(store=postgres.store("mine")) as registry:
            live, ended = running(registry), completed(registry)
            registry.report_progress(live, OperationProgressUpdate("a\0b", 0.5))
            registered(registry)
            shown = dict(postgres.query("SELECT id, status FROM records WHERE registry = 'mine'"))
            assert (shown[str(live)], shown[str(ended)]) == ("running", "completed")
            feed = postgres.query("SELECT sequence, id, status FROM feed")
            assert feed == [(1, str(ended), "completed")]
            ((owner, valid),) = postgres.query("SELECT owner, valid FROM leases")
            assert owner.startswith("process ")
            assert valid
        assert postgres.query("SELECT owner, valid FROM leases") == [(None, False)]
        assert len(postgres.query("SELECT * FROM cursors")) >= 1

    def test_finished_records_leave_no_rows_behind(self, postgres: Database) -> None:
        with Registry(store=postgres.store(), max_completed=5) as registry:
            for _ in range(40):
                completed(registry)
            ((count,),) = postgres.query("SELECT count(*) FROM log")
            assert count <= 5
            before = registry.completion_feed().list_since(35)
        with Registry(store=postgres.store(), max_completed=5) as registry:
            assert registry.completion_feed().list_since(35).entries == before.entries

    def test_rows_that_contradict_each_other_are_damage(self, postgres: Database) -> None:
        with Registry(store=postgres.store()) as registry:
            id = running(registry)
        postgres.query(
            "INSERT INTO log SELECT key + 500, id, NULL, true, body FROM log WHERE id = %s", str(id)
        )
        with pytest.raises(StoreDamagedError, match="behind the head"):
            Registry(store=postgres.store())
        postgres.query("UPDATE registries SET head = 1000")
        with pytest.raises(StoreDamagedError, match="two current rows"):
            Registry(store=postgres.store())


class TestCommits:
    def test_what_one_commit_writes_and_erases_is_in_its_order(self, postgres: Database) -> None:
        store = postgres.store()
        assert store.open(MACHINE) == EMPTY
        store.append(commit(("a", None, "1"), ("b", 1, "2"), ("a", 2, "3")))
        store.append(commit(("c", 3, "4"), ("a", None, "5"), erased=("c", "b")))
        store.close()
        rows = {1: ("b", "2"), 2: ("a", "3"), 3: ("c", "4")}
        assert store.open(MACHINE) == StoreContents({"a": "5"}, rows, '{"a":1}')
        store.append(commit(("d", 4, "6"), dropped=3))
        store.append(commit(erased=("d",)))
        store.close()
        assert store.open(MACHINE) == StoreContents({"a": "5"}, {4: ("d", "6")}, '{"a":1}')
        store.close()
        assert postgres.query("SELECT count(*) FROM log") == [(2,)]

    def test_texts_that_the_server_would_not_store_are_refused(self, postgres: Database) -> None:
        store = postgres.store()
        store.open(MACHINE)
        for text in ("\x1e", "\x1f", "\0", "\ud800"):
            with pytest.raises(PersistenceError):
                store.append(commit((f"id{text}", None, "1")))
        store.append(commit(("id", None, "é\U0001f600")))
        store.close()
        assert store.open(MACHINE).records == {"id": "é\U0001f600"}
        store.close()

    def test_a_migration_writes_every_row_again(self, postgres: Database) -> None:
        store = postgres.store()
        store.open(MACHINE)
        store.append(commit(("a", 1, "1"), ("b", None, "2")))
        store.append(commit(("a", None, "3")))
        store.close()

        def migrate(version: int, old: StoreContents) -> StoreContents:
            records = {id: f"{body}!" for id, body in old.records.items()}
            rows = {number: (id, f"{body}?") for number, (id, body) in old.rows.items()}
            return StoreContents(records, rows, old.state)

        newer = SchemaVersion("m", 2, "other", migrate)
        expected = StoreContents({"b": "2!", "a": "3!"}, {1: ("a", "1?")}, '{"a":1}')
        assert store.open(newer) == expected
        store.close()
        with pytest.raises(StoreVersionError):
            store.open(MACHINE)
        assert store.open(newer) == expected
        store.close()


class TestWriter:
    def writes(self, *stores: PostgresStore) -> list[Write]:
        """Return a commit of each store."""
        return [
            Write(
                store._number, store._fencing_token, store._index.head, store._index.head + 1,
                0, "{}", "", [], [],
            )
            for store in stores
        ]  # fmt: skip

    def test_a_refused_question_says_nothing_about_what_was_written(
        self, postgres: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The statement has left one registry out, and the reason cannot be asked for."""
        stores = [postgres.store(name) for name in ("kept", "lost")]
        for store in stores:
            store.open(MACHINE)
        session = stores[0]._session
        assert session is not None
        postgres.query(
            "UPDATE registries SET fencing_token = fencing_token + 1, owner = NULL"
            " WHERE name = 'lost'"
        )
        real, refused = Link.run, list[str]()

        def run(link: Link, statement: str, *values: Any, deadline: Deadline) -> list[Row]:
            if statement == session.statements.owner and not refused:
                refused.append(statement)
                raise RefusedError("57014", "cancelled")
            return real(link, statement, *values, deadline=deadline)

        monkeypatch.setattr(Link, "run", run)
        kept, lost = self.writes(*stores)
        session.writer._write([kept, lost])
        assert refused
        assert kept.error is None
        assert isinstance(lost.error, OwnershipLostError)
        assert postgres.query("SELECT head FROM registries WHERE name = 'kept'") == [(1,)]
        for store in stores:
            store.close()

    def test_an_unexpected_error_leaves_it_to_the_other_registries(
        self, postgres: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Registry(store=postgres.store("one")) as one, Registry(store=postgres.store()) as two:
            completed(two)
            with monkeypatch.context() as patch:
                patch.setattr(Writer, "_write", lambda writer, writes: 1 / 0)
                with pytest.raises(CommitInDoubtError, match="ZeroDivisionError"):
                    completed(one)
            completed(two)


class TestOwners:
    def test_one_at_a_time_in_a_process(self, postgres: Database) -> None:
        with Registry(store=postgres.store()) as registry:
            for lease in (10.0, 9.0):
                with pytest.raises(RegistryOwnedError):
                    Registry(store=postgres.store(lease_seconds=lease))
            completed(registry)
        Registry(store=postgres.store(lease_seconds=9.0)).close()

    def test_one_that_was_taken_over_cannot_write(self, postgres: Database) -> None:
        registry = Registry(store=postgres.store())
        id = running(registry)
        postgres.query("UPDATE owners SET lease_until = clock_timestamp()")
        with Registry(store=postgres.store(lease_seconds=9.0)) as other:
            with pytest.raises(OwnershipLostError):
                registry.complete_operation(id, result(str(id)))
            assert other.broken_invariants() == []
            completed(other)
        registry.close()

    def test_one_stops_before_the_server_lets_others_take_over(self, postgres: Database) -> None:
        store = postgres.store(lease_seconds=600.0)
        with Registry(store=store):
            session = store._session
            assert session is not None
            before = SYSTEM_CLOCK.monotonic_ns()
            ((left,),) = postgres.query(
                "SELECT extract(epoch FROM lease_until - clock_timestamp()) FROM owners"
            )
            assert 0 < (session.lease.deadline() - before) / 1e9 < float(left)

    def test_what_killed_processes_leave_behind_goes_away(self, postgres: Database) -> None:
        with Registry(store=postgres.store()) as registry:
            completed(registry)
            (own,) = postgres.query("SELECT owner, name FROM owners")
        ended = "INSERT INTO owners VALUES (%s, %s, false, clock_timestamp() - %s * interval '1 h')"
        for owner, name, hours in ((1, "ended just now", 0), (2, "yesterday", 25), (3, "old", 900)):
            postgres.query(ended, owner, name, hours)
        postgres.query("UPDATE registries SET owner = 3")
        with Registry(store=postgres.store()) as registry:
            assert len(registry.completion_feed().list_since(0).entries) == 1
            names = {name for (name,) in postgres.query("SELECT name FROM owners")}
        assert names == {"ended just now", own[1]}

    def test_one_whose_lease_ended_learns_it_without_a_command(self, postgres: Database) -> None:
        registry = Registry(store=postgres.store(lease_seconds=1.0))
        watch = registry.register_watcher(running(registry))
        postgres.query("UPDATE owners SET lease_until = clock_timestamp()")
        with pytest.raises(ChannelClosedError):
            watch.result(timeout=30)
        with pytest.raises(OwnershipLostError):
            registry.mark_retired(OperationId.new())
        registry.close()

    def test_a_process_that_hangs_while_it_takes_one_delays_no_other(
        self, postgres: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It holds the lock of the registry's row, as a suspended process would."""
        Registry(store=postgres.store()).close()
        monkeypatch.setattr(claims, "_IDLE_MS", 200)
        hanging, go_on, real = threading.Event(), threading.Event(), claims.read

        def read_late(*arguments: Any) -> StoreContents:
            if not hanging.is_set():
                hanging.set()
                assert go_on.wait(60)
            return real(*arguments)

        monkeypatch.setattr(claims, "read", read_late)
        with ThreadPoolExecutor(1) as pool:
            opening = pool.submit(lambda: Registry(store=postgres.store()))
            assert hanging.wait(60)
            with Registry(store=postgres.store(lease_seconds=9.0)) as registry:
                completed(registry)
                go_on.set()
                with pytest.raises(PersistenceError):
                    opening.result(60)
                completed(registry)

    def test_a_forked_child_does_not_keep_the_registry(self, postgres: Database) -> None:
        """The server sees the end of a connection when no process has it any more."""
        script = (
            "import os, sys, time\n"
            "from opslifecycle import PostgresStore, Registry\n"
            "registry = Registry(store=PostgresStore(sys.argv[1], schema=sys.argv[2]))\n"
            "child = os.fork()\n"
            "if child == 0: time.sleep(600)\n"
            "print(child, flush=True)\n"
            "time.sleep(600)\n"
        )
        command = [sys.executable, "-c", script, postgres.dsn, postgres.schema]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            child = int(process.stdout.readline())
            try:
                with pytest.raises(RegistryOwnedError):
                    Registry(store=postgres.store())
                process.kill()
                process.wait()
                _opened_at_last(postgres)
            finally:
                os.kill(child, signal.SIGKILL)

    def test_a_dropped_registry_is_free(self, postgres: Database) -> None:
        registry = Registry(store=postgres.store())
        running(registry)
        del registry
        gc.collect()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(_opened_at_last, postgres).result(60)

    def test_what_a_server_has_lost_is_put_back(self, postgres: Database) -> None:
        """As after a failover to a replica that was behind."""
        with Registry(store=postgres.store(), max_completed=3) as registry:
            ids = [completed(registry) for _ in range(5)]
            live = running(registry)
            ((head,),) = postgres.query("SELECT head FROM registries")
            postgres.query("DELETE FROM log")
            postgres.query("UPDATE registries SET head = %s, state = NULL", head - 9)
            registry.complete_operation(live, result())
            before = registry.completion_feed().list_since(3)
            assert registry.broken_invariants() == []
        with Registry(store=postgres.store(), max_completed=3) as registry:
            assert registry.completion_feed().list_since(3).entries == before.entries
            assert registry.snapshot(ids[-1]) is not None
            assert registry.broken_invariants() == []
            completed(registry)

    def test_an_owner_that_the_server_has_forgotten_puts_nothing_back(
        self, postgres: Database
    ) -> None:
        """Another process may have owned the registry since."""
        registry = Registry(store=postgres.store())
        completed(registry)
        ((head,),) = postgres.query("SELECT head FROM registries")
        postgres.query("UPDATE registries SET head = 1, fencing_token = 0, owner = NULL")
        with pytest.raises(StoreRolledBackError) as raised:
            completed(registry)
        assert (raised.value.acknowledged, raised.value.found) == (head, 1)
        with pytest.raises(OwnershipLostError):
            completed(registry)
        registry.close()
        assert postgres.query("SELECT head FROM registries") == [(1,)]


def _opened_at_last(postgres: Database) -> None:
    def opened() -> bool:
        try:
            Registry(store=postgres.store()).close()
        except RegistryOwnedError:
            return False
        return True

    until(opened)


def test_bodies_are_what_sqlite_keeps(postgres: Database) -> None:
    with Registry(store=postgres.store()) as registry:
        id = completed(registry)
    ((body,),) = postgres.query("SELECT body FROM records")
    assert json.loads(body)["status"] == "completed"
    assert postgres.query("SELECT id FROM log") == [(str(id),)]
