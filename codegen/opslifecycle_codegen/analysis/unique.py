"""Stage 3, analyze: unique keys, each a guard of `create` behind the declared ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import evolve

from opslifecycle_codegen.analysis.commands import Commands
from opslifecycle_codegen.base.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression, Root
from opslifecycle_codegen.ir.initial_values import is_updated
from opslifecycle_codegen.ir.program import Check, Command, Program, UniqueKey
from opslifecycle_codegen.ir.scope import Scope
from opslifecycle_codegen.ir.symbols import Symbols
from opslifecycle_codegen.ir.types import BOOL, ENTITY, STATUSES, Type, collection, optional
from opslifecycle_codegen.source import command_model, model
from opslifecycle_codegen.source.words import Name

#: What the error of a key calls the record that holds it.
EXISTING = "existing"
_AMONG = ("all", "live")
#: The kinds of types whose values are keys: they are hashable, and equal if their texts are.
_KEYS = frozenset({"str", "int", "bool", "id", "enum", "datetime"})


class UniqueKeys:
    """Analyses the unique keys of a machine."""

    def __init__(
        self, machine: model.Machine, symbols: Symbols, commands: Commands, found: Diagnostics
    ) -> None:
        self._machine = machine
        self._symbols = symbols
        self._commands = commands
        self._guards = commands.guards
        self._diagnostics = found

    def claimed(
        self, create: Command, initial: Mapping[str, Expression]
    ) -> tuple[Command, tuple[UniqueKey, ...]]:
        """Return `create` with the guards of all keys, and the keys whose fields can be keys.

        Args:
            create: The command that creates a record.
            initial: The initial values of fields.
        """
        keys = tuple(self._keys())
        scope = self._commands.created_scope(create)
        checks = self._checks(keys, initial, scope)
        return evolve(create, guards=(*create.guards, *checks)), keys

    def _keys(self) -> Iterator[UniqueKey]:
        for name, declared in self._machine.unique.items():
            self._guards.used_rejections.add(str(declared.error.name))
            if declared.among not in _AMONG:
                message = f"a key is unique among {' or '.join(_AMONG)}"
                self._add(declared.among, "unknown-name", message, nearest(declared.among, _AMONG))
            if not declared.fields:
                self._add(name, "missing-key", f"the unique key {name} has no fields", "list some")
            fields = dict(self._fields(declared))
            if declared.fields and len(fields) == len(declared.fields):
                yield UniqueKey(str(name), declared.summary, fields, declared.among == "live")

    def _fields(self, declared: command_model.Unique) -> Iterator[tuple[str, Type]]:
        for field in declared.fields:
            if field not in self._machine.fields:
                known = list(map(str, self._machine.fields))
                message = f"there is no field {str(field)!r}"
                self._add(field, "unknown-name", message, nearest(field, known))
                continue
            type = self._symbols.entity_fields[str(field)]
            if type.required.kind not in _KEYS:
                message = f"{field} is of type {type}, whose values are no keys"
                self._add(field, "wrong-type", message, f"use one of {', '.join(sorted(_KEYS))}")
                continue
            yield str(field), type

    def _checks(
        self, keys: tuple[UniqueKey, ...], initial: Mapping[str, Expression], scope: Scope
    ) -> Iterator[Check]:
        """Yield the guard of each key; its error reads the names of `create` behind its guards."""
        for key in keys:
            if any(name not in initial for name in key.fields):
                # Without an initial value, which is reported elsewhere, a field begins with None.
                continue
            declared = self._machine.unique[Name(key.name, self._machine.create.mark)]
            id = self._symbols.entity_fields["id"]
            existing = nodes.Name(id, Root.LOCAL, EXISTING)
            refusal = self._guards.refusal(
                declared.error, scope.with_names({EXISTING: existing}), self._diagnostics
            )
            holder = self._holder(key, initial)
            test = nodes.IsNone(BOOL, nodes.Name(optional(id), Root.LOCAL, EXISTING))
            yield Check(((EXISTING, holder),), test, refusal, key.name, declared.mark)

    def _holder(self, key: UniqueKey, initial: Mapping[str, Expression]) -> nodes.Holder:
        symbols, entity = self._symbols, str(self._machine.entity)
        id = symbols.entity_fields["id"]
        each = nodes.Name(ENTITY, Root.LOOP, f"other_{entity}")
        tests: list[Expression] = []
        for name, type in key.fields.items():
            own = nodes.Field(type, each, name)
            if type.optional:
                tests.append(nodes.IsNone(BOOL, own, negated=True))
            tests.append(nodes.Compare(BOOL, (own, initial[name]), ("==",)))
        if key.of_live:
            status = nodes.Field(symbols.status_type, each, "status")
            live = nodes.StatusSet(STATUSES, symbols.status_groups["live"])
            tests.append(nodes.Among(BOOL, status, live))
        records = nodes.Name(collection(ENTITY), Root.RECORDS, f"{entity}s")
        loop = nodes.Loop(each.name, records, tuple(tests))
        found = nodes.Quantified(optional(id), "first", nodes.Field(id, each, "id"), (loop,))
        return nodes.Holder(optional(id), key.name, tuple(initial[n] for n in key.fields), found)

    def _add(self, name: Name, rule: str, message: str, hint: str = "") -> None:
        self._diagnostics.add(name.mark, rule, message, hint)


def check_unique(program: Program, diagnostics: Diagnostics) -> None:
    """Report keys that could change, for a record holds its key from its creation on; and names."""
    for key in program.unique:
        declared = next(each for n, each in program.machine.unique.items() if n == key.name)
        for field in declared.fields:
            started = program.initial.get(str(field), nodes.NOTHING) != nodes.NOTHING
            if started and not is_updated(program, str(field)):
                continue
            message = f"{field} is part of the unique key {key.name}, and "
            message += "is updated" if started else "has no initial value"
            hint = "give it an `initial` value, and update another field"
            diagnostics.add(field.mark, "changing-key", message, hint)
