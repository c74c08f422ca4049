"""Values that no caller passes, so that nothing but the compiler checks them."""

from __future__ import annotations

from collections.abc import Iterator

from opslifecycle_codegen.ir.expr import Expression
from opslifecycle_codegen.ir.program import Command, Program, Rule
from opslifecycle_codegen.ir.types import Type


def arguments(program: Program) -> Iterator[tuple[str, Expression]]:
    """Yield the arguments of timers, of recovery and of a supervisor, each with what it is of."""
    by_name = [(timer.action, timer.given) for timer in program.timers]
    if program.recovery is not None and program.recovery.command is not None:
        by_name.append((program.recovery.command.action, program.recovery.command.given))
    yield from ((f"{n} of {of}", tree) for of, given in by_name for n, tree in given.items())
    for call in program.work.calls.values() if program.work is not None else ():
        for number, tree in enumerate(call.arguments, 1):
            yield f"argument {number} of {call.method}", tree


def defaults(program: Program) -> Iterator[tuple[str, Expression, Type]]:
    """Yield every default with what it is of, and the type that it has to have."""
    declared: list[Command | Rule] = [program.create, *program.actions, *program.classifiers]
    for each in declared:
        yield from ((name, tree, each.params[name]) for name, tree in each.defaults.items())
    for (record, name), tree in program.field_defaults.items():
        yield f"{record}.{name}", tree, program.symbols.records[record].fields[name].type
