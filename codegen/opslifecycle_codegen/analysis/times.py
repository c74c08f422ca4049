"""Stage 3, analyze: a machine that reads the time leaves the words free that it needs for that."""

from __future__ import annotations

from collections.abc import Iterator

from opslifecycle_codegen.base.diagnostics import Diagnostics
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.times import NOW, tells_time
from opslifecycle_codegen.source.words import Name


def check_times(program: Program, diagnostics: Diagnostics) -> None:
    """Report what has the name of the time, or of the clock that it is read from."""
    if not tells_time(program):
        return
    for name in _names(program):
        if name == NOW:
            message = f"{NOW} is the time of a command, which this machine reads"
            diagnostics.add(name.mark, "name-collision", message, "choose another name")
    for setting in program.machine.settings:
        if setting == "clock":
            message = "the registry of a machine that reads the time is given its clock so"
            diagnostics.add(setting.mark, "name-collision", message, "choose another name")


def _names(program: Program) -> Iterator[Name]:
    """Yield what guards and updates may name beside fields."""
    machine = program.machine
    yield machine.entity
    yield from machine.create.params
    for action in machine.actions.values():
        yield from action.params
    for guard in machine.guards.values():
        yield from guard.let
