"""Stage 2, parse: a tree of nodes to the classes of `model`, which are the grammar.

Each error is reported at its location and parsing continues, so that one run reports all errors.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Iterable
from typing import TypeVar

import attrs

from opslifecycle_codegen.base.diagnostics import (
    Diagnostics,
    InvalidMachineError,
    Location,
)
from opslifecycle_codegen.base.reserved_words import ANYWHERE
from opslifecycle_codegen.base.spellings import key_hint, pascal_case, snake_case
from opslifecycle_codegen.source import command_model, model
from opslifecycle_codegen.source.descriptions import described
from opslifecycle_codegen.source.reader import Mapping, Node, Scalar, Sequence
from opslifecycle_codegen.source.words import (
    UNLESS,
    Declared,
    Expr,
    GuardUse,
    Name,
    NameList,
    Number,
    OneOrMore,
    Text,
    TypeName,
)

T = TypeVar("T")
TextT = TypeVar("TextT", bound=Text)

#: The longest declared name.
NAME_MAX = 48
NAME_PATTERN = f"[a-z][a-z0-9_]{{0,{NAME_MAX - 1}}}"
TYPE_NAME_PATTERN = f"[A-Z][A-Za-z0-9]{{0,{NAME_MAX - 1}}}"
_NAME = re.compile(NAME_PATTERN)
_TYPE_NAME = re.compile(TYPE_NAME_PATTERN)


def is_name(text: str) -> bool:
    """Return whether a text can be the name of a field or method."""
    return _NAME.fullmatch(text) is not None and text not in ANYWHERE


class _Missing:
    """The value of a node with a reported error; it passes every further check."""


_MISSING = _Missing()


def parse(root: Mapping, diagnostics: Diagnostics) -> model.Machine:
    """Return the machine that a tree declares; raises InvalidMachineError for errors."""
    machine = _Parser(diagnostics).declared(root, model.Machine, "a machine")
    if not isinstance(machine, model.Machine):
        raise InvalidMachineError(diagnostics.findings)
    return machine


class _Parser:
    def __init__(self, diagnostics: Diagnostics) -> None:
        self._diagnostics = diagnostics

    def value(self, node: Node, kind: object, what: str) -> object:
        """Return a node parsed as `kind`, an annotation of a field in `model`."""
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin in (types.UnionType, typing.Union) and type(None) in arguments:
            kind = next(each for each in arguments if each is not type(None))
            return self.value(node, kind, what)
        if kind == Node:
            return node
        if origin is dict:
            key_kind, value_kind = arguments
            return self._dict(node, key_kind, value_kind, what)
        if origin is list:
            return self._list(node, arguments[0], what)
        if kind is NameList:
            return self._name_list(node, what)
        if kind is command_model.Refusal:
            return self._refusal(node, what)
        if kind is GuardUse:
            return self._guard_use(node, what)
        if kind is bool:
            return self._literal(node, what, "true or false", {"true": True, "false": False})
        if kind is int:
            return self._integer(node, what, "[0-9]{1,18}", "a whole number")
        if kind is Number:
            return self._integer(node, what, "-?[0-9]{1,19}", "an integer")
        assert isinstance(kind, type), "the grammar has no other annotations"
        if issubclass(kind, OneOrMore):
            return self._one_or_more(node, kind, what)
        if issubclass(kind, Declared):
            return self.declared(node, kind, what)
        assert issubclass(kind, Text)
        return self._text(node, kind, what)

    def declared(self, node: Node, kind: type[Declared], what: str) -> object:
        """Return a mapping parsed as a class of `model`, whose fields are the keys."""
        short = next((each for each in _fields(kind) if each[0] == kind.shorthand), None)
        if short is not None and isinstance(node, _SHORT.get(typing.get_origin(short[1]), Scalar)):
            name, annotation, _ = short
            return self._made(kind, node.mark, {name: self.value(node, annotation, what)})
        if not isinstance(node, Mapping):
            return self._wrong(node, f"{what}: expected a mapping")
        values: dict[str, object] = {}
        others: dict[str, Node] = {}
        unknown: list[Scalar] = []
        spelled = {name.rstrip("_"): (name, hint) for name, hint, rest in _fields(kind) if not rest}
        rest = next((name for name, _, is_rest in _fields(kind) if is_rest), None)
        for key, child in node.items:
            if key.text in spelled:
                name, annotation = spelled[key.text]
                values[name] = self.value(child, annotation, key.text)
            elif rest is not None:
                word = self._text(key, Name, "a property")
                if isinstance(word, _Missing):
                    return word
                others[word] = child
                values[rest] = others
            else:
                unknown.append(key)
        missing = [
            field.name
            for field in attrs.fields(kind)
            if _is_mandatory(field, values) and field.name not in (*values, "mark")
        ]
        self._report_keys(node, what, kind, unknown, missing)
        return self._made(kind, node.mark, {**values, **dict.fromkeys(missing, _MISSING)})

    def _report_keys(
        self, node: Mapping, what: str, kind: type[Declared], unknown: list[Scalar],
        missing: list[str],
    ) -> None:  # fmt: skip
        """Report unknown and missing keys: once for a key that is spelled in another way."""
        known = {name.rstrip("_"): hint for name, hint, rest in _fields(kind) if not rest}
        lacking = [name.rstrip("_") for name in missing]
        hints = [(key, key_hint(key.text, known)) for key in unknown]
        meant = [n for n in lacking if any(hint == f"did you mean {n!r}?" for _, hint in hints)]
        left = [each for each in lacking if each not in meant]
        if unknown and not meant and len(left) == 1 and typing.get_origin(known[left[0]]) is dict:
            inside = ", ".join(repr(key.text) for key in unknown[:3])
            message = f"{what} lacks the key {left[0]!r}"
            self._diagnostics.add(node.mark, "missing-key", message, f"put {inside} under it")
            return
        for key, hint in hints:
            message = f"{what} has no key {key.text!r}"
            self._diagnostics.add(key.mark, "unknown-key", message, hint)
        for each in left:
            message = f"{what} lacks the key {each!r}"
            hint = f"add `{each}`: {described(kind).get(each, '')}"
            self._diagnostics.add(node.mark, "missing-key", message, hint)

    def _made(
        self, kind: Callable[..., object], mark: Location, values: dict[str, object]
    ) -> object:
        if any(value is _MISSING for value in values.values()):
            return _MISSING
        return kind(mark=mark, **values)

    def _dict(
        self, node: Node, key_kind: type[TextT], value_kind: object, what: str
    ) -> dict[TextT | _Missing, object] | _Missing:
        if not isinstance(node, Mapping):
            return self._wrong(node, f"{what}: expected a mapping")
        result: dict[TextT | _Missing, object] = {}
        for key, child in node.items:
            word = self._text(key, key_kind, f"a key of {what}")
            result[word] = self.value(child, value_kind, f"{key.text}" if key.text else what)
        if any(word is _MISSING or value is _MISSING for word, value in result.items()):
            return _MISSING
        return result

    def _list(self, node: Node, kind: object, what: str) -> list[object] | _Missing:
        if not isinstance(node, Sequence):
            return self._wrong(node, f"{what}: expected a list")
        result = [self.value(item, kind, what) for item in node.items]
        if kind in (Name, GuardUse):
            result = self._without_repeats(result)
        return _MISSING if any(value is _MISSING for value in result) else result

    def _name_list(self, node: Node, what: str) -> NameList | _Missing:
        if isinstance(node, Mapping):
            return self._wrong(node, f"{what}: expected a list")
        items = node.items if isinstance(node, Sequence) else [node]
        words = [self._text(item, Name, what) for item in items]
        names = [word for word in words if not isinstance(word, _Missing)]
        return NameList(self._without_repeats(names)) if len(names) == len(words) else _MISSING

    def _without_repeats(self, words: Iterable[T]) -> list[T]:
        """Return names once each; report those that occur again, which has no meaning."""
        first: dict[object, T] = {}
        for word in words:
            given = word.arguments.items() if isinstance(word, GuardUse) else ()
            if first.setdefault((word, *given), word) is not word and isinstance(word, Name):
                message = f"the name {str(word)!r} occurs twice in the list"
                self._diagnostics.add(word.mark, "yaml-duplicate", message, "remove one of them")
        return list(first.values())

    def _one_or_more(
        self, node: Node, kind: type[OneOrMore[Declared]], what: str
    ) -> OneOrMore[Declared] | _Missing:
        items = node.items if isinstance(node, Sequence) else [node]
        if not items:
            return self._wrong(node, f"{what}: expected at least one")
        found = [self.declared(item, kind.item, what) for item in items]
        made = [each for each in found if isinstance(each, Declared)]
        return kind(made) if len(made) == len(found) else _MISSING

    def _refusal(self, node: Node, what: str) -> object:
        if isinstance(node, Scalar):
            name = self._text(node, Name, what)
            return self._made(command_model.Refusal, node.mark, {"name": name})
        if not isinstance(node, Mapping) or len(node.items) != 1:
            return self._wrong(node, f"{what}: expected an error, or an error with its fields")
        key, child = node.items[0]
        name = self._text(key, Name, what)
        fields = self._dict(child, Name, Expr, key.text)
        return self._made(command_model.Refusal, key.mark, {"name": name, "fields": fields})

    def _guard_use(self, node: Node, what: str) -> GuardUse | _Missing:
        """Return a use of a guard: its name, or a mapping of its name to its arguments."""
        key, arguments = node, None
        if isinstance(node, Mapping):
            if len(node.items) != 1:
                return self._wrong(node, f"{what}: expected a guard, or a guard with its arguments")
            key, child = node.items[0]
            arguments = self._dict(child, Name, Expr, key.text)
        name = self._text(key, Name, what)
        if isinstance(name, _Missing) or isinstance(arguments, _Missing):
            return _MISSING
        given = typing.cast("dict[Name, Expr] | None", arguments)
        return GuardUse(name, name.mark, precise=name.precise, arguments=given)

    def _text(self, node: Node, kind: type[TextT], what: str) -> TextT | _Missing:
        if not isinstance(node, Scalar):
            alone = isinstance(node, Sequence) and len(node.items) == 1
            hint = "leave out the brackets, or the dash" if alone else ""
            if kind is Expr and not node.items:
                empty = "{}" if isinstance(node, Mapping) else "[]"
                hint = f"quote an empty collection: '{empty}'"
            return self._wrong(node, f"{what}: expected a single value", hint)
        text = node.text
        if kind in (Name, TypeName) and len(text) > NAME_MAX:
            message = f"{what}: {text[:NAME_MAX]!r}… has {len(text)} characters"
            hint = f"a name has at most {NAME_MAX}"
            self._diagnostics.add(node.mark, "long-name", message, hint)
            return _MISSING
        if kind is Name and not _NAME.fullmatch(text):
            message = f"{what}: {text[:60]!r} is not a snake_case name"
            return self._wrong(node, message, snake_case(text))
        if kind is TypeName and not _TYPE_NAME.fullmatch(text):
            message = f"{what}: {text[:60]!r} is not a PascalCase name"
            return self._wrong(node, message, pascal_case(text))
        if kind in (Name, TypeName) and text in ANYWHERE:
            message = f"{what}: {text!r} is reserved by Python, so it cannot be a name"
            self._diagnostics.add(node.mark, "reserved-name", message, "choose another")
            return _MISSING
        if not text.strip():
            return self._wrong(node, f"{what}: expected a value")
        return kind(text, node.mark, precise=node.plain and node.one_line)

    def _literal(
        self, node: Node, what: str, expected: str, values: dict[str, bool]
    ) -> bool | _Missing:
        if isinstance(node, Scalar) and node.plain and node.text in values:
            return values[node.text]
        return self._wrong(node, f"{what}: expected {expected}")

    def _integer(self, node: Node, what: str, form: str, expected: str) -> int | _Missing:
        if isinstance(node, Scalar) and node.plain and re.fullmatch(form, node.text):
            return int(node.text)
        return self._wrong(node, f"{what}: expected {expected}")

    def _wrong(self, node: Node, message: str, hint: str = "") -> _Missing:
        self._diagnostics.add(node.mark, "wrong-shape", message, hint)
        return _MISSING


#: The nodes that may stand for a class by its shorthand, by what the field holds; else a scalar.
_SHORT: dict[object, type[Scalar | Sequence]] = {list: Sequence}


def _is_mandatory(field: attrs.Attribute[object], given: typing.Container[str]) -> bool:
    """Return whether a declaration needs a field, given the names of those that it has."""
    other = field.metadata.get(UNLESS)
    return field.default is attrs.NOTHING or (other is not None and other not in given)


#: The fields of each class of the grammar that are keys.
_FIELDS: dict[type, list[tuple[str, object, bool]]] = {}


def _fields(kind: type[Declared]) -> list[tuple[str, object, bool]]:
    """Return name and annotation of each field that is a key, and whether it holds other keys."""
    if kind not in _FIELDS:
        hints = typing.get_type_hints(kind)
        _FIELDS[kind] = [
            (field.name, hints[field.name], bool(field.metadata.get("rest")))
            for field in attrs.fields(kind)
            if field.name != "mark"
        ]
    return _FIELDS[kind]
