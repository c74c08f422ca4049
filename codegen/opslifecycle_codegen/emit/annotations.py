"""Annotations in classes whose members may have the names of Python's types."""

from __future__ import annotations

import re
from collections.abc import Collection

#: The alias of `builtins` in generated modules.
BUILTINS = "_b"

_NAMES = (
    "bool",
    "bytes",
    "classmethod",
    "dict",
    "float",
    "frozenset",
    "int",
    "list",
    "object",
    "str",
    "tuple",
    "type",
)
_TYPE = re.compile(rf"(?<![.\w])(?:{'|'.join(_NAMES)})\b(?!\s*:)")


def annotation(text: str, members: Collection[str]) -> str:
    """Return an annotation for a class with these members: `_b.int` if a member is called int."""
    return _TYPE.sub(
        lambda match: f"{BUILTINS}.{match[0]}" if match[0] in members else match[0], text
    )
