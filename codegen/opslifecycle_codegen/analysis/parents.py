"""Stage 3, analyze: the parents of records, which a guard of `create` asks to be live."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve

from opslifecycle_codegen.analysis.commands import Commands
from opslifecycle_codegen.base.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.built_ins import LIVE_PARENT
from opslifecycle_codegen.ir.expr import Expression, Root, conjunction
from opslifecycle_codegen.ir.initial_values import is_updated
from opslifecycle_codegen.ir.program import Check, Command, Program
from opslifecycle_codegen.ir.symbols import Symbols
from opslifecycle_codegen.ir.types import BOOL, ENTITY, STATUSES, collection
from opslifecycle_codegen.source import model
from opslifecycle_codegen.source.words import Name


class Parents:
    """Analyses the parent of a machine's records."""

    def __init__(
        self, machine: model.Machine, symbols: Symbols, commands: Commands, found: Diagnostics
    ) -> None:
        self._machine = machine
        self._symbols = symbols
        self._commands = commands
        self._diagnostics = found

    def asked(self, create: Command, initial: Mapping[str, Expression]) -> Command:
        """Return `create` with the guard that asks for a live parent, if the machine has one.

        Args:
            create: The command that creates a record.
            initial: The initial values of fields.
        """
        declared = self._machine.parent
        if declared is None:
            return create
        guards, found = self._commands.guards, self._diagnostics
        refusal = guards.refusal(declared.error, self._commands.created_scope(create), found)
        parent = initial.get(str(declared.field))
        if not self._is_an_id(declared.field) or parent is None:
            return create
        test: Expression = self._is_live(parent)
        if self._symbols.entity_fields[str(declared.field)].optional:
            test = nodes.Or(BOOL, (nodes.IsNone(BOOL, parent), test))
        check = Check((), test, refusal, LIVE_PARENT, declared.mark)
        return evolve(create, guards=(*create.guards, check))

    def _is_an_id(self, field: Name) -> bool:
        id = self._symbols.entity_fields["id"]
        if field not in self._machine.fields:
            known = list(map(str, self._machine.fields))
            message = f"there is no field {str(field)!r}"
            self._diagnostics.add(field.mark, "unknown-name", message, nearest(field, known))
            return False
        type = self._symbols.entity_fields[str(field)]
        if type.required != id:
            message = f"a parent is a record of this machine: {field} is of type {type}"
            self._diagnostics.add(field.mark, "wrong-type", message, f"make it {id} | None")
            return False
        return True

    def _is_live(self, parent: Expression) -> nodes.IsLive:
        symbols, entity = self._symbols, str(self._machine.entity)
        each = nodes.Name(ENTITY, Root.LOOP, f"other_{entity}")
        id = nodes.Field(symbols.entity_fields["id"], each, "id")
        status = nodes.Field(symbols.status_type, each, "status")
        live = nodes.StatusSet(STATUSES, symbols.status_groups["live"])
        records = nodes.Name(collection(ENTITY), Root.RECORDS, f"{entity}s")
        loop = nodes.Loop(each.name, records, ())
        test = conjunction(
            [nodes.Compare(BOOL, (id, parent), ("==",)), nodes.Among(BOOL, status, live)]
        )
        return nodes.IsLive(BOOL, parent, nodes.Quantified(BOOL, "any", test, (loop,)))


def check_parent(program: Program, diagnostics: Diagnostics) -> None:
    """Report a parent that could change after its record is created, or has no beginning."""
    declared = program.machine.parent
    if declared is None:
        return
    field = str(declared.field)
    started = program.initial.get(field, nodes.NOTHING) != nodes.NOTHING
    if declared.field in program.machine.fields and (not started or is_updated(program, field)):
        why = "is updated" if started else "has no initial value"
        message = f"{field} is the parent, and {why}"
        hint = "give it an `initial` value, and update another field"
        diagnostics.add(declared.field.mark, "changing-key", message, hint)
    for name in program.machine.guards:
        if name == LIVE_PARENT:
            message = f"{LIVE_PARENT} is the guard that asks for a live parent"
            diagnostics.add(name.mark, "name-collision", message, "rename the guard")
