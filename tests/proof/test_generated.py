"""The generated authority against the interpreter of the file: every call and id, in many states.

They share the reading of the file, and nothing that turns it into code. Compared are the refusal
with its facts and its guard, or the effects and the whole state that follows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from opslifecycle import OperationLifecycleAction, OpsLifecycleError
from opslifecycle_codegen.analysis.scenario_rules import CRASH, CRASH_DISCARDING
from opslifecycle_codegen.ir.built_ins import BUILT_IN_REJECTIONS
from opslifecycle_codegen.ir.types import Type
from opslifecycle_codegen.modelcheck.scenarios import Scenario
from opslifecycle_codegen.modelcheck.state import Answer, Call, State

from opslifecycle.operations import authority as generated
from opslifecycle.operations import views
from tests.support.proof import state_mapper
from tests.support.proof.machines import SCENARIOS, edited, scenario_of, states_of
from tests.support.proof.state_mapper import UNKNOWN, StateMapper
from tests.support.scale import share, whole_or

COMPARED: Counter[str] = Counter()
COMPARISONS_MIN = 2_000_000


class Comparison:
    """Asks both the same, in one state after another."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.program = program = scenario.interpreter.program
        self.mapper = StateMapper(scenario)
        self.actions = {
            str(method): action
            for action in program.actions
            for name, declared in program.machine.actions.items()
            if name == action.name
            for method in declared.methods
        }
        self.errors = {
            str(r.class_): program.error_fields[str(n)] for n, r in program.machine.errors.items()
        }
        self.errors.update(BUILT_IN_REJECTIONS.values())
        self.params = self._params()
        for call in scenario.calls:
            for name, value in call.arguments:
                if name in self.params and self.params[name].kind == "record":
                    self.mapper.note_kept(self.params[name], value)
        # What of the calls has a method of the authority; waits are the shell's.
        self.asked = [
            (answer, call, *self._method(call))
            for call, answer in (
                *zip(scenario.calls, scenario.answers, strict=True),
                *self._unnamed(),
            )
            if self._is_of_the_authority(call)
        ]
        self.samples = [
            (action.name, next(scenario.values.arguments(action.params)))
            for action in program.actions
        ]
        layouts = scenario.interpreter.layouts
        self.public_results, _ = layouts.property("OperationStatus", "public_result_class")
        done, _ = layouts.property("OperationLifecycleAction", "idempotent_in")
        self.idempotent = {OperationLifecycleAction(name): done[name] for name in done}
        self.seq_place = list(program.symbols.row_fields).index("seq")
        self.compared: Counter[str] = Counter()

    def _params(self) -> dict[str, Type]:
        commands = [self.program.create, *self.program.actions]
        commands += [each.command for each in self.program.bulk]
        return {name: type for each in commands for name, type in each.params.items()}

    def _unnamed(self) -> Iterator[tuple[Call, Callable[[State], Answer]]]:
        """Actions that no method of a registry asks, but bulk commands and recovery do."""
        interpreter = self.scenario.interpreter
        named = {action.name for action in self.actions.values()}
        for action in self.program.actions:
            if action.name in named:
                continue
            arguments = next(self.scenario.values.arguments(action.params))
            for id in (*interpreter.ids, UNKNOWN):
                call = Call(action.name, id, arguments)
                yield call, partial(interpreter.act, call=call, name=action.name)

    def _is_of_the_authority(self, call: Call) -> bool:
        return not call.method.startswith("drop_") and call.method not in (CRASH, CRASH_DISCARDING)

    def _method(self, call: Call) -> tuple[str, tuple[Any, ...]]:
        """The method of the authority that a call asks, and with what."""
        machine = self.program.machine
        given: list[Any] = []
        if call.id is not None:
            given.append(self.mapper.ids[call.id])
        arguments = call.arguments
        if call.method in machine.create.methods:
            # A method of a registry has its own order; the authority has that of the file.
            places = list(self.program.create.params)
            arguments = tuple(sorted(arguments, key=lambda each: places.index(each[0])))
        for name, value in arguments:
            if name in ("ids", "key"):
                given.append([self.mapper.ids[id] for id in value] if name == "ids" else value)
            elif name == "consumer":
                assert machine.cursors is not None
                given.append(self.mapper.real(Type("enum", str(machine.cursors.consumer)), value))
            elif name == "cursor":
                given.append(value)
            else:
                given.append(self.mapper.real(self.params[name], value))
        if call.method in machine.create.methods:
            return "register", tuple(given)
        if call.method in self.actions:
            return self.actions[call.method].name, tuple(given)
        return call.method, tuple(given)

    def look_at_all(self, states: Iterable[State]) -> None:
        """Compare in one state after another."""
        for state in states:
            self.look_at(state)

    def look_at(self, state: State) -> None:
        """Compare everything that may be asked for in a state."""
        mapper, authority = self.mapper, self.mapper.authority(state)
        for answer_in, call, method, given in self.asked:
            answer = answer_in(state)
            if method == "wait_all":
                key, ids = given
                given = (ids, len(state.barriers[key]))
            result = getattr(authority, method)(*given)
            if answer.state is None:
                self._same_refusal(call, answer, result)
                continue
            self.compared["accepted"] += 1
            assert not isinstance(result, OpsLifecycleError), (call, result, state)
            if method in ("wait_all", "register_watcher"):
                continue
            self._same_state(state, call, answer, result, authority)
            if answer.state is not state:
                authority = mapper.authority(state)
        assert mapper.difference(authority, state) is None, "a refusal has changed something"
        self._same_permissions(state, authority)
        self._same_classes(state, authority)

    def _same_refusal(self, call: Call, answer: Answer, result: Any) -> None:
        self.compared["refused"] += 1
        assert answer.refusal is not None
        error, facts, guard = answer.refusal
        assert type(result).__name__ == error, (call, result, answer)
        types = self.errors[error]
        wanted = tuple(self.mapper.real(t, v) for t, v in zip(types.values(), facts, strict=True))
        found = tuple(getattr(result, name) for name in types)
        assert found == wanted, (call, result, answer)
        assert (result.guard or "") == guard, (call, result, answer)

    def _same_state(
        self, state: State, call: Call, answer: Answer, result: Any, authority: Any
    ) -> None:
        """Carry out the effects on the records, as the shell does, and compare."""
        assert answer.state is not None
        if call.method == "collect_completed":
            assert [each.id for each in result] == [self.mapper.ids[id] for id in answer.value]
            for record in result:
                authority.erase(record.id)
        elif call.method == "advance_completion_cursor":
            assert result == answer.value
        else:
            if not isinstance(result, list):
                ((id, _),) = answer.effects
                result = [(authority.records[self.mapper.ids[id]], result)]
            effects = tuple((r.id, tuple(e.value for e in given)) for r, given in result)
            wanted = tuple((self.mapper.ids[id], given) for id, given in answer.effects)
            assert effects == wanted, (call, effects, wanted)
            rows = [(row[self.seq_place], self.mapper.ids[row[-1]]) for row in state.rows]
            self._carry_out(result, rows, authority, answer.state)
        difference = self.mapper.difference(authority, answer.state)
        assert difference is None, (call, difference, state)

    def _carry_out(self, changes: list[Any], rows: list[Any], authority: Any, after: State) -> None:
        kept = {row[self.seq_place]: row for row in after.rows}
        for record, effects in changes:
            for effect in effects:
                if effect.value == "append_to_feed":
                    rows.append((record.sequence, record.id))
                    if record.sequence in kept:
                        self._same_row(views.entry_of(record), kept[record.sequence])
                elif effect.value == "evict_oldest":
                    while len(rows) > authority.max_completed:
                        authority.evict(*rows.pop(0))
                elif effect.value == "erase":
                    authority.erase(record.id)
        assert [sequence for sequence, _ in rows] == list(kept)

    def _same_row(self, entry: Any, row: tuple[Any, ...]) -> None:
        for (name, type), value in zip(self.program.symbols.row_fields.items(), row, strict=False):
            assert getattr(entry, name) == self.mapper.real(type, value), (name, entry, row)

    def _same_permissions(self, state: State, authority: Any) -> None:
        """What `allowed` foresees of every action, the unknown id included."""
        for id in (*self.scenario.interpreter.ids, UNKNOWN):
            found = authority.allowed(self.mapper.ids[id])
            for permission, (action, arguments) in zip(found, self.samples, strict=True):
                call = Call(action, id, arguments)
                answer = self.scenario.interpreter.act(state, call, action)
                assert permission.action == action
                if answer.refusal is not None:
                    self._same_refusal(call, answer, permission.refusal)
                else:
                    assert permission.refusal is None, (state, call, permission)
                    self.compared["accepted"] += 1

    def _same_classes(self, state: State, authority: Any) -> None:
        """The classifiers, by the tables of the file."""
        records = {plain[0]: plain for plain in state.records if plain is not None}
        for id in (*self.scenario.interpreter.ids, UNKNOWN):
            plain, real = records.get(id), self.mapper.ids[id]
            status = "absent" if plain is None else plain[1]
            found = authority.classify_operation_public_result(real)
            assert found.value == self.public_results[status]
            for member, idempotent_in in self.idempotent.items():
                done = authority.classify_operation_transition_idempotence(real, member)
                assert done is (plain is not None and status in idempotent_in), (state, member)
            self.compared["classified"] += 1 + len(self.idempotent)


