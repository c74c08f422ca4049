"""Annotations in the body of a class whose members may be called like Python's own types."""

from __future__ import annotations

import re
from collections.abc import Collection

#: What generated modules call the module of Python's own names.
BUILTINS = "_b"

_NAMES = ("bool", "classmethod", "dict", "float", "int", "list", "object", "str", "tuple", "type")
_TYPE = re.compile(rf"(?<![.\w])(?:{'|'.join(_NAMES)})\b(?!\s*:)")


def annotation(text: str, members: Collection[str]) -> str:
    """An annotation as a class with these members can have it: `_b.int` where one is called int."""
    return _TYPE.sub(
        lambda match: f"{BUILTINS}.{match[0]}" if match[0] in members else match[0], text
    )
