"""Stage 3, analyze, first half: scalar types that the machine gives a name and limits."""

from __future__ import annotations

import random
import re
from functools import cache
from itertools import cycle, islice

from attrs import fields

from opslifecycle_codegen.base.diagnostics import Diagnostics, Location, nearest
from opslifecycle_codegen.ir.symbols import IdForm
from opslifecycle_codegen.ir.types import (
    DIGITS_MAX,
    INT_MAX,
    INT_MIN,
    SCALARS,
    Limits,
    Type,
    decimal_notation,
    decimal_units,
)
from opslifecycle_codegen.source import type_model
from opslifecycle_codegen.source.words import Text, TypeName

#: The longest declared text; in UTF-8, it is what a store holds at most.
TEXT_MAX = 2**25
#: The longest identifier with a pattern.
ID_MAX = 255
#: Behind the prefix of an identifier without a pattern of its own.
_ANY_ID = "[A-Za-z0-9_-]{1,200}"
_DIGITS = "0123456789abcdef"
#: How many digits a registry puts behind a prefix: those of a UUID.
_DIGITS_MADE = 32
#: How many texts that differ in all digits are tried beside those that differ in one.
_TRIED = 256
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
#: The keys that limit the values of a kind.
_KEYS = {
    "int": ("minimum", "maximum"), "str": ("max_length", "pattern"),
    "bytes": ("max_length",),
    "Decimal": ("digits", "places", "minimum", "maximum"),
}  # fmt: skip
_NO_LIMITS = ("type", "summary", "mark", "example")


def refined_types(
    declared: dict[TypeName, type_model.RefinedType], diagnostics: Diagnostics
) -> dict[str, Type]:
    """Return the declared scalar types by their names; report what makes no sense."""
    resolver = _Refined(diagnostics)
    return {
        str(name): resolver.resolve(name, each)
        for name, each in declared.items()
        if not is_several(each)
    }


def is_several(declared: type_model.RefinedType) -> bool:
    """Return whether a declared type is one of collections."""
    return declared.type.strip().endswith("]")


def given_limits(declared: type_model.RefinedType) -> dict[str, Text]:
    """Return the limits that a declared type gives, by their keys."""
    found = {
        field.name: getattr(declared, field.name)
        for field in fields(type_model.RefinedType)
        if field.name not in _NO_LIMITS
    }
    return {name: value for name, value in found.items() if value is not None}


def integer_of(text: Text | None, diagnostics: Diagnostics) -> int | None:
    """Return an integer of the file; None, with an error reported, for what is none."""
    if text is None:
        return None
    if not _INTEGER.fullmatch(text) or not INT_MIN <= int(text) <= INT_MAX:
        message = f"expected an integer from {INT_MIN} to {INT_MAX}, found {str(text)[:60]!r}"
        diagnostics.add(text.mark, "wrong-type", message)
        return None
    return int(text)


def id_limits(
    declared: dict[TypeName, type_model.IdType], diagnostics: Diagnostics
) -> dict[str, IdForm]:
    """Return the forms of the identifiers that are no UUIDs, by the names of their types."""
    found = {}
    for name, each in declared.items():
        if each.type is not None and _is_number(each, each.type, diagnostics):
            found[str(name)] = IdForm()
        if each.type is not None or (each.prefix is None and each.pattern is None):
            continue
        prefix = str(each.prefix or "")
        pattern = each.pattern
        if pattern is not None and not is_pattern(pattern, diagnostics):
            continue
        form = IdForm(prefix, str(pattern or re.escape(prefix) + _ANY_ID))
        _check_made(name, form, (pattern or each.prefix or name).mark, diagnostics)
        found[str(name)] = form
    return found


