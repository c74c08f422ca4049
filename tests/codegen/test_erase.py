"""The erasing of one record by its id: in memory, in a store, after a kill, and in the models."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from opslifecycle import SqliteStore
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.modelcheck.scenarios import Scenario, scenarios
from opslifecycle_codegen.modelcheck.search import Search
from opslifecycle_codegen.modelcheck.state import Answer, Call, State
from opslifecycle_codegen.modelcheck.symbolic.relation import relation
from opslifecycle_codegen.modelcheck.symmetry import NOTHING_SWAPPED

from tests.codegen.test_placement import FEED, IDS, RECOVERY, TURNSTILE, WATCH, compiled
from tests.proof.test_symbolic import walked
from tests.support.codegen.projects import assert_clean, edit, project
from tests.support.warm import python

ERASE = "erase: {summary: Forget a gate., method: forget"
FEATURES = (("ids:\n", IDS), (WATCH, f"{FEED}{ERASE}}}\n\n{WATCH}"))
CLAIMS = """
invariants:
  rows_are_numbered:
    summary: Every entry has a number that was assigned.
    expr: all(row.seq <= registry.last_sequence for row in feed)
  ended_have_a_number:
    summary: Every number of a record was assigned.
    expr: all(g.sequence is None or g.sequence <= registry.last_sequence for g in gates)
"""
PROOF = "\nscenarios:\n  small: {summary: Two gates., entities: 2}\n"

#: Erases one of two gates that were taken away, and is killed as soon as the call has returned.
KILLED = """
import os, signal, sys
import killed_gate as gates
from opslifecycle import SqliteStore
registry = gates.GateRegistry(store=SqliteStore(sys.argv[1]))
ids = [gates.GateId.new() for _ in range(2)]
for id in ids:
    registry.install(id, "west")
    registry.scrap(id)
