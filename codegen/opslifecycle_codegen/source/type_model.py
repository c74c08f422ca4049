"""The grammar of types: identifiers, closed sets, values."""

from __future__ import annotations

from typing import ClassVar

from attrs import Factory, field, frozen

from opslifecycle_codegen.source.reader import Node
from opslifecycle_codegen.source.words import REST, Declared, Expr, Name, Text, TypeExpr, TypeName


@frozen(kw_only=True)
class IdType(Declared):
    """A type of identifiers: UUIDs, integers, or texts with a prefix and a pattern."""

    summary: Text
    type: TypeExpr | None = None
    prefix: Text | None = None
    pattern: Text | None = None


@frozen(kw_only=True)
class RefinedType(Declared):
    """A name for a scalar type whose values have limits."""

    type: TypeExpr
    summary: Text | None = None
    minimum: Text | None = None
    maximum: Text | None = None
    digits: Text | None = None
    places: Text | None = None
    max_length: Text | None = None
    pattern: Text | None = None
    example: Text | None = None


@frozen(kw_only=True)
class Property(Declared):
    """A typed property of every member of a closed set."""

    type: TypeExpr
    summary: Text


@frozen(kw_only=True)
class Member(Declared):
    """One member of a closed set, with its properties."""

    summary: Text
    properties: dict[Name, Node] = field(factory=dict, metadata=REST)


@frozen(kw_only=True)
class Enum(Declared):
    """A closed set."""

    summary: Text
    properties: dict[Name, Property] = Factory(dict)
    members: dict[Name, Member] = Factory(dict)
    members_from: Text | None = None


@frozen(kw_only=True)
class ValueField(Declared):
    """A field of a value or a variant."""

    shorthand: ClassVar[str] = "type"

    type: TypeExpr
    json: Name | None = None
    checked_by: Name | None = None
    always: Expr | None = None
    default: Expr | None = None


@frozen(kw_only=True)
class Variant(Declared):
    """One variant of a tagged union."""

    summary: Text
    fields: dict[Name, ValueField] = Factory(dict)
    flatten: Name | None = None


@frozen(kw_only=True)
class Value(Declared):
    """An immutable value: fields, a tagged union, or a class of the user's program."""

    summary: Text
    fields: dict[Name, ValueField] = Factory(dict)
    tag: Name | None = None
    variants: dict[TypeName, Variant] = Factory(dict)
    python: Text | None = None
