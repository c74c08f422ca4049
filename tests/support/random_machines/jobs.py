"""A small machine with any of the parts that a version of it may gain or lose."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from tests.support.random_machines.building import Tree

_JOB: Tree = {
    "machine": "jobs", "entity": "job", "summary": "A job.",
    "ids": {"JobId": {"summary": "Names a job."}},
    "statuses": {"members": {
        "open": {"summary": "It waits."}, "busy": {"summary": "It is done now."},
        "done": {"summary": "It was done.", "terminal": True},
        "lost": {"summary": "It is gone.", "terminal": True},
    }},
    "fields": {
        "place": {"type": "str", "initial": "place"}, "tries": {"type": "int", "initial": 0},
    },
    "settings": {"kept": {"summary": "How many.", "type": "int", "default": 2, "at_least": 1}},
    "registry": {"begun": {"type": "int", "initial": 0, "summary": "How many were begun."}},
    "errors": {
        "exists": {"class": "ExistsError", "fields": {"id": "JobId"}, "message": "{id} exists"},
        "unknown": {"class": "UnknownError", "fields": {"id": "JobId"}, "message": "no {id}"},
        "not_now": {"class": "NotNowError", "fields": {"id": "JobId"}, "message": "not {id}"},
    },
    "guards": {
        "new": {"when": "job is None", "error": {"exists": {"id": "id"}}},
        "known": {"when": "job is not None", "error": {"unknown": {"id": "id"}}},
    },
    "illegal_transition": {"not_now": {"id": "id"}}, "default_guards": ["known"],
    "create": {
        "summary": "Add a job.", "methods": {"add": ["id", "place"]}, "id": "id", "to": "open",
        "params": {"id": "JobId", "place": "str"}, "guards": ["new"],
    },
    "actions": {
        "begin": {"summary": "Begin.", "methods": ["begin"], "from": ["open"], "to": "busy",
                  "update": {"registry.begun": "registry.begun + 1"}},
        "retry": {"summary": "Try again.", "methods": ["retry"], "from": ["busy"],
                  "update": {"job.tries": "job.tries + registry.kept"}},
        "finish": {"summary": "Finish.", "methods": ["finish"], "from": ["busy"], "to": "done"},
        "lose": {"summary": "Lose it.", "methods": ["lose"], "from": "live", "to": "lost"},
    },
    "snapshot": {"summary": "One job.", "method": "snapshot", "fields": {
        "id": "job.id", "status": "job.status", "place": "job.place", "tries": "job.tries",
    }},
    "recovery": {"persist_if": "true"},
}  # fmt: skip


def feed(tree: Tree) -> None:
    """Ends enter a feed."""
    tree["ids"]["FeedId"] = {"summary": "Names a feed."}
    fields = {"seq": "job.sequence", "job_id": "job.id", "place": "job.place"}
    tree["feed"] = {
        "summary": "Ends.", "method": "ends", "epoch": "FeedId", "batch": "Ends",
        "entry": {"name": "End", "summary": "One end.", "fields": fields},
    }  # fmt: skip


def feed_of_transitions(tree: Tree) -> None:
    """Every transition enters a feed."""
    feed(tree)
    tree["feed"]["of"] = "transitions"


def cursors(tree: Tree) -> None:
    """Two consumers read the feed."""
    feed(tree)
    members = {"first": {"summary": "One."}, "second": {"summary": "The other."}}
    tree["enums"] = {"Consumer": {"summary": "Who reads.", "members": members}}
    tree["errors"]["beyond"] = {
        "class": "BeyondError", "fields": {"cursor": "int", "watermark": "int"},
        "message": "{cursor} is past {watermark}",
    }  # fmt: skip
    beyond = {"beyond": {"cursor": "cursor", "watermark": "registry.watermark"}}
    tree["cursors"] = {
        "consumer": "Consumer", "get": "read_to", "advance": "mark_read", "beyond": beyond
    }  # fmt: skip


def retention(tree: Tree) -> None:
    """The oldest ends leave."""
    feed(tree)
    tree["retention"] = {"evict": "records", "max_entries": "registry.kept"}


def archive(tree: Tree) -> None:
    """The oldest ends leave for an archive."""
    retention(tree)
    tree["retention"]["archive"] = {"summary": "The past.", "get": "past", "since": "all_past"}


def history(tree: Tree) -> None:
    """Each job has a history."""
    tree["history"] = {"summary": "What was done.", "method": "steps", "last": 3}


def timers(tree: Tree) -> None:
    """A job that takes too long is lost."""
    tree["after"] = {"busy": {"minutes": 3, "do": "lose"}}


def unique(tree: Tree) -> None:
    """No place has two jobs."""
    tree["errors"]["taken"] = {
        "class": "TakenError", "fields": {"id": "JobId"}, "message": "{id} is there"
    }  # fmt: skip
    tree["unique"] = {
        "by_place": {"summary": "By its place.", "fields": ["place"],
                     "error": {"taken": {"id": "existing"}}},
    }  # fmt: skip


def effects(tree: Tree) -> None:
    """A message is sent when a job begins."""
    tree["effects"] = {"tell": {"summary": "Tell that it has begun."}}
    tree["actions"]["begin"]["effects"] = ["tell"]


def outcome(tree: Tree) -> None:
    """An end says how it was."""
    variants = {"Well": {"summary": "It was done."}, "Badly": {"summary": "It is gone."}}
    tree["values"] = {"Outcome": {"summary": "How.", "tag": "kind", "variants": variants}}
    tree["fields"]["terminal_outcome"] = {"type": "Outcome | None"}
    tree["actions"]["finish"]["outcome"] = "Well()"
    tree["actions"]["lose"]["outcome"] = "Badly()"


def numbers(tree: Tree) -> None:
    """The machine itself numbers ends."""
    tree["fields"]["sequence"] = {"type": "int | None"}
    tree["registry"]["ended"] = {"type": "int", "initial": 0, "summary": "How many ended."}
    update = {"registry.ended": "registry.ended + 1", "job.sequence": "registry.ended"}
    tree["on_terminal"] = [{"update": update}]
    tree["collect"] = {"summary": "Take them.", "method": "collect"}


def barrier(tree: Tree) -> None:
    """Several jobs can be waited for."""
    tree["ids"] |= {"GroupId": {"summary": "Who waits."}, "WaitId": {"summary": "A wait."}}
    tree["errors"]["busy"] = {"class": "BusyError", "message": "it waits"}
    tree["barrier"] = {
        "summary": "Wait.", "method": "wait_for", "key": {"group": "GroupId"},
        "active_per_key_max": 1, "request_id": "WaitId", "wait": "GroupWait",
        "result": "GroupResult", "token": "GroupToken",
        "guards": [{"repeated": {"exists": {"id": "id"}}}, {"busy": "busy"},
                   {"unknown": {"unknown": {"id": "id"}}}],
    }  # fmt: skip


def watch(tree: Tree) -> None:
    """One job can be waited for."""
    tree["watch"] = {"summary": "Wait.", "method": "watch", "guards": ["known"]}


def deferral(tree: Tree) -> None:
    """A write waits."""
    tree["actions"]["retry"]["deferred"] = True


def discard(tree: Tree) -> None:
    """What is lost leaves at once."""
    tree["discard_when"] = "job.status is lost"


def field(tree: Tree) -> None:
    """A job has one field more, which no action sets."""
    tree["fields"]["note"] = {"type": "str", "initial": "''''''"}
    tree["snapshot"]["fields"]["note"] = "job.note"


def registry_field(tree: Tree) -> None:
    """The registry counts one thing more."""
    tree["registry"]["seen"] = {"type": "int", "initial": 3, "summary": "How many were seen."}


def counted(tree: Tree) -> None:
    """The registry counts live jobs."""
    tree["registry"]["live_count"] = {"type": "int", "initial": 0, "summary": "How many live."}
    tree["create"]["update"] = {"registry.live_count": "registry.live_count + 1"}
    steps = tree.setdefault("on_terminal", [])
    steps.append({"update": {"registry.live_count": "registry.live_count - 1"}})


def recounted(tree: Tree) -> None:
    """The registry counts live jobs, and those of a store once it is opened."""
    counted(tree)
    count = "count(each for each in jobs if not each.status.terminal)"
    tree["registry"]["live_count"]["recovered_as"] = count


def listing(tree: Tree) -> None:
    """Jobs are listed, and removed."""
    tree["listing"] = {"summary": "All.", "method": "all", "order": ["job.place"],
                       "filters": {"status": "job.status"}}  # fmt: skip
    tree["rollback"] = {"summary": "Undo.", "method": "undo", "from": "live"}
    tree["erase"] = {"summary": "Erase.", "method": "erase"}


def milestone(tree: Tree) -> None:
    """It is announced that a job is busy."""
    tree["statuses"]["members"]["busy"]["milestone"] = True


def all_placed(tree: Tree) -> None:
    """All parts that have fields of their own, whose names no machine chooses."""
    for part in (cursors, archive, history, timers):
        part(tree)


def several(tree: Tree) -> None:
    """All parts that a version can lose together, whatever is stored."""
    for part in (all_placed, field, registry_field, watch, barrier, listing):
        part(tree)


Part = Callable[[Tree], None]


def job(*parts: Part, version: int = 1, migrations: dict[int, Any] | None = None) -> Tree:
    """Return a machine with some parts, as a version with its migrations."""
    tree = {**copy.deepcopy(_JOB), "version": version}
    for part in parts:
        part(tree)
    steps = {n: {"reason": "It is tested.", **each} for n, each in (migrations or {}).items()}
    return {**tree, "migrations": steps} if steps else tree
