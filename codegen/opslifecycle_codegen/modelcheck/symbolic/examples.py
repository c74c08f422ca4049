"""Counterexamples of induction in the machine's words: a state, a call, and what it changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import frozen

from opslifecycle_codegen.ir.expr import Literal
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.several import DICT, LIST, SET, element_of
from opslifecycle_codegen.ir.types import DATETIME, STR, TIMEDELTA, Type, decimal_notation
from opslifecycle_codegen.modelcheck.symbolic.rules import Fields, Rules
from opslifecycle_codegen.modelcheck.symbolic.shapes import Maybe, Shape, Sum
from opslifecycle_codegen.modelcheck.symbolic.solver import Model
from opslifecycle_codegen.modelcheck.symbolic.unbounded import UnboundedWorld
from opslifecycle_codegen.modelcheck.values import OPAQUE

#: Values that say nothing in a state, and are left out.
_SILENT = ("none", "0", "false", repr(OPAQUE))


@frozen
class Example:
    """One counterexample of z3, which gives a value to every part of a state.

    Attributes:
        rules: The rules of the machine.
        model: The values.
    """

    rules: Rules
    model: Model

    def lines(
        self,
        call: str,
        arguments: Mapping[str, tuple[Type, Shape]],
        before: UnboundedWorld | None,
        after: UnboundedWorld,
    ) -> Iterator[str]:
        """Yield the text, line by line.

        Args:
            call: What happens.
            arguments: The arguments of the call by name, each with its type.
            before: The state before; None for the beginning.
            after: The state after.
        """
        if before is None:
            yield "at the beginning:"
            yield from (f"  {line}" for line in self._state(after))
            return
        yield "before:"
        yield from (f"  {line}" for line in self._state(before))
        given = [self._name(0)] if self._is_about_a_record(call) else []
        given += [f"{name}: {self._text(*each)}" for name, each in arguments.items()]
        now = self.model.value(self.rules.now)
        at = f" at time {now}" if now else ""
        yield f"{call}({', '.join(given)}){at}" if given else f"{call}{at}"
        changes = list(self._changes(before, after))
        yield "after:" if changes else "after: the same"
        yield from (f"  {line}" for line in changes)

    def _is_about_a_record(self, call: str) -> bool:
        machine = self.rules.machine
        removing = (machine.rollback, machine.erase, machine.watch)
        methods = {str(each.method) for each in removing if each is not None}
        return call in {*map(str, machine.actions), *methods}

    def _state(self, world: UnboundedWorld) -> Iterator[str]:
        registry = list(self._said(self.rules.symbols.registry_fields, world.registry))
        if registry:
            yield f"registry: {', '.join(registry)}"
        for place, record in enumerate(world.records):
            if self.model.value(record.there):
                said = ", ".join(self._said(self.rules.symbols.entity_fields, record.value))
                yield f"{self._name(place)}: {said}"
        for (variable, tests), count in world.counted.items():
            number = self.model.value(count)
            if number:
                condition = " and ".join(map(notation, tests))
                which = f" {variable} with {condition}" if tests else ""
                yield f"{number} more {self.rules.entity}(s){which}"
        if self.model.value(world.rows_count):
            yield f"feed: {self.model.value(world.rows_count)} entries"
        yield from self._cursors(world)

    def _cursors(self, world: UnboundedWorld) -> Iterator[str]:
        enum = self.rules.symbols.cursor_enum
        for name, cursor in zip(
            self.rules.layouts.members(enum) if enum else (), world.cursors, strict=True
        ):
            if self.model.value(cursor):
                yield f"cursor of {name}: {self.model.value(cursor)}"

    def _changes(self, before: UnboundedWorld, after: UnboundedWorld) -> Iterator[str]:
        fields = self.rules.symbols.registry_fields
        yield from self._differences("registry", fields, before.registry, after.registry)
        for place, (old, new) in enumerate(zip(before.records, after.records, strict=True)):
            was, now = self.model.value(old.there), self.model.value(new.there)
            name, fields = self._name(place), self.rules.symbols.entity_fields
            if was and now:
                yield from self._differences(name, fields, old.value, new.value)
            elif was:
                yield f"{name}: is gone"
            elif now:
                yield f"{name}: is new, {', '.join(self._said(fields, new.value))}"
        counts = [self.model.value(each.rows_count) for each in (before, after)]
        if counts[0] != counts[1]:
            yield f"feed: {counts[0]} → {counts[1]} entries"

    def _differences(
        self, owner: str, types: Mapping[str, Type], old: Fields, new: Fields
    ) -> Iterator[str]:
        for (name, type), was, now in zip(types.items(), old, new, strict=True):
            before, after = self._text(type, was), self._text(type, now)
            if before != after:
                yield f"{owner}.{name}: {before} → {after}"

    def _said(self, types: Mapping[str, Type], values: Fields) -> Iterator[str]:
        """Yield the fields that say something."""
        for (name, type), value in zip(types.items(), values, strict=True):
            text = self._text(type, value)
            is_zero = type.required.kind == "decimal" and not text.strip("0.")
            if text not in _SILENT and not is_zero and name != "id":
                yield f"{name} {text}"

    def _name(self, place: int) -> str:
        return f"{self.rules.entity} {place + 1}"

    # Values -------------------------------------------------------------------------------------

    def _text(self, type: Type, shape: Shape) -> str:
        """Return a value as the machine file spells it."""
        if type.optional:
            if shape is None or (isinstance(shape, Maybe) and not self.model.value(shape.there)):
                return "none"
            return self._text(type.required, shape.value if isinstance(shape, Maybe) else shape)
        if isinstance(shape, Sum):
            union = self.rules.shapes.union_of(type)
            variant = self.rules.shapes.variants(union)[self.model.value(shape.variant)]
            fields = shape.fields[self.model.value(shape.variant)]
            return self._made(variant, Type("variant", variant, Type("union", union)), fields)
        if type.kind == SET:
            words = self.rules.layouts.members(element_of(type).name)
            there = [w for w, part in zip(words, shape, strict=True) if self.model.value(part)]
            return f"{{{', '.join(there)}}}"
        if isinstance(shape, tuple):
            return self._made(type.name, type, shape)
        return self._scalar(type, self.model.value(shape))

    def _made(self, name: str, type: Type, fields: Fields) -> str:
        types = self.rules.layouts.fields(type)
        return f"{name}({', '.join(self._said(types, fields))})"

    def _scalar(self, type: Type, value: int) -> str:
        if type.kind == "bool":
            return "true" if value else "false"
        if type.kind == "enum":
            return self.rules.layouts.members(type.name)[value]
        if type == self.rules.symbols.entity_fields["id"]:
            return self._name(value)
        if type.kind == "id":
            return f"{type.name} {value}"
        if type.kind == "decimal":
            return decimal_notation(value, type.places)
        if type in (DATETIME, TIMEDELTA):
            return notation(Literal(type, value))
        if type.kind in (STR.kind, "name"):
            return self.rules.shapes.text_of(value)
        if type.kind == LIST:
            return f"list {value}" if value else "[]"
        if type.kind == DICT:
            return f"dict {value}" if value else "{}"
        return str(value)
