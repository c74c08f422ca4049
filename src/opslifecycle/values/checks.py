"""Checks of single values: each raises InvalidValueError, naming the field."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Any, NoReturn, TypeVar

from opslifecycle.errors import InvalidSpecError, InvalidValueError

T = TypeVar("T")


def expected(field: str, what: str, value: object) -> NoReturn:
    """Refuse a value, saying what was expected and what came."""
    raise InvalidValueError(field, f"expected {what}, got {type(value).__name__}")


def instance(field: str, value: Any, kind: Any) -> None:
    """An instance of `kind`, a class or a union of classes."""
    if not isinstance(value, kind):
        expected(field, names_of(kind), value)


def many(field: str, values: Any, kind: type[T]) -> tuple[T, ...]:
    """Any number of instances of `kind`."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        expected(field, f"several {kind.__name__}", values)
    members = tuple(values)
    for place, member in enumerate(members):
        instance(f"{field}[{place}]", member, kind)
    return members


def text(field: str, value: Any) -> None:
    """A string that can be written as UTF-8."""
    if not isinstance(value, str):
        expected(field, "text", value)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidValueError(field, "expected text without lone surrogates") from None


def count(field: str, value: Any) -> None:
    """An integer of at least 0; booleans are not counts."""
    if type(value) is not int:
        expected(field, "an integer", value)
    if value < 0:
        raise InvalidValueError(field, f"expected an integer of at least 0, got {value}")


def flag(field: str, value: Any) -> None:
    """True or False."""
    if type(value) is not bool:
        expected(field, "True or False", value)


def finite(field: str, value: Any) -> None:
    """A finite number; NaN and the infinities have no JSON and are an InvalidSpecError."""
    if type(value) not in (int, float):
        expected(field, "a number", value)
    if not isfinite(value):
        raise InvalidSpecError(field, f"expected a finite number, got {value}")


def names_of(kind: Any) -> str:
    """The names of a class, or of the classes of a union, for a message."""
    members = getattr(kind, "__args__", None) or (kind,)
    return " or ".join(member.__name__ for member in members)
