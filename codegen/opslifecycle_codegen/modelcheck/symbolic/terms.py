"""Formulas over integers and booleans, with constants folded.

A constant is a plain `bool` or `int`; every other formula is a `Term`. Equal terms are one object,
so that shared parts of a formula stay shared.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Union

from attrs import field, frozen

#: A formula: a constant or a term.
Formula = Union["Term", int]

_KNOWN: dict[tuple[object, ...], Term] = {}


class Member(int):
    """The number of a member of a closed set, with the name that models print."""

    label: str

    def __new__(cls, number: int, label: str) -> Member:
        """Create the number of a member."""
        made = super().__new__(cls, number)
        made.label = label
        return made


@frozen(eq=False)
class Term:
    """An operator with its operands, or a variable: `var` with its name; `call` of a function."""

    op: str
    args: tuple[Formula, ...]
    name: str = ""
    is_bool: bool = field(default=False)


def variable(name: str, *, is_bool: bool) -> Term:
    """Return a variable; one name is one variable."""
    return _node("var", (), is_bool=is_bool, name=name)


def _node(op: str, args: tuple[Formula, ...], *, is_bool: bool, name: str = "") -> Term:
    key = (op, name, is_bool, *((type(a), getattr(a, "label", ""), a) for a in args))
    found = _KNOWN.get(key)
    if found is None:
        found = _KNOWN[key] = Term(op, args, name, is_bool)
    return found


def is_bool(formula: Formula) -> bool:
    """Return whether a formula is boolean."""
    return formula.is_bool if isinstance(formula, Term) else isinstance(formula, bool)


def _junction(op: str, neutral: bool, parts: Iterable[Formula]) -> Formula:
    kept: dict[int, Formula] = {}
    for part in parts:
        if part is neutral:
            continue
        if part is (not neutral):
            return not neutral
        flat = part.args if isinstance(part, Term) and part.op == op else (part,)
        kept.update((id(each), each) for each in flat)
    for each in kept.values():
        if isinstance(each, Term) and each.op == "not" and id(each.args[0]) in kept:
            return not neutral
    if len(kept) < 2:
        return next(iter(kept.values()), neutral)
    return _node(op, tuple(kept.values()), is_bool=True)


def both(*parts: Formula) -> Formula:
    """Return the conjunction of formulas."""
    return _junction("and", True, parts)


def either(*parts: Formula) -> Formula:
    """Return the disjunction of formulas."""
    return _junction("or", False, parts)


def negated(part: Formula) -> Formula:
    """Return the negation of a formula."""
    if not isinstance(part, Term):
        return not part
    if part.op == "not":
        return part.args[0]
    return _node("not", (part,), is_bool=True)


def same(one: Formula, other: Formula) -> Formula:
    """Return the equality of two numbers or two booleans."""
    if one is other:
        return True
    if not isinstance(one, Term) and not isinstance(other, Term):
        return one == other
    if is_bool(one):
        for given, rest in ((one, other), (other, one)):
            if not isinstance(given, Term):
                return rest if given else negated(rest)
    if isinstance(other, Term) and not isinstance(one, Term):
        one, other = other, one
    if isinstance(one, Term) and one.op == "ite" and not isinstance(other, Term):
        test, then, otherwise = one.args
        if not isinstance(then, Term) or not isinstance(otherwise, Term):
            return ite(test, same(then, other), same(otherwise, other))
    return _node("==", (one, other), is_bool=True)


def below(one: Formula, other: Formula) -> Formula:
    """Return `left < right`."""
    if one is other:
        return False
    if not isinstance(one, Term) and not isinstance(other, Term):
        return one < other
    return _node("<", (one, other), is_bool=True)


def at_most(one: Formula, other: Formula) -> Formula:
    """Return `left <= right`."""
    if one is other:
        return True
    if not isinstance(one, Term) and not isinstance(other, Term):
        return one <= other
    return _node("<=", (one, other), is_bool=True)


def plus(one: Formula, other: Formula) -> Formula:
    """Return the sum."""
    if not isinstance(one, Term) and not isinstance(other, Term):
        return one + other
    if other == 0 and not isinstance(other, Term):
        return one
    if one == 0 and not isinstance(one, Term):
        return other
    return _node("+", (one, other), is_bool=False)


def minus(one: Formula, other: Formula) -> Formula:
    """Return the difference."""
    if not isinstance(one, Term) and not isinstance(other, Term):
        return one - other
    if other == 0 and not isinstance(other, Term):
        return one
    return _node("-", (one, other), is_bool=False)


def times(one: Formula, other: Formula) -> Formula:
    """Return the product."""
    if not isinstance(one, Term) and not isinstance(other, Term):
        return one * other
    for number, rest in ((one, other), (other, one)):
        if not isinstance(number, Term) and number in (0, 1):
            return rest if number else 0
    return _node("*", (one, other), is_bool=False)


def quotient(one: Formula, divisor: Formula) -> Formula:
    """Return the quotient, rounded down; by 0, any number.

    Languages round quotients of negative numbers differently. So the operator is used on a number
    from 0 on and a divisor from 1 on, where all of them agree.
    """
    negative = below(divisor, 0)
    one, divisor = ite(negative, minus(0, one), one), ite(negative, minus(0, divisor), divisor)
    divisor = ite(same(divisor, 0), 1, divisor)
    upwards = _divided(plus(minus(0, one), minus(divisor, 1)), divisor)
    return ite(below(one, 0), minus(0, upwards), _divided(ite(below(one, 0), 0, one), divisor))


def _divided(one: Formula, divisor: Formula) -> Formula:
    if not isinstance(divisor, Term):
        if divisor == 1:
            return one
        if not isinstance(one, Term):
            return one // divisor
    return _node("/", (one, divisor), is_bool=False)


def remainder(one: Formula, divisor: Formula) -> Formula:
    """Return the remainder, which has the sign of the divisor."""
    return minus(one, times(divisor, quotient(one, divisor)))


def ite(test: Formula, then: Formula, otherwise: Formula) -> Formula:
    """Return the first formula if the test is true, else the second."""
    if not isinstance(test, Term):
        return then if test else otherwise
    if then is otherwise or (
        not isinstance(then, Term) and not isinstance(otherwise, Term) and then == otherwise
    ):
        return then
    if is_bool(then):
        if not isinstance(then, Term):
            return either(test, otherwise) if then else both(negated(test), otherwise)
        if not isinstance(otherwise, Term):
            return either(negated(test), then) if otherwise else both(test, then)
    return _node("ite", (test, then, otherwise), is_bool=is_bool(then))


def applied(function: str, *arguments: Formula, is_bool: bool = False) -> Formula:
    """Return the value of a function of numbers, of which nothing is known but its name."""
    return _node("call", arguments, is_bool=is_bool, name=function)


def total(parts: Iterable[Formula]) -> Formula:
    """Return the sum of numbers; true counts as 1."""
    found: Formula = 0
    for part in parts:
        found = plus(found, ite(part, 1, 0) if is_bool(part) else part)
    return found
