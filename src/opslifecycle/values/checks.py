"""Checks of single values. Each raises InvalidValueError with the name of the field.

`field` is the name in the error, and `value` is what a caller passed, of any type.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import isfinite
from types import UnionType
from typing import NoReturn, TypeAlias, TypeVar

from opslifecycle.errors import InvalidSpecError, InvalidValueError

T = TypeVar("T")

#: A class, or a union of classes: what `isinstance` accepts.
Kind: TypeAlias = type | UnionType

#: The largest count: SQLite stores signed integers of 64 bits, and so do most readers of JSON.
COUNT_MAX = 2**63 - 1
#: The longest text, in bytes of UTF-8: as JSON, with every character escaped, it fits into SQLite.
TEXT_BYTES_MAX = 2**27


def expected(field: str, what: str, value: object) -> NoReturn:
    """Raise InvalidValueError with what was expected and the value that was passed."""
    raise InvalidValueError(field, f"expected {what}, got {shown(value)}")


def instance(field: str, value: object, kind: Kind) -> None:
    """Check for an instance of `kind`, a class or a union of classes."""
    if not isinstance(value, kind):
        expected(field, names_of(kind), value)


def exact(field: str, value: object, kind: Kind) -> None:
    """Check for an instance of exactly the class `kind`, or of one class of the union `kind`.

    Instances of subclasses are refused: a subclass can skip the checks of its base, and a store
    would return an instance of the base.
    """
    if type(value) not in (getattr(kind, "__args__", None) or (kind,)):
        expected(field, names_of(kind), value)


def many(field: str, values: object, kind: type[T]) -> tuple[T, ...]:
    """Return the instances of `kind` in an iterable as a tuple.

    The error for a wrong member names its index. A text is refused, although it is an iterable.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        expected(field, f"several {kind.__name__}", values)
    members = tuple(values)
    for place, member in enumerate(members):
        instance(f"{field}[{place}]", member, kind)
    return members


def text(field: str, value: object) -> None:
    """Check for a string that UTF-8 can encode and that is not too long.

    A subclass may compare and print as something else than the characters that a store returns.
    """
    if type(value) is not str:
        if isinstance(value, str):
            expected(field, "text that is a str itself, not of a subclass", value)
        expected(field, "text", value)
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        reason = f"expected text without lone surrogates, got {shown(value)}; decode it as UTF-8"
        raise InvalidValueError(field, reason) from None
    if size > TEXT_BYTES_MAX:
        reason = f"expected at most {TEXT_BYTES_MAX} bytes of text, got {size}"
        raise InvalidValueError(field, reason)


def limited_text(field: str, value: object, max_length: int | None, pattern: str) -> None:
    """Check for a text of at most so many characters that a regular expression matches whole."""
    text(field, value)
    assert type(value) is str
    if max_length is not None and len(value) > max_length:
        reason = f"expected at most {max_length} characters, got {len(value)}"
        raise InvalidValueError(field, reason)
    if pattern and re.fullmatch(pattern, value) is None:
        raise InvalidValueError(field, f"expected text that matches {pattern}, got {value!r:.80}")


def count(field: str, value: object) -> None:
    """Check for an integer from 0 to COUNT_MAX. Booleans are not counts."""
    if type(value) is not int or not 0 <= value <= COUNT_MAX:
        integer(field, value, 0, COUNT_MAX)


def integer(field: str, value: object, least: int, most: int) -> None:
    """Check for an integer from `least` to `most`. Booleans are not integers."""
    if type(value) is not int:
        expected(field, "an integer", value)
    if value < least:
        reason = f"expected an integer of at least {least}, got {shown(value)}"
        raise InvalidValueError(field, reason)
    if value > most:
        reason = f"expected an integer of at most {most}, got {shown(value)}"
        raise InvalidValueError(field, reason)


def flag(field: str, value: object) -> None:
    """Check for True or False."""
    if type(value) is not bool:
        expected(field, "True or False", value)


def finite(field: str, value: object) -> None:
    """Check for a finite number. NaN and the infinities have no JSON and raise InvalidSpecError.

    An integer must be one that a float represents exactly, because a store returns it as a float.
    """
    if type(value) is int:
        if not _is_a_float(value):
            reason = f"expected a number that a float holds exactly, got {shown(value)}"
            raise InvalidValueError(field, reason)
    elif type(value) is not float:
        expected(field, "a number", value)
    elif not isfinite(value):
        raise InvalidSpecError(field, f"expected a finite number, got {value}")


def _is_a_float(value: int) -> bool:
    try:
        return float(value) == value
    except OverflowError:
        return False


def shown(value: object) -> str:
    """Return a value for a message: as Python prints it if it is short and simple.

    Of other objects it is the class, because their `repr` may be long or raise.
    """
    if isinstance(value, int) and value.bit_length() > 128:
        # Python refuses to print an integer of more than 4,300 digits.
        return f"one of {value.bit_length()} bits"
    if value is None or type(value) in _PRINTED:
        return f"{value!r:.80}"
    return type(value).__name__


_PRINTED = frozenset({str, bytes, int, float, bool})


def names_of(kind: Kind) -> str:
    """Return the names of a class, or of the classes of a union, for a message."""
    members = kind.__args__ if isinstance(kind, UnionType) else (kind,)
    return " or ".join(member.__name__ for member in members)
