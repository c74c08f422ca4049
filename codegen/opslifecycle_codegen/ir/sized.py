"""Expressions of values that have a length: texts, bytes and collections."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from opslifecycle_codegen.ir.expr import Expression, Field, Literal, Name, parts_of
from opslifecycle_codegen.ir.types import Limits, Type

#: The longest text, in characters: each has at least one byte of UTF-8.
_TEXT_MAX = 2**27
#: Kinds of types whose values have a length.
SIZED = ("str", "bytes", "list", "frozenset")
#: The tests of an end of a text.
AFFIXES = ("startswith", "endswith")


@frozen
class Length(Expression):
    """`len(value)`: of characters, bytes or elements; its type has the range."""

    value: Expression


@frozen
class HasAffix(Expression):
    """`text.startswith('…')` or `text.endswith('…')`, by the name of the method."""

    text: Expression
    method: str
    affix: Literal


def length_of(value: Expression) -> Length:
    """Return the length of a value, from 0 to the greatest one of its type."""
    limits = value.type.required.limits
    most = limits.max_length if limits is not None else None
    return Length(Type("int", limits=Limits(0, _TEXT_MAX if most is None else most)), value)


def sized_sources(tree: Expression) -> Iterator[Name | Field]:
    """Yield the names and fields with a length that an expression reads."""
    if isinstance(tree, Name | Field) and tree.type.required.kind in SIZED:
        yield tree
        return
    for part in parts_of(tree):
        yield from sized_sources(part)


def reads_characters(tree: Expression) -> bool:
    """Return whether an expression tests more of a text than which one it is."""
    return isinstance(tree, Length | HasAffix)
