"""Expressions of values that have a length: texts, bytes and collections."""

from __future__ import annotations

from attrs import frozen

from opslifecycle_codegen.ir.expr import Expression, Literal
from opslifecycle_codegen.ir.types import Limits, Type

#: The longest text, in characters: each has at least one byte of UTF-8.
_TEXT_MAX = 2**27
#: Kinds of types whose values have a length.
SIZED = ("str", "bytes", "list", "frozenset", "dict")
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


def reads_characters(tree: Expression) -> bool:
    """Return whether an expression tests more of a text than which one it is."""
    return isinstance(tree, Length | HasAffix)
