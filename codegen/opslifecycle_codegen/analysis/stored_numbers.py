"""The numbers in the value of an expression, and the conditions under which each is used."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression, negation
from opslifecycle_codegen.ir.symbols import Symbols
from opslifecycle_codegen.ir.types import FLOAT, INT, Type


@frozen
class Made:
    """A stored or returned number: its place, its expression, and the tests before it."""

    place: str
    value: Expression
    tests: tuple[Expression, ...] = ()


def numbers_in(tree: Expression, wanted: Type, place: str, symbols: Symbols) -> Iterator[Made]:
    """Yield the numbers in a value of a type, each with its place."""
    match tree:
        case nodes.Construct(variant=variant, arguments=arguments):
            fields = symbols.records[variant].fields.values()
            for info, argument in zip(fields, arguments, strict=False):
                yield from numbers_in(argument, info.type, f"{variant}.{info.name}", symbols)
        case nodes.Conditional(test=test, then=then, otherwise=otherwise):
            for condition, side in ((test, then), (negation(test), otherwise)):
                for made in numbers_in(side, wanted, place, symbols):
                    yield Made(made.place, made.value, (condition, *made.tests))
        case nodes.Literal(value=None):
            pass
        case _:
            if wanted.required == INT or (wanted.required == FLOAT and _computes(tree)):
                yield Made(place, tree)


def _computes(tree: Expression) -> bool:
    return any(isinstance(node, nodes.Arithmetic) for node in nodes.nodes_of(tree))
