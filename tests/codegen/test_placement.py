"""What the compiler places by itself: the test of the status, effects, the feed, what leaves it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from opslifecycle import MemoryStore, SqliteStore
from opslifecycle_codegen.analysis.ends import Ends
from opslifecycle_codegen.cli.main import main
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.modelcheck.properties import WATCHES_ARE_OF_THE_LIVE
from opslifecycle_codegen.modelcheck.scenarios import scenarios
from opslifecycle_codegen.modelcheck.search import Search
from opslifecycle_codegen.modelcheck.symbolic.relation import relation
from opslifecycle_codegen.modelcheck.symmetry import NOTHING_SWAPPED

from tests.proof.test_symbolic import walked
from tests.support.codegen.projects import edit, imported, project, ran_tests

TURNSTILE = Path(__file__).with_name("turnstile.yaml")
WATCH = "watch: {summary: Watch"
RECOVERY = "\nrecovery: {persist_if: 'true'}\n"
FEED = """feed:
  summary: The gates that were taken away.
  method: scrapped_gates
  epoch: FeedId
  batch: ScrapBatch
  entry:
    name: ScrapEntry
    summary: One gate that was taken away.
    fields: {seq: gate.sequence, gate_id: gate.id}

"""
IDS = "ids:\n  FeedId: {summary: Names one numbering of the feed.}\n"


def compiled(folder: Path, name: str, *edits: tuple[str, str]) -> ModuleType:
    """The package of a turnstile under a name of its own, with some of its text replaced."""
    machine = folder / f"{name}.yaml"
    text = TURNSTILE.read_text(encoding="utf-8") + RECOVERY
    machine.write_text(text.replace("machine: turnstile", f"machine: {name}"), encoding="utf-8")
    for old, new in edits:
        edit(machine, old, new)
    return imported(project(folder / "project", machine), name)


def generated_tests(folder: Path) -> int:
    """How the generated tests end."""
    return ran_tests(folder).returncode


class TestLegality:
    def test_no_guard_brings_a_final_record_back(self, tmp_path: Path) -> None:
        """The guard always holds, and the status refuses all the same."""
        guard = "  eager: {when: gate.coins < 1000, error: {no_such_gate: {id: id}}}\n"
        gates = compiled(
            tmp_path, "eager_gate",
            ("\nillegal_transition:", f"{guard}\nillegal_transition:"),
            ("methods: [coin], from", "methods: [coin], guards: [known, eager], from"),
        )  # fmt: skip
        with gates.GateRegistry() as registry:
            id = gates.GateId.new()
            registry.install(id, "west")
            registry.scrap(id)
            for action in (registry.coin, registry.push, registry.scrap):
                with pytest.raises(gates.NotNowError) as refused:
                    action(id)
                assert refused.value.guard == "legal_status"
            assert registry.snapshot(id).status is gates.GateStatus.SCRAPPED

    def test_a_list_of_checks_says_where_the_status_is_tested(self, tmp_path: Path) -> None:
        guard = "  paid: {when: gate.coins > 0, error: {no_such_gate: {id: id}}}\n"
        push = "methods: [push], guards: [known, paid, legal_status], from"
        gates = compiled(
            tmp_path, "late_gate",
            ("\nillegal_transition:", f"{guard}\nillegal_transition:"),
            ("methods: [push], from", push),
        )  # fmt: skip
        with gates.GateRegistry() as registry:
            id = gates.GateId.new()
            registry.install(id, "west")
            with pytest.raises(gates.NoSuchGateError):
                registry.push(id)

    def test_the_generated_tests_notice_an_authority_without_the_test(self, tmp_path: Path) -> None:
        folder = project(tmp_path / "project", TURNSTILE)
        assert generated_tests(folder) == 0
        authority = folder / "src/turnstile/authority.py"
        text = authority.read_text(encoding="utf-8")
        legal = "if gate is None or gate.status is not _LOCKED:"
        weaker = "if gate is None or (gate.status is not _LOCKED and gate.coins < 1):"
        assert text.count(legal) == 1
        authority.write_text(text.replace(legal, weaker))
        assert generated_tests(folder) == 1

    @pytest.mark.nightly
    def test_the_generated_tests_notice_a_command_that_fails(self, tmp_path: Path) -> None:
        machine = tmp_path / "turnstile.yaml"
        machine.write_text(TURNSTILE.read_text(encoding="utf-8") + RECOVERY, encoding="utf-8")
        folder = project(tmp_path / "project", machine)
        assert generated_tests(folder) == 0
        authority = folder / "src/turnstile/authority.py"
        text = authority.read_text(encoding="utf-8")
        looked_up = "gate = self.records.get(id)\n"
        begin = text.index("def register(")
        at = text.index(looked_up, begin) + len(looked_up)
        authority.write_text(f"{text[:at]}        None + 1\n{text[at:]}")
        assert generated_tests(folder) == 1


class TestEffects:
    EDITS = (
        ("errors:", "effects:\n  melt: {summary: Melt it.}\n  mourn: {summary: Mourn.}\n\n"
         "errors:"),
        ("from: live, to: scrapped}", "from: live, to: scrapped, effects: [melt]}\n\non_terminal:\n"
         "  - effects: [mourn]"),
    )  # fmt: skip

    @pytest.mark.parametrize("kept", [False, True])
    def test_an_action_that_ends_a_record_has_its_effects_first(
        self, tmp_path: Path, kept: bool
    ) -> None:
        gates = compiled(tmp_path, f"melting_gate_{kept:d}", *self.EDITS)
        store = MemoryStore() if kept else None
        with gates.GateRegistry(store=store) as registry:
            id = gates.GateId.new()
            registry.install(id, "west")
            registry.scrap(id)
            effects = [each.effect.value for each in registry.pending_effects()]
        assert effects == ["melt", "mourn"]


class TestRetention:
    def gates(self, folder: Path, name: str, retention: str = "", cursors: str = "") -> Any:
        return compiled(
            folder, name, ("ids:\n", IDS), (WATCH, f"{FEED}{cursors}{retention}{WATCH}")
        )

    @staticmethod
    def scrapped(gates: Any, registry: Any, count: int) -> list[Any]:
        ids = [gates.GateId.new() for _ in range(count)]
        for id in ids:
            registry.install(id, "west")
            registry.scrap(id)
        return ids

    @staticmethod
    def seen(registry: Any) -> list[int]:
        feed = registry.scrapped_gates()
        return [entry.seq for entry in feed.list_since(0).entries]

    def test_without_retention_nothing_is_ever_evicted(self, tmp_path: Path) -> None:
        gates = self.gates(tmp_path, "keeping_gate")
        store = SqliteStore(tmp_path / "a.db")
        with gates.GateRegistry(store=store) as registry:
            ids = self.scrapped(gates, registry, 600)
            assert self.seen(registry) == list(range(1, 601))
        with gates.GateRegistry(store=SqliteStore(tmp_path / "a.db")) as registry:
            assert self.seen(registry) == list(range(1, 601))
            assert all(registry.snapshot(id) is not None for id in ids)

    @pytest.mark.parametrize("what", ["records", "entries"])
    def test_what_is_evicted_is_what_is_declared(self, tmp_path: Path, what: str) -> None:
        retention = f"retention: {{evict: {what}, max_entries: '2'}}\n\n"
        gates = self.gates(tmp_path, f"{what}_gate", retention)
        with gates.GateRegistry(store=SqliteStore(tmp_path / "a.db")) as registry:
            ids = self.scrapped(gates, registry, 5)
            assert self.seen(registry) == [4, 5]
        with gates.GateRegistry(store=SqliteStore(tmp_path / "a.db")) as registry:
            assert self.seen(registry) == [4, 5]
            assert registry.scrapped_gates().list_since(0).gap_after(0).dropped_through == 3
            left = [id for id in ids if registry.snapshot(id) is not None]
            assert left == (ids[3:] if what == "records" else ids)

    CURSORS = (
        "cursors:\n  consumer: Reader\n  get: read_up_to\n  advance: mark_read\n"
        "  beyond: {no_such_gate: {id: 'none'}}\n\n"
    )

    @pytest.mark.parametrize("beyond", [False, True])
    @pytest.mark.parametrize("kept", [False, True])
    def test_an_entry_stays_until_every_cursor_has_passed_it(
        self, tmp_path: Path, kept: bool, beyond: bool
    ) -> None:
        limit = ", beyond_cursors: true" if beyond else ""
        name = f"reading_gate_{kept:d}_{beyond:d}"
        gates = compiled(
            tmp_path, name,
            ("ids:\n", "enums:\n  Reader:\n    summary: Who reads.\n    members:\n"
             "      one: {summary: The first.}\n      two: {summary: The second.}\n\n" + IDS),
            ("  no_such_gate:", "  too_far:\n    class: TooFarError\n    fields: {at: int}\n"
             "    message: '{at}'\n  no_such_gate:"),
            (WATCH, FEED + self.CURSORS.replace("{no_such_gate: {id: 'none'}}",
                                                "{too_far: {at: cursor}}")
             + f"retention: {{evict: records, max_entries: '2'{limit}}}\n\n{WATCH}"),
        )  # fmt: skip
        path = tmp_path / "a.db"
        store = SqliteStore(path) if kept else None
        with gates.GateRegistry(store=store) as registry:
            self.scrapped(gates, registry, 5)
            assert self.seen(registry) == ([4, 5] if beyond else [1, 2, 3, 4, 5])
            registry.mark_read(gates.Reader.ONE, 5)
            self.scrapped(gates, registry, 1)
            assert self.seen(registry) == ([5, 6] if beyond else [1, 2, 3, 4, 5, 6])
            registry.mark_read(gates.Reader.TWO, 3)
            # What the last cursor has passed leaves with the advance, not with a later entry.
            assert self.seen(registry) == ([5, 6] if beyond else [4, 5, 6])
        if kept:
            store = SqliteStore(path)
            with gates.GateRegistry(store=store) as registry:
                assert self.seen(registry) == ([5, 6] if beyond else [4, 5, 6])
                self.scrapped(gates, registry, 1)
                assert self.seen(registry) == ([6, 7] if beyond else [4, 5, 6, 7])
            with gates.GateRegistry(store=SqliteStore(path)) as registry:
                assert self.seen(registry) == ([6, 7] if beyond else [4, 5, 6, 7])


HELD = (
    ("ids:\n", "enums:\n  Reader:\n    summary: Who reads.\n    members:\n"
     "      one: {summary: The first.}\n      two: {summary: The second.}\n\n" + IDS),
    ("  no_such_gate:", "  too_far:\n    class: TooFarError\n    fields: {at: int}\n"
     "    message: '{at}'\n  no_such_gate:"),
    (WATCH, FEED + TestRetention.CURSORS.replace("{no_such_gate: {id: 'none'}}",
                                                 "{too_far: {at: cursor}}")
     + f"retention: {{evict: records, max_entries: '1'}}\n\n"
     "# An erased id ends again: so more than one entry can be over the limit.\n"
     f"erase: {{summary: Forget a gate., method: forget}}\n\n{WATCH}"),
)  # fmt: skip


def held() -> Program:
    """A machine whose cursors hold entries back, with a scenario of it."""
    text = TURNSTILE.read_text(encoding="utf-8") + RECOVERY
    for old, new in HELD:
        assert old in text
        text = text.replace(old, new, 1)
    text += (
        "\nscenarios:\n  small:\n    summary: One gate.\n    entities: 1\n"
        "    exclude: [coin, push]\n"
        "    bounds: {registry.last_sequence: 3, registry.watermark: 3}\n"
    )
    return program_of(text.encode(), "held.yaml")


def test_the_formulas_evict_what_cursors_have_held_as_the_search_does() -> None:
    scenario = scenarios(held())[0]
    found = Search(scenario, NOTHING_SWAPPED).run()
    assert found.closed
    assert walked(relation(scenario)) == found.states > 100


def test_induction_says_that_it_does_not_cover_cursors_that_hold_entries() -> None:
    pytest.importorskip("z3")
    from opslifecycle_codegen.modelcheck.symbolic.induction import IN_ORDER, induction

    shown = induction(held())
    assert (shown.proved, shown.failed) == (0, [])
    assert {WATCHES_ARE_OF_THE_LIVE, IN_ORDER} <= set(shown.outside)


def test_a_retention_that_is_not_placed_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search finds a machine whose feed grows past its limit."""
    machine = tmp_path / "machine/turnstile.yaml"
    machine.parent.mkdir()
    text = TURNSTILE.read_text(encoding="utf-8") + RECOVERY
    text = text.replace("ids:\n", IDS).replace(
        WATCH, f"{FEED}retention: {{evict: records, max_entries: '1'}}\n\n{WATCH}"
    )
    text += "invariants:\n  few: {summary: Few are kept., expr: count(row for row in feed) <= 1}\n"
    machine.write_text(text)
    (tmp_path / "pyproject.toml").write_text(
        '[[tool.opslifecycle-codegen.machine]]\nsource = "machine/turnstile.yaml"\npackage = "t"\n'
    )
    assert main(["--project", str(tmp_path), "verify"]) == 0
    monkeypatch.setattr(Ends, "_evicted", lambda self: iter(()))
    assert main(["--project", str(tmp_path), "verify"]) == 1
