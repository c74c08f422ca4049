"""The words for a field that is not declared, wherever something reads or sets it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from opslifecycle_codegen.ir.types import REGISTRY, Type


def missing_field(owner: Type, name: str, known: Iterable[str]) -> tuple[str, str]:
    """Return the message and the hint, which are the same in every place.

    Args:
        owner: The type of the record or of the registry.
        name: The name of the field.
        known: The names of its fields.
    """
    what, section = ("registry", "registry") if owner == REGISTRY else ("record", "fields")
    close = difflib.get_close_matches(name, list(known), n=1)
    meant = f"did you mean {close[0]!r}? If not, " if close else ""
    return f"the {what} has no field {name!r}", f"{meant}declare it under `{section}`"