registry.forget(ids[0])
os.write(1, " ".join(map(str, ids)).encode())
os.kill(os.getpid(), signal.SIGKILL)
"""


def entries(registry: Any) -> list[Any]:
    return [entry.gate_id for entry in registry.scrapped_gates().list_since(0).entries]


def split(calls: list[Any], cuts: tuple[bool, ...]) -> list[list[Any]]:
    """Return calls in groups: each cut is between two of them."""
    groups = [[calls[0]]]
    for call, is_cut in zip(calls[1:], cuts, strict=True):
        if is_cut:
            groups.append([call])
        else:
            groups[-1].append(call)
    return groups


class TestErase:
    @pytest.mark.parametrize("kept", [False, True])
    def test_an_ended_record_leaves_and_its_entry_stays(self, tmp_path: Path, kept: bool) -> None:
        gates = compiled(tmp_path, f"forgetful_gate_{kept:d}", *FEATURES)
        path = tmp_path / "a.db"
        with gates.GateRegistry(store=SqliteStore(path) if kept else None) as registry:
            id, other = gates.GateId.new(), gates.GateId.new()
            for each in (id, other):
                registry.install(each, "west")
                registry.scrap(each)
            watch = registry.watch(id)
            registry.forget(id)
            assert watch.result(0) is gates.GateStatus.SCRAPPED
            assert registry.snapshot(id) is None
            assert registry.snapshot(other) is not None
            assert entries(registry) == [id, other]
            with pytest.raises(gates.NoSuchGateError):
                registry.forget(id)
            # The id is free again, and a record of it is another one.
            registry.install(id, "east")
        if kept:
            with gates.GateRegistry(store=SqliteStore(path)) as registry:
                assert registry.snapshot(id).place == "east"
                assert entries(registry) == [id, other]

    def test_a_live_record_is_refused(self, tmp_path: Path) -> None:
        gates = compiled(tmp_path, "living_gate", *FEATURES)
        with gates.GateRegistry() as registry:
            id = gates.GateId.new()
            registry.install(id, "west")
            with pytest.raises(gates.NotNowError) as refused:
                registry.forget(id)
            assert refused.value.guard == "legal_status"
            assert refused.value.action == "forget"
            assert registry.snapshot(id) is not None

    def test_guards_of_its_own_come_in_their_order(self, tmp_path: Path) -> None:
        guard = "  unpaid: {when: gate.coins == 0, error: {no_such_gate: {id: id}}}\n"
        gates = compiled(
            tmp_path, "guarded_gate",
            ("\nillegal_transition:", f"{guard}\nillegal_transition:"),
            (WATCH, f"{ERASE}, guards: [known, unpaid]}}\n\n{WATCH}"),
        )  # fmt: skip
        with gates.GateRegistry() as registry:
            paid, unpaid = gates.GateId.new(), gates.GateId.new()
            for id in (paid, unpaid):
                registry.install(id, "west")
            registry.coin(paid)
            for id in (paid, unpaid):
                registry.scrap(id)
            with pytest.raises(gates.NoSuchGateError) as refused:
                registry.forget(paid)
            assert refused.value.guard == "unpaid"
            registry.forget(unpaid)
            assert registry.snapshot(unpaid) is None

    def test_its_own_effects_are_handed_over_with_the_record(self, tmp_path: Path) -> None:
        gates = compiled(
            tmp_path, "mourned_gate",
            ("errors:", "effects:\n  mourn: {summary: Mourn.}\n\nerrors:"),
            (WATCH, f"{ERASE}, effects: [mourn]}}\n\n{WATCH}"),
        )  # fmt: skip
        path = tmp_path / "a.db"
        with gates.GateRegistry(store=SqliteStore(path)) as registry:
            id = gates.GateId.new()
            registry.install(id, "west")
            registry.scrap(id)
            registry.forget(id)
        with gates.GateRegistry(store=SqliteStore(path)) as registry:
            (pending,) = registry.pending_effects()
            assert (pending.effect.value, pending.snapshot.id) == ("mourn", id)
            assert registry.snapshot(id) is None

    def test_it_survives_a_kill(self, tmp_path: Path) -> None:
        gates = compiled(tmp_path, "killed_gate", *FEATURES)
        path = tmp_path / "a.db"
        search = os.pathsep.join([str(tmp_path / "project/src"), *sys.path])
        environment = {**os.environ, "PYTHONPATH": search}
        done = python("-c", KILLED, str(path), cwd=tmp_path, env=environment)
        assert done.returncode == -signal.SIGKILL, done.stdout
        erased, other = map(gates.GateId, done.stdout.split())
        with gates.GateRegistry(store=SqliteStore(path)) as registry:
            assert registry.snapshot(erased) is None
            assert registry.snapshot(other) is not None
            assert entries(registry) == [erased, other]

    def test_it_stays_away_where_one_that_is_not_stored_has_its_id(self, tmp_path: Path) -> None:
        """However the calls come together in commits."""
        stored = ("persist_if: 'true'", "persist_if: gate.sequence is not None")
        gates = compiled(tmp_path, "replaced_gate", *FEATURES, stored)
        calls = [("install", "west"), ("scrap",), ("forget",), ("install", "east")]
        for number, cuts in enumerate(itertools.product([False, True], repeat=len(calls) - 1)):
            id, path = gates.GateId.new(), tmp_path / f"{number}.db"
            with gates.GateRegistry(store=SqliteStore(path)) as registry:
                for together in split(calls, cuts):
                    with registry.transaction() as transaction:
                        for name, *arguments in together:
                            getattr(transaction, name)(id, *arguments)
            with gates.GateRegistry(store=SqliteStore(path)) as registry:
                assert registry.snapshot(id) is None, cuts
                assert entries(registry) == [id]

    def test_an_evicted_entry_of_an_erased_record_harms_nothing(self, tmp_path: Path) -> None:
        retention = "retention: {evict: records, max_entries: '2'}\n\n"
        gates = compiled(tmp_path, "evicted_gate", FEATURES[0],
                         (WATCH, f"{FEED}{retention}{ERASE}}}\n\n{WATCH}"))  # fmt: skip
        path = tmp_path / "a.db"
        with gates.GateRegistry(store=SqliteStore(path)) as registry:
            ids = [gates.GateId.new() for _ in range(4)]
            for id in ids:
                registry.install(id, "west")
                registry.scrap(id)
                registry.forget(id)
            registry.install(ids[0], "east")
            assert entries(registry) == ids[2:]
        with gates.GateRegistry(store=SqliteStore(path)) as registry:
            assert entries(registry) == ids[2:]
            assert registry.snapshot(ids[0]).place == "east"


def test_the_generated_code_is_clean(tmp_path: Path) -> None:
    machine = tmp_path / "forgetting.yaml"
    machine.write_text(TURNSTILE.read_text(encoding="utf-8").replace("turnstile", "forgetting", 1)
                       + RECOVERY)  # fmt: skip
    for old, new in FEATURES:
        edit(machine, old, new)
    made = project(tmp_path / "project", machine)
    assert_clean(made)
    assert "Erases the record, from scrapped." in (made / "docs/forgetting.md").read_text("utf-8")


# The models -------------------------------------------------------------------------------------


def program(*edits: tuple[str, str]) -> Program:
    text = TURNSTILE.read_text(encoding="utf-8") + RECOVERY + CLAIMS + PROOF
    for old, new in (*FEATURES, *edits):
        assert old in text
        text = text.replace(old, new, 1)
    return program_of(text.encode(), "forgetting.yaml")


def small(*edits: tuple[str, str]) -> Scenario:
    return scenarios(program(*edits))[0]


def accepted(answer: Answer) -> State:
    assert answer.refusal is None
    assert answer.state is not None
    return answer.state


def refused(answer: Answer) -> str:
    assert answer.refusal is not None
    return answer.refusal.error


def test_the_interpreter_erases_only_what_has_ended() -> None:
    interpreter = small().interpreter
    id = interpreter.ids[0]
    begin, forget = interpreter.initial(), Call("forget", id)
    assert refused(interpreter.erase(begin, forget)) == "NoSuchGateError"
    install = Call("install", None, (("id", id), ("place", "a")))
    live = accepted(interpreter.create(begin, install))
    assert refused(interpreter.erase(live, forget)) == "NotNowError"
    ended = accepted(interpreter.act(live, Call("scrap", id), "scrap"))
    erased = accepted(interpreter.erase(ended, forget))
    assert erased.records == begin.records
    assert erased.ended == ()
    assert erased.rows == ended.rows != ()


@pytest.mark.nightly
def test_the_formulas_lead_to_as_many_states_as_the_search() -> None:
    scenario = small()
    found = Search(scenario, NOTHING_SWAPPED).run()
    assert found.closed
    assert walked(relation(scenario)) == found.states > 20
    without = scenarios(program((f"{ERASE}}}\n", "")))[0]
    assert Search(without, NOTHING_SWAPPED).run().states < found.states


def test_induction_proves_properties_of_erasing() -> None:
    pytest.importorskip("z3")
    from opslifecycle_codegen.modelcheck.symbolic.induction import induction

    shown = induction(program())
    assert shown.failed == []
    assert "forget" in shown.possible
