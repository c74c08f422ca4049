"""Values that no caller passes and no command computes, so that only the compiler checks them."""

from __future__ import annotations

from collections.abc import Iterator

from opslifecycle_codegen.ir.expr import Expression
from opslifecycle_codegen.ir.program import Command, Program
from opslifecycle_codegen.ir.types import INT, Type
from opslifecycle_codegen.ir.views import Rule

#: What messages call a value, its expression, and the type that it has to have.
Unpassed = tuple[str, Expression, Type]


def unpassed(program: Program) -> Iterator[Unpassed]:
    """Yield every value that the machine gives where no caller and no command does."""
    yield from _of_registry(program)
    for (record, name), tree in program.always.items():
        yield f"{record}.{name}", tree, program.symbols.records[record].fields[name].type
    for place, tree, wanted in _defaults(program):
        yield f"the default of {place}", tree, wanted
    yield from ((place, tree, tree.type) for place, tree in _arguments(program))


def _of_registry(program: Program) -> Iterator[Unpassed]:
    given = list(program.registry_initial.items())
    if program.recovery is not None:
        given += program.recovery.fields.items()
    for name, tree in given:
        yield f"registry.{name}", tree, program.symbols.registry_fields[name]
    if program.retention is not None:
        yield "max_entries", program.retention.max_entries, INT


def _arguments(program: Program) -> Iterator[tuple[str, Expression]]:
    """Yield the arguments of timers, of recovery and of a supervisor, each with what it is of."""
    by_name = [(timer.action, timer.given) for timer in program.timers]
    if program.recovery is not None and program.recovery.command is not None:
        by_name.append((program.recovery.command.action, program.recovery.command.given))
    yield from ((f"{n} of {of}", tree) for of, given in by_name for n, tree in given.items())
    for call in program.work.calls.values() if program.work is not None else ():
        for number, tree in enumerate(call.arguments, 1):
            yield f"argument {number} of {call.method}", tree


def _defaults(program: Program) -> Iterator[Unpassed]:
    declared: list[Command | Rule] = [program.create, *program.actions, *program.classifiers]
    for each in declared:
        yield from ((name, tree, each.params[name]) for name, tree in each.defaults.items())
    for (record, name), tree in program.field_defaults.items():
        yield f"{record}.{name}", tree, program.symbols.records[record].fields[name].type
