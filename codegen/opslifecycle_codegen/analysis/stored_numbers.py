"""The numbers that an expression makes or divides by, and the conditions under which it does."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve, frozen

from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression, negation
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.several import DICT, LIST, Items, Put, Without, list_length
from opslifecycle_codegen.ir.symbols import Symbols
from opslifecycle_codegen.ir.types import BOOL, DATETIME, FLOAT, INT, NONE, Limits, Type

#: The integers that a float represents exactly, all of them: stores return a float.
_OF_A_FLOAT = Type(INT.kind, limits=Limits(-(2**53), 2**53))


@frozen
class Made:
    """A number that has to be in a range: where it stands, its expression, and what leads to it.

    Attributes:
        place: What messages call it.
        value: The number.
        wanted: The type whose range it has to be in; None for a divisor, which must not be 0.
        tests: What is true where the number is computed.
    """

    place: str
    value: Expression
    wanted: Type | None
    tests: tuple[Expression, ...] = ()


def numbers_in(tree: Expression, wanted: Type, place: str, symbols: Symbols) -> Iterator[Made]:
    """Iterate over the numbers that a value of a wanted type is made of, each with its place.

    Divisors come before the numbers that they are needed for.
    """
    yield from divisors_in(tree)
    yield from _stored(tree, wanted, place, symbols)


def _stored(tree: Expression, wanted: Type, place: str, symbols: Symbols) -> Iterator[Made]:
    match tree:
        case nodes.Construct(variant=variant, arguments=arguments):
            fields = symbols.records[variant].fields.values()
            for info, argument in zip(fields, arguments, strict=False):
                yield from _stored(argument, info.type, f"{variant}.{info.name}", symbols)
        case nodes.Conditional(test=test, then=then, otherwise=otherwise):
            for condition, side in ((test, then), (negation(test), otherwise)):
                for made in _stored(side, wanted, place, symbols):
                    yield evolve(made, tests=(condition, *made.tests))
        case nodes.Extreme(operands=operands) if wanted.required == FLOAT:
            # The result is one of them, which may be an integer.
            for operand in operands:
                yield from _stored(operand, wanted, place, symbols)
        case Put() | Without() if wanted.required.inner is not None:
            for node in nodes.nodes_of(tree):
                if isinstance(node, Put):
                    yield from _stored(node.value, wanted.required.inner, place, symbols)
            yield from _long(tree, wanted, place)
        case Items(elements=elements) if wanted.required.inner is not None:
            for element in elements:
                yield from _stored(element, wanted.required.inner, place, symbols)
            yield from _long(tree, wanted, place)
        case _ if tree.type == NONE:
            # A literal, or what a guard has made sure of.
            pass
        case _:
            inner = wanted.required
            yield from _long(tree, wanted, place)
            if inner == FLOAT and tree.type.required.kind == INT.kind:
                inner = _OF_A_FLOAT
            if inner.kind in ("int", "timedelta", "decimal") or (
                inner == FLOAT and _computes(tree)
            ):
                yield Made(place, tree, inner, _some(tree))


def _some(tree: Expression) -> tuple[Expression, ...]:
    """Return the test that an optional value is there: None is in every range."""
    return (nodes.IsNone(BOOL, tree, negated=True),) if tree.type.optional else ()


def _long(tree: Expression, wanted: Type, place: str) -> Iterator[Made]:
    """Yield the length of a list or a dict, which has to be one that the type allows."""
    type = wanted.required
    if type.kind in (LIST, DICT) and type.limits is not None:
        limits = Limits(0, type.limits.max_length)
        yield Made(f"len({place})", list_length(tree), Type("int", limits=limits), _some(tree))


def _computes(tree: Expression) -> bool:
    return any(isinstance(node, nodes.Arithmetic) for node in nodes.nodes_of(tree))


def divisors_in(tree: Expression) -> Iterator[Made]:
    """Iterate over the divisors and the computed times of an expression, each with its tests."""
    match tree:
        case nodes.And(operands=operands) | nodes.Or(operands=operands):
            before: tuple[Expression, ...] = ()
            for operand in operands:
                yield from _behind(before, operand)
                before += (operand if isinstance(tree, nodes.And) else negation(operand),)
        case nodes.Conditional(test=test, then=then, otherwise=otherwise):
            yield from divisors_in(test)
            yield from _behind((test,), then)
            yield from _behind((negation(test),), otherwise)
        case nodes.Quantified(element=element, loops=loops):
            tests: tuple[Expression, ...] = ()
            for loop in loops:
                if isinstance(loop.many, Expression):
                    yield from _behind(tests, loop.many)
                for test in loop.tests:
                    yield from _behind(tests, test)
                    tests += (test,)
            yield from _behind(tests, element)
        case _:
            for part in nodes.parts_of(tree):
                yield from divisors_in(part)
    match tree:
        case nodes.Arithmetic(operator="//" | "%", right=divisor):
            yield Made(f"the divisor {notation(divisor)}", divisor, None)
        case nodes.Arithmetic() if tree.type == DATETIME:
            yield Made(f"the time {notation(tree)}", tree, DATETIME)


def _behind(tests: tuple[Expression, ...], tree: Expression) -> Iterator[Made]:
    for made in divisors_in(tree):
        yield evolve(made, tests=(*tests, *made.tests))
