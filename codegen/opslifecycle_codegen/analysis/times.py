"""Stage 3, analyze: a machine that reads the time leaves the words free that it needs for that."""

from __future__ import annotations

from collections.abc import Iterator

from opslifecycle_codegen.analysis.reserved import refuse_reserved
from opslifecycle_codegen.base.diagnostics import Diagnostics
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.times import tells_time
from opslifecycle_codegen.source.words import Name


def check_times(program: Program, diagnostics: Diagnostics) -> None:
    """Report what has the name of the time."""
    if not tells_time(program):
        return
    taken = "a parameter or a `let` of a machine that reads the time"
    refuse_reserved(taken, _names(program), diagnostics)


def _names(program: Program) -> Iterator[Name]:
    """Yield what guards and updates may name beside fields."""
    machine = program.machine
    yield from machine.create.params
    for action in machine.actions.values():
        yield from action.params
    for guard in machine.guards.values():
        yield from (*guard.params, *guard.let)
