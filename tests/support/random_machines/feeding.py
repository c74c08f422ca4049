"""A random machine: its feed, and what numbers and removes the records that have ended."""

from __future__ import annotations

from typing import Any

from tests.support.random_machines.building import Builder, Tree
from tests.support.random_machines.commands import Commands
from tests.support.random_machines.expressions import required


class Feeding:
    """Adds a feed, or numbers of ends, to a machine that has its commands."""

    def __init__(self, builder: Builder, commands: Commands) -> None:
        self.b = builder
        self.commands = commands

    def declare(self) -> None:
        """Fields and types that features need, before anything reads them."""
        b, pick = self.b, self.b.pick
        self.feed = pick.chance(35)
        self.collect = pick.chance(25)
        self.reader = ""
        if self.feed or self.collect:
            b.fields["sequence"] = "int | None"
            if self.collect or pick.chance(50):
                b.tree["fields"]["sequence"] = {"type": "int | None"}
        if self.feed:
            b.tree["settings"]["rows_kept"] = {
                "summary": "How many rows stay.", "type": "int", "default": pick.integer(1, 3),
                "at_least": 1,
            }  # fmt: skip
            b.tree["ids"]["EpochId"] = {"summary": "Names one life of the feed."}
            if pick.chance(50):
                self.reader = b.words.type()
                members = [b.words.name() for _ in range(pick.integer(1, 2))]
                b.tree["enums"][self.reader] = {
                    "summary": "Who reads.", "members": {m: {"summary": "One."} for m in members}
                }  # fmt: skip
        for when in ("created", "terminal"):
            # In the interpreter, what stamps shows no time, and a command has one.
            if pick.chance(30) and not b.timed:
                type = "int" if when == "created" else "int | None"
                name = b.words.name()
                b.tree["fields"][name] = {"type": type, "stamped": when}
                b.fields[name] = type
                b.has(f"stamped: {when}")

    def _step(self, step: Tree) -> None:
        self.b.tree["on_terminal"].append(step)

    def _number(self) -> None:
        """Number every end; a feed does so itself."""
        b = self.b
        b.tree["registry"]["completions"] = {"type": "int", "initial": 0, "summary": "A number."}
        self._step(
            {
                "update": {
                    "registry.completions": "registry.completions + 1",
                    f"{b.entity}.sequence": "registry.completions",
                }
            }
        )

    def _discard(self) -> None:
        b = self.b
        if b.pick.chance(15):
            b.tree["discard_when"] = b.expressions.boolean(b.of_record())
            b.has("discard")

    def _feed(self) -> None:
        b, pick, words = self.b, self.b.pick, self.b.words
        fields = {"seq": f"{b.entity}.sequence", words.name(): f"{b.entity}.id"}
        for name in pick.some([n for n in b.fields if n != "sequence"], 3):
            fields[words.name()] = f"{b.entity}.{name}"
        b.tree["feed"] = {
            "summary": words.text(), "method": words.name(), "epoch": "EpochId", "batch": "Batch",
            "entry": {"name": "Entry", "summary": words.text(), "fields": fields},
        }  # fmt: skip
        b.has("feed")
        if b.later.chance(50):
            self._transitions(fields)
        if pick.chance(40):
            b.tree["feed"]["when"] = b.expressions.boolean(b.of_record())
            b.has("feed: when")
        if pick.chance(30):
            b.tree["feed"]["counter"] = words.name()
            b.has("feed: counter")
        if pick.chance(60):
            kind = pick.one(["records", "entries"])
            b.tree["retention"] = {"evict": kind, "max_entries": "registry.rows_kept"}
            b.has(f"retention: {kind}")
            if self.reader and pick.chance(50):
                b.tree["retention"]["beyond_cursors"] = True
                b.has("retention: beyond cursors")
            elif self.reader:
                b.has("retention: held by cursors")
        if self.reader:
            b.tree["errors"]["beyond"] = {
                "class": "BeyondError", "fields": {"cursor": "int", "watermark": "int"},
                "message": "{cursor} is past {watermark}",
            }  # fmt: skip
            b.tree["cursors"] = {
                "consumer": self.reader, "get": words.name(), "advance": words.name(),
                "beyond": {"beyond": {"cursor": "cursor", "watermark": "registry.watermark"}},
            }  # fmt: skip
            b.has("cursors")

    def _transitions(self, fields: dict[str, str]) -> None:
        """Entries of other commands than those that finish a record, too."""
        b, later = self.b, self.b.later
        actions = b.tree["actions"]
        every = [name for name, action in actions.items() if action.get("to")]
        of: Any = "transitions"
        if later.chance(50):
            of = every = ["create", *later.some(list(actions), len(actions), 1)]
        b.tree["feed"]["of"] = of
        b.has("feed: transitions" if of == "transitions" else "feed: some actions")
        for name in every:
            actions.get(name, {}).pop("deferred", None)
        types: dict[str, set[str]] = {}
        commands = [actions[name] for name in every if name in actions]
        for command in [*commands, {"params": b.params}]:
            for param, type in command.get("params", {}).items():
                types.setdefault(param, set()).add(required(type))
        params = [param for param, found in types.items() if len(found) == 1]
        read = ["action", "from_status", *([] if b.timed else ["at_ms"])]
        for word in [*later.some(read, 3), *later.some(params, 2)]:
            if word not in ("action", "from_status", "at_ms") or word in read:
                fields[b.words.name()] = f"transition.{word}"
                b.has("feed: what an entry says of its transition")
