"""Symmetry: the parts of a state that can be swapped without effect on any rule.

Symmetric states need to be searched once. Ids can be swapped unless a command iterates over them in
order. No rule names barrier keys. Consumers of cursors can be swapped unless a rule names one or
reads a property. The search tests the derived symmetry on many states.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

from attrs import frozen

from opslifecycle_codegen.analysis.scenario_rules import CRASH
from opslifecycle_codegen.ir.several import DICT, LIST, element_of
from opslifecycle_codegen.ir.symbols import Symbols
from opslifecycle_codegen.ir.types import Type
from opslifecycle_codegen.modelcheck.scenarios import Scenario
from opslifecycle_codegen.modelcheck.state import Items, Several, State, Value

Swap = Callable[[State], State]
Map = Callable[[Value], Value]


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
    of_records, of_rows = (
        [_mapped(symbols, type, id_type, to) for type in fields.values()]
        for fields in (symbols.entity_fields, symbols.row_fields)
    )
    of_rows.append(to.__getitem__)

    def swap(state: State) -> State:
        old = [state.records[back[id]] for id in scenario.interpreter.ids]
        return state._replace(
            records=tuple(
                None if record is None else tuple(_each(of_records, record)) for record in old
            ),
            ended=tuple(to[id] for id in state.ended),
            rows=tuple(tuple(_each(of_rows, row)) for row in state.rows),
            barriers=tuple(
                tuple((tuple(sorted(to[id] for id in each[0])),) for each in key)
                for key in state.barriers
            ),
            watched=tuple(state.watched[back[id]] for id in scenario.interpreter.ids),
        )

    return swap


def _mapped(symbols: Symbols, type: Type, id_type: Type, to: dict[str, str]) -> Map | None:
    """Return the function that swaps the ids in values of a type; None if it has none.

    Only what is an id by its type: a text or a member may be spelled like one.
    """
    inner = type.required
    if inner == id_type:
        return lambda value: to.get(value, value)
    if inner.kind in (LIST, DICT):
        element = _mapped(symbols, element_of(inner), id_type, to)
        return element and _of_elements(element)
    if inner.kind == "union":
        variants = symbols.unions[inner.name].variants
        of = {name: _of_fields(symbols, name, id_type, to) for name in variants}
        if not any(any(each) for each in of.values()):
            return None
        return lambda value: value and (value[0], *_each(of[value[0]], value[1:]))
    if inner.kind == "record":
        fields = _of_fields(symbols, inner.name, id_type, to)
        return (lambda value: value and tuple(_each(fields, value))) if any(fields) else None
    return None


def _of_fields(
    symbols: Symbols, record: str, id_type: Type, to: dict[str, str]
) -> list[Map | None]:
    infos = symbols.records[record].fields.values()
    return [_mapped(symbols, info.type, id_type, to) for info in infos]


def _of_elements(element: Map) -> Map:
    def swapped(value: Value) -> Value:
        if isinstance(value, Items):
            # Keys are texts, and no ids.
            return Items((key, element(each)) for key, each in value)
        return Several(map(element, value)) if isinstance(value, Several) else value

    return swapped


def _each(maps: Sequence[Map | None], values: Iterable[Value]) -> Iterator[Value]:
    for swap, value in zip(maps, values, strict=True):
        yield value if swap is None else swap(value)


def _order(state: State) -> str:
    return repr(state)
