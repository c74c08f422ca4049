"""The words for what is missing wherever it is read: a field, or the value of one."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable

from opslifecycle_codegen.ir.types import REGISTRY, Type

#: What to do about a collection that may be None.
EMPTY_INSTEAD = "test `is not None` first, or declare it without `| None`: it can be empty"


def missing_field(owner: Type, name: str, known: Iterable[str]) -> tuple[str, str]:
    """Return the message and the hint, which are the same in every place.

    Args:
        owner: The type of the record or of the registry.
        name: The name of the field.
        known: The names of its fields.
    """
    what, section = ("registry", "registry") if owner == REGISTRY else ("record", "fields")
    if "[" in name:
        whole, _, key = name.rstrip("]").partition("[")
        hint = f"set {whole}, the whole field, to what it was, with `| {{{key}: value}}` behind it"
        return f"{name!r} is no field", hint
    close = difflib.get_close_matches(name, list(known), n=1)
    meant = f"did you mean {close[0]!r}? If not, " if close else ""
    return f"the {what} has no field {name!r}", f"{meant}declare it under `{section}`"


def none_hint(node: ast.expr, type: Type) -> str:
    """Return what to do about a value that may be None where none may; empty for another type."""
    if not type.optional:
        return ""
    text = ast.unparse(node)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and len(node.args) == 1:
        many, key = ast.unparse(node.func.value), ast.unparse(node.args[0])
        return (
            f"an absent key is None: write {many}.get({key}, default), or test `{text} is not None`"
            f" first; `{key} in {many}` is no such test"
        )
    return f"it may be None: test `{text} is not None` first"