@pytest.mark.parametrize("name", share(SCENARIOS, 3))
def test_the_generated_authority_does_what_the_file_says(name: str) -> None:
    comparison = Comparison(scenario_of(edited(), name))
    comparison.look_at_all(states_of(name))
    COMPARED.update(comparison.compared)
    assert min(comparison.compared.values()) > 0


def test_enough_was_compared() -> None:
    total = COMPARED.total()
    if not total:
        pytest.skip("only together with the comparisons themselves")
    share = COMPARED["refused"] / (COMPARED["refused"] + COMPARED["accepted"])
    print(f"{total} comparisons, 0 mismatches, {share:.0%} of the answers were refusals")
    assert total >= whole_or(COMPARISONS_MIN, COMPARISONS_MIN // 80)


#: What the generated code does not do, if the file says this.
DEFECTS = [
    ("alone", "    idempotent_in: [running]", "    idempotent_in: [retiring]"),
    ("alone", "    from: [running]\n    to: retiring",
     "    from: [provisioning, running]\n    to: retiring"),
    ("admission", "    label: terminate_owner", "    label: terminate"),
    ("admission", "registry.active_count < limit", "registry.active_count <= limit"),
    ("alone", "    guards: [registered, kind_expects_peer, not_yet_peer_ready, legal_status]",
     "    guards: [registered, kind_expects_peer, legal_status, not_yet_peer_ready]"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new"), share(DEFECTS, 2))
def test_a_file_that_says_something_else_is_noticed(name: str, old: str, new: str) -> None:
    comparison = Comparison(scenario_of(edited((old, new)), name))
    with pytest.raises(AssertionError):
        comparison.look_at_all(states_of(name))


_SOURCE = Path(str(generated.__file__)).read_text(encoding="utf-8")
_STATUS_TEST = re.compile(r"operation\.status (?:not in|is not) \w+(?=:)")
#: Each test of the status in the authority, with the method that has it.
STATUS_TESTS = [
    (match.start(), re.findall(r"    def (\w+)", _SOURCE[: match.start()])[-1])
    for match in _STATUS_TEST.finditer(_SOURCE)
]


def weakened(start: int) -> ModuleType:
    """Return the authority with the status test at a place letting final records through."""
    match = _STATUS_TEST.match(_SOURCE, start)
    assert match is not None
    test = f"{match[0]} and not operation.status.terminal"
    module = ModuleType(generated.__name__)
    module.__dict__.update(__package__=generated.__package__, __file__=generated.__file__)
    text = _SOURCE[:start] + test + _SOURCE[match.end() :]
    exec(compile(text, str(generated.__file__), "exec"), module.__dict__)
    return module


def test_every_action_tests_the_status() -> None:
    actions = {action.name for action in edited().actions}
    assert actions <= {method for _, method in STATUS_TESTS}


@pytest.mark.parametrize(("start", "method"), share(STATUS_TESTS, 3, id=lambda each: each[1]))
def test_a_final_record_that_moves_again_is_noticed(
    start: int, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_mapper, "generated", weakened(start))
    comparison = Comparison(scenario_of(edited(), "alone"))
    with pytest.raises(AssertionError):
        comparison.look_at_all(states_of("alone"))
