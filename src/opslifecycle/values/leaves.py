"""The JSON forms of values without fields: scalars, closed sets, identifiers, sets of members."""

from __future__ import annotations

import typing
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, TypeVar

from opslifecycle.errors import InvalidValueError
from opslifecycle.values.binary import bytes_of_data, bytes_text
from opslifecycle.values.closed_set import ClosedSet
from opslifecycle.values.decimals import decimal_data, decimal_of_data
from opslifecycle.values.dicts import FrozenDict
from opslifecycle.values.identifiers import Identifier, IntIdentifier
from opslifecycle.values.moments import (
    datetime_from,
    datetime_text,
    microseconds,
    timedelta_from,
)
from opslifecycle.values.pages import Page
from opslifecycle.values.plain import Json
from opslifecycle.values.several import frozenset_from, members_of

if TYPE_CHECKING:
    from cattrs import Converter

T = TypeVar("T")

#: Classes with a JSON form of their own: how it is written and read.
_SCALARS: list[tuple[type, Callable[..., Json], Callable[[Json], object]]] = [
    (datetime, datetime_text, datetime_from),
    (timedelta, microseconds, timedelta_from),
    (Decimal, decimal_data, decimal_of_data),
    (bytes, bytes_text, bytes_of_data),
]


def add_leaves(converter: Converter) -> None:
    """Register how a converter writes and reads values without fields."""
    for exact in (str, bool, int, float):
        converter.register_structure_hook(exact, _strict(exact))
    converter.register_structure_hook_func(_is_subclass_of(Enum), _structure_enum)
    # A page of a listing is a list, and cattrs writes lists of that very class only.
    converter.register_unstructure_hook(Page, partial(_unstructure_page, converter))
    converter.register_unstructure_hook(Identifier, str)
    converter.register_unstructure_hook(IntIdentifier, int)
    for scalar, to_data, from_data in _SCALARS:
        converter.register_unstructure_hook(scalar, to_data)
        converter.register_structure_hook(scalar, ignoring_type(from_data))
    # A set is written in the order of its closed set, so that equal sets have equal data.
    converter.register_unstructure_hook_func(_is_set_of_members, members_of)
    converter.register_structure_hook_func(_is_set_of_members, _structure_members)
    converter.register_unstructure_hook(frozenset, partial(_unstructure_frozenset, converter))
    converter.register_unstructure_hook_func(_is_frozen_dict, partial(_unstructure_dict, converter))
    converter.register_structure_hook_func(_is_frozen_dict, partial(_structure_dict, converter))
    # Hooks for the classes themselves: cattrs would otherwise find those for `str` and `int`.
    for identifier in (Identifier, IntIdentifier):
        converter.register_structure_hook(identifier, lambda data, kind: kind(data))


def _unstructure_page(converter: Converter, page: Page[object]) -> list[Json]:
    return [converter.unstructure(each) for each in page]


def _unstructure_dict(converter: Converter, value: FrozenDict[object]) -> Json:
    return {key: converter.unstructure(each) for key, each in value.items()}


def _structure_dict(converter: Converter, data: Json, kind: object) -> FrozenDict[object]:
    (inner,) = typing.get_args(kind)
    if type(data) is not dict:
        raise InvalidValueError("", f"expected an object, got {data!r:.80}")
    return FrozenDict((key, converter.structure(each, inner)) for key, each in data.items())


def _is_frozen_dict(kind: object) -> bool:
    return FrozenDict in (kind, typing.get_origin(kind))


def ignoring_type(from_data: Callable[[Json], T]) -> Callable[[Json, object], T]:
    """Return a hook for a function that needs no type."""
    return lambda data, _: from_data(data)


def _strict(scalar: type) -> Callable[[Json, object], object]:
    names = {str: "text", bool: "true or false", int: "an integer", float: "a number"}
    accepted = (int, float) if scalar is float else (scalar,)

    def structure_scalar(data: Json, _: object) -> object:
        if type(data) not in accepted or (scalar is float and not isfinite(data)):
            raise InvalidValueError("", f"expected {names[scalar]}, got {data!r:.80}")
        return scalar(data)

    return structure_scalar


def _structure_enum(data: Json, kind: type[Enum]) -> Enum:
    try:
        member = kind._value2member_map_.get(data)
    except TypeError:
        # Data that is not hashable is no member's value.
        member = None
    if member is not None:
        return member
    known = ", ".join(str(member.value) for member in kind)
    raise InvalidValueError("", f"expected one of {known}, got {data!r:.80}")


def _structure_members(data: Json, kind: object) -> object:
    return frozenset_from(data, *typing.get_args(kind))


def _is_set_of_members(kind: object) -> bool:
    inside = typing.get_args(kind)
    is_frozenset = typing.get_origin(kind) is frozenset and len(inside) == 1
    return is_frozenset and _is_subclass_of(ClosedSet)(inside[0])


def _unstructure_frozenset(converter: Converter, value: frozenset[object]) -> Json:
    """Return a set whose declared type nobody has said."""
    if all(isinstance(each, ClosedSet) for each in value):
        return members_of(value)  # type: ignore[arg-type]
    return frozenset(map(converter.unstructure, value))


def _is_subclass_of(base: type) -> Callable[[object], bool]:
    return lambda kind: isinstance(kind, type) and issubclass(kind, base)
