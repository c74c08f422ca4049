"""A random machine: its live statuses as one region beside another, with ways through both."""

from __future__ import annotations

import json
import re

from tests.support.random_machines.building import Builder, Tree
from tests.support.random_machines.picking import Pick


def add_regions(b: Builder, pick: Pick, effects: list[str]) -> None:
    """Put the live statuses of a machine that is complete into a region beside a new one.

    Statuses without actions stay outside. What reads a live status by its name stays as it is.
    """
    if not pick.chance(45) or b.words.long_names or _reads_statuses(b):
        return
    tree, words = b.tree, b.words
    members = tree["statuses"]["members"]
    own = [words.name() for _ in range(pick.integer(2, 3))]
    tree["statuses"]["regions"] = {
        words.name(): {
            "summary": words.text(), "initial": b.live[0],
            "members": {name: members.pop(name) for name in b.live},
        },
        words.name(): {
            "summary": words.text(), "initial": own[0],
            "members": {name: {"summary": words.text()} for name in own},
        },
    }  # fmt: skip
    b.has("region")
    _join(b, pick, own)
    ways = _ways(b, pick, own)
    if effects and pick.chance(40):
        added = tree["statuses"]["regions"]
        *_, last = added.values()
        last["members"][own[1]][pick.one(["entry", "exit"])] = pick.some(effects, 2, 1)
        for action in tree["actions"].values():
            # What has effects is not deferred.
            action.pop("deferred", None)
        b.has("region: effects")
    if pick.chance(40):
        tree.setdefault("after", {})[own[0]] = {"seconds": pick.integer(1, 9), "do": ways[0]}
        b.has("region: timer")
    if pick.chance(50):
        del tree["create"]["to"]
        b.has("region: create without a status")


def _ways(b: Builder, pick: Pick, own: list[str]) -> list[str]:
    """Add an action from each status of the new region to the next; return their names."""
    found = []
    for source, to in zip(own, [*own[1:], own[0]], strict=True):
        name = b.words.name()
        action: Tree = {
            "summary": b.words.text(), "methods": [b.words.name()], "from": source, "to": to
        }  # fmt: skip
        if pick.chance(30):
            # The first status is never a milestone, so that nothing has to say what comes out.
            action["to"] = {"status": to, "also": b.live[0]}
            b.has("region: also")
        b.tree["actions"][name] = action
        found.append(name)
    return found


def _join(b: Builder, pick: Pick, own: list[str]) -> None:
    """Have actions of the machine ask for a status of the new region, and lead to one."""
    tree = b.tree
    total = {each["do"] for each in tree.get("bulk", {}).values() if "do" in each}
    total.add(tree.get("recovery", {}).get("do"))
    # Work ends whatever the status of its record is.
    total |= set(tree["actions"]) if "work" in tree else set()
    timed = str(tree.get("after", {}))
    for name, action in tree["actions"].items():
        if name in total:
            continue
        if name not in timed and pick.chance(20):
            action["while"] = pick.some(own, 2, 1)
            b.has("region: while")
        if action.get("to") in b.live and pick.chance(20):
            action["to"] = {"status": action["to"], "also": pick.one(own)}
            b.has("region: also")


def _reads_statuses(b: Builder) -> bool:
    """Whether an expression names a live status: it would have to name its group."""
    tree = {key: value for key, value in b.tree.items() if key not in ("statuses", "after")}
    tree["actions"] = {
        name: {key: value for key, value in action.items() if key not in ("from", "idempotent_in")}
        for name, action in tree["actions"].items()
    }
    text = json.dumps(tree)
    text = re.sub(r'"(to|from|status)": ("\w+"|\[[^\]]*\])', "", text)
    return any(re.search(rf"\b{status}\b", text) for status in b.live)
