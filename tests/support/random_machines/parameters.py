"""A random machine: guards whose parameters commands give a number or a field for."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.support.random_machines.building import Builder, Tree
from tests.support.random_machines.picking import Pick

_NUMBER = re.compile(r"(?<![\w.\"'(=-])([1-7])(?![\w.\"'])")


def add_parameters(b: Builder, pick: Pick) -> None:
    """Put a parameter in place of a number or a field that a guard reads."""
    for name, guard in b.tree["guards"].items():
        if "let" in guard or not pick.chance(60):
            continue
        found = _read(b, guard["when"])
        if found is None or not list(_uses(b, name)):
            continue
        text, type = found
        param = b.words.name()
        whole = r"(?<![\w.])" if "." in text else r"(?<![\w.\"'(=-])"
        guard["when"] = re.sub(rf"{whole}{re.escape(text)}(?![\w.\"'])", param, guard["when"])
        guard["params"] = {param: type}
        for guards, place in list(_uses(b, name)):
            guards[place] = {name: {param: text}}
        b.has("guard with a parameter")


def _read(b: Builder, when: str) -> tuple[str, str] | None:
    """A number that a guard compares, or a whole number of its record, with its type."""
    for field, type in b.fields.items():
        path = f"{b.entity}.{field}"
        if type == "int" and re.search(rf"(?<![\w.]){re.escape(path)}(?![\w.])", when):
            return path, type
    found = _NUMBER.search(when)
    return (found[1], "int") if found is not None else None


def _uses(b: Builder, name: str) -> Iterator[tuple[list[str | Tree], int]]:
    """Each list with a guard, and its place there."""
    tree = b.tree
    commands = [tree["create"], *tree["actions"].values()]
    commands += [tree[key] for key in ("rollback", "erase", "watch") if key in tree]
    lists = [each["guards"] for each in commands if "guards" in each]
    for guards in (*lists, tree["global_guards"], tree["default_guards"]):
        for place, each in enumerate(guards):
            if each == name:
                yield guards, place