def _is_number(declared: type_model.IdType, type: Text, diagnostics: Diagnostics) -> bool:
    """Return whether identifiers are integers, and report what cannot be their type."""
    if str(type) not in ("int", "UUID"):
        message = f"an identifier is a UUID, an int, or a text with a prefix, not {str(type)!r}"
        hint = "write UUID or int, or `prefix` or `pattern` without a type"
        diagnostics.add(type.mark, "unknown-type", message, hint)
    for key in (declared.prefix, declared.pattern):
        if key is not None:
            message = f"identifiers of type {type} have neither prefix nor pattern"
            diagnostics.add(key.mark, "unknown-key", message, "remove it, or remove `type`")
    return str(type) == "int"


def _check_made(name: TypeName, form: IdForm, mark: Location, diagnostics: Diagnostics) -> None:
    """Report an identifier that a registry or a supervisor makes, and the pattern refuses."""
    if len(form.prefix) + _DIGITS_MADE > ID_MAX:
        message = f"{name}.new() makes {len(form.prefix) + _DIGITS_MADE} characters"
        hint = f"an identifier has at most {ID_MAX}: shorten the prefix"
        diagnostics.add(mark, "wrong-shape", message, hint)
        return
    compiled = re.compile(form.pattern)
    for digits in _made():
        if compiled.fullmatch(form.prefix + digits) is None:
            made = (form.prefix + digits)[:60]
            message = f"{name}.new() can make {made!r}, which the pattern does not accept"
            hint = f"accept {form.prefix[:60]!r} with any 32 hexadecimal digits behind it"
            diagnostics.add(mark, "wrong-shape", message, hint)
            return


@cache
def _made() -> tuple[str, ...]:
    """Return digits as identifiers have them: each digit at each place, and many mixtures."""
    bases = ["".join(islice(cycle(_DIGITS), first, first + _DIGITS_MADE)) for first in (0, 7)]
    found = [each * _DIGITS_MADE for each in _DIGITS]
    for base in bases:
        for place in range(_DIGITS_MADE):
            found += [base[:place] + digit + base[place + 1 :] for digit in _DIGITS]
    mixed = random.Random(0)
    found += ["".join(mixed.choices(_DIGITS, k=_DIGITS_MADE)) for _ in range(_TRIED)]
    return (*bases, *found)


def is_pattern(text: Text, diagnostics: Diagnostics) -> bool:
    """Return whether a text is a regular expression of Python; report it if it is none."""
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        message = f"{str(text)[:60]!r} is no regular expression: {error}"
        diagnostics.add(text.mark, "wrong-shape", message)
        return False
    return True


