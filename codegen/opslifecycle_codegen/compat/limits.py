"""Types with limits as locks spell them, and which of two holds the values of the other."""

from __future__ import annotations

import json
import re
from decimal import Decimal

from opslifecycle_codegen.ir.expr import Expression, Literal
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.several import SET
from opslifecycle_codegen.ir.types import Limits, Type

_SPELLED = re.compile(r"(\w+)(?:\((.*)\))?", re.DOTALL)
#: A list, whose elements may have any spelling. Sets differ by their elements alone.
_SEVERAL = re.compile(r"list of at most (\d+): (.*)", re.DOTALL)
#: A dict; the spelling of its keys is a JSON text.
_DICT = re.compile(r'dict of at most (\d+) by ("(?:[^"\\]|\\.)*"): (.*)', re.DOTALL)
_LIMIT = re.compile(r"(\w+)=(-?\d+)")
#: Behind the type of a field that data may leave out, because it has a default.
ABSENT = " | absent"
#: Behind the type of a field whose own fields stand in its place in JSON.
FLATTENED = " | flattened"


def spelled(type: Type) -> str:
    """Return a type as a lock spells it: what its values are, whatever it is called."""
    if type.optional:
        return f"{spelled(type.required)} | None"
    if type.several and type.inner is not None:
        limits = type.limits if type.kind != SET else None
        most = f" of at most {limits.max_length}" if limits is not None else ""
        keys = f" by {json.dumps(spelled(type.key))}" if type.key is not None else ""
        return f"{type.kind}{most}{keys}: {spelled(type.inner)}"
    if type.limits is None:
        return str(type)
    limits = type.limits
    given = [("minimum", limits.minimum), ("maximum", limits.maximum)]
    given += [("max_length", limits.max_length), ("places", limits.places)]
    inside = [f"{name}={value}" for name, value in given if value is not None]
    # Last, because a pattern may have any characters.
    inside += [f"pattern={limits.pattern}"] if limits.pattern else []
    return f"{type.kind}({', '.join(inside)})"


def initial_notation(tree: Expression) -> str:
    """Return an initial value; with more places in its type, a number is the same."""
    if isinstance(tree, Literal) and isinstance(tree.value, int) and tree.type.places:
        return f"{Decimal(tree.value).scaleb(-tree.type.places).normalize():f}"
    return notation(tree)


def bare(type: Type) -> str:
    """Return a type without its limits, as readers of a view see it."""
    if type.optional:
        return f"{bare(type.required)} | None"
    if type.several and type.inner is not None:
        key = f"{bare(type.key)}, " if type.key is not None else ""
        return f"{type.kind}[{key}{bare(type.inner)}]"
    return type.kind if type.limits is not None else str(type)


def widens(old: str, new: str) -> bool:
    """Return whether every value of a type, as it was spelled, is one of another."""
    for suffix in (ABSENT, " | None"):
        if new.endswith(suffix):
            new, old = new.removesuffix(suffix), old.removesuffix(suffix)
    several = [_SEVERAL.fullmatch(each) for each in (old, new)]
    if several[0] is not None and several[1] is not None:
        (length, inner), (longer, wider) = (each.groups() for each in several if each is not None)
        return int(length) <= int(longer) and widens(inner, wider)
    dicts = [_DICT.fullmatch(each) for each in (old, new)]
    if dicts[0] is not None and dicts[1] is not None:
        (length, key, inner), (longer, wide, wider) = (each.groups() for each in dicts if each)
        holds = widens(json.loads(key), json.loads(wide)) and widens(inner, wider)
        return int(length) <= int(longer) and holds
    before, after = _read(old), _read(new)
    if before is None or after is None or before.kind != after.kind:
        return old == new
    if before.kind in ("str", "bytes"):
        return _holds_texts(before.limits or Limits(), after.limits or Limits())
    if before.kind not in ("int", "decimal"):
        return old == new
    (least, most), (lower, upper) = before.range, after.range
    # A number of fewer places is one of more, in smaller units.
    units = 10 ** max(0, after.places - before.places)
    return after.places >= before.places and lower <= least * units and most * units <= upper


def _holds_texts(old: Limits, new: Limits) -> bool:
    """Return whether texts of some limits keep others; patterns are only compared."""
    short = new.max_length is None or (
        old.max_length is not None and old.max_length <= new.max_length
    )
    return short and new.pattern in ("", old.pattern)


def _read(text: str) -> Type | None:
    found = _SPELLED.fullmatch(text)
    if found is None:
        return None
    kind, inside = found.groups()
    before, _, pattern = (inside or "").partition("pattern=")
    given = {name: int(value) for name, value in _LIMIT.findall(before)}
    limits = Limits(
        given.get("minimum"),
        given.get("maximum"),
        given.get("max_length"),
        pattern,
        given.get("places"),
    )
    return Type(kind, limits=limits)
