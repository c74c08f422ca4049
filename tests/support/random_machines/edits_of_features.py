"""Random edits of the features that a machine has: they change, or the machine loses them."""

from __future__ import annotations

import re
from typing import Any

from tests.support.random_machines.building import Tree
from tests.support.random_machines.edits import Edit, one_of
from tests.support.random_machines.picking import Pick

#: Features that a machine may lack, and what goes with some of them.
_SECTIONS = ["watch", "barrier", "feed", "cursors", "retention", "history", "collect", "erase",
             "discard_when", "rollback", "bulk", "listing", "work", "unique", "after"]  # fmt: skip
_WITH = {"feed": ["feed", "cursors", "retention"]}


def retention(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """Evict something else, more or less, or nothing."""
    retention = tree.get("retention")
    if retention is None:
        return False
    kind = pick.integer(0, 4)
    if kind == 0:
        del tree["retention"]
    elif kind == 1:
        retention["evict"] = pick.one(["records", "entries"])
    elif kind == 2:
        if "rows_kept" not in tree["settings"]:
            return False
        tree["settings"]["rows_kept"]["default"] = pick.integer(1, 4)
    elif kind == 3:
        retention["beyond_cursors"] = not retention.get("beyond_cursors", False)
    else:
        return retention.pop("archive", None) is not None
    return True


def feed(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """Have other things enter the feed."""
    feed = tree.get("feed")
    if feed is None:
        return False
    key = pick.one(["of", "of", "when", "counter"])
    if key == "of" and "of" not in feed:
        feed["of"] = "transitions"
        return True
    if key == "of" and "transition." not in str(feed):
        # What a feed of transitions has noted of each goes with it.
        del feed["of"]
        edit.remove("fields", ["transition_action"])
        return True
    return feed.pop(key, None) is not None


def remove_section(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """Have the machine lack one of its features, with what only that declares."""
    name = one_of(pick, [each for each in _SECTIONS if each in tree])
    if name is None:
        return False
    if pick.chance(75):
        _declare_loss(tree, edit, name)
    for each in _WITH.get(name, [name]):
        tree.pop(each, None)
    if name == "cursors":
        tree["errors"].pop("beyond", None)
        tree.get("retention", {}).pop("beyond_cursors", None)
    if name == "barrier":
        for each in ("GroupId", "WaitId"):
            tree["ids"].pop(each, None)
    if name == "feed":
        tree["settings"].pop("rows_kept", None)
        tree["ids"].pop("EpochId", None)
        tree["errors"].pop("beyond", None)
    return True


def _declare_loss(tree: Tree, edit: Edit, name: str) -> None:
    """Say in the migration which stored fields go with a feature."""
    edit.remove("fields", [])
    if name == "feed":
        noted = {
            f"transition_{word}" for word in re.findall(r"transition\.(\w+)", str(tree["feed"]))
        }
        noted |= {"transition_action"} if isinstance(tree["feed"].get("of"), list) else set()
        edit.remove("fields", sorted({"sequence", *noted} - tree.get("fields", {}).keys()))
        counters = {str(tree["feed"].get("counter", "last_sequence")), "watermark"}
        counters |= {"dropped_through"}
        counters = counters - tree.get("registry", {}).keys()
        edit.remove("registry", [*counters, *({"rows_kept"} & tree["settings"].keys())])
    if name == "history":
        edit.remove("fields", ["history"])
    if name == "after" and "regions" not in tree["statuses"]:
        edit.remove("fields", ["status_since_ms"] if _has_durations(tree) else [])


def _has_durations(tree: Tree) -> bool:
    timers: list[Any] = []
    for each in tree["after"].values():
        timers += each if isinstance(each, list) else [each]
    return any("at" not in each for each in timers)


def remove_effect(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """Have the machine lack an effect; most often, its messages then are refused."""
    name = one_of(pick, tree.get("effects"))
    if name is None or "recovery" not in tree:
        return False
    del tree["effects"][name]
    _remove_from_lists(tree, name)
    if pick.chance(85):
        edit.remove("effects", [name])
        edit.lost.add(name)
    return True


def _remove_from_lists(tree: Any, name: str) -> None:
    for key, each in list(tree.items()) if isinstance(tree, dict) else enumerate(tree):
        if key in ("effects", "entry", "exit") and isinstance(each, list):
            each[:] = [effect for effect in each if effect != name]
            if not each:
                del tree[key]
        elif isinstance(each, dict | list):
            _remove_from_lists(each, name)


def unique(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """Have a unique key of other fields or statuses, or none."""
    keys = tree.get("unique")
    if not keys:
        return False
    if pick.chance(40):
        del tree["unique"]
        return True
    key = keys[pick.one(list(keys))]
    if pick.chance(50):
        key["among"] = pick.one(["live", "all"])
    else:
        key["fields"] = pick.some(list(tree["fields"]), 2, 1)
    return True
