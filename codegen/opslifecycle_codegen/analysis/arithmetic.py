"""Arithmetic in expressions: the operators of each type, and the types of their results."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from opslifecycle_codegen.analysis.decimals import adapted, product
from opslifecycle_codegen.analysis.missing import none_hint
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression
from opslifecycle_codegen.ir.scope import Scope
from opslifecycle_codegen.ir.types import (
    DATETIME,
    FLOAT,
    INT,
    SIGNED,
    TIMEDELTA,
    UNKNOWN,
    Type,
    decimal,
)

if TYPE_CHECKING:
    from opslifecycle_codegen.analysis.expressions import Checker

_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.FloorDiv: "//", ast.Mod: "%",
}  # fmt: skip
#: Operators by the kinds of their operands, with the kind of the result.
_RESULTS: dict[tuple[str, str], dict[str, str]] = {
    ("int", "int"): dict.fromkeys(("+", "-", "*", "//", "%"), "int"),
    ("int", "float"): dict.fromkeys(("+", "-", "*"), "float"),
    ("float", "int"): dict.fromkeys(("+", "-", "*"), "float"),
    ("float", "float"): dict.fromkeys(("+", "-", "*"), "float"),
    ("datetime", "timedelta"): {"+": "datetime", "-": "datetime"},
    ("timedelta", "datetime"): {"+": "datetime"},
    ("datetime", "datetime"): {"-": "timedelta"},
    ("timedelta", "timedelta"): {"+": "timedelta", "-": "timedelta", "//": "int", "%": "timedelta"},
}
_RESULTS |= {
    ("decimal", "decimal"): dict.fromkeys(("+", "-", "*"), "decimal"),
    ("decimal", "int"): {"*": "decimal"},
    ("int", "decimal"): {"*": "decimal"},
}
_KINDS = {kind for pair in _RESULTS for kind in pair}


def check_arithmetic(
    checker: Checker, node: ast.BinOp, left: Expression, scope: Scope
) -> Expression:
    """Return the typed tree of a sum, a difference, a product, a quotient or a remainder."""
    operator = _OPERATORS.get(type(node.op))
    if operator is None:
        hint = "write // for the quotient, rounded down" if isinstance(node.op, ast.Div) else ""
        known = ", ".join(_OPERATORS.values())
        message = f"the arithmetic operators are {known}"
        raise checker.refuse(node, "expression-form", message, hint)
    right = checker.check(node.right, scope)
    if operator != "*" or FLOAT in (left.type, right.type):
        left = adapted(checker, node.left, left, right.type)
        right = adapted(checker, node.right, right, left.type)
    for side, typed in ((node.left, left), (node.right, right)):
        if typed.type.kind not in (*_KINDS, "unknown"):
            hint = none_hint(side, typed.type)
            raise checker.refuse(side, "wrong-type", f"expected a number, found {typed.type}", hint)
    if UNKNOWN in (left.type, right.type):
        return nodes.Arithmetic(UNKNOWN, operator, left, right)
    kind = _RESULTS.get((left.type.kind, right.type.kind), {}).get(operator)
    if kind is None:
        message = f"there is no {left.type} {operator} {right.type}"
        raise checker.refuse(node, "wrong-type", message)
    if kind == "decimal":
        if operator != "*" and left.type.places != right.type.places:
            message = f"there is no {left.type} {operator} {right.type}: nothing is rounded"
            hint = "a product with Decimal('1.00') has two digits more behind the point"
            raise checker.refuse(node, "wrong-type", message, hint)
        made = product(left.type, right.type) if operator == "*" else decimal(left.type.places)
        return nodes.Arithmetic(made, operator, left, right)
    return nodes.Arithmetic(_result(kind, left.type, right.type), operator, left, right)


def check_negative(checker: Checker, node: ast.UnaryOp, scope: Scope) -> Expression:
    """Return the typed tree of `-operand`; of a literal, a literal; of `-value`, the value."""
    operand = checker.check(node.operand, scope)
    if operand.type.kind not in ("int", "float", "timedelta", "decimal", "unknown"):
        message, hint = (
            f"expected a number, found {operand.type}",
            none_hint(node.operand, operand.type),
        )
        raise checker.refuse(node.operand, "wrong-type", message, hint)
    if operand.type.kind == "decimal":
        type = decimal(operand.type.places)
    else:
        type = _result(operand.type.kind, SIGNED, operand.type)
    match operand:
        case nodes.Literal(value=int() | float() as value):
            return nodes.Literal(type, -value)
        case nodes.Negative(operand=value):
            # Linters take `-(-a)` for the decrement of other languages.
            return value
    return nodes.Negative(type, operand)


def _result(kind: str, *operands: Type) -> Type:
    """Return the type of a result. An integer has a sign if one of its operands has."""
    if kind == "int":
        # A quotient of durations has the sign that they may have.
        return SIGNED if any(each.range[0] < 0 for each in operands) else INT
    return {"float": FLOAT, "datetime": DATETIME, "timedelta": TIMEDELTA}.get(kind, UNKNOWN)
