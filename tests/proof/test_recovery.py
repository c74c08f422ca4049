"""Recovery against the interpreter of the file: what a store has kept of a state, opened again.

A state is written as the registry writes it, by the generated storage, and opened as a registry:
that is then in the state which the file says follows a crash.
"""

from __future__ import annotations

import random
from typing import Any

import attrs
import pytest
from opslifecycle import MemoryStore, OperationStatus, Registry, RuntimeEpochId
from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.stores.base import Commit
from opslifecycle_codegen.analysis.scenario_rules import CRASH, CRASH_DISCARDING
from opslifecycle_codegen.modelcheck.scenarios import Scenario
from opslifecycle_codegen.modelcheck.state import Call, State

from opslifecycle.operations import OperationAuthority, OperationRecord
from opslifecycle.operations.storage import CODEC, is_persistent, serialize, serialize_state
from tests.support.builders import spec
from tests.support.proof.machines import edited, scenario_of, states_of
from tests.support.proof.state_mapper import StateMapper
from tests.support.scale import whole_or

STATES = whole_or(400, 30)
#: The others are looked at by `make verify-all`.
SOME = ["admission", "alone"]


def stop_clocks(patch: pytest.MonkeyPatch) -> None:
    """In the search all times are 0."""
    for reading in ("wall_ns", "monotonic_ns"):
        patch.setattr(SYSTEM_CLOCK, reading, lambda: 0)


@pytest.fixture(autouse=True)
def no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    stop_clocks(monkeypatch)


class Recovery:
    """Opens what is kept of states, and compares with what the file says."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._twin = StateMapper(scenario)
        self._rows = scenario.interpreter.program.symbols.row_fields

    def difference(self, state: State, call: str) -> str | None:
        """How a registry that recovers from a state differs from the file; None if it does not."""
        authority = self._twin.authority(state)
        # The search keeps of a spec only what no field of the record repeats.
        seen = {id: record.spec for id, record in authority.records.items()}
        for id, record in authority.records.items():
            record.spec = attrs.evolve(record.spec, id=id, kind=record.kind)
        store = self._written(state, authority, discard=call == CRASH_DISCARDING)
        expected = self._scenario.interpreter.crash(state, Call(call, None)).state
        assert expected is not None
        with Registry(store=store) as registry:
            for id, record in registry._authority.records.items():
                assert record.spec == authority.records[id].spec
                record.spec = seen[id]
            found = self._twin.difference(registry._authority, expected)
            entries = [
                attrs.astuple(each, recurse=False)
                for each in registry.completion_feed().list_since(0).entries
            ]
        wanted = [
            tuple(self._twin.real(t, v) for t, v in zip(self._rows.values(), row, strict=False))
            for row in expected.rows
        ]
        if found is None and entries != wanted:
            found = f"rows are {entries}, not {wanted}"
        return found

    def _written(
        self, state: State, authority: OperationAuthority, *, discard: bool
    ) -> MemoryStore:
        """A store as the registry leaves it: a put for each row in its order, and the rest."""
        held = list(authority.records.values())
        rows = [self._record_of_row(row, held) for row in state.rows]
        kept = [each for each in held if is_persistent(each)]
        writes = [serialize(each) for each in (*rows, *kept)]
        gone = tuple(str(id) for id in {each.id for each in rows} - {each.id for each in kept})
        store = MemoryStore(interrupted="discard" if discard else None)
        store.open(CODEC.schema)
        epoch_id = str(RuntimeEpochId.new())
        store.append(
            Commit(
                tuple(writes), gone, authority.dropped_through, serialize_state(authority, epoch_id)
            )
        )
        store.close()
        return store

    def _record_of_row(self, row: tuple[Any, ...], held: list[OperationRecord]) -> OperationRecord:
        """What a row was made from: a record that is held, or one that has been erased since."""
        names = zip(self._rows.items(), row, strict=False)
        values = {name: self._twin.real(type, value) for (name, type), value in names}
        for record in held:
            if record.sequence == values["seq"]:
                return record
        id, name = values["operation_id"], values["display_name"]
        whole = attrs.evolve(spec(values["kind"]), id=id, display_name=name)
        record = OperationRecord(id, 0, 0, whole, None)
        record.sequence, record.completed_at_ms = values["seq"], values["completed_at_ms"]
        record.terminal_outcome = values["terminal_outcome"]
        record.status = OperationStatus[type(record.terminal_outcome).__name__.upper()]
        return record


def compared(recovery: Recovery, states: list[State], count: int = STATES) -> list[str]:
    """The differences in a sample of states."""
    assert len(states) >= count
    sample = random.Random(0).sample(states, count)
    found = (recovery.difference(state, call) for state in sample for call in CALLS)
    return [each for each in found if each is not None]


CALLS = (CRASH, CRASH_DISCARDING)


@pytest.mark.parametrize("name", SOME)
def test_what_was_kept_is_recovered_as_the_file_says(name: str) -> None:
    assert compared(Recovery(scenario_of(edited(), name)), states_of(name)) == []


def test_a_file_that_says_something_else_of_recovery_is_noticed() -> None:
    other = scenario_of(
        edited(("  do: terminate\n  with: {reason:", "  do: fail\n  with: {error:")), "alone"
    )
    assert compared(Recovery(other), states_of("alone"))
