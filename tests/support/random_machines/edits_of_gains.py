"""Random edits that give a machine a feature that it lacks."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.random_machines.building import Tree
from tests.support.random_machines.edits import Edit, updates_of
from tests.support.random_machines.picking import Pick


def gain_feed(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """Ends, or transitions, enter a feed; it goes on where the machine has numbered ends."""
    if "feed" in tree:
        return False
    entity = tree["entity"]
    tree["ids"]["GainedId"] = {"summary": "Names a feed."}
    entry = {
        "name": "GainedEntry", "summary": "One of the feed.",
        "fields": {"seq": f"{entity}.sequence", "of_id": f"{entity}.id"},
    }  # fmt: skip
    tree["feed"] = {
        "summary": "A feed.", "method": "gained_feed", "epoch": "GainedId",
        "batch": "GainedBatch", "entry": entry,
    }  # fmt: skip
    for update in updates_of(tree):
        if update.pop(f"{entity}.sequence", None) and pick.chance(50):
            tree["feed"]["counter"] = "completions"
    if "counter" in tree["feed"]:
        for update in updates_of(tree):
            update.pop("registry.completions", None)
    elif pick.chance(30):
        tree["feed"]["of"] = "transitions"
        for action in tree["actions"].values():
            action.pop("deferred", None)
    for declared in (tree["fields"].get("sequence"),):
        if declared is not None:
            declared.pop("initial", None)
    return True


def gain_cursors(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """Consumers read the feed, which may be a new one."""
    if "cursors" in tree or ("feed" not in tree and not gain_feed(pick, tree, edit)):
        return False
    members = {name: {"summary": "One."} for name in ("alpha", "beta")}
    tree.setdefault("enums", {})["GainedReader"] = {"summary": "Who reads.", "members": members}
    tree["errors"]["gained_beyond"] = {
        "class": "GainedBeyondError", "fields": {"cursor": "int", "watermark": "int"},
        "message": "{cursor} is past {watermark}",
    }  # fmt: skip
    tree["cursors"] = {
        "consumer": "GainedReader", "get": "gained_get", "advance": "gained_advance",
        "beyond": {"gained_beyond": {"cursor": "cursor", "watermark": "registry.watermark"}},
    }  # fmt: skip
    return True


def gain_retention(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """Evict what is old, for an archive or for good."""
    if "retention" in tree or ("feed" not in tree and not gain_feed(pick, tree, edit)):
        return False
    tree["settings"]["gained_kept"] = {
        "summary": "How many stay.", "type": "int", "default": pick.integer(1, 3), "at_least": 1
    }  # fmt: skip
    kind = pick.one(["records", "records", "entries"])
    tree["retention"] = {"evict": kind, "max_entries": "registry.gained_kept"}
    if kind == "records" and pick.chance(50):
        archive = {"summary": "What left.", "get": "gained_past", "since": "gained_all_past"}
        tree["retention"]["archive"] = archive
    return True


def gain_history(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """Each record has a history."""
    if "history" in tree:
        return False
    tree["history"] = {
        "summary": "What was done.", "method": "gained_steps", "last": pick.integer(1, 3)
    }  # fmt: skip
    return True


def gain_timer(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """A status lasts so long at most."""
    leading = [
        (name, each["from"]) for name, each in tree["actions"].items()
        if isinstance(each.get("to"), str) and not each.get("params") and each.get("from")
    ]  # fmt: skip
    if not leading:
        return False
    name, sources = pick.one(leading)
    status = sources if isinstance(sources, str) else pick.one(list(sources))
    after = tree.setdefault("after", {})
    if status in after:
        return False
    after[status] = {"minutes": pick.integer(1, 9), "do": name}
    return True


def gain_effect(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """An action has one effect more, maybe the first of the machine."""
    actions = [each for each in tree["actions"].values() if isinstance(each, dict)]
    if not actions or "gained_effect" in tree.get("effects", {}):
        return False
    tree.setdefault("effects", {})["gained_effect"] = {"summary": "Tell someone."}
    action = pick.one(actions)
    action.setdefault("effects", []).append("gained_effect")
    action.pop("deferred", None)
    return True


def gain_wait(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """Records can be waited for."""
    if "watch" in tree:
        return False
    tree["watch"] = {"summary": "Wait.", "method": "gained_watch", "guards": ["known"]}
    return True


def gain_removal(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """Records that have ended, or live ones, can be removed."""
    kind = pick.one(["erase", "rollback", "discard_when"])
    if kind in tree:
        return False
    ends = [n for n, each in tree["statuses"]["members"].items() if each.get("terminal")]
    tree[kind] = {
        "erase": {"summary": "Erase it.", "method": "gained_erase"},
        "rollback": {"summary": "Undo it.", "method": "gained_undo", "from": "live"},
        "discard_when": f"{tree['entity']}.status is {pick.one(ends)}" if ends else "false",
    }[kind]
    return True


def gain_setting(pick: Pick, tree: Tree, edit: Edit) -> bool:
    """The registry has one setting more."""
    if "gained_setting" in tree["settings"]:
        return False
    tree["settings"]["gained_setting"] = {
        "summary": "It does nothing.", "type": "int", "default": pick.integer(0, 9)
    }  # fmt: skip
    return True


GAINS: list[Callable[[Pick, Tree, Edit], bool]] = [
    gain_feed, gain_cursors, gain_retention, gain_history, gain_timer, gain_effect, gain_wait,
    gain_removal, gain_setting,
]  # fmt: skip
