"""What random machines must have had among the accepted ones, so that a run says something."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from opslifecycle_codegen.emit.schema import schema

from tests.support.random_machines.building import Tree

#: Where fewer machines are accepted, the generator has lost touch with the language.
ACCEPTED_MIN = 0.25
FEATURES = [
    "always first", "barrier", "classifier", "collect", "classifier of the registry",
    "command for all", "command of the registry",
    "create: id within a value", "cursors", "deferred", "effect: of a step of an end",
    "effect: of an action", "effect: of an ending action", "effect: of create", "feed",
    "field: bool", "field: closed set", "field: datetime", "field: timedelta", "field: int",
    "field: int with a range", "field: float",
    "field: id",
    "field: optional", "field: str", "field: str with limits", "id: with a pattern",
    "id: an int", "id: an int of records", "field: Decimal", "field: bytes",
    "field: list", "field: frozenset", "field: dict", "list of values", "dict of values",
    "field: union", "field: value", "group", "guard",
    "guard with a parameter",
    "guard of create", "idempotent in", "initial value: constant",
    "initial value: constant of an optional field", "initial value: none of an optional field",
    "initial value: parameter", "initial value: parameter of an optional field",
    "initial value: path into a parameter", "initial value: registry field", "invariant",
    "label", "let", "listing", "long names", "pages", "method over several actions",
    "method over several actions: the only one of an action",
    "outcome of a union", "recovery: ends the interrupted",
    "recovery: ends some of the interrupted",
    "recovery: keeps some", "recovery: live records stay", "recovery: none", "registry field",
    "retention: beyond cursors", "retention: entries", "retention: held by cursors",
    "retention: records", "retention: archive", "rollback",
    "several targets", "target: from", "group: initial status", "milestone",
    "effect: entry", "effect: exit",
    "discard", "feed: counter", "feed: when", "feed: transitions", "feed: some actions",
    "feed: what an entry says of its transition", "history", "timer: after", "timer: at",
    "timer: moves itself",
    "region", "region: also", "region: while", "region: timer", "region: effects",
    "region: create without a status",
    "work", "work: given", "work: progress", "work: the whole value",
    "legal status: left out", "legal status: placed", "effect: of erase", "effect: of rollback",
    "erase", "setting",
    "several create methods",
    "parameter with a default", "parameter by name",
    "create method without a parameter that has a default",
    "stamped: created",
    "stamped: terminal", "time of a command", "status property", "step of an end: if",
    "step of an end: update",
    "action: returns", "method over several actions: returns",
    "step property", "update: bool", "update: closed set", "update: decrement",
    "parent", "unique: all", "unique: live", "update: increment", "update: str", "watch",
    "async registry", "rejected transaction",
    "cursor cache", "eventually", "field of a value: always",
    "field of a value: checked by a guard", "field of a value: default",
    "field of a value: json", "flatten", "members from a union", "members from actions", "names",
    "optional command", "optional method", "recovered as", "view field: json",
    *(f"expression: {form}" for form in (
        "%", "*", "+", "-", "//", "and", "comparison", "conditional", "is a variant",
        "Decimal", "collection", "datetime", "dict", "len", "part of a text", "membership", "min",
        "timedelta", "value of a key",
        "narrowing", "not", "or", "variant",
    )),
]  # fmt: skip
#: What is hostile may be refused, but it has to be tried.
HOSTILE = [
    "hostile: a built-in effect in the list", "hostile: a create method leaves out a parameter",
    "hostile: a create that may replace a record",
    "hostile: a guard tests the status itself", "hostile: a name", "hostile: a text",
]  # fmt: skip
#: Keys that no random machine has, each with what shows them instead.
NEVER_GENERATED = {
    "Machine.migrations": "a machine needs an earlier version of itself: tests/codegen",
    "Machine.scenarios": "it says how much is searched, and changes nothing of what is generated",
    "Work.call": "a later process makes the call again: tests/work",
    "Work.stop": "its work is asked to stop and goes on for a while: tests/work",
    "Work.time_out": "the timeout of its work passes: tests/work",
    "Machine.waivers": "the examination waives every judgement of the compiler",
    "Value.python": "the class stands in the program: the changed machines have one",
}


@cache
def _schema() -> dict[str, Any]:
    return schema()


def declared_keys() -> set[str]:
    """Every key that a machine file may have, behind the kind of thing that has it.

    What stands only within a section that is never generated is left out with it.
    """
    root = _schema()
    objects = {"Machine": root, **root["$defs"]}
    found: set[str] = set()
    waiting = ["Machine"]
    seen = set(waiting)
    while waiting:
        name = waiting.pop()
        for key, inner in _properties(objects[name]).items():
            found.add(f"{name}.{key}")
            if f"{name}.{key}" not in NEVER_GENERATED:
                more = set(re.findall(r"#/\$defs/(\w+)", json.dumps(inner))) - seen
                seen |= more
                waiting += more
    return found


def keys_of(tree: Tree) -> set[str]:
    """The keys of a machine, each behind the kind of thing that has it."""
    root = _schema()
    found: set[str] = set()
    _collect(tree, root, "Machine", root["$defs"], found)
    return found


def _properties(schema: dict[str, Any]) -> dict[str, Any]:
    for each in schema.get("anyOf", [schema]):
        if "properties" in each:
            return dict(each["properties"])
    return {}


def _collect(
    tree: Any, schema: dict[str, Any], name: str, all: dict[str, Any], found: set[str]
) -> None:
    for either in schema.get("anyOf", []):
        # One of something, or a list of them.
        if (either.get("type") == "array") is isinstance(tree, list) and "pattern" not in either:
            schema = either
            break
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        schema = all[name]
    properties = _properties(schema)
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key in properties:
                found.add(f"{name}.{key}")
            inner = properties.get(key) or schema.get("additionalProperties")
            if isinstance(inner, dict):
                _collect(value, inner, name, all, found)
    elif isinstance(tree, list) and "items" in schema:
        for value in tree:
            _collect(value, schema["items"], name, all, found)
