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


#: How a collection is declared, which has no name of its own in Python.
_COLLECTION = "`types` declares `Many: {{summary: …, type: '{}', max_length: …}}`"
#: What the language has in place of methods of Python's collections, with the value before the dot.
_METHODS = {
    ("without", "pop", "popitem"): "write without({0}, key)",
    ("update", "setdefault", "copy"): "write {0} | {{key: value}}",
    ("append", "extend", "insert"): "write {0} + [value]",
    ("add", "union"): "write {0} | {{member}}",
    (
        "remove",
        "discard",
        "difference",
    ): "write without({0}, key) of a dict, {0} - {{member}} of a set",
    ("intersection",): "write {0} & {{member}}",
    ("keys", "values", "items"): "write `key in {0}`, {0}.get(key, default) or len({0})",
    ("index", "count"): "write `value in {0}` or len({0})",
    ("clear",): "write {{}} for a dict without keys, [] for a list without elements",
}
_FUNCTIONS = {
    "sorted": "no expression orders: pages of a listing do",
    "dict": "write {}", "FrozenDict": "write {}", "list": "write []", "tuple": "write []",
    "set": "write frozenset() or {member}",
}  # fmt: skip


def method_hint(method: str, value: str) -> str:
    """Return what stands in place of a method of Python's collections; empty for another."""
    for methods, hint in _METHODS.items():
        if method in methods:
            return hint.format(value)
    return ""


def function_hint(name: str) -> str:
    """Return what stands in place of a function of Python; empty for another."""
    return _FUNCTIONS.get(name, "")


def type_hint(word: str, known: Iterable[str]) -> str:
    """Return a hint with the notation of a type, or with a known type that is spelled alike."""
    usual = _TYPES.get(word.lower())
    if word.lower().startswith(("optional ", "optional[")):
        inner = word[9:].strip(" ]")
        usual = f"{_TYPES.get(inner, inner)} | None"
    if word == "Decimal":
        usual = "the name of a Decimal with digits and places, declared under `types`"
    if word.lower().startswith(("list[", "set[", "frozenset[", "dict[")):
        usual = f"the name of a type: {_COLLECTION.format(word)}"
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
