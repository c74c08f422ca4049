"""What a small mistake in the shell would break, and no larger test would notice."""

from __future__ import annotations

import asyncio
import os
import pickle
import sqlite3
import time
from contextlib import closing
from enum import Enum
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opslifecycle import (
    AsyncRegistry,
    CompletionCursorConsumer,
    CompletionFeedGap,
    InternalError,
    InvalidValueError,
    MemoryStore,
    OperationKind,
    OperationStatus,
    OpsLifecycleError,
    Registry,
    RegistryClosedError,
    SqliteStore,
    StoreDamagedError,
    StoreVersionError,
    Terminated,
    errors,
    structure,
)
from opslifecycle.errors import PersistenceError
from opslifecycle.shell.commands import Command
from opslifecycle.shell.effects import EffectRunner
from opslifecycle.shell.listing import Listing
from opslifecycle.shell.overlay import Overlay, merge
from opslifecycle.stores.base import Commit, StoreContents
from opslifecycle.stores.schema_version import SchemaVersion
from opslifecycle.values import checks

from tests.support.builders import completed, registered, spec

AGENT = CompletionCursorConsumer.AGENT_APPLIED
KEYS = st.integers(0, 5)
#: What is done to a dict: put, delete, pop, get.
CHANGES = st.lists(st.tuples(st.sampled_from(["put", "del", "pop", "get"]), KEYS), max_size=12)


class TestOverlay:
    @given(base=st.dictionaries(KEYS, st.integers()), changes=CHANGES)
    def test_it_is_a_dict_that_leaves_its_base_alone(
        self, base: dict[int, int], changes: list[tuple[str, int]]
    ) -> None:
        expected, before = dict(base), dict(base)
        overlay: Overlay[int, int] = Overlay(base)
        own: set[int] = set()
        for number, (change, key) in enumerate(changes):
            if change == "put":
                if key not in own:
                    # What stood below stands last from now on.
                    expected.pop(key, None)
                own.add(key)
                overlay[key] = expected[key] = number
            elif change == "pop":
                assert overlay.pop(key, "none") == expected.pop(key, "none")
            elif change == "get":
                assert overlay.get(key, "none") == expected.get(key, "none")
            elif key in expected:
                del overlay[key], expected[key]
            else:
                with pytest.raises(KeyError):
                    del overlay[key]
            assert len(overlay) == len(expected)
            assert set(overlay) == set(expected)
            assert sorted(overlay.items()) == sorted(expected.items())
            assert sorted(overlay.values()) == sorted(expected.values())
            assert [each in overlay for each in range(6)] == [each in expected for each in range(6)]
        assert base == before
        merge(overlay)
        assert list(base.items()) == list(expected.items())

    def test_what_is_asked_for_is_a_copy_of_its_own(self) -> None:
        base = {"a": [1]}
        overlay: Overlay[str, list[int]] = Overlay(base, list)
        overlay["a"].append(2)
        assert overlay.get("a") == [1, 2]
        assert base == {"a": [1]}
        with pytest.raises(KeyError):
            overlay["b"]


class TestIdentity:
    @pytest.mark.parametrize(
        ("machine", "version", "migrates", "readable"),
        [
            ("ours", 2, False, True),
            ("ours", 1, True, True),
            ("ours", 1, False, False),
            ("ours", 3, True, False),
            ("theirs", 2, True, False),
            ("theirs", 1, True, False),
            ("ours", True, True, False),
            ("ours", "1", True, False),
        ],
    )
    def test_which_versions_are_read(
        self, machine: Any, version: Any, migrates: bool, readable: bool
    ) -> None:
        schema = SchemaVersion("ours", 2, "", (lambda v, stored: stored) if migrates else None)
        if readable:
            schema.refuse_unreadable(machine, version, "here")
            return
        with pytest.raises(StoreVersionError, match="here"):
            schema.refuse_unreadable(machine, version, "here")


