"""The history of a record: its last transitions, which every store keeps with it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from opslifecycle import ManualClock, MemoryStore, SqliteStore, Store
from opslifecycle_codegen.base.diagnostics import InvalidMachineError
from opslifecycle_codegen.cli.main import main
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.behaviour import behaviour_changes
from opslifecycle_codegen.compat.compare import changes
from opslifecycle_codegen.compat.lock import lock_of
from opslifecycle_codegen.modelcheck.scenarios import scenarios
from opslifecycle_codegen.modelcheck.search import Search

from tests.support.codegen.projects import assert_clean, edit, imported, project
from tests.support.edits import replaced
from tests.support.warm import python

ERRAND = Path(__file__).with_name("errand.yaml")
START_MS = 1_000_000
HISTORY = """history:
  summary: What has happened to an errand.
  method: steps
  last: 3
  params: [reason, by]

"""
#: The errand without a feed, whose history is all that is known of its past.
START, END = "feed:\n  summary: Every change", "snapshot:\n"


def text(*edits: tuple[str, str], feed: bool = True) -> str:
    found = ERRAND.read_text(encoding="utf-8").replace(END, HISTORY + END)
    if not feed:
        found = found[: found.index(START)] + found[found.index(HISTORY) :]
        feed_id = "  FeedId: {summary: Names one numbering of the feed.}\n"
        collect = "collect: {summary: Hand over what has ended., method: collect}\n"
        for gone in (feed_id, collect):
            found = found.replace(gone, "")
        at = found.index("  past_the_end:")
        found = found[:at] + found[found.index("  not_now:\n    class") :]
    return replaced(found, edits)


def package(folder: Path, name: str, source: str) -> ModuleType:
    machine = folder / f"{name}.yaml"
    machine.write_text(source.replace("machine: errand", f"machine: {name}"), encoding="utf-8")
    return imported(project(folder / "project", machine), name)


@pytest.fixture(scope="module")
def errands(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return package(tmp_path_factory.mktemp("history"), "past_errand", text())


@pytest.fixture(params=["none", "memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store | None:
    stores = {"none": None, "memory": MemoryStore(), "sqlite": SqliteStore(tmp_path / "e.db")}
    return stores[request.param]


def said(registry: Any, id: Any) -> list[tuple[Any, ...]]:
    return [
        (e.action.value, e.from_status and e.from_status.value, e.to_status.value, e.reason, e.by)
        for e in registry.steps(id)
    ]


def test_it_has_the_last_transitions_with_their_parameters(errands: ModuleType, store: Any) -> None:
    clock = ManualClock(START_MS)
    with errands.ErrandRegistry(store=store, clock=clock) as registry:
        id = errands.ErrandId.new()
        assert registry.steps(id) == ()
        registry.ask(id, "milk")
        clock.advance(seconds=1)
        registry.take(id, "Ada")
        registry.note(id)
        assert said(registry, id) == [
            ("create", None, "asked", None, None), ("take", "asked", "taken", None, "Ada")
        ]  # fmt: skip
        assert [entry.at_ms for entry in registry.steps(id)] == [START_MS, START_MS + 1000]
        registry.give_back(id, "rain")
        registry.take(id, "Bob")
        registry.finish(id)
        assert said(registry, id) == [
            ("give_back", "taken", "asked", "rain", None),
            ("take", "asked", "taken", None, "Bob"),
            ("finish", "taken", "done", None, None),
        ]


def test_the_next_process_finds_it_and_goes_on(errands: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "errands.db"
    with errands.ErrandRegistry(store=SqliteStore(path)) as registry:
        id = errands.ErrandId.new()
        registry.ask(id, "milk")
        registry.take(id, "Ada")
        before = registry.steps(id)
    with errands.ErrandRegistry(store=SqliteStore(path)) as registry:
        assert registry.steps(id)[:2] == before
        # Recovery gives up what was open.
        last = ("drop", "taken", "dropped", "the process has ended", None)
        assert said(registry, id)[2:] == [last]
        document = registry.capture()
    with errands.ErrandRegistry.restore(document) as registry:
        assert said(registry, id)[2:] == [last]


def test_a_command_for_all_adds_to_each(errands: ModuleType, store: Any) -> None:
    with errands.ErrandRegistry(store=store) as registry:
        ids = [errands.ErrandId.new() for _ in range(2)]
        for id in ids:
            registry.ask(id, "milk")
        registry.drop_all("holiday")
        assert [said(registry, id)[1][3] for id in ids] == ["holiday", "holiday"]


def test_it_needs_no_feed(tmp_path: Path) -> None:
    errands = package(tmp_path, "quiet_errand", text(feed=False))
    with errands.ErrandRegistry() as registry:
        id = errands.ErrandId.new()
        registry.ask(id, "milk")
        assert [entry[0] for entry in said(registry, id)] == ["create"]


def test_a_rename_reaches_into_stored_histories(tmp_path: Path) -> None:
    machine = tmp_path / "renamed_errand.yaml"
    source = text(("machine: errand", "machine: renamed_errand"))
    machine.write_text(source, encoding="utf-8")
    made = project(tmp_path / "project", machine)
    store = tmp_path / "errands.db"
    script = tmp_path / "write.py"
    script.write_text(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from opslifecycle import SqliteStore\n"
        "from renamed_errand import *\n"
        "with ErrandRegistry(store=SqliteStore(sys.argv[2])) as r:\n"
        "    id = ErrandId('00000000-0000-7000-8000-000000000001')\n"
        "    r.ask(id, 'milk'); r.take(id, 'Ada'); r.finish(id)\n"
    )
    done = python(str(script), str(made / "src"), str(store), cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    yaml = made / "machine/renamed_errand.yaml"
    edit(yaml, "version: 1", "version: 2")
    renamed = yaml.read_text(encoding="utf-8").replace("taken", "under_way")
    renamed = renamed.replace("  take:\n", "  set_off:\n").replace(
        "methods: [take]", "methods: [set_off]"
    )
    migration = (
        "\nmigrations:\n  2:\n    reason: Plainer words.\n    renames:\n"
        "      ErrandStatus: {taken: under_way}\n      ErrandAction: {take: set_off}\n"
    )
    yaml.write_text(renamed + migration, encoding="utf-8")
    assert main(["--project", str(made), "generate"]) == 0
    errands = imported(made, "renamed_errand")
    with errands.ErrandRegistry(store=SqliteStore(store)) as registry:
        (id,) = registry._authority.records
        assert [entry[:3] for entry in said(registry, id)] == [
            ("create", None, "asked"), ("set_off", "asked", "under_way"),
            ("finish", "under_way", "done"),
        ]  # fmt: skip


def test_the_package_is_clean(tmp_path: Path) -> None:
    machine = tmp_path / "errand.yaml"
    machine.write_text(text(), encoding="utf-8")
    assert_clean(project(tmp_path / "project", machine))


@pytest.mark.parametrize(
    ("edits", "rule"),
    [
        ((("  last: 3\n", "  last: 0\n"),), "wrong-shape"),
        ((("params: [reason, by]", "params: [reason, why]"),), "unknown-name"),
        ((("params: {by: str}", "params: {by: str, reason: int}"),), "wrong-type"),
        ((("  notes: {type", "  history: {type: str | None}\n  notes: {type"),), "owned-field"),
        ((("  FeedId:", "  ErrandTransition: {summary: A.}\n  FeedId:"),), "name-collision"),
        ((("  method: steps", "  method: changes"),), "name-collision"),
    ],
)
def test_a_mistake_is_reported_by_its_rule(edits: tuple[tuple[str, str], ...], rule: str) -> None:
    with pytest.raises(InvalidMachineError) as found:
        program_of(text(*edits).encode(), "errand.yaml")
    assert rule in {finding.rule for finding in found.value.findings}


def test_it_can_be_added_to_a_machine_that_has_stored_records() -> None:
    old = program_of(ERRAND.read_bytes(), "errand.yaml")
    new = program_of(text().encode(), "errand.yaml")
    assert [c for c in changes(lock_of(old, ""), lock_of(new, "")) if c.breaking] == []
    longer = program_of(text(("last: 3", "last: 30")).encode(), "errand.yaml")
    assert "history-changed" in {each.rule for each in behaviour_changes(new, longer)}


def test_no_rule_reads_it_so_the_search_leaves_it_out() -> None:
    small = (
        "scenarios:\n  small:\n    summary: One errand.\n    entities: 1\n"
        "    exclude: [drop_watch, note, mark_read]\n"
        "    bounds: {registry.last_sequence: 3, errand.notes: 0}\n"
    )
    (with_it,) = scenarios(program_of((text() + small).encode(), "errand.yaml"))
    bare = ERRAND.read_text(encoding="utf-8") + small
    (without,) = scenarios(program_of(bare.encode(), "errand.yaml"))
    assert Search(with_it).run().states == Search(without).run().states
