"""Stage 2, parse: the tree of nodes to the classes of `model`, which are the grammar.

Every mistake is reported at its place and parsing goes on, so that one run shows them all.
"""

from __future__ import annotations

import re
import types
import typing
from functools import cache
from typing import Any

import attrs

from opslifecycle_codegen.base.diagnostics import (
    Diagnostics,
    InvalidMachineError,
    Location,
    nearest,
)
from opslifecycle_codegen.base.reserved_words import ANYWHERE
from opslifecycle_codegen.source import model
from opslifecycle_codegen.source.reader import Mapping, Node, Scalar, Sequence
from opslifecycle_codegen.source.words import Declared, Expr, Name, NameList, TypeName

NAME_PATTERN = "[a-z][a-z0-9_]*"
TYPE_NAME_PATTERN = "[A-Z][A-Za-z0-9]*"
_NAME = re.compile(NAME_PATTERN)
_TYPE_NAME = re.compile(TYPE_NAME_PATTERN)


def is_name(text: str) -> bool:
    """Return whether a text can be the name of a field or method."""
    return _NAME.fullmatch(text) is not None and text not in ANYWHERE


class _Missing:
    """Stands where a mistake was reported; it fails no further check."""


_MISSING: Any = _Missing()


def parse(root: Mapping, diagnostics: Diagnostics) -> model.Machine:
    """Return the machine that a tree declares; raises InvalidMachineError if it declares none."""
    machine = _Parser(diagnostics).declared(root, model.Machine, "a machine")
    if not isinstance(machine, model.Machine):
        raise InvalidMachineError(diagnostics.findings)
    return machine


