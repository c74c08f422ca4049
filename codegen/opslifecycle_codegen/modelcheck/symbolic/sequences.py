"""Lists in formulas: a list is a number, and 0 is the empty one.

What is behind another list is a function of it, so that its length and its elements are known from
those of the shorter one. Of any other list nothing is known but that it has a length of its type,
so a proof holds for every list.
"""

from __future__ import annotations

from collections.abc import Callable

from opslifecycle_codegen.modelcheck.symbolic.terms import (
    Formula,
    Term,
    applied,
    at_most,
    both,
    either,
    is_bool,
    ite,
    negated,
    plus,
    same,
)

#: The function of a list and one element more, and that of two lists.
_LONGER, _JOINED = "list with", "list before"


class Sequences:
    """The lengths and elements of lists."""

    def __init__(self) -> None:
        #: Returns the value of a function of which nothing else is known.
        self.unknown: Callable[..., Formula] = applied

    def longer(self, many: Formula, element: Formula) -> Formula:
        """Return a list with one element more."""
        return self.unknown(_LONGER, many, _number(element))

    def joined(self, many: Formula, more: Formula) -> Formula:
        """Return two lists, one behind the other."""
        if isinstance(more, Term) and more.op == "call" and more.name == _LONGER:
            before, element = more.args
            return self.longer(self.joined(many, before), element)
        if not isinstance(more, Term):
            return many
        if not isinstance(many, Term):
            return more
        return self.unknown(_JOINED, many, more)

    def length(self, many: Formula, most: int) -> Formula:
        """Return the length of a list, whose parts have at most `most` elements each."""
        if not isinstance(many, Term):
            return 0
        if many.op == "ite":
            test, *sides = many.args
            return ite(test, *(self.length(each, most) for each in sides))
        if many.op == "call" and many.name == _LONGER:
            return plus(self.length(many.args[0], most), 1)
        if many.op == "call" and many.name == _JOINED:
            return plus(*(self.length(each, most) for each in many.args))
        length = self.unknown("elements", many)
        inside = ite(at_most(1, length), ite(at_most(length, most), length, most), 1)
        return ite(same(many, 0), 0, inside)

    def contains(self, many: Formula, element: Formula) -> Formula:
        """Return whether an element is in a list."""
        element = _number(element)
        if not isinstance(many, Term):
            return False
        if many.op == "ite":
            test, *sides = many.args
            return ite(test, *(self.contains(each, element) for each in sides))
        if many.op == "call" and many.name == _LONGER:
            return either(self.contains(many.args[0], element), same(many.args[1], element))
        if many.op == "call" and many.name == _JOINED:
            return either(*(self.contains(each, element) for each in many.args))
        found = self.unknown("has", many, element, is_bool=True)
        return both(negated(same(many, 0)), found)


def _number(element: Formula) -> Formula:
    """Return an element as a number, which functions take."""
    return ite(element, 1, 0) if is_bool(element) else element
