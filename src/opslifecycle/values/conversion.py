"""Conversion of values to JSON-ready data and back, with cattrs and the rules of a machine.

Generated modules declare their unions and their omitted fields at import. The converter is built
at its first use, so that importing the package does not load cattrs.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from json.encoder import encode_basestring
from math import isfinite
from typing import TYPE_CHECKING, Any, TypeVar, overload

import attrs
from opslifecycle.errors import InvalidValueError
from opslifecycle.locks import hold, owned_lock
from opslifecycle.values.checks import COUNT_MAX
from opslifecycle.values.identifiers import Identifier

if TYPE_CHECKING:
    from cattrs import Converter

T = TypeVar("T")


@attrs.frozen
class _Union:
    kind: Any
    tag: str
    variants: Mapping[str, type]
    flatten: Mapping[type, str]


_unions: list[_Union] = []
_foreign: dict[type, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {}
_left_out: dict[type, frozenset[str]] = {}
_converter: Converter | None = None
_lock = owned_lock()


def declare_union(
    kind: Any,
    *,
    tag: str,
    variants: Mapping[str, type],
    flatten: Mapping[type, str] | None = None,
) -> None:
    """Declare a tagged union: JSON objects of one of `variants`, distinguished by the key `tag`.

    Args:
        flatten: For a variant, the name of the field whose own fields stand beside the tag.
    """
    hold(_lock, _declare, _unions.append, _Union(kind, tag, variants, flatten or {}))


def _declare(note: Callable[..., None], *declared: Any) -> None:
    """Store a declaration; the next conversion builds the converter with it."""
    global _converter
    # First, so that an interrupt cannot leave a converter that does not know of it.
    _converter = None
    note(*declared)


def omit_none(kind: type, fields: Sequence[str]) -> None:
    """Declare fields that JSON omits when they are None."""
    hold(_lock, _declare, _left_out.__setitem__, kind, frozenset(fields))


def unstructure(value: Any) -> Any:
    """Return a value as JSON-ready data: dicts, lists, texts, numbers, booleans and None."""
    return _the_converter().unstructure(value)


@overload
def structure(data: Any, type: type[T]) -> T: ...
@overload
def structure(data: Any, type: Any) -> Any: ...
def structure(data: Any, type: Any) -> Any:
    """Return data as a value of `type`: the reverse of `unstructure`.

    Nothing is coerced and nothing is ignored.

    Raises:
        InvalidValueError: For a wrong type, an unknown or missing key, or an unknown tag. Its
            `field` is the path to it.
    """
    if data.__class__ is type and type in _EXACT:
        return data
    try:
        return _the_converter().structure(data, type)
    except Exception as error:
        mistake = _first_mistake(error, "")
        if mistake is None:
            raise
        raise mistake from None


#: Types whose values are the data itself; a float has to be finite besides.
_EXACT = frozenset({str, int, bool})

#: A text as a JSON string, by the function that the json module itself uses.
json_text: Callable[[str], str] = encode_basestring


def count_from(data: Any) -> int:
    """Return a stored count; raises InvalidValueError for anything else."""
    if type(data) is not int or not 0 <= data <= COUNT_MAX:
        raise InvalidValueError("", f"expected an integer from 0 to {COUNT_MAX}, got {data!r:.80}")
    return data


def int_from(data: Any, least: int, most: int) -> int:
    """Return a stored integer of a range; raises InvalidValueError for anything else."""
    if type(data) is not int or not least <= data <= most:
        reason = f"expected an integer from {least} to {most}, got {data!r:.80}"
        raise InvalidValueError("", reason)
    return data


def optional_int_from(data: Any, least: int, most: int) -> int | None:
    """Return a stored integer of a range or None; raises InvalidValueError for anything else."""
    return None if data is None else int_from(data, least, most)


def optional_count_from(data: Any) -> int | None:
    """Return a stored count or None; raises InvalidValueError for anything else."""
    return None if data is None else count_from(data)


def data_of(text: str, known: frozenset[str] | None = None) -> dict[str, Any]:
    """Return a JSON object after a check of its keys.

    Raises:
        InvalidValueError: If the data is no object or has a key that is not in `known`.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidValueError("value", f"is no JSON: {error}") from None
    if not isinstance(data, dict):
        raise InvalidValueError("value", f"expected an object, got {type(data).__name__}")
    if known is not None:
        for key in data:
            if key not in known:
                raise InvalidValueError(key, "is not known here")
    return data


