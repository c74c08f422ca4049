"""Stage 3, analyze: the updates and effects of commands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import evolve

from opslifecycle_codegen.analysis.expressions import compile_expression
from opslifecycle_codegen.analysis.missing import missing_field
from opslifecycle_codegen.base.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.built_ins import BUILT_IN_EFFECTS
from opslifecycle_codegen.ir.expr import Expression, Field, Root
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.program import Assignment
from opslifecycle_codegen.ir.scope import Scope
from opslifecycle_codegen.ir.symbols import Symbols
from opslifecycle_codegen.ir.types import BOOL, ENTITY, REGISTRY, Type
from opslifecycle_codegen.source import model
from opslifecycle_codegen.source.words import Expr, Name, Text


class Changes:
    """Checks updates, effects and statuses of ways, and records which effects are used."""

    def __init__(self, machine: model.Machine, symbols: Symbols, found: Diagnostics) -> None:
        self._machine = machine
        self._symbols = symbols
        self._diagnostics = found
        self.used_effects: set[str] = set()
        record = nodes.Name(ENTITY, Root.RECORD, str(machine.entity))
        self._status = Field(symbols.status_type, record, "status")

    def among(self, statuses: Sequence[str]) -> Expression:
        """Return the test that the record has one of some statuses."""
        members = tuple(nodes.Member(self._symbols.status_type, each) for each in statuses)
        if len(members) == 1:
            return nodes.IsMember(BOOL, self._status, members[0])
        return nodes.Among(BOOL, self._status, members)

    def updates(self, declared: Mapping[Text, Expr], scope: Scope) -> tuple[Assignment, ...]:
        """Return updates in order, each of a `registry.field` or `entity.field`."""
        found: list[Assignment] = []
        for target, expr in declared.items():
            assignment = self._update(target, expr, scope)
            if assignment is not None:
                found.append(assignment)
                scope = after_updates(scope, [assignment])
        return tuple(found)

    def _update(self, target: Text, expr: Expr, scope: Scope) -> Assignment | None:
        owner, _, field = str(target).partition(".")
        entity = self._machine.entity
        fields: Mapping[str, Type] = {
            "registry": self._symbols.registry_fields,
            str(entity): self._symbols.entity_fields,
        }.get(owner, {})
        settable = {
            name: type
            for name, type in fields.items()
            if (
                name in self._machine.registry
                if owner == "registry"
                else name not in ("id", "status", "terminal_outcome")
            )
        }
        if field not in settable or (owner == entity and entity not in scope.names):
            hint = nearest(target, [f"{owner}.{name}" for name in settable])
            if not fields:
                hint = self._meant(field or owner)
            message = f"{str(target)!r} cannot be updated here"
            if owner == entity and entity not in scope.names:
                hint = "a command of the whole registry updates fields of the registry"
            if fields and field not in fields:
                # The message of every expression that reads it.
                kind = REGISTRY if owner == "registry" else ENTITY
                message, hint = missing_field(kind, field, settable)
            self._diagnostics.add(target.mark, "unknown-name", message, hint)
            return None
        if owner == entity and scope.narrowed.get(owner, scope.names[owner].type) != ENTITY:
            message = f"{entity} may be None here: no guard makes sure that it exists"
            self._diagnostics.add(target.mark, "may-be-none", message)
        typed = compile_expression(expr, scope, self._diagnostics, settable[field])
        if typed is None:
            return None
        base = scope.names[owner]
        base = evolve(base, type=scope.narrowed.get(owner, base.type))
        place = Field(settable[field], base, field, mark=target.mark)
        return Assignment(place, typed)

    def _meant(self, word: str) -> str:
        """Return a hint for a target without an owner, or with one that is none."""
        symbols, entity = self._symbols, str(self._machine.entity)
        for owner, fields in (
            (entity, symbols.entity_fields),
            ("registry", symbols.registry_fields),
        ):
            if word in fields:
                return f"write {owner}.{word}"
        return f"write {entity} or registry, a dot and the name of a field"

    def effects(self, names: Sequence[Name]) -> tuple[str, ...]:
        """Return effects by name: declared ones, and those that the compiler placed."""
        known = list(self._machine.effects)
        for name in names:
            if name not in known and name not in BUILT_IN_EFFECTS:
                message = f"there is no effect {str(name)!r}"
                self._diagnostics.add(name.mark, "unknown-effect", message, nearest(name, known))
            self.used_effects.add(str(name))
        return tuple(str(name) for name in names)


def after_updates(scope: Scope, updates: Iterable[Assignment]) -> Scope:
    """Return the names after some updates: tests knew the values that fields had before."""
    for each in updates:
        scope = scope.updated(notation(each.target), each.value.type)
    return scope
