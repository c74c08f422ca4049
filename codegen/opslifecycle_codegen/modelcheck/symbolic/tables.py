"""Dicts in formulas: a dict is a number, and 0 is the empty one.

A dict with a key that was set, or removed, is a function of the one before, so that what it has
behind each key is known from that one. Of any other dict nothing is known but that it has a length
of its type, so a proof holds for every dict.
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
    minus,
    negated,
    plus,
    same,
)

#: The functions of a dict, a key and a value; and of a dict and a key.
_WITH, _WITHOUT = "dict with", "dict without"


class Tables:
    """The keys, values and lengths of dicts."""

    def __init__(self) -> None:
        #: Returns the value of a function of which nothing else is known.
        self.unknown: Callable[..., Formula] = applied

    def put(self, base: Formula, key: Formula, *parts: Formula) -> Formula:
        """Return a dict with the value of one key set, which is made of these parts."""
        numbers = [ite(each, 1, 0) if is_bool(each) else each for each in parts]
        return self.unknown(_WITH, base, key, *numbers)

    def without(self, base: Formula, key: Formula) -> Formula:
        """Return a dict without a key."""
        return self.unknown(_WITHOUT, base, key) if isinstance(base, Term) else base

    def has(self, base: Formula, key: Formula) -> Formula:
        """Return whether a dict has a key."""
        if not isinstance(base, Term):
            return False
        if base.op == "ite":
            test, *sides = base.args
            return ite(test, *(self.has(each, key) for each in sides))
        if base.op == "call" and base.name == _WITH:
            return either(same(base.args[1], key), self.has(base.args[0], key))
        if base.op == "call" and base.name == _WITHOUT:
            return both(negated(same(base.args[1], key)), self.has(base.args[0], key))
        found = self.unknown("dict has", base, key, is_bool=True)
        return both(negated(same(base, 0)), found)

    def value(self, base: Formula, key: Formula, part: int = 0) -> Formula:
        """Return a part of the value of a key as a number, where the dict has it."""
        if not isinstance(base, Term):
            return 0
        if base.op == "ite":
            test, *sides = base.args
            return ite(test, *(self.value(each, key, part) for each in sides))
        if base.op == "call" and base.name == _WITH:
            before, own, *parts = base.args
            return ite(same(own, key), parts[part], self.value(before, key, part))
        if base.op == "call" and base.name == _WITHOUT:
            return self.value(base.args[0], key, part)
        return self.unknown(f"dict value {part}" if part else "dict value", base, key)

    def length(self, base: Formula, most: int) -> Formula:
        """Return the number of items of a dict, whose parts have at most `most` each."""
        if not isinstance(base, Term):
            return 0
        if base.op == "ite":
            test, *sides = base.args
            return ite(test, *(self.length(each, most) for each in sides))
        if base.op == "call" and base.name in (_WITH, _WITHOUT):
            before, key = base.args[:2]
            length, there = self.length(before, most), self.has(before, key)
            if base.name == _WITH:
                return plus(length, ite(there, 0, 1))
            return minus(length, ite(there, 1, 0))
        length = self.unknown("dict items", base)
        inside = ite(at_most(1, length), ite(at_most(length, most), length, most), 1)
        return ite(same(base, 0), 0, inside)