def register_type(
    kind: type[T], to_data: Callable[[T], Any], from_data: Callable[[Any], T]
) -> None:
    """Register how values of a class of the program become JSON-ready data, and back.

    attrs classes, dataclasses and enums need no registration. `from_data` may raise ValueError or
    TypeError for invalid data; the error is then reported with its path.
    """
    hold(_lock, _declare, _foreign.__setitem__, kind, (to_data, from_data))


def encoded(value: Any) -> str:
    """Return a value as compact JSON text."""
    return text_of(unstructure(value))


def text_of(data: Any) -> str:
    """Return data as compact JSON text.

    Raises:
        ValueError: For NaN and the infinities, which JSON does not have.
    """
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def check_storable(field: str, value: Any, kind: Any) -> None:
    """Raise InvalidValueError for a value that a store could not write, or not read back.

    This is for values that contain a class of the program, whose conversions are unknown. They are
    tried before a command is queued, so that only the call with the value fails.
    """
    try:
        data = unstructure(value)
        _check_depth(data, _DEPTH_MAX)
        text = text_of(data)
        text.encode()
        structure(json.loads(text), kind)
    except Exception as error:
        # Whatever the conversions of a program raise, it is about this value.
        name = type(value).__name__
        reason = f"this {name} cannot be stored as JSON and read back: {error or repr(error)}"
        if isinstance(error, TypeError):
            reason += "; opslifecycle.register_type says how a class is converted"
        raise InvalidValueError(field, reason) from error


#: How deep the data of a class of the program's own may be nested: far less than what makes a
#: reader of JSON fail, at whatever depth of calls it is read.
_DEPTH_MAX = 100


def _check_depth(data: Any, depth: int) -> None:
    if not depth:
        raise ValueError(f"it is nested deeper than {_DEPTH_MAX} levels")
    if isinstance(data, dict):
        data = data.values()
    elif not isinstance(data, list | tuple):
        return
    for each in data:
        _check_depth(each, depth - 1)


def _the_converter() -> Converter:
    converter = _converter
    return hold(_lock, _rebuild) if converter is None else converter


def _rebuild() -> Converter:
    global _converter
    converter = _converter = _build()
    return converter


def _build() -> Converter:
    from cattrs import Converter

    # The data is JSON: tuples are lists there, and back.
    converter = Converter(forbid_extra_keys=True, unstruct_collection_overrides={tuple: list})
    for scalar in (str, bool, int, float):
        converter.register_structure_hook(scalar, _strict(scalar))
    converter.register_structure_hook_func(_is_subclass_of(Enum), _structure_enum)
    converter.register_unstructure_hook(Identifier, str)
    # By its class: a hook for texts would be found first, because identifiers are texts.
    converter.register_structure_hook(Identifier, lambda data, kind: kind(data))
    for kind, (to_data, from_data) in _foreign.items():
        converter.register_unstructure_hook(kind, to_data)
        converter.register_structure_hook(kind, _ignoring_type(from_data))
    _add_records(converter)
    for union in _unions:
        _add_union(converter, union)
    return converter