class _Refined:
    def __init__(self, diagnostics: Diagnostics) -> None:
        self._diagnostics = diagnostics

    def resolve(self, name: TypeName, declared: type_model.RefinedType) -> Type:
        """Return one type; of what is wrong in it, the type as far as it makes sense."""
        kind = str(declared.type).strip()
        known = _KEYS.get(kind)
        if known is None:
            message = f"{name} limits {kind!r}, which has no limits to declare"
            hint = nearest(kind, _KEYS) or f"a type with limits is one of {', '.join(_KEYS)}"
            if kind.lower() in ("dict", "list", "set", "frozenset"):
                hint = "write dict[str, T], list[T] or frozenset[E], with the names of types"
            self._diagnostics.add(declared.type.mark, "unknown-type", message, hint)
            return SCALARS.get(kind, Type("unknown"))
        given = given_limits(declared)
        for key, value in given.items():
            if key not in known:
                message = f"the type {kind} has no {key}"
                hint = f"it has {' and '.join(known)}"
                self._diagnostics.add(value.mark, "unknown-key", message, hint)
        if not given:
            message = f"{name} has no limit, so it is the same as {kind}"
            hint = f"add {' or '.join(known)}, or write {kind} where {name} is used"
            self._diagnostics.add(declared.mark, "missing-key", message, hint)
        if kind == "Decimal":
            return Type("decimal", str(name), limits=self._decimal(name, declared))
        if kind == "bytes":
            return Type(kind, str(name), limits=self._bytes(name, declared))
        limits = self._range(name, declared) if kind == "int" else self._text(declared)
        return Type(kind, str(name), limits=limits)

    def _range(self, name: TypeName, declared: type_model.RefinedType) -> Limits:
        minimum, maximum = self._integer(declared.minimum), self._integer(declared.maximum)
        least, most = Type("int", limits=Limits(minimum, maximum)).range
        if least > most:
            message = f"{name} has no value: its minimum is {least}, its maximum {most}"
            hint = "without `minimum`, an int begins at 0" if minimum is None else ""
            self._diagnostics.add(declared.mark, "empty-range", message, hint)
            return Limits()
        return Limits(minimum, maximum)

    def _decimal(self, name: TypeName, declared: type_model.RefinedType) -> Limits:
        """Return the limits of a decimal number, in units of its last digit."""
        digits, places = self._integer(declared.digits), self._integer(declared.places)
        for key, text in (("digits", declared.digits), ("places", declared.places)):
            if text is None:
                message = f"{name} needs {key}: a Decimal says how exact it is"
                hint = "write digits: 12 and places: 2 for numbers up to 9999999999.99"
                self._diagnostics.add(declared.mark, "missing-key", message, hint)
        if digits is None or places is None:
            return Limits(0, 0, places=0)
        if not (1 <= digits <= DIGITS_MAX and 0 <= places <= digits):
            message = f"{name} has {digits} digits, and {places} of them behind the point"
            hint = f"a Decimal has 1 to {DIGITS_MAX} digits, some of them behind the point"
            self._diagnostics.add(declared.mark, "wrong-shape", message, hint)
            return Limits(0, 0, places=0)
        limit = 10**digits - 1
        least = self._units(declared.minimum, limit, places, 0)
        most = self._units(declared.maximum, limit, places, limit)
        if least > most:
            shown = (decimal_notation(each, places) for each in (least, most))
            message = "{} has no value: its minimum is {}, its maximum {}".format(name, *shown)
            hint = "without `minimum`, a Decimal begins at 0" if declared.minimum is None else ""
            self._diagnostics.add(declared.mark, "empty-range", message, hint)
        return Limits(least, most, places=places)

    def _units(self, text: Text | None, limit: int, places: int, default: int) -> int:
        """Return a number of the file in units of the last digit."""
        if text is None:
            return default
        units = decimal_units(str(text), places)
        if units is None or abs(units) > limit:
            most = decimal_notation(limit, places)
            message = f"expected a number from -{most} to {most}, found {str(text)[:60]!r}"
            self._diagnostics.add(text.mark, "wrong-type", message)
            return default
        return units

    def _bytes(self, name: TypeName, declared: type_model.RefinedType) -> Limits:
        if declared.max_length is None:
            message = f"{name} needs max_length, the greatest number of bytes"
            self._diagnostics.add(declared.mark, "missing-key", message, "add `max_length`")
        return Limits(max_length=self._length(declared) or 1)

    def _length(self, declared: type_model.RefinedType) -> int | None:
        length = self._integer(declared.max_length)
        if length is not None and not 1 <= length <= TEXT_MAX:
            assert declared.max_length is not None
            message = f"expected a length from 1 to {TEXT_MAX}, found {length}"
            self._diagnostics.add(declared.max_length.mark, "wrong-shape", message)
        return length

    def _text(self, declared: type_model.RefinedType) -> Limits:
        length = self._length(declared)
        pattern, example = declared.pattern, declared.example
        if pattern is not None and not is_pattern(pattern, self._diagnostics):
            return Limits(max_length=length)
        limits = Limits(None, None, length, str(pattern or ""), example=str(example or ""))
        if pattern is not None and example is None:
            message = "a pattern needs an example, which generated tests use"
            self._diagnostics.add(pattern.mark, "missing-key", message, "add `example`")
        elif example is not None and not limits.accepts(example):
            message = f"the example {str(example)[:60]!r} is no value of the type"
            self._diagnostics.add(example.mark, "wrong-type", message)
        return limits

    def _integer(self, text: Text | None) -> int | None:
        return integer_of(text, self._diagnostics)
