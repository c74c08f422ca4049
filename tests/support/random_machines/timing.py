"""A random machine: its timers, due at once, soon, or long after everything else."""

from __future__ import annotations

from tests.support.random_machines.building import Builder, Tree
from tests.support.random_machines.expressions import Expressions, required
from tests.support.random_machines.picking import Pick

_UNITS = ["days", "hours", "minutes", "seconds", "milliseconds"]


class Timing:
    """Adds timers, with choices of its own, to a machine that is complete."""

    def __init__(self, builder: Builder, pick: Pick) -> None:
        self.b = builder
        self.pick = pick
        self.expressions = Expressions(pick, builder.shapes, pick)

    def add(self) -> None:
        """Add timers to some statuses."""
        b, pick = self.b, self.pick
        if not pick.chance(40):
            return
        after: Tree = {}
        for status in pick.some([*b.live, "live"], 2, 1):
            timers = [timer for _ in range(pick.integer(1, 2)) if (timer := self._timer(status))]
            if timers:
                after[status] = timers[0] if len(timers) == 1 and pick.chance(50) else timers
        if after:
            b.tree["after"] = after

    def _timer(self, status: str) -> Tree | None:
        b, pick = self.b, self.pick
        statuses = b.live if status == "live" else [status]
        doing = [
            (name, action) for name, action in b.tree["actions"].items()
            if set(statuses) <= set(self._sources(action))
        ]  # fmt: skip
        if not doing:
            return None
        name, action = pick.one(doing)
        given = {n: self.expressions.value(t, {}) for n, t in action.get("params", {}).items()}
        if any(value is None for value in given.values()):
            return None
        due = self._due(action, statuses)
        if due is None:
            return None
        return {**due, "do": name, **({"with": given} if given else {})}

    def _sources(self, action: Tree) -> list[str]:
        """The statuses in which an action is legal."""
        sources = action["from"]
        if sources == "live":
            return self.b.live
        groups = self.b.tree["statuses"].get("groups", {})
        return list(groups.get(sources, [sources])) if isinstance(sources, str) else list(sources)

    def _due(self, action: Tree, statuses: list[str]) -> Tree | None:
        """When a timer is due, so that its action does not leave it due."""
        b, pick = self.b, self.pick
        dates = [n for n, t in b.fields.items() if required(t) in ("int", "datetime")
                 and "stamped" not in b.tree["fields"].get(n, {})]  # fmt: skip
        if dates and (pick.chance(40) or not action.get("to")):
            field = f"{b.entity}.{pick.one(dates)}"
            if not action.get("to") or action["to"] in statuses:
                self._move(action, field)
            b.has("timer: at")
            return {"at": field}
        if not action.get("to"):
            return None
        b.has("timer: after")
        return {unit: pick.integer(1, 9) for unit in pick.some(_UNITS, 2, 1)}

    def _move(self, action: Tree, field: str) -> None:
        """Have an action put off the time of its own timer, or take it back."""
        update = action.setdefault("update", {})
        type = self.b.fields[field.partition(".")[2]]
        if field not in update:
            later = f"{field} + 7" if type == "int" else f"{field} + timedelta(hours=1)"
            update[field] = "None" if type.endswith("None") else later
            self.b.has("timer: moves itself")
