"""A random machine: the section `work`, by which a supervisor records what it runs."""

from __future__ import annotations

from typing import Any

from tests.support.random_machines.building import Builder, Tree
from tests.support.random_machines.expressions import Expressions, Scope, required
from tests.support.random_machines.picking import Pick

#: What a supervisor has for each of its calls; `None` may be left out.
_OFFERS: dict[str, Scope] = {
    "start": {},
    "complete": {"content": "str", "duration_ms": "int"},
    "fail": {"error": "str"},
    "cancel": {"reason": "str | None"},
    "progress": {"message": "str", "percent": "float | None"},
}


class Working:
    """Adds work, with choices of its own, to a machine that is complete."""

    def __init__(self, builder: Builder, pick: Pick) -> None:
        self.b = builder
        self.pick = pick
        self.expressions = Expressions(pick, builder.shapes, pick)

    def add(self) -> None:
        """Let a supervisor run work under the machine, where it can tell every value."""
        b, tree = self.b, self.b.tree
        milestones = any("milestone" in each for each in tree["statuses"]["members"].values())
        if milestones or not self.pick.chance(40):
            # A supervisor waits for the end, and a wait ends at a milestone.
            return
        given: dict[str, str] = {}
        register = self._register(given)
        calls = {word: self._call(word) for word in ("start", "complete", "fail", "cancel")}
        if register is None or None in calls.values():
            return
        if self.pick.chance(40) and (progress := self._call("progress")) is not None:
            calls["progress"] = progress
            b.has("work: progress")
        if "watch" not in tree:
            tree["watch"] = {
                "summary": "Wait for its end.", "method": b.words.name(), "guards": ["known"]
            }  # fmt: skip
        tree["work"] = {"register": register, **calls, **({"given": given} if given else {})}
        b.has("work", *(["work: given"] if given else []))

    # Arguments ----------------------------------------------------------------------------------

    def _register(self, given: dict[str, str]) -> Tree | None:
        """The arguments of `create`, some of which the callers of `start` give."""
        found: Tree = {}
        for name, type in self.b.params.items():
            if self.b.create_id.partition(".")[0] == name:
                found[self.b.create_id] = "id"
                fields = self.b.shapes.records.get(type, {})
                others = {n: t for n, t in fields.items() if f"{name}.{n}" != self.b.create_id}
                more = self._fields(name, others, {"name": "str", "source": "str"})
                if more is None:
                    return None
                found |= more
            elif self.pick.chance(40) and name not in ("name", "source", "id"):
                given[name] = type
                found[name] = name
            else:
                more = self._argument(name, type, {"name": "str", "source": "str"})
                if more is None:
                    return None
                found |= more
        return found

    def _argument(self, name: str, type: str, offers: Scope) -> Tree | None:
        """What is given for a parameter, perhaps field by field; None if nothing can be."""
        if type.endswith(" | None") and self.pick.chance(40):
            return {}
        value = self.expressions.value(type, offers, 0)
        if value is not None:
            return {name: value}
        fields = self.b.shapes.records.get(type)
        return None if fields is None else self._fields(name, fields, offers)

    def _fields(self, name: str, fields: dict[str, str], offers: Scope) -> Tree | None:
        found = {f"{name}.{field}": self.expressions.value(type, offers, 0)
                 for field, type in fields.items()}  # fmt: skip
        return None if None in found.values() else found

    # Calls --------------------------------------------------------------------------------------

    def _call(self, word: str) -> Any:
        """The action of a call: one that the machine has, or one more."""
        fitting = [name for name, action in self.b.tree["actions"].items()
                   if self._fits(word, action)]  # fmt: skip
        name = self.pick.one(fitting) if fitting and self.pick.chance(70) else self._new(word)
        arguments: Tree = {}
        params = self.b.tree["actions"][name].get("params", {})
        if word == "complete" and len(params) == 1 and self.pick.chance(40):
            self.b.has("work: the whole value")
            return name
        for param, declared in params.items():
            if isinstance(declared, dict) and self.pick.chance(50):
                # It has a default.
                continue
            type = declared["type"] if isinstance(declared, dict) else declared
            more = self._argument(param, type, _OFFERS[word])
            if more is None:
                return None
            arguments |= more
        return {"do": name, "with": arguments} if arguments else name

    def _fits(self, word: str, action: Tree) -> bool:
        b, to = self.b, action.get("to", "")
        if not action.get("methods"):
            return False
        if word == "start":
            everywhere = action["from"] == "live" or b.live[0] in action["from"]
            return isinstance(to, str) and to in b.live and everywhere
        if action["from"] != "live":
            return False
        if word == "progress":
            return to == "" or to in b.live
        return (
            isinstance(to, str) and to in b.ends and (word == "complete" or "guards" not in action)
        )

    def _new(self, word: str) -> str:
        b = self.b
        name = b.words.name()
        action: Tree = {"summary": "For work.", "methods": [b.words.name()], "from": "live"}
        if word == "start":
            action |= {"from": [b.live[0]], "to": self.pick.one(b.live)}
        elif word != "progress":
            action["to"] = self.pick.one(b.ends)
        offers = {b.words.name(): type for type in _OFFERS[word].values() if self.pick.chance(50)}
        if offers:
            action["params"] = offers
        outcome = b.fields.get("terminal_outcome")
        if action.get("to") in b.ends and outcome:
            action["outcome"] = self.expressions.value(required(outcome), offers) or "None"
        b.tree["actions"][name] = action
        return name
