"""Random edits of what commands do: stored data stays as it is."""

from __future__ import annotations

from typing import Any

from tests.support.random_machines.building import Tree
from tests.support.random_machines.edits import (
    VALUES,
    Edit,
    new_word,
    one_of,
    targets_of,
    updates_of,
)
from tests.support.random_machines.mutations import CHANGES
from tests.support.random_machines.picking import Pick

#: Sections that a change at random leaves alone, and those that edits look into.
_FIXED = {"machine", "version", "entity", "snapshot", "migrations", "names"}
_EDITED = ("fields", "statuses", "actions", "guards", "create", "ids", "settings", "errors")


def remove_action(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """Take an action away, mostly with what stores say of it."""
    name = one_of(pick, tree["actions"])
    if name is None:
        return False
    del tree["actions"][name]
    if tree.get("effects") and "recovery" in tree and pick.chance(70):
        edit.remove("actions", [name])
        edit.lost.add(name)
    if "history" in tree and pick.chance(70):
        entity = "".join(word.title() for word in tree["entity"].split("_"))
        edit.remove(tree.get("names", {}).get("action", f"{entity}Action"), [name])
        edit.lost.add(name)
    return True


def remove_updates(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """Have nothing set a field any more."""
    target = one_of(pick, targets_of(tree))
    if target is None:
        return False
    for each in updates_of(tree):
        each.pop(target, None)
    return True


def remove_update(pick: Pick, tree: Tree, edit: Edit) -> bool:
    places = [each for each in updates_of(tree) if each]
    return bool(places) and popped(pick, pick.one(places))


def popped(pick: Pick, holder: dict[str, Any]) -> bool:
    name = one_of(pick, holder)
    return name is not None and holder.pop(name) is not None


def add_update(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """Have an action set what nothing has set."""
    entity, actions = tree["entity"], [a for a in tree["actions"].values() if isinstance(a, dict)]
    held = [name for name, each in tree.get("fields", {}).items() if "initial" in each]
    constant = [f"{entity}.{n}" for n in held if f"{entity}.{n}" not in targets_of(tree)]
    if not constant or not actions:
        return False
    target = pick.one(constant)
    type = tree["fields"][target.removeprefix(f"{entity}.")]["type"]
    values = ["None"] if type.endswith(" | None") else [v for v, _ in VALUES.get(type, ())]
    pick.one(actions).setdefault("update", {})[target] = pick.one([target, *values])
    return True


def add_action(pick: Pick, tree: Tree, edit: Edit) -> bool:
    word = new_word(pick)
    action: Tree = {"summary": "Another one.", "from": "live", "methods": [f"{word}_now"]}
    members = tree["statuses"]["members"]
    if pick.chance(50):
        action["to"] = pick.one(list(members))
    tree["actions"][word] = action
    return True


def remove_guard(pick: Pick, tree: Tree, edit: Edit) -> bool:
    guarded = [each for each in tree["actions"].values() if each.get("guards")]
    if not guarded:
        return False
    guards = pick.one(guarded)["guards"]
    guards.pop(pick.integer(0, len(guards) - 1))
    return True


def remove_parameter(pick: Pick, tree: Tree, edit: Edit) -> bool:
    commands = [c for c in (*tree["actions"].values(), tree["create"]) if c.get("params")]
    if not commands:
        return False
    command = pick.one(commands)
    name = pick.one(list(command["params"]))
    del command["params"][name]
    if tree.get("effects") and "recovery" in tree and pick.chance(70):
        found = [word for word, each in tree["actions"].items() if each is command]
        edit.remove(f"arguments.{found[0] if found else 'create'}", [name])
    if isinstance(command.get("methods"), dict):
        command["methods"] = {
            method: [each for each in words if each != name]
            for method, words in command["methods"].items()
        }
    return True


def recovery(pick: Pick, tree: Tree, edit: Edit) -> bool:
    recovery = tree.get("recovery")
    if recovery is None:
        return False
    kind = pick.integer(0, 3)
    if kind == 0:
        recovery["persist_if"] = pick.one(["true", f"{tree['entity']}.status.terminal"])
    elif kind == 1:
        return recovery.pop(pick.one(["unless", "with", "do"]), None) is not None
    elif kind == 2:
        recovery["do"] = one_of(pick, tree["actions"])
    else:
        recovery["unless"] = f"not {tree['entity']}.status.terminal"
    return True


def mutate(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """Any small change of any section but those by which a registry is seen."""
    kept = {key: value for key, value in tree.items() if key in _FIXED}
    done = CHANGES[pick.one(list(CHANGES))](pick, tree)
    others = {key: value for key, value in tree.items() if key not in _FIXED}
    tree.clear()
    tree.update({**kept, **others})
    return done and all(isinstance(tree.get(key), dict) for key in _EDITED)
