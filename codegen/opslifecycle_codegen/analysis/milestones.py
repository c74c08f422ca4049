"""Stage 3, analyze: what an action notes in its record that leads to a milestone, or out of one."""

from __future__ import annotations

from attrs import evolve

from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Root
from opslifecycle_codegen.ir.feeds import milestones
from opslifecycle_codegen.ir.program import Assignment, Command
from opslifecycle_codegen.ir.symbols import Symbols
from opslifecycle_codegen.ir.types import ENTITY
from opslifecycle_codegen.source import model

OUTCOME = "terminal_outcome"


def with_outcome(way: Command, machine: model.Machine, symbols: Symbols) -> Command:
    """Return a way that sets the outcome of a milestone, or clears it where it leaves one."""
    found = milestones(machine)
    if way.to in found:
        value = way.outcome or nodes.NOTHING
    elif way.to not in symbols.announced and way.to and not found.isdisjoint(way.from_statuses):
        value = nodes.NOTHING
    else:
        return way
    record = nodes.Name(ENTITY, Root.RECORD, str(machine.entity))
    target = nodes.Field(symbols.entity_fields[OUTCOME], record, OUTCOME, mark=value.mark)
    return evolve(way, notes=(*way.notes, Assignment(target, value)))
