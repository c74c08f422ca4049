"""Evaluate collections: the functions of lists and sets, from those of their parts."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence

from opslifecycle_codegen.ir.several import Items, Joined
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
