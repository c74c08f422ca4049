"""A feed of transitions: every change of a record has an entry that says what happened to it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from opslifecycle import EpochChangedError, ManualClock, MemoryStore, SqliteStore, Store
from opslifecycle_codegen.base.diagnostics import InvalidMachineError
from opslifecycle_codegen.cli.explain import explained
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.behaviour import behaviour_changes
from opslifecycle_codegen.compat.lock import lock_of
from opslifecycle_codegen.modelcheck.scenarios import scenarios
from opslifecycle_codegen.modelcheck.search import Search
from opslifecycle_codegen.modelcheck.symbolic.induction import induction
from opslifecycle_codegen.modelcheck.symbolic.relation import relation
from opslifecycle_codegen.modelcheck.symmetry import NOTHING_SWAPPED

from tests.proof.test_symbolic import walked
from tests.support.codegen.projects import assert_clean, package, project
from tests.support.edits import replaced

ERRAND = Path(__file__).with_name("errand.yaml")
START_MS = 1_000_000
SMALL = """
scenarios:
  small:
    summary: One errand.
    entities: 1
    exclude: [drop_watch, note, mark_read]
    bounds: {registry.last_sequence: 3, errand.notes: 0}
"""


@pytest.fixture(scope="module")
def errands(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return package(tmp_path_factory.mktemp("transitions"), ERRAND, "errand")


@pytest.fixture(params=["none", "memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store | None:
    stores = {"none": None, "memory": MemoryStore(), "sqlite": SqliteStore(tmp_path / "errands.db")}
    return stores[request.param]


def text(*edits: tuple[str, str]) -> bytes:
    found = replaced(ERRAND.read_text(encoding="utf-8"), edits)
    return found.encode()


def entries(registry: Any) -> list[Any]:
    return list(registry.changes().list_since(0).entries)


def said(registry: Any) -> list[tuple[Any, ...]]:
    """Each entry as its number, its action, and the statuses before and after it."""
    return [
        (e.seq, e.action.value, e.before and e.before.value, e.after.value)
        for e in entries(registry)
    ]


class TestEntries:
    def test_each_says_what_happened_and_when(self, errands: ModuleType, store: Any) -> None:
        clock = ManualClock(START_MS)
        with errands.ErrandRegistry(store=store, clock=clock) as registry:
            id = errands.ErrandId.new()
            registry.ask(id, "milk")
            clock.advance(seconds=1)
            registry.take(id, "Ada")
            registry.note(id)
            clock.advance(seconds=1)
            registry.give_back(id, "no shoes")
            registry.take(id, "Bob")
            registry.finish(id)
            assert said(registry) == [
                (1, "create", None, "asked"),
                (2, "take", "asked", "taken"),
                (3, "give_back", "taken", "asked"),
                (4, "take", "asked", "taken"),
                (5, "finish", "taken", "done"),
            ]
            assert [e.reason for e in entries(registry)] == [None, None, "no shoes", None, None]
            assert [e.runner for e in entries(registry)] == [None, "Ada", None, "Bob", "Bob"]
            assert [e.notes for e in entries(registry)] == [0, 0, 1, 1, 1]
            assert [e.at_ms - START_MS for e in entries(registry)] == [0, 1000, 2000, 2000, 2000]
            assert registry.changes().watermark == 5

    def test_a_command_for_all_has_an_entry_for_each(self, errands: ModuleType, store: Any) -> None:
        with errands.ErrandRegistry(store=store) as registry:
            for _ in range(2):
                registry.ask(errands.ErrandId.new(), "milk")
            registry.drop_all("holiday")
            assert said(registry)[2:] == [
                (3, "drop", "asked", "dropped"), (4, "drop", "asked", "dropped")
            ]  # fmt: skip
            assert {e.reason for e in entries(registry)[2:]} == {"holiday"}

    def test_a_follower_is_told_of_each_at_once(self, errands: ModuleType, store: Any) -> None:
        with errands.ErrandRegistry(store=store) as registry:
            wait = registry.changes().wait_for_advance(0)
            registry.ask(errands.ErrandId.new(), "milk")
            assert wait.result(5) == 1

    def test_tasks_follow_an_async_registry(self, errands: ModuleType) -> None:
        async def follow() -> list[str]:
            registry = await errands.AsyncErrandRegistry.open(store=MemoryStore())
            async with registry:
                id = errands.ErrandId.new()
                await registry.ask(id, "milk")
                await registry.take(id, "Ada")
                found = []
                async for entry in registry.changes().subscribe():
                    found.append(entry.action.value)
                    if len(found) == 2:
                        return found
            raise AssertionError

        assert asyncio.run(asyncio.wait_for(follow(), 30)) == ["create", "take"]

    def test_only_some_actions_enter(self, tmp_path: Path) -> None:
        errands = package(
            tmp_path,
            ERRAND,
            "some_errands",
            ("of: transitions", "of: [take, finish, note, give_back]"),
        )
        store = MemoryStore()
        with errands.ErrandRegistry(store=store) as registry:
            for last in (registry.finish, lambda id: registry.drop(id, "rain")):
                id = errands.ErrandId.new()
                registry.ask(id, "milk")
                registry.take(id, "Ada")
                registry.note(id)
                last(id)
            # What finishes always has a number, and an entry only if it enters the feed.
            wanted = [(1, "take"), (2, "note"), (3, "finish"), (4, "take"), (5, "note")]
            assert [entry[:2] for entry in said(registry)] == wanted
        with errands.ErrandRegistry(store=store) as registry:
            assert [entry[:2] for entry in said(registry)] == wanted
            assert [outcome.value for _, outcome in registry.collect()] == ["done", "dropped"]

    def test_a_condition_leaves_some_out(self, tmp_path: Path) -> None:
        errands = package(
            tmp_path, ERRAND, "quiet_errands",
            ("of: transitions", "of: transitions\n  when: errand.what != 'secret'"),
        )  # fmt: skip
        with errands.ErrandRegistry() as registry:
            for what in ("milk", "secret"):
                id = errands.ErrandId.new()
                registry.ask(id, what)
                registry.drop(id, None)
            assert [entry[0] for entry in said(registry)] == [1, 2]
            assert registry.changes().watermark == 2


class TestStores:
    def test_the_next_process_finds_every_entry(self, errands: ModuleType, tmp_path: Path) -> None:
        path = tmp_path / "errands.db"
        with errands.ErrandRegistry(store=SqliteStore(path)) as registry:
            id, other = errands.ErrandId.new(), errands.ErrandId.new()
            registry.ask(id, "milk")
            registry.take(id, "Ada")
            registry.finish(id)
            registry.ask(other, "bread")
            before, epoch = entries(registry), registry.changes().epoch_id
            registry.mark_read(errands.Follower.OFFICE, 2)
        with errands.ErrandRegistry(store=SqliteStore(path)) as registry:
            assert entries(registry)[: len(before)] == before
            assert said(registry)[-1] == (5, "drop", "asked", "dropped")
            assert entries(registry)[-1].reason == "the process has ended"
            assert registry.read_up_to(errands.Follower.OFFICE) == 2
            assert registry.changes().epoch_id == epoch
            assert registry.changes().list_since(4, epoch_id=epoch).entries[0].seq == 5

    @pytest.mark.parametrize("kind", ["memory", "sqlite", "postgres"])
    def test_many_changes_in_one_commit_have_an_entry_each(
        self, errands: ModuleType, kind: str, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        """Callers that wait for one commit get one entry for each of their commands."""

        async def work(store: Store) -> list[tuple[Any, ...]]:
            registry = await errands.AsyncErrandRegistry.open(store=store)
            async with registry:
                id = errands.ErrandId.new()
                commands = [registry.ask(id, "milk")]
                for round in range(10):
                    commands += [registry.take(id, str(round)), registry.note(id)]
                    commands += [registry.give_back(id, str(round)), registry.note(id)]
                await asyncio.gather(*commands)
                snapshot = registry.snapshot(id)
                assert snapshot.notes == 20
                return [(e.seq, e.runner, e.notes) for e in entries(registry)]

        kept = MemoryStore()

        def store() -> Store:
            if kind == "postgres":
                opened: Store = request.getfixturevalue("postgres").store()
                return opened
            return SqliteStore(tmp_path / "errands.db") if kind == "sqlite" else kept

        before = asyncio.run(asyncio.wait_for(work(store()), 30))
        assert len(before) == 21
        assert [notes for _, _, notes in before] == [0, *range(20)]
        with errands.ErrandRegistry(store=store()) as registry:
            after = [(e.seq, e.runner, e.notes) for e in entries(registry)]
            assert after[:21] == before
            assert registry.snapshot(entries(registry)[0].errand_id).notes == 20

    def test_a_restored_document_begins_an_epoch(self, errands: ModuleType) -> None:
        with errands.ErrandRegistry() as registry:
            id = errands.ErrandId.new()
            registry.ask(id, "milk")
            registry.take(id, "Ada")
            document, epoch = registry.capture(), registry.changes().epoch_id
        with errands.ErrandRegistry.restore(document) as registry:
            assert [entry[1] for entry in said(registry)] == ["create", "take", "drop"]
            with pytest.raises(EpochChangedError):
                registry.changes().list_since(0, epoch_id=epoch)


class TestRetention:
    @pytest.mark.parametrize("kept", [False, True])
    def test_the_oldest_leave_and_live_records_stay(self, errands: ModuleType, kept: bool) -> None:
        store = MemoryStore() if kept else None
        with errands.ErrandRegistry(changes_max=3, store=store) as registry:
            office = errands.Follower.OFFICE
            id, done = errands.ErrandId.new(), errands.ErrandId.new()
            registry.ask(done, "bread")
            registry.drop(done, None)
            registry.ask(id, "milk")
            for _ in range(3):
                registry.take(id, "Ada")
                registry.give_back(id, "tired")
            # Nothing leaves that the cursor has not passed.
            assert len(entries(registry)) == 9
            registry.mark_read(office, 9)
            batch = registry.changes().list_since(0)
            assert [e.seq for e in batch.entries] == [7, 8, 9]
            assert batch.gap_after(0).dropped_through == 6
            # The entry of its end has left, and the record with it; the other one goes on.
            assert registry.snapshot(done) is None
            assert registry.snapshot(id).status is errands.ErrandStatus.ASKED
            registry.take(id, "Bob")

    def test_a_live_record_stays_when_its_latest_entry_leaves(self, tmp_path: Path) -> None:
        errands = package(
            tmp_path, ERRAND, "brief_errands",
            ("retention: {evict: records,", "retention: {beyond_cursors: true, evict: records,"),
        )  # fmt: skip
        for store in (None, MemoryStore()):
            with errands.ErrandRegistry(changes_max=1, store=store) as registry:
                id = errands.ErrandId.new()
                registry.ask(id, "milk")
                registry.ask(errands.ErrandId.new(), "bread")
                assert [e.seq for e in entries(registry)] == [2]
                registry.take(id, "Ada")
                registry.finish(id)
                registry.ask(errands.ErrandId.new(), "eggs")
                assert registry.snapshot(id) is None

    def test_what_is_discarded_or_rolled_back_leaves_its_entries(self, tmp_path: Path) -> None:
        discarding = (
            "retention: {evict",
            "discard_when: errand.runner is None\n\nretention: {evict",
        )
        errands = package(tmp_path, ERRAND, "discarding_errands", discarding)
        for _ in range(2):
            with errands.ErrandRegistry(store=SqliteStore(tmp_path / "errands.db")) as registry:
                if not entries(registry):
                    gone, undone = errands.ErrandId.new(), errands.ErrandId.new()
                    registry.ask(gone, "milk")
                    registry.ask(undone, "bread")
                    registry.drop(gone, None)
                    registry.forget(undone)
                assert registry.snapshot(gone) is None
                assert registry.snapshot(undone) is None
                assert said(registry) == [
                    (1, "create", None, "asked"), (2, "create", None, "asked"),
                    (3, "drop", "asked", "dropped"),
                ]  # fmt: skip


class TestCompiler:
    def test_the_package_is_clean(self, tmp_path: Path) -> None:
        assert_clean(project(tmp_path, ERRAND))

    @pytest.mark.parametrize(
        ("edits", "rule"),
        [
            ((("of: transitions", "of: [take, leave]"),), "unknown-action"),
            ((("reason: transition.reason", "reason: transition.why"),), "unknown-name"),
            ((("params: {by: str}", "params: {by: str, reason: int}"),), "wrong-type"),
            ((("    to: taken\n", "    to: taken\n    deferred: true\n"),), "deferred-write"),
            (
                (("  notes: {type", "  transition_reason: {type: str | None}\n  notes: {type"),),
                "owned-field",
            ),
            (
                (("  FeedId:", "  ErrandAction: {summary: A.}\n  FeedId:"),),
                "name-collision",
            ),
        ],
    )
    def test_a_mistake_is_reported_by_its_rule(
        self, edits: tuple[tuple[str, str], ...], rule: str
    ) -> None:
        with pytest.raises(InvalidMachineError) as found:
            program_of(text(*edits), "errand.yaml")
        assert rule in {finding.rule for finding in found.value.findings}

    def test_stored_actions_are_locked(self) -> None:
        lock = lock_of(program_of(text(), "errand.yaml"), "")
        assert lock["closed_sets"]["ErrandAction"][:2] == ["create", "take"]
        assert lock["stored"]["fields"]["transition_reason"] == "str | None"

    def test_explain_and_diff_know_what_enters(self) -> None:
        old = program_of(text(), "errand.yaml")
        new = program_of(text(("of: transitions", "of: [take, give_back]")), "errand.yaml")
        assert "    enters the feed" in explained(old).splitlines()
        rules = {change.rule for change in behaviour_changes(old, new)}
        assert "feed-changed" in rules

    def test_a_machine_without_transitions_has_none_of_it(self) -> None:
        edits = (
            ("  of: transitions\n", ""),
            ("      action: transition.action\n", ""),
            ("      before: transition.from_status\n", ""),
            ("      reason: transition.reason\n", ""),
            ("      at_ms: transition.at_ms\n", ""),
        )
        program = program_of(text(*edits), "errand.yaml")
        assert not any(command.notes or command.steps for command in program.actions)
        assert "ErrandAction" not in program.symbols.enums


class TestVerification:
    def test_the_search_follows_the_feed(self) -> None:
        rising = (
            "snapshot:\n",
            "invariants:\n  rising:\n    summary: Entries are in order.\n"
            "    expr: all(e.seq > registry.dropped_through for e in feed)\n"
            "transition_invariants:\n  numbers: {summary: Numbers rise., expr: "
            "after.last_sequence >= before.last_sequence}\n\nsnapshot:\n",
        )
        program = program_of(text(rising) + SMALL.encode(), "errand.yaml")
        (scenario,) = scenarios(program)
        found = Search(scenario, NOTHING_SWAPPED).run()
        assert found.closed
        assert found.statuses == {"asked", "taken", "done", "dropped"}
        assert walked(relation(scenario)) == found.states
        pytest.importorskip("z3")
        assert induction(program).failed == []


def test_a_feed_that_no_end_enters_is_clean(tmp_path: Path) -> None:
    errands = package(
        tmp_path, ERRAND, "open_errands", ("of: transitions", "of: [take, give_back]")
    )
    assert_clean(tmp_path / "project")
    with errands.ErrandRegistry() as registry:
        id = errands.ErrandId.new()
        registry.ask(id, "milk")
        registry.take(id, "Ada")
        registry.finish(id)
        assert [entry[1] for entry in said(registry)] == ["take"]
