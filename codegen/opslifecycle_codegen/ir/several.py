"""Expressions of collections: what they list, and what joins two of them.

A collection is immutable: an update sets the field to another one. A `list` has an order and a
greatest length; a `frozenset` has each member of a closed set at most once; a `dict` has a value
for each of its keys, which are texts.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from opslifecycle_codegen.ir.expr import (
    Among,
    Arithmetic,
    Conditional,
    Expression,
    Extreme,
    Field,
    Name,
    number,
    parts_of,
)
from opslifecycle_codegen.ir.sized import SIZED, length_of
from opslifecycle_codegen.ir.types import BOOL, INT, Type

LIST, SET, DICT = "list", "frozenset", "dict"
#: The operators of each kind.
JOINS = {LIST: ("+",), SET: ("|", "&", "-")}


@frozen
class Items(Expression):
    """A collection with these elements: `[a, b]`, or `{a, b}` for a set."""

    elements: tuple[Expression, ...]


@frozen
class Joined(Expression):
    """Two lists, one behind the other; the union, intersection or difference of two sets."""

    operator: str
    left: Expression
    right: Expression


@frozen
class Put(Expression):
    """A dict with one key set: `base | {key: value}`, or `{key: value}` of an empty one."""

    base: Expression
    key: Expression
    value: Expression


@frozen
class Without(Expression):
    """A dict without a key, which may be absent: `without(base, key)`."""

    base: Expression
    key: Expression


@frozen
class Get(Expression):
    """The value of a key: `base.get(key)`, which may be None, or with a default for that."""

    base: Expression
    key: Expression
    default: Expression | None = None


def element_of(type: Type) -> Type:
    """Return the type of a collection's elements; of another type, the type itself."""
    inner = type.required
    return inner.inner if inner.several and inner.inner is not None else inner


def puts_of(tree: Expression) -> tuple[Expression, list[tuple[Expression, Expression]]]:
    """Return what keys are set in, and the keys with their values in order."""
    items: list[tuple[Expression, Expression]] = []
    while isinstance(tree, Put):
        items.insert(0, (tree.key, tree.value))
        tree = tree.base
    return tree, items


def list_length(tree: Expression) -> Expression:
    """Return the length of a list or a dict as a number of the fields that it is made of."""
    match tree:
        case Put(base=Items(elements=())):
            return number(1)
        case Put(base=base, key=key):
            before = list_length(base)
            longer = Arithmetic(INT, "+", before, number(1))
            return Conditional(INT, Among(BOOL, key, base), before, longer)
        case Without(base=base, key=key):
            before = list_length(base)
            shorter = Extreme(INT, "max", (Arithmetic(INT, "-", before, number(1)), number(0)))
            return Conditional(INT, Among(BOOL, key, base), shorter, before)
        case Items(elements=elements):
            return number(len(elements))
        case Joined(left=left, right=right):
            return Arithmetic(INT, "+", list_length(left), list_length(right))
        case Conditional(test=test, then=then, otherwise=otherwise):
            return Conditional(INT, test, list_length(then), list_length(otherwise))
    return length_of(tree)


def sized_sources(tree: Expression) -> Iterator[Name | Field]:
    """Yield the names and fields with a length that an expression reads."""
    if isinstance(tree, Name | Field) and tree.type.required.kind in SIZED:
        yield tree
        return
    if isinstance(tree, Items):
        # The length of a collection does not depend on those of its elements, keys and values.
        return
    parts = (tree.base,) if isinstance(tree, Put | Without | Get) else parts_of(tree)
    for part in parts:
        yield from sized_sources(part)