def _ignoring_type(from_data: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda data, _: from_data(data)


def _add_records(converter: Converter) -> None:
    from cattrs.gen import make_dict_unstructure_fn, override

    for kind, names in _left_out.items():
        rules = {
            field.name: override(omit_if_default=True)
            for field in attrs.fields(kind)
            if field.name in names
        }
        converter.register_unstructure_hook(
            kind,
            make_dict_unstructure_fn(kind, converter, **rules),  # type: ignore[arg-type]
        )


def _add_union(converter: Converter, union: _Union) -> None:
    for tag, variant in union.variants.items():
        hooks = _Variant(converter, union, tag, variant)
        converter.register_unstructure_hook(variant, hooks.unstructure)
        converter.register_structure_hook(variant, hooks.structure)

    members = frozenset(typing.get_args(union.kind))

    def is_this_union(kind: Any) -> bool:
        if not isinstance(kind, types.UnionType) and typing.get_origin(kind) is not typing.Union:
            return False
        return frozenset(typing.get_args(kind)) - {type(None)} == members

    def structure_union(data: Any, kind: Any) -> Any:
        if data is None and type(None) in typing.get_args(kind):
            return None
        tag = _tag_of(data, union)
        variant = union.variants.get(tag) if isinstance(tag, str) else None
        if variant is None:
            known = ", ".join(union.variants)
            raise InvalidValueError(union.tag, f"expected one of {known}, got {tag!r:.80}")
        return converter.structure(data, variant)

    converter.register_structure_hook_func(is_this_union, structure_union)


def _tag_of(data: Any, union: _Union) -> Any:
    if not isinstance(data, dict):
        raise InvalidValueError("", f"expected an object, got {type(data).__name__}")
    if union.tag not in data:
        raise InvalidValueError(union.tag, "is missing")
    return data[union.tag]


class _Variant:
    """One variant of a union: its tag, and the field whose fields stand beside the tag."""

    def __init__(self, converter: Converter, union: _Union, tag: str, variant: type) -> None:
        from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

        self._union = union
        self._tag = tag
        self._variant = variant
        self._flat = union.flatten.get(variant)
        self._own = {field.name for field in attrs.fields(variant)} - {self._flat}
        self._to_dict: Callable[[Any], dict[str, Any]] = make_dict_unstructure_fn(
            variant, converter
        )
        self._from_dict: Callable[[Any, Any], Any] = make_dict_structure_fn(variant, converter)

    def unstructure(self, value: Any) -> dict[str, Any]:
        data = self._to_dict(value)
        inner = data.pop(self._flat) if self._flat is not None else {}
        return {self._union.tag: self._tag, **data, **inner}

    def structure(self, data: Any, _: Any) -> Any:
        tag = _tag_of(data, self._union)
        if tag != self._tag:
            raise InvalidValueError(self._union.tag, f"expected {self._tag}, got {tag!r:.80}")
        rest = dict(data)
        del rest[self._union.tag]
        if self._flat is None:
            return self._from_dict(rest, self._variant)
        outer = {key: value for key, value in rest.items() if key in self._own}
        inner = {key: value for key, value in rest.items() if key not in self._own}
        try:
            return self._from_dict({**outer, self._flat: inner}, self._variant)
        except Exception as error:
            mistake = _first_mistake(error, "")
            if mistake is None:
                raise
            field = mistake.field.removeprefix(f"{self._flat}.")
            raise InvalidValueError(field, mistake.reason) from None


def _strict(scalar: type) -> Callable[[Any, Any], Any]:
    names = {str: "text", bool: "true or false", int: "an integer", float: "a number"}
    accepted = (int, float) if scalar is float else (scalar,)

    def structure_scalar(data: Any, _: Any) -> Any:
        if type(data) not in accepted or (scalar is float and not isfinite(data)):
            raise InvalidValueError("", f"expected {names[scalar]}, got {data!r:.80}")
        return scalar(data)

    return structure_scalar


def _structure_enum(data: Any, kind: type[Enum]) -> Enum:
    try:
        member = kind._value2member_map_.get(data)
    except TypeError:
        # What cannot be looked up is no member's value.
        member = None
    if member is not None:
        return member
    known = ", ".join(str(member.value) for member in kind)
    raise InvalidValueError("", f"expected one of {known}, got {data!r:.80}")


def _is_subclass_of(base: type) -> Callable[[Any], bool]:
    return lambda kind: isinstance(kind, type) and issubclass(kind, base)


def _first_mistake(error: BaseException, path: str) -> InvalidValueError | None:
    """Return the first error of the data in what cattrs raised, with its path, or None."""
    from cattrs import BaseValidationError, ForbiddenExtraKeysError
    from cattrs.errors import AttributeValidationNote, IterableValidationNote

    if isinstance(error, BaseValidationError):
        for inner in error.exceptions:
            step = path
            for note in getattr(inner, "__notes__", ()):
                if isinstance(note, AttributeValidationNote):
                    step = f"{path}.{note.name}" if path else note.name
                elif isinstance(note, IterableValidationNote):
                    step = f"{path}[{note.index}]"
            mistake = _first_mistake(inner, step)
            if mistake is not None:
                return mistake
        return None
    if isinstance(error, InvalidValueError):
        # A value's own check names its field; a constructor of an identifier names its class.
        inner_field = "" if error.field[:1].isupper() else error.field
        field = ".".join(part for part in (path, inner_field) if part)
        return type(error)(field or "value", error.reason)
    if isinstance(error, ForbiddenExtraKeysError):
        unknown = sorted(map(str, error.extra_fields))[0]
        field = f"{path}.{unknown}" if path else unknown
        return InvalidValueError(field, "is not known here")
    if isinstance(error, KeyError):
        return InvalidValueError(path, "is missing")
    if isinstance(error, TypeError | AttributeError | ValueError | OverflowError | RecursionError):
        return InvalidValueError(path or "value", f"has the wrong shape: {error}")
    return None
