"""Conversion of values to JSON-ready data and back, with cattrs and the rules of a machine.

Generated modules declare their unions and their omitted fields at import. The converter is built
at its first use, so that importing the package does not load cattrs.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

import attrs
from opslifecycle.errors import InvalidValueError
from opslifecycle.locks import hold, owned_lock
from opslifecycle.values.leaves import add_leaves, ignoring_type
from opslifecycle.values.plain import (
    DEPTH_MAX,
    MISSING,
    UNKNOWN_HERE,
    Data,
    Json,
    error_text,
    is_deeper,
    text_of,
)
from opslifecycle.values.resolving import Resolved, resolved

if TYPE_CHECKING:
    from cattrs import Converter

T = TypeVar("T")


@attrs.frozen(eq=False, repr=False)
class _Union:
    """A tagged union, as `declare_union` was called for it."""

    kind: object
    tag: str
    variants: Mapping[str, type]
    flatten: Mapping[type, str]


@attrs.frozen(eq=False, repr=False)
class _Foreign:
    """The conversions of a class of the program, as `register_type` was called for it."""

    to_data: Callable[..., Json]
    from_data: Callable[[Json], object]


_unions: list[_Union] = []
_foreign: dict[type, _Foreign] = {}
_left_out: dict[type, frozenset[str]] = {}
_converter: Resolved | None = None
_lock = owned_lock()


def declare_union(
    kind: object,
    *,
    tag: str,
    variants: Mapping[str, type],
    flatten: Mapping[type, str] | None = None,
) -> None:
    """Declare a tagged union: JSON objects of one of `variants`, distinguished by the key `tag`.

    Args:
        kind: The union of the classes in `variants`.
        tag: The key that distinguishes the variants.
        variants: The class of each tag.
        flatten: For a variant, the name of the one field whose own fields are beside the tag in the
            JSON object, instead of in an object of their own.
    """
    hold(_lock, _declare, _unions.append, _Union(kind, tag, variants, flatten or {}))


def _declare(note: Callable[..., None], *declared: object) -> None:
    """Store a declaration; the next conversion builds the converter with it."""
    global _converter
    # First, so that an interrupt cannot leave a converter without the declaration.
    _converter = None
    note(*declared)


def omit_none(kind: type, fields: Sequence[str]) -> None:
    """Declare fields of a class that JSON omits when they are None."""
    hold(_lock, _declare, _left_out.__setitem__, kind, frozenset(fields))


def unstructure(value: object) -> Json:
    """Return a value as JSON-ready data: dicts, lists, texts, numbers, booleans and None.

    A class that is neither generated nor an attrs class, a dataclass or an enum needs
    `register_type`; without it, its values are returned as they are.
    """
    return _resolved_for(value.__class__).converter.unstructure(value)


@overload
def structure(data: object, type: type[T]) -> T: ...
@overload
def structure(data: object, type: object) -> Any: ...
def structure(data: object, type: Any) -> Any:
    """Return data as a value of `type`: the reverse of `unstructure`.

    Nothing is coerced and nothing is ignored.

    Args:
        data: JSON-ready data, for instance from `json.loads`.
        type: A class, or a type such as `list[int]` or a union of classes.

    Raises:
        InvalidValueError: For a wrong type, an unknown or missing key, or an unknown tag. Its
            `field` is the path to the wrong value, `value` for the data itself.
    """
    if data.__class__ is type and type in _EXACT:
        return data
    try:
        return _resolved_for(type).hooks[type](data, type)
    except Exception as error:
        raise _cause_of(error, data) from None


#: Types whose values are the data itself; a float has to be finite besides.
_EXACT = frozenset({str, int, bool})


def register_type(
    kind: type[T], to_data: Callable[[T], Json], from_data: Callable[[Json], T]
) -> None:
    """Register how values of a class of the program become JSON-ready data, and back.

    attrs classes, dataclasses and enums need no registration. A later registration of the same
    class replaces the earlier one.

    Args:
        kind: The class.
        to_data: Returns a value as JSON-ready data.
        from_data: Returns the value of such data. It may raise ValueError or TypeError for invalid
            data; the error is then reported with its path.
    """
    hold(_lock, _declare, _foreign.__setitem__, kind, _Foreign(to_data, from_data))


def encoded(value: object) -> str:
    """Return a value as compact JSON text."""
    return text_of(unstructure(value))


def check_storable(field: str, value: object, kind: object) -> None:
    """Raise InvalidValueError for a value that a store could not write, or not read back.

    This is for values that contain a class of the program, whose conversions may fail. The check
    converts the value before its command is queued, so that only the call with the value fails.

    Args:
        field: The name of the argument, for the error.
        value: The argument.
        kind: The declared type of the argument.
    """
    try:
        data = unstructure(value)
        if is_deeper(data, _DEPTH_MAX):
            raise ValueError(f"it is nested deeper than {_DEPTH_MAX} levels")
        text = text_of(data)
        text.encode()
        structure(json.loads(text), kind)
    except MemoryError:
        raise
    except Exception as error:
        # The conversions of a program may raise any exception; each is about this value.
        said = error_text(error) or error_text(error, repr)
        reason = f"this {type(value).__name__} cannot be stored as JSON and read back: {said}"
        if isinstance(error, TypeError):
            reason += "; register the conversions of its class with opslifecycle.register_type"
        raise InvalidValueError(field, reason) from error


#: How deep the data of a class of the program may be nested: half as deep as stored data, in which
#: it is a part. A later reader may have less stack left for `json.loads`.
_DEPTH_MAX = 100


def _resolved_for(kind: object) -> Resolved:
    found = _converter
    if found is None or kind not in found.hooks:
        found = hold(_lock, _resolve, kind)
    return found


def _resolve(kind: object) -> Resolved:
    global _converter
    converter = _converter = resolved(_converter, _build, kind)
    return converter


def _build() -> Converter:
    from cattrs import Converter

    # JSON has no tuples: they are written as lists, and read from lists.
    converter = Converter(forbid_extra_keys=True, unstruct_collection_overrides={tuple: list})
    add_leaves(converter)
    for kind, foreign in _foreign.items():
        converter.register_unstructure_hook(kind, foreign.to_data)
        converter.register_structure_hook(kind, ignoring_type(foreign.from_data))
    _add_records(converter)
    for union in _unions:
        _add_union(converter, union)
    return converter


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

    def is_this_union(kind: object) -> bool:
        if not isinstance(kind, types.UnionType) and typing.get_origin(kind) is not typing.Union:
            return False
        return frozenset(typing.get_args(kind)) - {type(None)} == members

    def structure_union(data: Json, kind: object) -> object:
        if data is None and type(None) in typing.get_args(kind):
            return None
        tag = _tag_of(data, union)
        variant = union.variants.get(tag) if isinstance(tag, str) else None
        if variant is None:
            known = ", ".join(union.variants)
            raise InvalidValueError(union.tag, f"expected one of {known}, got {tag!r:.80}")
        return converter.structure(data, variant)

    converter.register_structure_hook_func(is_this_union, structure_union)


def _tag_of(data: Json, union: _Union) -> Json:
    if not isinstance(data, dict):
        raise InvalidValueError("", f"expected an object, got {type(data).__name__}")
    if union.tag not in data:
        raise InvalidValueError(union.tag, MISSING)
    return data[union.tag]


class _Variant:
    """One variant of a union: its tag, and the field that is flattened, if there is one."""

    def __init__(self, converter: Converter, union: _Union, tag: str, variant: type) -> None:
        from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

        self._union = union
        self._tag = tag
        self._variant = variant
        self._flat = union.flatten.get(variant)
        self._own = {field.name for field in attrs.fields(variant)} - {self._flat}
        self._to_dict: Callable[[object], Data] = make_dict_unstructure_fn(variant, converter)
        self._from_dict: Callable[[Data, type], object] = make_dict_structure_fn(variant, converter)

    def unstructure(self, value: object) -> Data:
        data = self._to_dict(value)
        inner = data.pop(self._flat) if self._flat is not None else {}
        return {self._union.tag: self._tag, **data, **inner}

    def structure(self, data: Json, _: object) -> object:
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
            cause = _cause_of(error, data)
            if not isinstance(cause, InvalidValueError):
                raise cause from None
            field = cause.field.removeprefix(f"{self._flat}.")
            raise InvalidValueError(field, cause.reason) from None


def _cause_of(error: Exception, data: Json) -> Exception:
    """Return what to raise for an exception of cattrs.

    cattrs collects every exception, also those that have interrupted it: of a signal handler, or
    for a lack of memory or stack. One of those is returned as it is, because nothing is known of
    the data. Otherwise it is the first mistake in the data, with its path.
    """
    first: InvalidValueError | None = None
    for path, each in _collected(error, ""):
        mistake = _mistake(path, each, data)
        if mistake is None:
            return each
        first = first or mistake
    return first or error


def _collected(error: Exception, path: str) -> Iterator[tuple[str, Exception]]:
    """Yield the exceptions that one of cattrs contains, with their paths."""
    from cattrs import BaseValidationError
    from cattrs.errors import AttributeValidationNote, IterableValidationNote

    if not isinstance(error, BaseValidationError):
        yield path, error
        return
    for inner in error.exceptions:
        step = path
        for note in getattr(inner, "__notes__", ()):
            if isinstance(note, AttributeValidationNote):
                step = f"{path}.{note.name}" if path else note.name
            elif isinstance(note, IterableValidationNote):
                step = f"{path}[{note.index}]"
        yield from _collected(inner, step)


def _mistake(path: str, error: Exception, data: Json) -> InvalidValueError | None:
    """Return an exception as a mistake in the data; None if it is about something else."""
    from cattrs import ForbiddenExtraKeysError

    if isinstance(error, InvalidValueError):
        # A value's own check names its field; a constructor of an identifier names its class.
        inner_field = "" if error.field[:1].isupper() else error.field
        field = ".".join(part for part in (path, inner_field) if part)
        return type(error)(field or "value", error.reason)
    if isinstance(error, ForbiddenExtraKeysError):
        unknown = sorted(map(str, error.extra_fields))[0]
        field = f"{path}.{unknown}" if path else unknown
        return InvalidValueError(field, UNKNOWN_HERE)
    if isinstance(error, KeyError):
        return InvalidValueError(path, MISSING)
    is_deep = isinstance(error, RecursionError) and is_deeper(data, DEPTH_MAX)
    if is_deep or isinstance(error, TypeError | AttributeError | ValueError | OverflowError):
        return InvalidValueError(path or "value", f"has the wrong shape: {error}")
    return None
