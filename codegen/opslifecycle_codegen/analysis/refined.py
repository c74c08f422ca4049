"""Stage 3, analyze, first half: scalar types that the machine gives a name and limits."""

from __future__ import annotations

import re

from attrs import fields

from opslifecycle_codegen.base.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.ir.types import INT_MAX, INT_MIN, SCALARS, Limits, Type
from opslifecycle_codegen.source import type_model
from opslifecycle_codegen.source.words import Text, TypeName

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
#: The keys that limit the values of a kind.
_KEYS = {"int": ("minimum", "maximum")}
_NO_LIMITS = ("type", "summary", "mark")


def refined_types(
    declared: dict[TypeName, type_model.RefinedType], diagnostics: Diagnostics
) -> dict[str, Type]:
    """Return the declared scalar types by their names; report what makes no sense."""
    resolver = _Refined(diagnostics)
    return {str(name): resolver.resolve(name, each) for name, each in declared.items()}


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
            self._diagnostics.add(declared.type.mark, "unknown-type", message, hint)
            return SCALARS.get(kind, Type("unknown"))
        given = self._given(declared)
        for key, value in given.items():
            if key not in known:
                message = f"the type {kind} has no {key}"
                hint = f"it has {' and '.join(known)}"
                self._diagnostics.add(value.mark, "unknown-key", message, hint)
        if not given:
            message = f"{name} has no limit, so it is the same as {kind}"
            hint = f"add {' or '.join(known)}, or write {kind} where {name} is used"
            self._diagnostics.add(declared.mark, "missing-key", message, hint)
        limits = self._range(name, declared)
        return Type(kind, str(name), limits=limits)

    def _given(self, declared: type_model.RefinedType) -> dict[str, Text]:
        found = {
            field.name: getattr(declared, field.name)
            for field in fields(type_model.RefinedType)
            if field.name not in _NO_LIMITS
        }
        return {name: value for name, value in found.items() if value is not None}

    def _range(self, name: TypeName, declared: type_model.RefinedType) -> Limits:
        minimum, maximum = self._integer(declared.minimum), self._integer(declared.maximum)
        least, most = Type("int", limits=Limits(minimum, maximum)).range
        if least > most:
            message = f"{name} has no value: its minimum is {least}, its maximum {most}"
            hint = "without `minimum`, an int begins at 0" if minimum is None else ""
            self._diagnostics.add(declared.mark, "empty-range", message, hint)
            return Limits()
        return Limits(minimum, maximum)

    def _integer(self, text: Text | None) -> int | None:
        if text is None:
            return None
        if not _INTEGER.fullmatch(text) or not INT_MIN <= int(text) <= INT_MAX:
            message = f"expected an integer from {INT_MIN} to {INT_MAX}, found {str(text)[:60]!r}"
            self._diagnostics.add(text.mark, "wrong-type", message)
            return None
        return int(text)
