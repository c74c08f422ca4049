"""The calls that make times and durations: `datetime(2026, 1, 31)` and `timedelta(minutes=30)`."""

from __future__ import annotations

import ast
import datetime
from typing import TYPE_CHECKING

from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.moments import microseconds_of
from opslifecycle_codegen.ir.types import DATETIME, TIMEDELTA

if TYPE_CHECKING:
    from opslifecycle_codegen.analysis.expressions import Checker

#: The functions, each with its keywords.
MOMENTS = ("datetime", "timedelta")
_UNITS = ("days", "hours", "minutes", "seconds", "milliseconds", "microseconds", "weeks")


def check_moment(checker: Checker, node: ast.Call, name: str) -> nodes.Literal:
    """Return the literal that a call of `datetime` or `timedelta` with whole numbers makes."""
    positional = [_whole(checker, each) for each in node.args]
    named = {str(each.arg): _whole(checker, each.value) for each in node.keywords}
    if name == "datetime":
        if named or not 3 <= len(positional) <= 7:
            message = "a time is written datetime(year, month, day, hour, minute, second)"
            raise checker.refuse(node, "expression-form", message, "it is a time in UTC")
        try:
            year, month, day, *rest = positional
            hour, minute, second, micro = [*rest, 0, 0, 0, 0][:4]
            made = datetime.datetime(
                year, month, day, hour, minute, second, micro, tzinfo=datetime.UTC
            )
        except (ValueError, OverflowError) as error:
            raise checker.refuse(node, "wrong-type", f"there is no such time: {error}") from None
        return nodes.Literal(DATETIME, microseconds_of(made))
    if positional or not named or not set(named) <= set(_UNITS):
        message = "a duration is written timedelta(minutes=30)"
        hint = f"the units are {', '.join(_UNITS)}"
        raise checker.refuse(node, "expression-form", message, hint)
    try:
        length = datetime.timedelta(**named) // datetime.timedelta(microseconds=1)
    except OverflowError:
        length = TIMEDELTA.range[1] + 1
    if not TIMEDELTA.range[0] <= length <= TIMEDELTA.range[1]:
        raise checker.refuse(node, "wrong-type", "a duration is at most 9999 years")
    return nodes.Literal(TIMEDELTA, length)


def _whole(checker: Checker, node: ast.expr) -> int:
    match node:
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as value)):
            return -value
    raise checker.refuse(node, "expression-form", "expected a whole number")
