"""The symbol table: the declarations of a machine, resolved to types."""

from __future__ import annotations

import re

from attrs import Factory, define, frozen

from opslifecycle_codegen.ir.types import Type
from opslifecycle_codegen.source.type_model import ValueField


@frozen
class IdForm:
    """An identifier that is no UUID: an integer, or a text; `new()` makes one with the prefix."""

    prefix: str = ""
    pattern: str = ""

    @property
    def is_number(self) -> bool:
        """Whether the identifier is an integer."""
        return not self.pattern

    @property
    def spelled(self) -> str:
        """What a lock says of the identifiers."""
        return self.pattern or "an int"


@frozen
class PropertyInfo:
    """A typed property of every member of a closed set."""

    type: Type
    summary: str


@frozen
class MemberOf:
    """A member of another closed set, as the value of a property."""

    enum: str
    wire: str


#: The value of a member's property: a flag, a number, a text, a member, or several members.
PropertyValue = bool | int | str | MemberOf | tuple[MemberOf, ...]


@frozen
class MemberInfo:
    """One member: its wire spelling, and the value of each property."""

    wire: str
    summary: str
    values: dict[str, PropertyValue] = Factory(dict)

    @property
    def constant(self) -> str:
        """The member's name in generated code."""
        return self.wire.upper()

    @property
    def variant(self) -> str:
        """The member's PascalCase spelling."""
        return pascal(self.wire)


@frozen
class EnumInfo:
    """A closed set and its members."""

    name: str
    summary: str
    members: dict[str, MemberInfo]
    properties: dict[str, PropertyInfo] = Factory(dict)
    source: str = ""


@frozen
class FieldInfo:
    """A field of a value: its type, its source, and its position in JSON."""

    name: str
    type: Type
    declared: ValueField


@frozen
class RecordInfo:
    """A value type, or a variant of a union."""

    name: str
    summary: str
    fields: dict[str, FieldInfo]
    union: str = ""
    tag_value: str = ""
    flatten: str = ""


@frozen
class UnionInfo:
    """A tagged union; `tag_enum` names the closed set of its tags, if there is one."""

    name: str
    summary: str
    tag: str
    variants: dict[str, RecordInfo]
    tag_enum: str = ""


@frozen
class ViewInfo:
    """A field of a view (snapshot, feed entry): its type, and whether its JSON includes None."""

    name: str
    type: Type
    keep_none: bool = True


@define
class Symbols:
    """Every declared name of a machine with its type."""

    ids: dict[str, str] = Factory(dict)
    enums: dict[str, EnumInfo] = Factory(dict)
    records: dict[str, RecordInfo] = Factory(dict)
    unions: dict[str, UnionInfo] = Factory(dict)
    #: Identifiers that are no UUIDs.
    id_forms: dict[str, IdForm] = Factory(dict)
    #: Scalar types with a name and limits.
    refined: dict[str, Type] = Factory(dict)
    #: Classes of the user's program by name, each with its module.
    foreign: dict[str, str] = Factory(dict)
    entity_fields: dict[str, Type] = Factory(dict)
    registry_fields: dict[str, Type] = Factory(dict)
    row_fields: dict[str, Type] = Factory(dict)
    status_enum: str = ""
    status_groups: dict[str, tuple[str, ...]] = Factory(dict)
    cursor_enum: str = ""

    @property
    def announced(self) -> tuple[str, ...]:
        """The statuses with an outcome: terminal ones and milestones."""
        return (*self.status_groups["terminal"], *self.status_groups.get("milestone", ()))

    def announcing_kind(self, status: str) -> str:
        """Return what an announced status is: a terminal status, or a milestone."""
        return "terminal status" if status in self.status_groups["terminal"] else "milestone"

    def type_named(self, name: str) -> Type | None:
        """Return the type with a declared name."""
        if name in self.refined:
            return self.refined[name]
        if name in self.ids:
            return Type("id", name)
        if name in self.enums:
            return Type("enum", name)
        if name in self.unions:
            return Type("union", name)
        if name in self.foreign:
            return Type("foreign", name)
        if name in self.records:
            union = self.records[name].union
            if union:
                return Type("variant", name, Type("union", union))
            return Type("record", name)
        return None

    def holds_foreign(self, type: Type, seen: frozenset[str] = frozenset()) -> bool:
        """Return whether values of a type are, or contain, instances of the program's classes."""
        type = type.required
        type = type.inner if type.several and type.inner is not None else type
        if type.kind == "foreign":
            return True
        if type.name in seen:
            return False
        seen |= {type.name}
        if type.name in self.unions:
            inner = [Type("variant", name) for name in self.unions[type.name].variants]
        elif type.name in self.records:
            inner = [info.type for info in self.records[type.name].fields.values()]
        else:
            return False
        return any(self.holds_foreign(each, seen) for each in inner)

    def type_names(self) -> list[str]:
        """Return the names of all types."""
        return [
            *self.refined, *self.ids, *self.enums, *self.unions, *self.records, *self.foreign
        ]  # fmt: skip

    @property
    def status_type(self) -> Type:
        """The type of the statuses."""
        return Type("enum", self.status_enum)


def pascal(snake: str) -> str:
    """`home_address` as `HomeAddress`."""
    return "".join(part[:1].upper() + part[1:] for part in snake.split("_"))


def snake(camel: str) -> str:
    """`HomeAddress` as `home_address`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", camel).lower()
