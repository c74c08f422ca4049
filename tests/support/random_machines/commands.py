"""A random machine: its guards, how records are created, its actions, and what every end does."""

from __future__ import annotations

from typing import Any

from tests.support.random_machines.building import Builder, Tree
from tests.support.random_machines.expressions import required

#: Effects that the compiler places, or that a machine placed itself in older languages.
BUILT_IN_EFFECTS = ["append_to_feed", "evict_oldest", "wake_watchers", "count_in_barriers",
                    "close_watchers", "fail_barriers", "erase"]  # fmt: skip


class Commands:
    """Adds commands to a machine."""

    def __init__(self, builder: Builder) -> None:
        self.b = builder
        self.effects: list[str] = []

    def add(self) -> None:
        """Add guards, `create`, actions and the steps of ends."""
        self._common_guards()
        self._declare_effects()
        self._actions()
        self._create()
        self._steps()

    # Guards -------------------------------------------------------------------------------------

    def _common_guards(self) -> None:
        b = self.b
        entity, id = b.entity, b.id
        rejections, guards = b.tree["errors"], b.tree["guards"]
        rejections["known_already"] = {
            "class": "KnownAlreadyError", "fields": {"id": id}, "message": "{id} exists already"
        }  # fmt: skip
        rejections["unknown"] = {
            "class": "UnknownError", "fields": {"id": id}, "message": "there is no {id}"
        }  # fmt: skip
        rejections["not_now"] = {
            "class": "NotNowError", "fields": {"id": id, "status": b.status, "action": "str"},
            "message": "{id} is {status.value}: it cannot {action}",
        }  # fmt: skip
        guards["new"] = {"when": f"{entity} is None", "error": {"known_already": {"id": "id"}}}
        guards["known"] = {"when": f"{entity} is not None", "error": {"unknown": {"id": "id"}}}
        b.tree["illegal_transition"] = {
            "not_now": {"id": "id", "status": f"{entity}.status", "action": "action.label"}
        }
        b.tree["default_guards"] = b.pick.one([["known"], ["known", "legal_status"]])
        flags = [n for n, t in b.registry.items() if t == "bool"]
        if flags and b.pick.chance(40):
            flag = b.pick.one(flags)
            b.tree["global_guards"] = [b.guard(f"not registry.{flag}", b.of_registry())]
            b.has("always first")

    def _own_guards(self, params: dict[str, str], most: int) -> list[str]:
        """Guards that one action alone has, so that they may read what it receives."""
        b = self.b
        scope = {**b.of_record(), **b.of_command(), **params}
        names = []
        for _ in range(b.pick.integer(0, most)):
            let, known = {}, dict(scope)
            if b.pick.chance(25):
                local = b.words.name()
                let[local], known[local] = b.expressions.count(scope, 1), "int"
                b.has("let")
                when = f"{local} {b.pick.one(['<', '>=', '!='])} {b.pick.integer(0, 3)}"
            else:
                when = b.expressions.boolean(known)
            if b.pick.chance(2):
                # A guard that would let more through than an action is legal from.
                when = f"{b.entity}.status in action.from_statuses or ({when})"
                b.has("hostile: a guard tests the status itself")
            names.append(b.guard(when, known, let))
            b.has("guard")
        return names

    # Effects ------------------------------------------------------------------------------------

    def _declare_effects(self) -> None:
        b = self.b
        for _ in range(b.pick.integer(0, 2)):
            name = b.words.name()
            b.tree["effects"][name] = {"summary": b.words.text()}
            if b.pick.chance(30):
                b.tree["effects"][name]["attempts"] = b.pick.integer(1, 3)
            self.effects.append(name)

    def some_effects(self, place: str, percent: int = 35) -> list[str]:
        """Effects of a command; a built-in one in a wrong place now and then."""
        b, found = self.b, []
        if self.effects and b.pick.chance(percent):
            found = b.pick.some(self.effects, 2, 1)
            b.has(f"effect: {place}")
        if b.pick.chance(2):
            found.append(b.pick.one(BUILT_IN_EFFECTS))
            b.has("hostile: a built-in effect in the list")
        return found

    # Commands -----------------------------------------------------------------------------------

    def _create(self) -> None:
        b = self.b
        pick, words = b.pick, b.words
        checks = ["new"]
        scope = {**b.of_command(), **{n: t for n, t in b.params.items() if t != b.id}}
        if pick.chance(30):
            checks.append(b.guard(b.expressions.boolean(scope), scope))
            b.has("guard of create")
        if pick.chance(50):
            checks.reverse()
        create: Tree = {
            "summary": words.text(), "methods": {words.name(): list(b.params)},
            "params": dict(b.params), "id": b.create_id, "guards": checks, "to": b.live[0],
        }  # fmt: skip
        if pick.chance(25):
            optional = [n for n, t in b.params.items() if t.endswith(" | None")]
            left_out = set(pick.some(optional, 2))
            if pick.chance(15):
                left_out |= set(pick.some(list(b.params), 1, 1))
                b.has("hostile: a create method leaves out a parameter")
            create["methods"][words.name()] = [n for n in b.params if n not in left_out]
            b.has("several create methods")
        update = b.updates(scope, 2, record=False)
        if update:
            create["update"] = update
        effects = self.some_effects("of create")
        if effects:
            create["effects"] = effects
        b.tree["create"] = create

    def _actions(self) -> None:
        """A way through the live statuses to each end, and whatever else."""
        b = self.b
        pick, words = b.pick, b.words
        actions: dict[str, Any] = {}
        b.tree["actions"] = actions
        ways = [([one], other) for one, other in zip(b.live, b.live[1:], strict=False)]
        ways.append(([b.live[-1]], b.ends[0]))
        for end in b.ends[1:]:
            ways.append((self._sources(), end))
        for _ in range(pick.integer(0, 2)):
            ways.append((self._sources(), pick.one([*b.live, *b.ends, ""])))
        for sources, to in ways:
            actions[words.name()] = self._action(sources, to)

    def _sources(self) -> Any:
        b = self.b
        groups = list(b.tree["statuses"].get("groups", {}))
        if b.pick.chance(40):
            return b.pick.one(["live", *groups])
        return b.pick.some(b.live, 2, 1)

    def _action(self, sources: Any, to: str) -> Tree:
        b = self.b
        pick, words = b.pick, b.words
        params = {words.name(): b.type(optional=25) for _ in range(pick.integer(0, 2))}
        methods = [words.name() for _ in range(2 if pick.chance(10) else 1)]
        action: Tree = {"summary": words.text(), "methods": methods, "from": sources}
        if to:
            action["to"] = to
        if params:
            action["params"] = params
        if pick.chance(10):
            action["label"] = words.name()
            b.has("label")
        own = self._own_guards(params, 1)
        if own:
            action["guards"] = pick.one(
                [["known", *own], ["known", *own, "legal_status"], ["known", "legal_status", *own]]
            )
            b.has(f"legal status: {'placed' if 'legal_status' in action['guards'] else 'left out'}")
        scope = {**b.of_record(), **b.of_command(), **params}
        update = b.updates(scope, 2)
        if update:
            action["update"] = update
        terminal = to in b.ends
        outcome = b.fields.get("terminal_outcome")
        if terminal and outcome:
            made = b.expressions.value(required(outcome), scope)
            if made is not None:
                action["outcome"] = made
        effects = self.some_effects("of an ending action" if terminal else "of an action")
        if effects:
            action["effects"] = effects
        self._flags(action, terminal)
        return action

    def _flags(self, action: Tree, terminal: bool) -> None:
        b, pick = self.b, self.b.pick
        sources = action["from"] if isinstance(action["from"], list) else []
        if sources and pick.chance(25):
            rest = [s for s in [*b.live, *b.ends] if s not in sources]
            if rest:
                action["idempotent_in"] = pick.some(rest, 2, 1)
                b.has("idempotent in")
        if pick.chance(15) and not action.get("effects") and not terminal:
            action["deferred"] = True
            b.has("deferred")

    def _steps(self) -> None:
        """What every end does besides; the features add theirs."""
        b, pick = self.b, self.b.pick
        taken: set[str] = set()
        steps = []
        for _ in range(pick.integer(0, 2)):
            scope = {**b.of_record(), **b.of_command()}
            step: Tree = {}
            if pick.chance(40):
                step["if"] = b.expressions.boolean(b.of_record())
                b.has("step of an end: if")
            update = b.updates(scope, 2, taken=taken)
            if update:
                step["update"] = update
                b.has("step of an end: update")
            effects = self.some_effects("of a step of an end")
            if effects:
                step["effects"] = effects
            if "update" in step or "effects" in step:
                steps.append(step)
        b.tree["on_terminal"] = steps
