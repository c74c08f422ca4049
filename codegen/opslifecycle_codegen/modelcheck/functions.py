"""Functions of the values that the names of an expression have, and how they are put together."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator

from opslifecycle_codegen.modelcheck.state import Value

#: The values of names.
Names = dict[str, Value]
#: The function of an expression.
Function = Callable[[Names], Value]
#: A field that a constructor sets: its index, the names of all fields, and its value by theirs.
Setting = tuple[int, tuple[str, ...], Function]

#: What compares two values, by the operator.
COMPARISONS: dict[str, Callable[[Value, Value], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
#: What computes with two numbers, by the operator.
ARITHMETIC: dict[str, Callable[[Value, Value], Value]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "%": operator.mod,
}
#: What becomes of the values of an iteration, by the function.
FUNCTIONS: dict[str, Callable[[Iterator[Value]], Value]] = {
    "all": all,
    "any": any,
    "count": lambda values: sum(1 for _ in values),
    "distinct": lambda values: distinct(list(values)),
    "first": lambda values: next(values, None),
}


# A search evaluates these millions of times, and Python's `and` is quicker than `all`.


def conjunction(parts: tuple[Function, ...]) -> Function:
    """Return whether all parts are true, in their order."""
    if not parts:
        return lambda names: True
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    one, other = conjunction(parts[:half]), conjunction(parts[half:])
    return lambda names: one(names) and other(names)


def disjunction(parts: tuple[Function, ...]) -> Function:
    """Return whether any part is true, in their order."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    one, other = disjunction(parts[:half]), disjunction(parts[half:])
    return lambda names: one(names) or other(names)


def constructed(fields: list[Value], set_by_it: list[Setting]) -> list[Value]:
    """Return the fields of a value with those that its constructor sets."""
    for place, names, function in set_by_it:
        fields[place] = function(dict(zip(names, fields, strict=True)))
    return fields


def is_one_of(value: Value, variants: frozenset[str]) -> bool:
    """Return whether a value of a union is one of some variants."""
    return value is not None and value[0] in variants


def distinct(values: list[Value]) -> bool:
    """Return whether no value occurs twice."""
    return len(set(values)) == len(values)
