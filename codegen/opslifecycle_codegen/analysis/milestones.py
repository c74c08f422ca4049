"""Stage 3, analyze: milestones, and what actions note that lead to them or out of them."""

from __future__ import annotations

from attrs import evolve

from opslifecycle_codegen.base.diagnostics import Diagnostics
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Root
from opslifecycle_codegen.ir.feeds import milestones
from opslifecycle_codegen.ir.program import Assignment, Command
from opslifecycle_codegen.ir.regions import begins_milestone
from opslifecycle_codegen.ir.symbols import Symbols
from opslifecycle_codegen.ir.types import ENTITY
from opslifecycle_codegen.source import model

OUTCOME = "terminal_outcome"


def check_milestones(machine: model.Machine, diagnostics: Diagnostics) -> bool:
    """Return whether the machine has milestones; report those that can be none."""
    found = [name for name, each in machine.statuses.members.items() if each.milestone]
    for name in found:
        status = machine.statuses.members[name]
        if status.terminal or status.pseudo:
            kind = "terminal, and announces itself anyway" if status.terminal else "pseudo"
            message = f"{name} is {kind}: it is no milestone"
            diagnostics.add(name.mark, "wrong-shape", message, "remove `milestone`")
    work = machine.work
    if found and work is not None:
        message = f"work awaits the end of its record, and {found[0]} would end the wait"
        diagnostics.add(work.mark, "wrong-shape", message, "remove `milestone`, or `work`")
    return bool(found)


def announces(way: Command, machine: model.Machine, symbols: Symbols) -> bool:
    """Return whether a way leads to a terminal status or begins a milestone."""
    ends = way.to in symbols.status_groups["terminal"]
    return ends or begins_milestone(machine, way.to, way.moves)


def with_outcome(way: Command, machine: model.Machine, symbols: Symbols) -> Command:
    """Return a way that sets the outcome of a milestone, or clears it where it leaves one."""
    found = milestones(machine)
    if begins_milestone(machine, way.to, way.moves):
        value = way.outcome or nodes.NOTHING
    elif way.to not in symbols.announced and way.to and not found.isdisjoint(way.from_statuses):
        value = nodes.NOTHING
    else:
        return way
    record = nodes.Name(ENTITY, Root.RECORD, str(machine.entity))
    target = nodes.Field(symbols.entity_fields[OUTCOME], record, OUTCOME, mark=value.mark)
    return evolve(way, notes=(*way.notes, Assignment(target, value)))