class TestSqlite:
    def test_a_commit_of_more_rows_than_fit_in_one_statement(self, tmp_path: Path) -> None:
        count = 2_100
        with Registry(store=SqliteStore(tmp_path / "s.db"), max_completed=count) as registry:
            ids = [registered(registry) for _ in range(count)]
            registry.terminate_owner("all at once")
        with Registry(store=SqliteStore(tmp_path / "s.db")) as registry:
            found = registry.list_operations(status=OperationStatus.TERMINATED)
            assert {each.id for each in found} == set(ids)
            assert {each.terminal_outcome for each in found} == {Terminated("all at once")}

    def test_a_store_that_could_not_be_opened_can_be_opened_later(self, tmp_path: Path) -> None:
        path = tmp_path / "s.db"
        path.write_bytes(b"no database, but long enough to be read as one" * 100)
        store = SqliteStore(path)
        for _ in range(2):
            with pytest.raises(StoreDamagedError):
                Registry(store=store)
        path.unlink()
        with Registry(store=store) as registry:
            registered(registry)

    def test_a_commit_renews_the_lease_when_it_is_time(self, tmp_path: Path) -> None:
        path = tmp_path / "s.db"
        store = SqliteStore(path)
        with Registry(store=store) as registry:
            registered(registry)
            until = self._expires(path)
            with closing(sqlite3.connect(path, isolation_level=None)) as database:
                database.execute("UPDATE registries SET expires_ms = 1")
            registered(registry)
            # It is renewed every few seconds only.
            assert self._expires(path) == 1
            store._renew_at_ms = 0
            registered(registry)
            assert self._expires(path) >= until

    def _expires(self, path: Path) -> int:
        database = sqlite3.connect(path)
        ((found,),) = database.execute("SELECT expires_ms FROM registries").fetchall()
        database.close()
        return int(found)

    def test_a_closed_store_has_nothing_to_say(self, tmp_path: Path) -> None:
        store = SqliteStore(tmp_path / "s.db")
        store.heartbeat()
        with Registry(store=store) as registry:
            registered(registry)
        store.heartbeat()
        store.close()
        with pytest.raises(PersistenceError, match="closed"):
            store._connected()

    def test_a_store_that_has_failed_can_be_opened_anew(self, tmp_path: Path) -> None:
        path = tmp_path / "s.db"
        store = SqliteStore(path)
        with Registry(store=store) as registry:
            registered(registry)
            store._failed = "the disk is gone"
            with pytest.raises(PersistenceError, match="the disk is gone"):
                registered(registry)
        # It writes nothing more, so its lease has to run out.
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute("UPDATE registries SET expires_ms = 1")
        with Registry(store=store) as registry:
            registered(registry)

    @pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="there is no /proc")
    def test_a_closed_store_leaves_no_file_open(self, tmp_path: Path) -> None:
        def files() -> list[str]:
            found = (os.readlink(each) for each in Path("/proc/self/fd").iterdir() if each.exists())
            return [each for each in found if each.startswith(str(tmp_path))]

        with Registry(store=SqliteStore(tmp_path / "s.db")) as registry:
            registered(registry)
            assert files()
        assert files() == []

    def test_a_path_is_a_path(self) -> None:
        with pytest.raises(InvalidValueError, match="path"):
            SqliteStore(3)  # type: ignore[arg-type]


def test_a_refused_registration_is_kept_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Registry(store=SqliteStore(path)) as registry:
        id = registered(registry)
        rows = log_rows(path)
        for _ in range(3):
            with pytest.raises(Exception, match="already registered"):
                registry.register_operation(spec(id=id))
        assert log_rows(path) == rows


def log_rows(path: Path) -> int:
    database = sqlite3.connect(path)
    ((count,),) = database.execute("SELECT count(*) FROM log").fetchall()
    database.close()
    return int(count)


def test_an_unknown_member_is_told_with_those_that_are_known() -> None:
    with pytest.raises(InvalidValueError, match="expected one of mob_member_child, "):
        structure("never_heard_of", OperationKind)


def test_an_index_keeps_nothing_of_what_has_left() -> None:
    registry = Registry()
    first, second = registered(registry), registered(registry)
    listing = registry._engine.effects.listing
    assert len(registry.list_operations(status=OperationStatus.PROVISIONING)) == 2
    registry.rollback_unreturned_operation(first)
    registry.provisioning_succeeded(second)
    assert len(registry.list_operations(status=OperationStatus.RUNNING)) == 1
    assert not listing._noted
    assert all(listing._buckets.values())


@pytest.mark.parametrize("stored", [False, True])
def test_an_index_keeps_nothing_of_what_was_evicted(stored: bool) -> None:
    with Registry(max_completed=1, store=MemoryStore() if stored else None) as registry:
        for _ in range(3):
            last = completed(registry)
            assert [each.id for each in registry.list_operations(terminal=True)] == [last]


class TestEntries:
    """Entries are made by their first reader, who may be overtaken by rows that leave."""

    @pytest.mark.parametrize(("before", "meanwhile"), [(200, 250), (300, 110)])
    def test_rows_that_leave_while_a_page_is_made(self, before: int, meanwhile: int) -> None:
        registry = Registry(max_completed=200)
        feed = registry.completion_feed()
        make = feed._entry_of

        ending = iter(range(meanwhile))

        def slow(record: Any) -> Any:
            # At the first, somebody ends so many operations meanwhile that the lists are cut.
            for _ in ending:
                completed(registry)
            return make(record)

        for _ in range(before):
            completed(registry)
        feed._entry_of = slow
        first = [entry.seq for entry in feed.list_since(0).entries]
        assert first == list(range(before - 199, before + 1))
        last = before + meanwhile
        for _ in range(2):
            again = feed.list_since(0).entries
            assert [entry.seq for entry in again] == list(range(last - 199, last + 1))
        assert all(
            one is other for one, other in zip(again, feed.list_since(0).entries, strict=True)
        )


