"""What newcomers write, and what the machine language calls it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from opslifecycle_codegen.base.diagnostics import nearest

#: Keys of other notations for state machines, each with the keys that mean the same here.
_KEYS = {
    "states": ["statuses", "members"], "state": ["status"], "final": ["terminal"],
    "end": ["terminal"], "is_final": ["terminal"], "transitions": ["actions"],
    "events": ["actions"], "commands": ["actions"], "parameters": ["params"],
    "args": ["params"], "arguments": ["params"], "condition": ["when", "guards"],
    "guard": ["guards", "when"], "description": ["summary"], "doc": ["summary"],
    "docstring": ["summary"], "target": ["to"], "destination": ["to"], "source": ["from"],
    "name": ["machine", "method"], "timeout": ["after"], "timers": ["after"],
    "attributes": ["fields"], "properties": ["fields"], "assign": ["update"], "set": ["update"],
    "updates": ["update"], "default": ["initial"], "init": ["initial", "create"],
    "message": ["summary"], "on": ["actions", "from"], "exceptions": ["errors"],
    "identifiers": ["ids"], "values": ["members"], "store": ["recovery"],
    "min": ["minimum", "at_least"], "max": ["maximum"], "method": ["methods"],
}  # fmt: skip
#: Type names of other languages, with the notation of this one.
_TYPES = {
    "integer": "int", "count": "int", "number": "int or float", "long": "int", "double": "float",
    "string": "str", "text": "str", "boolean": "bool", "none": "X | None",
}  # fmt: skip
#: Operators of other languages, each with what Python writes.
_OPERATORS = {
    "&&": "and", "||": "or", "!=": "!=", "===": "==", "!": "not", "?": "… if … else …",
    "=": "==", "null": "None", "nil": "None",
}  # fmt: skip


def key_hint(key: str, known: Iterable[str]) -> str:
    """Return a hint with the key that `key` may stand for."""
    words = list(known)
    for meant in _KEYS.get(key, []):
        if meant in words:
            return f"did you mean {meant!r}?"
    return nearest(key, words)


def type_hint(word: str, known: Iterable[str]) -> str:
    """Return a hint with the notation of a type, or with a known type that is spelled alike."""
    usual = _TYPES.get(word.lower())
    if word.lower().startswith(("optional ", "optional[")):
        inner = word[9:].strip(" ]")
        usual = f"{_TYPES.get(inner, inner)} | None"
    if word == "Decimal":
        usual = "the name of a Decimal with digits and places, declared under `types`"
    if word.endswith("?"):
        usual = f"{_TYPES.get(word[:-1], word[:-1])} | None"
    return f"write {usual}" if usual else nearest(word, known)


def snake_case(text: str) -> str:
    """Return a hint with the snake_case name that a text resembles."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    name = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
    rule = "a name has a-z, 0-9 and _, and begins with a letter"
    return f"write {name}; {rule}" if re.fullmatch("[a-z].{,39}", name) else rule


def pascal_case(text: str) -> str:
    """Return a hint with the PascalCase name that a text resembles."""
    parts = re.split(r"[^A-Za-z0-9]+", text)
    name = "".join(part[:1].upper() + part[1:] for part in parts)
    rule = "a name of a class has letters and digits, and begins with a capital letter"
    return f"write {name}; {rule}" if re.fullmatch("[A-Z].{,39}", name) else rule


def operator_hint(text: str) -> str:
    """Return a hint with the Python form of an operator that Python does not have."""
    for other, python in _OPERATORS.items():
        spelled = re.escape(other)
        pattern = rf"\b{spelled}\b" if other.isalpha() else rf"(?<![=!<>&|]){spelled}(?![=&|])"
        if other != python and re.search(pattern, text):
            return f"expressions are Python's: write `{python}` in place of `{other}`"
    return "expressions are Python's, such as: record.amount >= 50 and record.note is not None"
