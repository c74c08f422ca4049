"""The machines of the repository, each with a few random changes in the tree of its file."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.random_machines.building import Tree
from tests.support.random_machines.picking import Pick

ROOT = Path(__file__).parents[3]
#: The large one comes last and least often: it takes as long as ten others.
MACHINES = {
    "lamp": "examples/lamp/machine/lamp.yaml",
    "approval": "examples/approval/machine/approval.yaml",
    "ops_lifecycle": "machine/ops_lifecycle.yaml",
    "fulfilment": "examples/fulfilment/machine/fulfilment.yaml",
}
_WEIGHTS = ["lamp", "lamp", "lamp", "approval", "approval", "ops_lifecycle"] * 4 + ["fulfilment"]
#: Operators of expressions, and what they may be changed into.
_OPERATORS = {
    " < ": " <= ", " <= ": " < ", " > ": " >= ", " >= ": " > ", " == ": " != ", " != ": " == ",
    " + ": " - ", " - ": " + ", " and ": " or ", " or ": " and ", " is not ": " is ",
    " is ": " is not ", " not in ": " in ", " in ": " not in ", "not ": "", "all(": "any(",
    "any(": "all(", "true": "false", "false": "true",
}  # fmt: skip
_TYPES = ["int", "bool", "str", "float", "int | None", "str | None"]
#: A place in a tree: the container, and the key in it.
Place = tuple[Any, Any]


@cache
def original(name: str) -> Tree:
    """Return a machine of the repository."""
    tree: Tree = yaml.safe_load((ROOT / MACHINES[name]).read_text(encoding="utf-8"))
    # How much of a machine is searched changes nothing of what it does.
    tree.pop("scenarios", None)
    return tree


#: Sections that the edits below look into.
_NEEDED = ("ids", "statuses", "actions", "guards", "create")


def mutated(number: int) -> tuple[Tree, frozenset[str]]:
    """Return a changed machine of the repository, and what was done to it."""
    pick = Pick(number)
    name = pick.one(_WEIGHTS)
    tree = copy.deepcopy(original(name))
    done = set()
    for _ in range(1 if pick.chance(60) else pick.integer(2, 3)):
        for _ in range(20):
            if not all(isinstance(tree.get(key), dict) for key in _NEEDED) or "entity" not in tree:
                # An edit has taken away what the others change.
                break
            name_of_change = pick.one(list(CHANGES))
            if CHANGES[name_of_change](pick, tree):
                done.add(f"mutation: {name_of_change}")
                break
    return tree, frozenset({f"machine: {name}", *done})


def _places(tree: Any) -> Iterator[Place]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _some(pick: Pick, tree: Tree, kind: type | tuple[type, ...]) -> Place | None:
    found = [place for place in _places(tree) if isinstance(place[0][place[1]], kind)]
    return pick.one(found) if found else None


# Changes: each returns whether there was something to change --------------------------------------


def _delete(pick: Pick, tree: Tree) -> bool:
    place = _some(pick, tree, (str, int, dict, list))
    if place is None:
        return False
    del place[0][place[1]]
    return True


def _duplicate(pick: Pick, tree: Tree) -> bool:
    place = _some(pick, tree, (str, dict))
    if place is None:
        return False
    holder, key = place
    if isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    else:
        holder[f"{key}_too" if str(key)[:1].islower() else f"{key}Too"] = copy.deepcopy(holder[key])
    return True


def _swap(pick: Pick, tree: Tree) -> bool:
    """Exchange two values of one mapping or list."""
    holders = [p[0][p[1]] for p in _places(tree) if isinstance(p[0][p[1]], dict | list)]
    holder = pick.one(holders)
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    if len(keys) < 2:
        return False
    one, other = pick.some(keys, 2, 2)
    holder[one], holder[other] = holder[other], holder[one]
    return True


def _reorder(pick: Pick, tree: Tree) -> bool:
    """Move an entry of a mapping behind all the others."""
    holders = [p[0][p[1]] for p in _places(tree) if isinstance(p[0][p[1]], dict)]
    holder = pick.one(holders)
    if len(holder) < 2:
        return False
    key = pick.one(list(holder))
    holder[key] = holder.pop(key)
    return True


def _retarget(pick: Pick, tree: Tree) -> bool:
    """Put another word in the place of one: a status, an action, a guard, a type."""
    place = _some(pick, tree, str)
    words = [p[0][p[1]] for p in _places(tree) if isinstance(p[0][p[1]], str)]
    words += [*tree["statuses"].get("members", {}), *tree["actions"], *tree["guards"]]
    if place is None:
        return False
    holder, key = place
    same = [w for w in words if (" " in w) is (" " in holder[key]) and w != holder[key]]
    holder[key] = pick.one(same)
    return True


def _alter_expression(pick: Pick, tree: Tree) -> bool:
    places = [p for p in _places(tree) if isinstance(p[0][p[1]], str)
              and p[1] not in ("summary", "message")]  # fmt: skip
    holder, key = pick.one(places)
    text = holder[key]
    found = [o for o in _OPERATORS if o in text]
    if not found:
        return False
    operator = pick.one(found)
    at = pick.one([m.start() for m in re.finditer(re.escape(operator), text)])
    holder[key] = text[:at] + _OPERATORS[operator] + text[at + len(operator) :]
    return True


def _change_number(pick: Pick, tree: Tree) -> bool:
    place = _some(pick, tree, int)
    if place is None:
        return False
    holder, key = place
    value = holder[key]
    holder[key] = not value if isinstance(value, bool) else pick.one([0, value + 1, value * 2])
    return True


def _change_type(pick: Pick, tree: Tree) -> bool:
    places = [p for p in _places(tree) if p[1] == "type" and isinstance(p[0][p[1]], str)]
    if not places:
        return False
    holder, key = pick.one(places)
    declared = [*tree.get("enums", {}), *tree.get("values", {}), *tree["ids"]]
    holder[key] = pick.one([*_TYPES, *declared, f"{holder[key]} | None"])
    return True


def _add_update(pick: Pick, tree: Tree) -> bool:
    """Have an action count something, up or down."""
    counts = [n for n, f in tree.get("fields", {}).items() if f.get("type") == "int"]
    actions = list(tree["actions"].values())
    if not counts or not actions:
        return False
    target = f"{tree['entity']}.{pick.one(counts)}"
    action = pick.one(actions)
    if not isinstance(action, dict):
        return False
    action.setdefault("update", {})[target] = f"{target} {pick.one(['+', '-'])} 1"
    return True


#: Every change by its name.
CHANGES = {
    each.__name__.strip("_"): each
    for each in (
        _delete, _duplicate, _swap, _reorder, _retarget, _alter_expression, _change_number,
        _change_type, _add_update,
    )
}  # fmt: skip
