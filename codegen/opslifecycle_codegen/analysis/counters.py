"""Two kinds of counters whose ranges follow from all updates of a machine.

*Small steps*: a field that starts at a literal and grows by at most 1,000 for each command. At a
million commands a second it reaches the end of its range after 290 years.

*Live records*: a field of the registry that grows by a constant for each record that is created,
and shrinks by no more than that when the record ends. While there is a live record, it is at least
that constant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from opslifecycle_codegen.analysis.intervals import linear
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression, Root
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.program import Assignment, Bulk, Command, Program, updates_of
from opslifecycle_codegen.ir.sized import Length
from opslifecycle_codegen.ir.types import INT

STEP_MAX = 1_000
#: How far a literal may be from zero, for a field in small steps.
_LITERAL_MAX = 2**62


def small_steps(program: Program) -> frozenset[str]:
    """Return the fields that only grow in small steps, in the notation of the machine."""
    entity = program.machine.entity
    values: dict[str, list[Expression]] = {
        f"registry.{name}": [program.registry_initial[name]]
        for name, type in program.symbols.registry_fields.items()
        if type.required == INT and name in program.registry_initial
    }
    for name, type in program.symbols.entity_fields.items():
        if type.required == INT and name not in _stamped(program):
            values[f"{entity}.{name}"] = [program.initial.get(name, nodes.NOTHING)]
    for each in every_update(program):
        values.get(notation(each.target), []).append(each.value)
    small = set(values)
    while True:
        left = {name for name in small if all(_is_small(each, small) for each in values[name])}
        if left == small:
            return frozenset(small)
        small = left


def _stamped(program: Program) -> set[str]:
    return {str(name) for name, field in program.machine.fields.items() if field.stamped}


def every_update(program: Program) -> Iterator[Assignment]:
    """Yield every update of a program."""
    for command in (program.create, *program.actions, program.rollback, program.erase):
        yield from updates_of(command) if command is not None else ()
    for step in program.on_terminal:
        yield from step.updates
    for bulk in _bulks(program):
        yield from bulk.updates


def _bulks(program: Program) -> list[Bulk]:
    recovery = program.recovery.command if program.recovery is not None else None
    return [*program.bulk, *([recovery] if recovery is not None else [])]


def _is_small(value: Expression, small: set[str]) -> bool:
    """Return whether a value exceeds a field in small steps, or a literal, by at most 1,000."""
    match value:
        case nodes.Literal(value=None):
            return True
        case nodes.Literal(value=int() as number):
            return number <= _LITERAL_MAX
        case nodes.Name(root=Root.NOW | Root.STAMP):
            return True
        case nodes.Name() | nodes.Field():
            return notation(value) in small
        case nodes.Arithmetic(operator="-", left=left, right=right):
            return _is_never_negative(right) and _is_small(left, small)
        case nodes.Arithmetic(operator="+", left=left, right=nodes.Literal(value=int() as step)):
            return step <= STEP_MAX and _is_small(left, small)
        case nodes.Extreme(function=function, operands=operands):
            choose = any if function == "min" else all
            return choose(_is_small(each, small) for each in operands)
        case nodes.Conditional(then=then, otherwise=otherwise):
            return _is_small(then, small) and _is_small(otherwise, small)
    return False


def _is_never_negative(value: Expression) -> bool:
    match value:
        case nodes.Literal(value=int() as number):
            return number >= 0
        case nodes.Arithmetic(operator="+" | "*" | "//", left=left, right=right):
            return _is_never_negative(left) and _is_never_negative(right)
        case nodes.Extreme(function=function, operands=operands):
            choose = any if function == "max" else all
            return choose(map(_is_never_negative, operands))
        case nodes.Conditional(then=then, otherwise=otherwise):
            return _is_never_negative(then) and _is_never_negative(otherwise)
        case nodes.Name() | nodes.Field() | nodes.Count() | nodes.Quantified() | Length():
            return value.type.required.range[0] >= 0
    return False


def live_counters(program: Program) -> dict[str, int]:
    """Return the fields that count live records, each with the increment of one record."""
    live = set(program.symbols.status_groups["live"])
    found = {}
    for name, type in program.symbols.registry_fields.items():
        field = f"registry.{name}"
        added = _grown(field, program.create.updates)
        if type != INT or not added or not _is_recovered(program, name, added):
            continue
        elsewhere = [
            _grown(field, way.updates) for command in program.actions for way in command.ways
        ]
        elsewhere += [_grown(field, bulk.updates) for bulk in _bulks(program)]
        ends = [_grown(field, step.updates) for step in program.on_terminal]
        rollback = program.rollback
        gone = _grown(field, rollback.updates) if rollback is not None else 0
        if rollback is not None and not set(rollback.from_statuses) <= live:
            continue
        if None in (*elsewhere, *ends, gone) or any(each < 0 for each in _known(elsewhere)):
            continue
        lost = max(-sum(min(0, each) for each in _known(ends)), -(gone or 0))
        if lost <= added:
            found[field] = added
    return found


def stored_counters(program: Program) -> dict[str, int]:
    """Return the stored fields that are never negative because they count live records.

    They are wrong where an older version has stored records and has not counted them.
    """
    recovery = program.recovery
    if recovery is None:
        return {}
    rollback = [program.rollback.updates] if program.rollback is not None else []
    ends = [*(step.updates for step in program.on_terminal), *rollback]
    return {
        field.removeprefix("registry."): added
        for field, added in live_counters(program).items()
        if field.removeprefix("registry.") not in recovery.fields
        and any((_grown(field, updates) or 0) < 0 for updates in ends)
    }


def _known(values: Iterable[int | None]) -> list[int]:
    return [each for each in values if each is not None]


def _grown(field: str, updates: Iterable[Assignment]) -> int | None:
    """Return the increment of a field by updates; None if it is not constant."""
    grown = 0
    for each in updates:
        if notation(each.target) == field:
            total = linear(each.value)
            if total is None or total.terms != {field: 1}:
                return None
            grown += total.constant
    return grown


def _is_recovered(program: Program, name: str, added: int) -> bool:
    """Return whether a field counts live records correctly after recovery.

    A stored field does, because records are stored with it in one commit.
    """
    recovery = program.recovery
    if recovery is None or name not in recovery.fields:
        return True
    match recovery.fields[name]:
        case nodes.Quantified(function="count", loops=(loop,)) if added == 1:
            pass
        case _:
            return False
    return (
        isinstance(loop.many, nodes.Name)
        and loop.many.root is Root.RECORDS
        and all(_is_live_test(test, loop.variable) for test in loop.tests)
    )


def _is_live_test(test: Expression, variable: str) -> bool:
    return notation(test) == f"not {variable}.status.terminal"


def is_live(command: Command, program: Program) -> bool:
    """Return whether a command applies to a live record."""
    sources = set(command.from_statuses)
    return bool(sources) and sources <= set(program.symbols.status_groups["live"])
