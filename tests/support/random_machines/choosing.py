"""A random machine: methods that ask for the first of several actions that is legal."""

from __future__ import annotations

from tests.support.random_machines.building import Builder, Tree
from tests.support.random_machines.picking import Pick


def add_methods(b: Builder, pick: Pick) -> None:
    """Add a method over some of the actions that have the same parameters."""
    if not pick.chance(45):
        return
    alike: dict[str, list[str]] = {}
    for name, action in b.tree["actions"].items():
        alike.setdefault(str(action.get("params", {})), []).append(name)
    groups = [names for names in alike.values() if len(names) > 1]
    if not groups:
        return
    chosen: list[str] = []
    legal: set[str] = set()
    for name in (names := pick.some(pick.one(groups), 3, 2)):
        sources = _sources(b, b.tree["actions"][name])
        # An action that is never chosen is an error, which a few machines may show.
        if not sources <= legal or pick.chance(5):
            chosen.append(name)
            legal |= sources
    if len(chosen) < 2:
        return
    b.tree["methods"] = {b.words.name(): {"summary": b.words.text(), "actions": chosen}}
    b.has("method over several actions")
    if "work" not in b.tree and pick.chance(45):
        # A method over it is enough for an action.
        b.tree["actions"][names[0]].pop("methods", None)
        b.has("method over several actions: the only one of an action")


def _sources(b: Builder, action: Tree) -> set[str]:
    """The statuses in which an action is legal."""
    words = [action["from"]] if isinstance(action["from"], str) else action["from"]
    groups = {**b.tree["statuses"].get("groups", {}), "live": b.live}
    found: set[str] = set()
    for word in words:
        group = groups.get(word, [word])
        found |= {*(group["members"] if isinstance(group, dict) else group)}
    return found
