"""Stage 3, analyze: decimal numbers in expressions.

A literal has the digits behind the point that the number beside it has. `Decimal("1.50")` says its
own. Nothing is rounded: a sum has two numbers of the same places, a product those of both.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from attrs import evolve

from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression
from opslifecycle_codegen.ir.types import Type, decimal, decimal_units

if TYPE_CHECKING:
    from opslifecycle_codegen.analysis.expressions import Checker

DECIMAL = "Decimal"


def adapted(checker: Checker, node: ast.expr, tree: Expression, beside: Type) -> Expression:
    """Return a literal number as one of the places of the decimal number beside it."""
    match tree:
        case nodes.Literal(value=int() | float() as value) if (
            beside.required.kind == "decimal"
            and tree.type.kind in ("int", "float")
            and not isinstance(value, bool)
        ):
            places = beside.required.places
            # Of a long number, the value of the tree has lost the last digits.
            text = checker.spelled(node) if isinstance(value, float) else str(value)
            units = decimal_units(text, places)
            if units is None:
                message = f"{text[:60]} has more than {places} digits behind the point"
                hint = "round it, or give the type more places"
                if "e" in text.lower():
                    message = f"{text[:60]} has an exponent, which a decimal number has not"
                    hint = "write all digits, as in 12.50"
                raise checker.refuse(node, "wrong-type", message, hint)
            return evolve(tree, type=decimal(places), value=units)
    return tree


def check_decimal(checker: Checker, node: ast.Call) -> Expression:
    """Return the literal that a call of `Decimal` with a text makes."""
    match node:
        case ast.Call(args=[ast.Constant(value=str() as text)], keywords=[]):
            places = len(text.partition(".")[2])
            units = decimal_units(text, places)
            if units is not None:
                return nodes.Literal(decimal(places), units)
    message = "a decimal number is written Decimal('1.50')"
    raise checker.refuse(node, "expression-form", message, "or 1.50, beside another Decimal")


def product(left: Type, right: Type) -> Type:
    """Return the type of a product with at least one decimal number."""
    return decimal(left.places + right.places)