ERRORS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, OpsLifecycleError)
]


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_tells_its_facts_and_survives_a_pickle(kind: type[OpsLifecycleError]) -> None:
    given = [
        CompletionFeedGap(1, 2, 3) if name == "gap" else f"the {name}" for name in kind.field_names
    ]
    error = kind(*given).with_guard("a_guard")
    assert [getattr(error, name) for name in kind.field_names] == given
    for other in (pickle.loads(pickle.dumps(error)), error.clone()):
        assert other == error
        assert [getattr(other, name) for name in kind.field_names] == given
        assert other.guard == "a_guard"
    assert all(
        f"the {name}" in str(error) for name in kind.field_names if f"{{{name}}}" in kind.template
    )


def test_an_error_is_equal_to_nothing_else_and_made_by_names_too() -> None:
    error = InvalidValueError(field="a", reason="b")
    assert (error == 3) is False
    assert hash(error) == hash(InvalidValueError("a", "b"))
    assert pickle.loads(pickle.dumps(error)).args == ("a", "b")

    class Own(OpsLifecycleError):
        field_names = ("one",)

    with pytest.raises(ValueError, match="shorter"):
        Own()


def test_a_feed_effect_needs_a_feed() -> None:
    class Effect(Enum):
        APPEND = "append_to_feed"
        EVICT = "evict_oldest"

    runner: EffectRunner[Any, Any] = EffectRunner(Listing({}, lambda record: ()), None)
    nothing: Any = None
    for effect in Effect:
        with pytest.raises(InternalError):
            runner.apply_staged(nothing, nothing, (effect,), runner.begin(), None, ())


def test_a_union_is_told_by_the_names_of_its_classes() -> None:
    with pytest.raises(InvalidValueError, match=r"expected int or str, got 0\.5"):
        checks.instance("it", 0.5, int | str)


def test_commands_without_a_store_give_their_values_to_tasks() -> None:
    async def run() -> None:
        async with AsyncRegistry() as registry:
            made = spec()
            await registry.register_operation(made)
            await registry.fail_operation(made.id, "no")
            assert await registry.advance_completion_cursor(AGENT, 1) == 1
            assert [id for id, _ in await registry.collect_completed()] == [made.id]
        with pytest.raises(RegistryClosedError):
            await registry.register_operation(spec())

    asyncio.run(run())


def test_times_are_those_of_the_day_with_a_store_too() -> None:
    with Registry(store=MemoryStore()) as registry:
        before = time.time_ns() // 1_000_000
        snapshot = registry.snapshot(registered(registry))
        assert snapshot is not None
        assert before <= snapshot.created_at_ms <= time.time_ns() // 1_000_000
        time.sleep(0.01)
        registry.provisioning_succeeded(snapshot.id)
        later = registry.snapshot(snapshot.id)
        assert later is not None
        assert later.started_at_ms is not None
        assert later.started_at_ms - later.created_at_ms >= 9


@pytest.mark.parametrize("kept_on_disk", [False, True])
def test_a_store_is_spelled_anew_once(tmp_path: Path, kept_on_disk: bool) -> None:
    calls = []

    def migrate(version: int, stored: StoreContents) -> StoreContents:
        calls.append(version)
        rows = {sequence: (id, '"new"') for sequence, (id, _) in stored.rows.items()}
        return attrs.evolve(stored, records={"a": '"new"'}, rows=rows, state='{"new": 1}')

    store = SqliteStore(tmp_path / "s.db") if kept_on_disk else MemoryStore()
    store.open(SchemaVersion("ours", 1, ""))
    writes = (("gone", 1, '"older"'), ("a", 2, '"old"'))
    store.append(Commit(writes, ("gone",), 0, '{"old": 1}'))
    store.close()
    for _ in range(2):
        found = store.open(SchemaVersion("ours", 2, "", migrate))
        assert (dict(found.records), dict(found.rows), found.state) == (
            {"a": '"new"'}, {1: ("gone", '"new"'), 2: ("a", '"new"')}, '{"new": 1}'
        )  # fmt: skip
        store.close()
    assert calls == [1]


def test_commands_for_all_are_stamped_and_break_off_like_others() -> None:
    registry = Registry()
    id = registered(registry)
    time.sleep(0.01)
    registry.terminate_owner("done")
    snapshot = registry.snapshot(id)
    assert snapshot is not None
    assert snapshot.completed_at_ms is not None
    assert snapshot.completed_at_ms - snapshot.created_at_ms >= 9

    def interrupted(authority: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        registry._executor.run(Command(interrupted))
    with pytest.raises(RegistryClosedError):
        registered(registry)
