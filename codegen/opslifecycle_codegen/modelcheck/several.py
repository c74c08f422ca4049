"""Evaluate collections: functions of lists, sets and dicts, from those of their parts."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence

from opslifecycle_codegen.ir.several import Get, Items, Joined, Put, Without
from opslifecycle_codegen.modelcheck.state import Items as ItemsOf
from opslifecycle_codegen.modelcheck.state import Several, Value

#: The function of an expression, of the values of its names.
Function = Callable[[dict[str, Value]], Value]

_JOINS: dict[str, Callable[[set[str], set[str]], set[str]]] = {
    "|": operator.or_,
    "&": operator.and_,
    "-": operator.sub,
}


def listed(tree: Items | Joined, parts: Sequence[Function]) -> Function:
    """Return the function of a list, of its elements or of the two lists that it joins."""
    if isinstance(tree, Items):
        return lambda names: Several(each(names) for each in parts)
    return lambda names: Several(part for each in parts for part in each(names))


def set_of(tree: Items | Joined, members: Sequence[str], parts: Sequence[Function]) -> Function:
    """Return the function of a set, in the order of its closed set."""

    def in_order(found: set[str]) -> Several:
        return Several(each for each in members if each in found)

    if isinstance(tree, Items):
        return lambda names: in_order({each(names) for each in parts})
    (left, right), join = parts, _JOINS[tree.operator]
    return lambda names: in_order(join({*left(names)}, {*right(names)}))


def of_dict(tree: Put | Without | Get, parts: Sequence[Function]) -> Function:
    """Return the function of a dict or of one of its values, from those of the base and others."""
    base, key, *others = parts
    if isinstance(tree, Get):
        default = others[0] if others else None

        def get(names: dict[str, Value]) -> Value:
            absent = None if default is None else default(names)
            return dict(base(names)).get(key(names), absent)

        return get
    if isinstance(tree, Put):
        (value,) = others
        return lambda names: items_of({**dict(base(names)), key(names): value(names)})

    def without(names: dict[str, Value]) -> Value:
        removed = key(names)
        return ItemsOf(item for item in base(names) if item[0] != removed)

    return without


def items_of(found: dict[str, Value]) -> ItemsOf:
    """Return a dict as a plain value."""
    return ItemsOf(sorted(found.items(), key=operator.itemgetter(0)))
