"""Symmetry: the parts of a state that can be swapped without effect on any rule.

Symmetric states need to be searched once. Ids can be swapped unless a command iterates over them in
order. No rule names barrier keys. Consumers of cursors can be swapped unless a rule names one or
reads a property. The search tests the derived symmetry on many states.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

from attrs import frozen

from opslifecycle_codegen.analysis.scenario_rules import CRASH
from opslifecycle_codegen.ir.several import DICT, LIST
from opslifecycle_codegen.ir.types import Type
from opslifecycle_codegen.modelcheck.scenarios import Scenario
from opslifecycle_codegen.modelcheck.state import Items, Several, State, Value

Swap = Callable[[State], State]


@frozen
class Symmetry:
    """The parts that can be swapped, the reasons why others cannot, and the swaps."""

    swapped: tuple[str, ...]
    not_swapped: tuple[str, ...]
    _keys: bool
    _consumers: bool
    _ids: tuple[Swap, ...]

    def canonical(self, state: State) -> State:
        """Return the representative of all states that differ by swaps only."""
        if self._keys:
            barriers = tuple(sorted(state.barriers))
            if barriers != state.barriers:
                state = state._replace(barriers=barriers)
        if self._consumers:
            state = state._replace(cursors=tuple(sorted(state.cursors)))
        if len(self._ids) > 1:
            state = min((swap(state) for swap in self._ids), key=_order)
        return state

    def swaps(self, state: State) -> Iterable[State]:
        """Yield some states that must be equivalent to this one."""
        if self._keys and len(state.barriers) > 1:
            yield state._replace(barriers=tuple(reversed(state.barriers)))
        if self._consumers:
            yield state._replace(cursors=(*state.cursors[1:], state.cursors[0]))
        for swap in self._ids[1:]:
            yield swap(state)


#: No symmetry: every state is its own representative.
NOTHING_SWAPPED = Symmetry((), (), keys=False, consumers=False, ids=(lambda state: state,))


def symmetry_of(scenario: Scenario) -> Symmetry:
    """Return the symmetry of a scenario's rules."""
    interpreter = scenario.interpreter
    program = interpreter.program
    swapped, kept = [], []
    keys = interpreter.keys > 1
    if keys:
        swapped.append("barrier keys")
    enum = program.symbols.cursor_enum
    consumers = bool(enum) and enum not in interpreter.evaluator.told_apart
    if enum and "consumer" in {str(path) for path in scenario.declared.params}:
        consumers = False
        kept.append(f"{enum}: the scenario names some of them")
    elif enum:
        note = f"{enum}: a rule tells them apart"
        swapped.append(enum) if consumers else kept.append(note)
    in_order = [
        call.method
        for call in scenario.calls
        if call.id is None and call.method in _in_order(scenario)
    ]
    swaps: tuple[Swap, ...] = (lambda state: state,)
    if in_order and len(interpreter.ids) > 1:
        kept.append(f"ids: {', '.join(dict.fromkeys(in_order))} goes through them in order")
    elif len(interpreter.ids) > 1 and program.machine.eventually:
        kept.append(f"ids: {', '.join(program.machine.eventually)} follows each of them")
    elif len(interpreter.ids) > 1:
        swapped.append("ids")
        swaps = tuple(
            _swapping(scenario, dict(zip(interpreter.ids, order, strict=True)))
            for order in itertools.permutations(interpreter.ids)
        )
    return Symmetry(tuple(swapped), tuple(kept), keys, consumers, swaps)


def _in_order(scenario: Scenario) -> set[str]:
    """Return the commands that iterate over records in the order of their ids."""
    program = scenario.interpreter.program
    found = {each.command.name for each in program.bulk if each.action}
    if program.recovery is not None and program.recovery.command is not None:
        found.add(CRASH)
    return found


def _swapping(scenario: Scenario, to: dict[str, str]) -> Swap:
    """Return a function that swaps ids in a state."""
    symbols = scenario.interpreter.program.symbols
    id_type = symbols.entity_fields["id"]
    back = {new: scenario.interpreter.ids.index(old) for old, new in to.items()}
    of_records = [_mapped(type, id_type, to) for type in symbols.entity_fields.values()]
    of_rows = [
        *(_mapped(type, id_type, to) for type in symbols.row_fields.values()),
        to.__getitem__,
    ]

    def swap(state: State) -> State:
        old = [state.records[back[id]] for id in scenario.interpreter.ids]
        return state._replace(
            records=tuple(
                None if r is None else tuple(f(v) for f, v in zip(of_records, r, strict=True))
                for r in old
            ),
            ended=tuple(to[id] for id in state.ended),
            rows=tuple(
                tuple(f(v) for f, v in zip(of_rows, row, strict=True)) for row in state.rows
            ),
            barriers=tuple(
                tuple((tuple(sorted(to[id] for id in each[0])),) for each in key)
                for key in state.barriers
            ),
            watched=tuple(state.watched[back[id]] for id in scenario.interpreter.ids),
        )

    return swap


def _mapped(type: Type, id_type: Type, to: dict[str, str]) -> Callable[[Value], Value]:
    """Return the function that swaps the ids in values of a type."""
    if type.required == id_type:
        return lambda value: to.get(value, value)
    if type.required.kind in ("record", "union", LIST, DICT):
        return lambda value: _deep(value, to)
    return lambda value: value


def _deep(value: Value, to: dict[str, str]) -> Value:
    if isinstance(value, Items):
        # Keys are texts, and no ids.
        return Items((key, _deep(each, to)) for key, each in value)
    if isinstance(value, Several):
        return Several(_deep(each, to) for each in value)
    if isinstance(value, tuple):
        return tuple(_deep(each, to) for each in value)
    return to.get(value, value) if isinstance(value, str) else value


def _order(state: State) -> str:
    return repr(state)
