"""The layout of plain values: fields by index, properties of members by table."""

from __future__ import annotations

from collections.abc import Mapping

from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.symbols import FieldInfo, MemberOf, PropertyValue, pascal
from opslifecycle_codegen.ir.types import (
    BARRIER,
    ENTITY,
    REGISTRY,
    ROW,
    STR,
    UNKNOWN,
    Type,
    collection,
)
from opslifecycle_codegen.modelcheck.state import Value


class Layouts:
    """The layouts of one machine's values."""

    def __init__(self, program: Program) -> None:
        self._symbols = symbols = program.symbols
        barrier = {"unfinished": collection(symbols.entity_fields["id"])}
        self._fields: dict[str, Mapping[str, Type]] = {
            ENTITY.kind: symbols.entity_fields,
            REGISTRY.kind: symbols.registry_fields,
            ROW.kind: symbols.row_fields,
            BARRIER.kind: barrier,
        }

    # Closed sets --------------------------------------------------------------------------------

    def members(self, enum: str) -> tuple[str, ...]:
        """Return the members of a closed set."""
        return tuple(self._symbols.enums[enum].members)

    def property(self, enum: str, name: str) -> tuple[dict[str, Value], Type]:
        """Return a property of every member; `value` and `generated_variant` are the spellings."""
        if name in ("value", "generated_variant"):
            spell = pascal if name == "generated_variant" else str
            return {member: spell(member) for member in self.members(enum)}, STR
        info = self._symbols.enums[enum]
        table = {member: _plain(each.values[name]) for member, each in info.members.items()}
        return table, info.properties[name].type

    def places(self, counts: Type) -> dict[str, int]:
        """Return the index of each member's count."""
        assert counts.inner is not None
        return {member: at for at, member in enumerate(self.members(counts.inner.name))}

    # Fields -------------------------------------------------------------------------------------

    def fields(self, type: Type) -> Mapping[str, Type]:
        """Return the fields of a value, a record, the registry, a row, a barrier or an action."""
        if type.kind in ("record", "variant"):
            infos = self._symbols.records[type.name].fields
            return {name: info.type for name, info in infos.items()}
        return self._fields[type.kind]

    def field(self, type: Type, name: str) -> tuple[int, Type]:
        """Return the index of a field, and its type."""
        fields = self.fields(type)
        return list(fields).index(name), fields[name]

    def record(self, name: str) -> Mapping[str, FieldInfo]:
        """Return the fields of a value or variant, as they are declared."""
        return self._symbols.records[name].fields

    # Unions -------------------------------------------------------------------------------------

    def variants(self, name: str) -> frozenset[str]:
        """Return the variants of a union, or a variant alone."""
        union = self._symbols.unions.get(name)
        return frozenset({name} if union is None else union.variants)

    def tags(self, type: Type, field: str) -> tuple[dict[str, str], Type] | None:
        """Return the tag of each variant, if the field is the tag of a union."""
        union = type.inner if type.kind == "variant" and type.inner is not None else type
        info = self._symbols.unions[self._union_name(union)]
        if info.tag != field:
            return None
        tags = {name: record.tag_value for name, record in info.variants.items()}
        return tags, Type("enum", info.tag_enum) if info.tag_enum else STR

    def variant_field(self, type: Type, field: str) -> tuple[dict[str, int], Type]:
        """Return the index of a field in each variant that has it; index 0 holds the name."""
        info = self._symbols.unions[self._union_name(type)]
        places, found = {}, UNKNOWN
        for name, record in info.variants.items():
            if field in record.fields:
                places[name] = 1 + list(record.fields).index(field)
                found = record.fields[field].type
        return places, found

    def _union_name(self, type: Type) -> str:
        return self._symbols.records[type.name].union if type.kind == "variant" else type.name


def _plain(value: PropertyValue) -> Value:
    """Return the value of a property as expressions read it."""
    if isinstance(value, MemberOf):
        return value.wire
    return tuple(map(_plain, value)) if isinstance(value, tuple) else value
