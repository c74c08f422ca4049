"""Expressions of collections: what they list, and what joins two of them.

A collection is immutable: an update sets the field to another one. A `list` has an order and a
greatest length; a `frozenset` has each member of a closed set at most once.
"""

from __future__ import annotations

from attrs import frozen

from opslifecycle_codegen.ir.expr import Arithmetic, Conditional, Expression, number
from opslifecycle_codegen.ir.sized import length_of
from opslifecycle_codegen.ir.types import INT, Type

LIST, SET = "list", "frozenset"
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


def element_of(type: Type) -> Type:
    """Return the type of a collection's elements; of another type, the type itself."""
    inner = type.required
    return inner.inner if inner.several and inner.inner is not None else inner


def list_length(tree: Expression) -> Expression:
    """Return the length of a list as a number of the fields that it is made of."""
    match tree:
        case Items(elements=elements):
            return number(len(elements))
        case Joined(left=left, right=right):
            return Arithmetic(INT, "+", list_length(left), list_length(right))
        case Conditional(test=test, then=then, otherwise=otherwise):
            return Conditional(INT, test, list_length(then), list_length(otherwise))
    return length_of(tree)
