"""The JSON Schema of machine files, derived from the classes of the grammar."""

from __future__ import annotations

import types
import typing
from typing import TypeAlias

import attrs

from opslifecycle_codegen.source import command_model, model
from opslifecycle_codegen.source.descriptions import described
from opslifecycle_codegen.source.parser import NAME_PATTERN, TYPE_NAME_PATTERN
from opslifecycle_codegen.source.reader import Node
from opslifecycle_codegen.source.words import (
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

#: A JSON Schema, as JSON data.
Schema: TypeAlias = dict[str, object]

_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> Schema:
    """Return the schema of a machine file."""
    definitions: dict[str, Schema] = {}
    root = _Definitions(definitions).of(model.Machine)
    return {
        "$schema": _DRAFT,
        "title": "A machine of opslifecycle",
        **root,
        "$defs": definitions,
    }


class _Definitions:
    def __init__(self, definitions: dict[str, Schema]) -> None:
        self._definitions = definitions

    def of(self, kind: object) -> Schema:
        """Return the schema of an annotation of a field in `model`."""
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if kind == Node:
            return {}
        if origin in (types.UnionType, typing.Union):
            return self.of(next(each for each in arguments if each is not type(None)))
        if origin is dict:
            key, value = arguments
            pattern = self.of(key).get("pattern")
            names = {"propertyNames": {"pattern": pattern}} if pattern else {}
            return {"type": "object", **names, "additionalProperties": self.of(value)}
        if origin is list:
            return {"type": "array", "items": self.of(arguments[0])}
        if kind is NameList:
            name = self.of(Name)
            return {"anyOf": [name, {"type": "array", "items": name}]}
        if isinstance(kind, type) and issubclass(kind, OneOrMore):
            item = self.of(kind.item)
            return {"anyOf": [item, {"type": "array", "items": item, "minItems": 1}]}
        if kind is bool:
            return {"type": "boolean"}
        if kind is int:
            return {"type": "integer", "minimum": 0}
        if kind is Number:
            return {"type": "integer"}
        if kind in (command_model.Refusal, GuardUse):
            fields = {"type": "object", "additionalProperties": self.of(Expr)}
            one = {"type": "object", "minProperties": 1, "maxProperties": 1}
            return {"anyOf": [self.of(Name), {**one, "additionalProperties": fields}]}
        if isinstance(kind, type) and issubclass(kind, Declared):
            return self._declared(kind)
        return _text(kind)

    def _declared(self, kind: type[Declared]) -> Schema:
        if kind.__name__ not in self._definitions:
            self._definitions[kind.__name__] = {}
            self._definitions[kind.__name__] = self._object(kind)
        return {"$ref": f"#/$defs/{kind.__name__}"}

    def _object(self, kind: type[Declared]) -> Schema:
        hints, known = typing.get_type_hints(kind), described(kind)
        properties: dict[str, Schema] = {}
        required, rest = [], False
        for field in attrs.fields(kind):
            if field.name == "mark":
                continue
            if field.metadata.get("rest"):
                rest = True
                continue
            name = field.name.rstrip("_")
            properties[name] = {"description": known[name], **self.of(hints[field.name])}
            if field.default is attrs.NOTHING:
                required.append(name)
        found: Schema = {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": rest,
        }
        if kind.__doc__ and not kind.__doc__.startswith("Method generated"):
            found["description"] = kind.__doc__.strip().splitlines()[0]
        if kind.shorthand:
            return {"anyOf": [properties[kind.shorthand.rstrip("_")], found]}
        return found


def _text(kind: object) -> Schema:
    if kind is Name:
        return {"type": "string", "pattern": f"^{NAME_PATTERN}$"}
    if kind is TypeName:
        return {"type": "string", "pattern": f"^{TYPE_NAME_PATTERN}$"}
    if kind is Expr or kind is Text:
        # An editor validates a plain `true` or `1` as its YAML type.
        return {"type": ["string", "number", "boolean"]}
    return {"type": "string"}
