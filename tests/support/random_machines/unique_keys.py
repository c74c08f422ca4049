"""Unique keys of a random machine, and what of them is compared."""

from __future__ import annotations

from typing import Any

from opslifecycle_codegen.ir.program import Program, UniqueKey

from tests.support.random_machines.building import Builder
from tests.support.random_machines.picking import Pick
from tests.support.random_machines.values import Values


def add_keys(b: Builder, pick: Pick) -> None:
    """Add unique keys of fields that begin with a value and are mostly never updated."""
    if not pick.chance(30):
        return
    updated = {str(key) for part in _updates(b.tree) for key in part}
    scalars = {"str", "int", "bool", "datetime", b.id, *b.shapes.ids, *b.shapes.enums}
    scalars |= {*b.shapes.numbers, *b.shapes.texts}
    begun = [
        name for name, field in b.tree["fields"].items()
        if "initial" in field and str(b.fields.get(name, "")).removesuffix(" | None") in scalars
    ]  # fmt: skip
    constant = [name for name in begun if f"{b.entity}.{name}" not in updated]
    fields = pick.some(constant if pick.chance(95) else begun, 2)
    if not fields:
        return
    name = b.words.name()
    b.tree["errors"]["key_held"] = {
        "class": b.words.type("Error"), "fields": {"holder": b.id}, "message": "{holder} has it",
    }  # fmt: skip
    among = pick.one([{}, {"among": "live"}, {"among": "all"}])
    b.tree["unique"] = {
        name: {
            "summary": b.words.text(), "fields": fields,
            "error": {"key_held": {"holder": "existing"}}, **among,
        }
    }  # fmt: skip
    b.has("unique: live" if among == {"among": "live"} else "unique: all")


def add_parent(b: Builder, pick: Pick) -> None:
    """Add a parent, which every method that creates a record is told, or mostly."""
    if not pick.chance(20):
        return
    name, create = b.words.name(), b.tree["create"]
    type = f"{b.id} | None" if pick.chance(80) else b.id
    create["params"][name] = type
    for words in create["methods"].values():
        if type == b.id or pick.chance(80):
            words.append(name)
    b.tree["fields"][name] = {"type": type, "initial": name}
    b.fields[name] = type
    b.tree["errors"]["without_parent"] = {
        "class": b.words.type("Error"), "fields": {"parent": type}, "message": "no {parent}",
    }  # fmt: skip
    b.tree["parent"] = {"field": name, "error": {"without_parent": {"parent": name}}}
    b.has("parent" if type != b.id else "parent of each")


def _updates(tree: Any) -> Any:
    if isinstance(tree, dict):
        for key, inner in tree.items():
            if key == "update" and isinstance(inner, dict):
                yield inner
            yield from _updates(inner)
    elif isinstance(tree, list):
        for inner in tree:
            yield from _updates(inner)


def held(program: Program, key: UniqueKey, records: list[Any], wanted: tuple[Any, ...]) -> Any:
    """The record that holds a key in a state, or None."""
    places = [list(program.symbols.entity_fields).index(name) for name in key.fields]
    live = program.symbols.status_groups["live"]
    found = [
        each for each in records
        if tuple(each[place] for place in places) == wanted and (not key.of_live or each[1] in live)
    ]  # fmt: skip
    assert len(found) < 2, f"{key.name} is held twice"
    return found[0] if found else None


def samples(key: UniqueKey, values: Values) -> list[tuple[Any, ...]]:
    """Some keys."""
    types = [type.required for type in key.fields.values()]
    return [tuple(values.sample(type, number) for type in types) for number in range(2)]
