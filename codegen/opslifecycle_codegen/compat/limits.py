"""Types with limits as locks spell them, and which of two holds the values of the other."""

from __future__ import annotations

import re

from opslifecycle_codegen.ir.types import Limits, Type

_SPELLED = re.compile(r"(\w+)(?:\((.*)\))?")
_LIMIT = re.compile(r"(\w+)=(-?\d+)")


def spelled(type: Type) -> str:
    """Return a type as a lock spells it: what its values are, whatever it is called."""
    if type.optional:
        return f"{spelled(type.required)} | None"
    if type.limits is None:
        return str(type)
    limits = type.limits
    given = (("minimum", limits.minimum), ("maximum", limits.maximum))
    inside = ", ".join(f"{name}={value}" for name, value in given if value is not None)
    return f"{type.kind}({inside})"


def bare(type: Type) -> str:
    """Return a type without its limits, as readers of a view see it."""
    if type.optional:
        return f"{bare(type.required)} | None"
    return type.kind if type.limits is not None else str(type)


def widens(old: str, new: str) -> bool:
    """Return whether every value of a type, as it was spelled, is one of another."""
    if new.endswith(" | None"):
        new = new.removesuffix(" | None")
        old = old.removesuffix(" | None")
    before, after = _read(old), _read(new)
    if before is None or after is None or before.kind != after.kind:
        return old == new
    if before.kind != "int":
        return old == new
    (least, most), (lower, upper) = before.range, after.range
    return lower <= least and most <= upper


def _read(text: str) -> Type | None:
    found = _SPELLED.fullmatch(text)
    if found is None:
        return None
    kind, inside = found.groups()
    given = {name: int(value) for name, value in _LIMIT.findall(inside or "")}
    return Type(kind, limits=Limits(**given))
