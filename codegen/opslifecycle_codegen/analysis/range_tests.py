"""The tests that keep a number in its range at one point of a command."""

from __future__ import annotations

import sys

from opslifecycle_codegen.analysis.interval import Interval
from opslifecycle_codegen.analysis.intervals import State
from opslifecycle_codegen.analysis.stored_numbers import Made
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression, negation
from opslifecycle_codegen.ir.types import BOOL, DATETIME, FLOAT, TIMEDELTA

_FLOAT_MAX = sys.float_info.max


def _time_tests(value: Expression, bounds: Interval) -> tuple[Expression, ...]:
    """Return the tests that keep a sum with a time in the years 1 to 9999.

    Python cannot compute a time outside of them, so the duration is compared with what is left.
    """
    least, most = DATETIME.range
    assert isinstance(value, nodes.Arithmetic)
    time, duration = value.left, value.right
    if time.type.required != DATETIME:
        time, duration = duration, time
    ends = nodes.Literal(DATETIME, least), nodes.Literal(DATETIME, most)
    sign = "<=" if value.operator == "+" else ">="
    left = [nodes.Arithmetic(TIMEDELTA, "-", end, time) for end in ends]
    if value.operator == "-":
        left = [nodes.Arithmetic(TIMEDELTA, "-", time, end) for end in ends]
    tests = []
    if bounds.least is None or bounds.least < least:
        opposite = {"<=": ">=", ">=": "<="}[sign]
        tests.append(nodes.Compare(BOOL, (duration, left[0]), (opposite,)))
    if bounds.most is None or bounds.most > most:
        tests.append(nodes.Compare(BOOL, (duration, left[1]), (sign,)))
    return tuple(tests)


def range_of(made: Made) -> tuple[int, int]:
    """Return the minimum and the maximum of a number."""
    wanted = made.wanted
    return wanted.range if wanted is not None and wanted.integral else made.value.type.range


def needed_tests(made: Made, state: State) -> tuple[Expression, ...]:
    """Return the tests that keep a number in range at a reachable point."""
    value = made.value
    if value.type.required == FLOAT:
        most, zero = nodes.Literal(FLOAT, _FLOAT_MAX), nodes.Literal(FLOAT, 0.0)
        least = nodes.Arithmetic(FLOAT, "-", zero, most)
        return (
            nodes.Compare(BOOL, (value, least), (">=",)),
            nodes.Compare(BOOL, (value, most), ("<=",)),
        )
    bounds, tests = state.bounds(value), []
    if made.wanted is None:
        is_zero = nodes.Compare(BOOL, (value, nodes.number(0)), ("==",))
        return (negation(is_zero),) if state.assuming(is_zero).reached else ()
    low, high = range_of(made)
    if value.type == DATETIME:
        return _time_tests(value, bounds)
    ends = [nodes.Literal(value.type.required, end) for end in (low, high)]
    if bounds.least is None or bounds.least < low:
        tests.append(nodes.Compare(BOOL, (value, ends[0]), (">=",)))
    if bounds.most is None or bounds.most > high:
        tests.append(nodes.Compare(BOOL, (value, ends[1]), ("<=",)))
    return tuple(tests)
