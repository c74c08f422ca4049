"""Lists and sets of a record: their checks, and the JSON arrays that stores have.

A list is a tuple in Python, so that nothing changes a value that a registry holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from opslifecycle.errors import InvalidValueError
from opslifecycle.values.checks import exact, expected
from opslifecycle.values.closed_set import ClosedSet

T = TypeVar("T")
M = TypeVar("M", bound=ClosedSet)


def check_tuple(
    field: str, value: object, max_length: int, check: Callable[[str, object], object]
) -> None:
    """Check for a tuple of at most `max_length` elements, and call `check` with each of them."""
    if type(value) is not tuple:
        expected(field, "a tuple", value)
    if len(value) > max_length:
        reason = f"expected at most {max_length} elements, got {len(value)}"
        raise InvalidValueError(field, reason)
    for place, each in enumerate(value):
        check(f"{field}[{place}]", each)


def check_frozenset(field: str, value: object, kind: type[ClosedSet]) -> None:
    """Check for a frozenset of members of a closed set."""
    if type(value) is not frozenset:
        expected(field, "a frozenset", value)
    for each in value:
        exact(field, each, kind)


def members_of(value: frozenset[ClosedSet]) -> list[str]:
    """Return how the members of a set are spelled, in the order of their closed set."""
    for one in value:
        return [each.wire for each in type(one) if each in value]
    return []


def frozenset_text(value: frozenset[ClosedSet]) -> str:
    """Return a set of members as a JSON array."""
    inside = ",".join([f'"{each}"' for each in members_of(value)])
    return f"[{inside}]"


def tuple_from(data: object, max_length: int, read: Callable[[object], T]) -> tuple[T, ...]:
    """Return a stored list; `read` returns an element of its data.

    Raises:
        InvalidValueError: The data is no array, or has too many elements or a wrong one.
    """
    if type(data) is not list or len(data) > max_length:
        reason = f"expected an array of at most {max_length} elements, got {data!r:.80}"
        raise InvalidValueError("", reason)
    return tuple([read(each) for each in data])


def optional_tuple_from(
    data: object, max_length: int, read: Callable[[object], T]
) -> tuple[T, ...] | None:
    """Return a stored list or None; raises InvalidValueError for anything else."""
    return None if data is None else tuple_from(data, max_length, read)


def frozenset_from(data: object, kind: type[M]) -> frozenset[M]:
    """Return a stored set of members of a closed set.

    Raises:
        InvalidValueError: The data is no array, or has something else or a member twice.
    """
    if type(data) is not list:
        raise InvalidValueError("", f"expected an array, got {data!r:.80}")
    known = {each.wire: each for each in kind}
    wrong = [each for each in data if type(each) is not str or each not in known]
    if wrong:
        reason = f"expected members of {kind.__name__}, got {wrong[0]!r:.80}"
        raise InvalidValueError("", reason)
    if len({*data}) < len(data):
        raise InvalidValueError("", f"expected each member once, got {data!r:.80}")
    return frozenset([known[each] for each in data])


def optional_frozenset_from(data: object, kind: type[M]) -> frozenset[M] | None:
    """Return a stored set or None; raises InvalidValueError for anything else."""
    return None if data is None else frozenset_from(data, kind)
