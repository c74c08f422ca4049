"""Exact decimal numbers: their checks, their arithmetic, and the text that stores hold of them.

The number of digits behind the point is declared. A store, and JSON, has a number as text with
exactly so many: `"12.50"`.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow

from opslifecycle.errors import InvalidValueError
from opslifecycle.values.checks import expected

#: Computes sums, differences and products of declared numbers exactly, whatever the context of the
#: calling thread is. What does not fit raises, which no declared number reaches.
EXACT = Context(prec=100, traps=[Inexact, InvalidOperation, Overflow])
_STORED = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")


def check_decimal(field: str, value: object, least: int, most: int, places: int) -> None:
    """Check for a `decimal.Decimal` of a range, with at most so many digits behind the point.

    Args:
        field: The name of the argument, for the error.
        value: The argument.
        least: The least number, in units of the last digit.
        most: The greatest number, in the same units.
        places: The number of digits behind the point.
    """
    if type(value) is not Decimal:
        expected(field, "a Decimal", value)
    if not value.is_finite():
        raise InvalidValueError(field, f"expected a finite number, got {value}")
    lowest, highest = (decimal_of(each, places) for each in (least, most))
    if not lowest <= value <= highest:
        reason = f"expected a number from {lowest} to {highest}, got {value!s:.80}"
        raise InvalidValueError(field, reason)
    try:
        EXACT.quantize(value, decimal_of(1, places))
    except Inexact:
        digits = f"{places} digit{'s' * (places != 1)}"
        reason = f"expected at most {digits} behind the point, got {value!s:.80}"
        raise InvalidValueError(field, reason) from None


def decimal_of(units: int, places: int) -> Decimal:
    """Return a number of units of the last digit as a number: 1250 and 2 make 12.50."""
    return EXACT.scaleb(Decimal(units), -places)


def decimal_text(value: Decimal, places: int) -> str:
    """Return a number with so many digits behind the point."""
    exact = EXACT.quantize(value, decimal_of(1, places))
    return f"{exact.copy_abs() if exact.is_zero() else exact:f}"


def decimal_from(data: object, least: int, most: int, places: int) -> Decimal:
    """Return a stored number.

    Raises:
        InvalidValueError: The data is no text of a number that `check_decimal` accepts.
    """
    if type(data) is not str or _STORED.fullmatch(data) is None:
        raise InvalidValueError("", f"expected the text of a number, got {data!r:.80}")
    value = Decimal(data)
    check_decimal("", value, least, most, places)
    return value


def optional_decimal_from(data: object, least: int, most: int, places: int) -> Decimal | None:
    """Return a stored number or None; raises InvalidValueError for anything else."""
    return None if data is None else decimal_from(data, least, most, places)


def decimal_data(value: Decimal) -> str:
    """Return a number as JSON-ready text, with the digits that it has."""
    return f"{value:f}"


def decimal_of_data(data: object) -> Decimal:
    """Return the number of JSON-ready text; its range is checked where it is declared."""
    if type(data) is not str or _STORED.fullmatch(data) is None:
        raise InvalidValueError("", f"expected the text of a number, got {data!r:.80}")
    return Decimal(data)
