"""A random machine: shapes of its actions and statuses, added to a machine that is complete."""

from __future__ import annotations

from tests.support.random_machines.building import Builder, Tree
from tests.support.random_machines.expressions import Expressions, Scope, required
from tests.support.random_machines.picking import Pick


class Shaping:
    """Adds shapes, with choices of its own: everything else of a machine stays as it is."""

    def __init__(self, builder: Builder, pick: Pick, effects: list[str]) -> None:
        self.b = builder
        self.pick = pick
        self.effects = effects
        #: The statuses with an outcome.
        self.announced = list(builder.ends)
        self.expressions = Expressions(pick, builder.shapes, pick)

    def add(self) -> None:
        """Add shapes where they are allowed."""
        tree = self.b.tree
        self._milestones()
        self._crossings()
        for_all = {each["do"] for each in tree.get("bulk", {}).values() if "do" in each}
        for_all.add(tree.get("recovery", {}).get("do"))
        for name, action in tree["actions"].items():
            # What is done to every live record has one target.
            if "to" in action and self.pick.chance(2 if name in for_all else 12):
                self._targets(action)
        self._groups()
        self.b.features |= self.expressions.used

    # Milestones ---------------------------------------------------------------------------------

    def _milestones(self) -> None:
        """Some of the live statuses announce themselves, where each way there has an outcome."""
        b, pick = self.b, self.pick
        for status in b.live[1:] if pick.chance(30) else ():
            leading = [each for each in b.tree["actions"].values() if each.get("to") == status]
            outcomes = [self._outcome(each.get("params", {})) for each in leading]
            if not leading or None in outcomes:
                continue
            for action, outcome in zip(leading, outcomes, strict=True):
                action |= outcome or {}
                action.pop("deferred", None)
            b.tree["statuses"]["members"][status]["milestone"] = True
            self.announced.append(status)
            b.has("milestone")

    def _crossings(self) -> None:
        """Effects of entering some statuses, and of leaving some."""
        b, pick = self.b, self.pick
        if not self.effects or not pick.chance(50):
            return
        members = b.tree["statuses"]["members"]
        for word, statuses in (("entry", [*b.live, *b.ends]), ("exit", b.live)):
            for status in pick.some(statuses, 2, 1):
                members[status][word] = pick.some(self.effects, 2, 1)
                b.has(f"effect: {word}")
        for action in b.tree["actions"].values():
            if "to" in action:
                # What has effects is not deferred.
                action.pop("deferred", None)

    def _outcome(self, params: Scope) -> Tree | None:
        """The outcome of what is announced; None if nothing here gives one."""
        outcome = self.b.fields.get("terminal_outcome")
        if not outcome:
            return {}
        scope = {**self.b.of_record(), **self.b.of_command(), **params}
        made = self.expressions.value(required(outcome), scope)
        return None if made is None else {"outcome": made}

    def _groups(self) -> None:
        """A group that an action leads to, in place of its first status."""
        b, pick = self.b, self.pick
        groups = b.tree["statuses"].get("groups", {})
        for name, members in groups.items():
            initial = members[0]
            leading = [each for each in b.tree["actions"].values() if each.get("to") == initial]
            if leading and pick.chance(60):
                groups[name] = {"members": members, "initial": initial}
                pick.one(leading)["to"] = name
                b.has("group: initial status")

    # Targets ------------------------------------------------------------------------------------

    def _targets(self, action: Tree) -> None:
        """Some targets with tests before the only one that an action had."""
        b, pick = self.b, self.pick
        statuses = [*b.live, *b.ends]
        if action.get("deferred"):
            statuses = [each for each in b.live if each not in self.announced]
        scope = {**b.of_record(), **b.of_command(), **action.get("params", {})}
        targets: list[str | Tree] = []
        for _ in range(2 if pick.chance(15) else 1):
            target = self._target(pick.one(statuses), action)
            if target is not None:
                targets.append(self._sourced(target | {"when": self._test(scope)}, action))
        if targets:
            action["to"] = [*targets, action["to"]]
            b.has("several targets")

    def _sourced(self, target: Tree, action: Tree) -> Tree:
        """A target that perhaps applies in some of the statuses of its action only."""
        words = [action["from"]] if isinstance(action["from"], str) else action["from"]
        sources = [each for each in self.b.live if each in words or "live" in words]
        if len(sources) < 2 or not self.pick.chance(60):
            return target
        self.b.has("target: from")
        return target | {"from": self.pick.some(sources, len(sources) - 1, 1)}

    def _test(self, scope: Scope) -> str:
        numbers = [p for p, type in self.expressions.paths(scope, 1) if type == "int"]
        if numbers and self.pick.chance(60):
            sign = self.pick.one(["<", ">=", "==", "!="])
            return f"{self.pick.one(numbers)} {sign} {self.pick.integer(1, 2)}"
        if not self.pick.chance(15):
            # The status often decides already, and leaves nothing to another target.
            scope = {p: type for p, type in scope.items() if not p.endswith(".status")}
        return self.expressions.boolean(scope)

    def _target(self, status: str, action: Tree) -> Tree | None:
        b, pick = self.b, self.pick
        target: Tree = {"status": status}
        if status in self.announced:
            outcome = self._outcome(action.get("params", {}))
            if outcome is None:
                return None
            target |= outcome
        counts = [f"registry.{name}" for name, type in b.registry.items() if type == "int"]
        if counts and pick.chance(40):
            count = pick.one(counts)
            target["update"] = {count: f"{count} {pick.one(['+', '-'])} 1"}
        if self.effects and not action.get("deferred") and pick.chance(30):
            target["effects"] = pick.some(self.effects, 2, 1)
        return target