class _Parser:
    def __init__(self, diagnostics: Diagnostics) -> None:
        self._diagnostics = diagnostics

    def value(self, node: Node, kind: Any, what: str) -> Any:
        """Return a node read as `kind`, an annotation of a field in `model`."""
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin in (types.UnionType, typing.Union) and type(None) in arguments:
            kind = next(each for each in arguments if each is not type(None))
            return self.value(node, kind, what)
        if kind == Node:
            return node
        if origin is dict:
            return self._dict(node, arguments, what)
        if origin is list:
            return self._list(node, arguments[0], what)
        if kind is NameList:
            items = Sequence(node.mark, [node]) if isinstance(node, Scalar) else node
            words = self._list(items, Name, what)
            return words if words is _MISSING else NameList(words)
        if kind is model.Refusal:
            return self._refusal(node, what)
        if kind is bool:
            return self._literal(node, what, "true or false", {"true": True, "false": False})
        if kind is int:
            return self._whole_number(node, what)
        if issubclass(kind, Declared):
            return self.declared(node, kind, what)
        return self._text(node, kind, what)

    def declared(self, node: Node, kind: Any, what: str) -> Any:
        """Return a mapping read as a class of `model`; its fields are the keys."""
        if kind.shorthand and isinstance(node, Scalar):
            name, annotation = next(
                (name, annotation)
                for name, annotation, _ in _fields(kind)
                if name == kind.shorthand
            )
            return self._made(kind, node.mark, {name: self.value(node, annotation, what)})
        if not isinstance(node, Mapping):
            return self._wrong(node, f"{what}: expected a mapping")
        values: dict[str, Any] = {}
        spelled = {name.rstrip("_"): (name, hint) for name, hint, rest in _fields(kind) if not rest}
        rest = next((name for name, _, is_rest in _fields(kind) if is_rest), None)
        for key, child in node.items:
            if key.text in spelled:
                name, annotation = spelled[key.text]
                values[name] = self.value(child, annotation, key.text)
            elif rest is not None:
                word = self._text(key, Name, "a property")
                if word is _MISSING:
                    return _MISSING
                values.setdefault(rest, {})[word] = child
            else:
                hint = nearest(key.text, spelled)
                message = f"{what} has no key {key.text!r}"
                self._diagnostics.add(key.mark, "unknown-key", message, hint)
        for field in attrs.fields(kind):
            key_name = field.name.rstrip("_")
            if field.default is attrs.NOTHING and field.name not in (*values, "mark"):
                message = f"{what} lacks the key {key_name!r}"
                self._diagnostics.add(node.mark, "missing-key", message)
                values[field.name] = _MISSING
        return self._made(kind, node.mark, values)

    def _made(self, kind: Any, mark: Location, values: dict[str, Any]) -> Any:
        if any(value is _MISSING for value in values.values()):
            return _MISSING
        return kind(mark=mark, **values)

    def _dict(self, node: Node, arguments: tuple[Any, ...], what: str) -> Any:
        key_kind, value_kind = arguments
        if not isinstance(node, Mapping):
            return self._wrong(node, f"{what}: expected a mapping")
        result = {}
        for key, child in node.items:
            word = self._text(key, key_kind, f"a key of {what}")
            result[word] = self.value(child, value_kind, f"{key.text}" if key.text else what)
        if any(word is _MISSING or value is _MISSING for word, value in result.items()):
            return _MISSING
        return result

    def _list(self, node: Node, kind: Any, what: str) -> Any:
        if not isinstance(node, Sequence):
            return self._wrong(node, f"{what}: expected a list")
        result = [self.value(item, kind, what) for item in node.items]
        return _MISSING if any(value is _MISSING for value in result) else result

    def _refusal(self, node: Node, what: str) -> Any:
        if isinstance(node, Scalar):
            name = self._text(node, Name, what)
            return _MISSING if name is _MISSING else model.Refusal(mark=node.mark, name=name)
        if not isinstance(node, Mapping) or len(node.items) != 1:
            return self._wrong(node, f"{what}: expected an error, or an error with its fields")
        key, child = node.items[0]
        name = self._text(key, Name, what)
        facts = self._dict(child, (Name, Expr), key.text)
        if name is _MISSING or facts is _MISSING:
            return _MISSING
        return model.Refusal(mark=key.mark, name=name, fields=facts)

    def _text(self, node: Node, kind: Any, what: str) -> Any:
        if not isinstance(node, Scalar):
            return self._wrong(node, f"{what}: expected a single value")
        text = node.text
        if kind is Name and not _NAME.fullmatch(text):
            return self._wrong(node, f"{what}: {text[:60]!r} is not a snake_case name")
        if kind is TypeName and not _TYPE_NAME.fullmatch(text):
            return self._wrong(node, f"{what}: {text[:60]!r} is not a PascalCase name")
        if kind in (Name, TypeName) and text in ANYWHERE:
            message = f"{what}: {text!r} is reserved by Python, so it cannot be a name"
            self._diagnostics.add(node.mark, "reserved-name", message, "choose another")
            return _MISSING
        if not text.strip():
            return self._wrong(node, f"{what}: expected a value")
        return kind(text, node.mark, precise=node.plain and node.one_line)

    def _literal(self, node: Node, what: str, expected: str, values: dict[str, Any]) -> Any:
        if isinstance(node, Scalar) and node.plain and node.text in values:
            return values[node.text]
        return self._wrong(node, f"{what}: expected {expected}")

    def _whole_number(self, node: Node, what: str) -> Any:
        if isinstance(node, Scalar) and node.plain and re.fullmatch(r"[0-9]{1,18}", node.text):
            return int(node.text)
        return self._wrong(node, f"{what}: expected a whole number")

    def _wrong(self, node: Node, message: str) -> Any:
        self._diagnostics.add(node.mark, "wrong-shape", message)
        return _MISSING


@cache
def _fields(kind: Any) -> list[tuple[str, Any, bool]]:
    """Name, annotation and whether it takes the rest, for each field that is a key."""
    hints = typing.get_type_hints(kind)
    return [
        (field.name, hints[field.name], bool(field.metadata.get("rest")))
        for field in attrs.fields(kind)
        if field.name != "mark"
    ]
