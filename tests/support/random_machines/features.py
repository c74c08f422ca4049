"""A random machine: its features, each of which a machine may have or not."""

from __future__ import annotations

import re
from typing import Any

from tests.support.random_machines.building import Builder, Tree
from tests.support.random_machines.choosing import add_methods
from tests.support.random_machines.commands import Commands
from tests.support.random_machines.details import Details
from tests.support.random_machines.expressions import required
from tests.support.random_machines.feeding import Feeding
from tests.support.random_machines.parameters import add_parameters
from tests.support.random_machines.picking import Pick
from tests.support.random_machines.pruning import pruned
from tests.support.random_machines.regions import add_regions
from tests.support.random_machines.returning import add_returns
from tests.support.random_machines.shaping import Shaping
from tests.support.random_machines.timing import Timing
from tests.support.random_machines.unique_keys import add_keys, add_parent
from tests.support.random_machines.working import Working


class Features(Feeding):
    """Adds features to a machine that has its commands."""

    def add(self) -> None:
        """Add the features, some of which are commands."""
        self._watch()
        if self.feed:
            self._feed()
        elif self.collect:
            self._number()
        self._discard()
        if self.collect:
            method = self.b.words.name()
            self.b.tree["collect"] = {"summary": self.b.words.text(), "method": method}
            self.b.has("collect")
        self._barrier()
        self._for_all_and_recovery()
        self._history()
        self._rollback()
        self._erase()
        self._snapshot()
        self._listing()
        self._classifiers()
        self._properties()

    def _watch(self) -> None:
        b = self.b
        if b.pick.chance(50):
            b.tree["watch"] = {
                "summary": b.words.text(), "method": b.words.name(), "guards": ["known"]
            }  # fmt: skip
            b.has("watch")

    # Waits and commands for all -----------------------------------------------------------------

    def _barrier(self) -> None:
        b, words = self.b, self.b.words
        if not b.pick.chance(25):
            return
        b.tree["ids"] |= {"GroupId": {"summary": "Who waits."}, "WaitId": {"summary": "A wait."}}
        twice, _ = b.rejection({})
        busy, _ = b.rejection({})
        b.tree["barrier"] = {
            "summary": words.text(), "method": words.name(), "key": {words.name(): "GroupId"},
            "active_per_key_max": b.pick.integer(1, 2), "request_id": "WaitId",
            "wait": "GroupWait", "result": "GroupResult", "token": "GroupToken",
            "guards": [{"repeated": twice}, {"busy": busy}, {"unknown": {"unknown": {"id": "id"}}}],
        }  # fmt: skip
        b.has("barrier")

    def _total(self) -> tuple[str, dict[str, str]]:
        """An action that ends every live record; added if no action does."""
        b, words = self.b, self.b.words
        for name, action in b.tree["actions"].items():
            if (
                action["from"] == "live" and action.get("to") in b.ends and b.pick.chance(70)
                and not {"guards", "update"} & set(action)
            ):  # fmt: skip
                return name, action.get("params", {})
        action = {
            "summary": words.text(), "from": "live", "to": b.ends[0], "methods": [words.name()]
        }  # fmt: skip
        outcome = b.fields.get("terminal_outcome")
        takes: dict[str, str] = {}
        if b.pick.chance(40):
            takes[words.name()] = b.pick.one(["str", "int", "str | None"])
            action["params"] = dict(takes)
        if outcome:
            made = b.expressions.value(required(outcome), takes)
            action["outcome"] = made or "None"
        effects = self.commands.some_effects("of an ending action")
        if effects:
            action["effects"] = effects
        name = words.name()
        b.tree["actions"][name] = action
        return name, takes

    def _of_the_registry(self) -> Tree:
        """A command of the whole registry that ends no record."""
        b, pick = self.b, self.b.pick
        command: Tree = {"summary": b.words.text()}
        flags = [n for n, t in b.registry.items() if t == "bool"]
        if flags and pick.chance(50):
            command["unless"] = f"registry.{pick.one(flags)}"
        update = b.updates(b.of_registry(), 1, record=False)
        return {**command, "update": update} if update else command

    def _for_all_and_recovery(self) -> None:
        b, pick, words = self.b, self.b.pick, self.b.words
        if pick.chance(30):
            action, _ = self._total()
            b.tree["bulk"] = {words.name(): {"do": action, **self._of_the_registry()}}
            b.has("command for all")
        if pick.chance(20) and "update" in (command := self._of_the_registry()):
            b.tree.setdefault("bulk", {})[words.name()] = command
            b.has("command of the registry")
        if not pick.chance(80):
            for action_ in b.tree["actions"].values():
                action_.pop("deferred", None)
            b.features.discard("deferred")
            b.has("recovery: none")
            return
        recovery: Tree = {"persist_if": "true"}
        if pick.chance(20):
            recovery["persist_if"] = b.expressions.boolean(self._constant())
            b.has("recovery: keeps some")
        if pick.chance(35):
            action, takes = self._total()
            recovery["do"] = action
            if takes:
                recovery["with"] = {n: b.expressions.value(t, {}) for n, t in takes.items()}
            b.has("recovery: ends the interrupted")
            if b.later.chance(40):
                recovery["unless"] = b.expressions.boolean(b.of_record())
                b.has("recovery: ends some of the interrupted")
        else:
            b.has("recovery: live records stay")
        b.tree["recovery"] = recovery
        retention = b.tree.get("retention", {})
        if retention.get("evict") == "records" and b.apart.chance(60):
            archive = {"summary": "All that left.", "get": "get_past", "since": "list_past"}
            retention["archive"] = archive
            # So that few records reach it.
            b.tree["settings"]["rows_kept"]["default"] = 1
            b.has("retention: archive")

    def _history(self) -> None:
        b, later = self.b, self.b.later
        if not later.chance(20):
            return
        leading = [action for action in b.tree["actions"].values() if action.get("to")]
        types: dict[str, set[str]] = {}
        for params in (b.params, *(action.get("params", {}) for action in leading)):
            for name, type in params.items():
                types.setdefault(name, set()).add(required(type))
        params = [name for name, found in types.items() if len(found) == 1]
        b.tree["history"] = {
            "summary": b.words.text(), "method": b.words.name(), "last": later.integer(1, 3),
            "params": later.some(params, 2),
        }  # fmt: skip
        b.has("history")

    def _constant(self) -> dict[str, str]:
        """The fields of a record that nothing changes."""
        b = self.b
        places = [*b.tree["actions"].values(), *b.tree["on_terminal"]]
        changed = {target for each in places for target in each.get("update", {})}
        changed |= {f"{b.entity}.{n}" for n, f in b.tree["fields"].items() if "initial" not in f}
        return {p: t for p, t in b.of_record().items()
                if p not in changed and p != f"{b.entity}.status"}  # fmt: skip

    def _rollback(self) -> None:
        b, pick, words = self.b, self.b.pick, self.b.words
        if not pick.chance(30):
            return
        rollback: Tree = {
            "summary": words.text(), "method": words.name(), "from": self.commands._sources(),
            "guards": ["known", *pick.one([[], ["legal_status"]])],
        }  # fmt: skip
        effects = self.commands.some_effects("of rollback")
        if effects:
            rollback["effects"] = effects
        update = b.updates({**b.of_record(), **b.of_registry()}, 1, record=False)
        if update:
            rollback["update"] = update
        b.tree["rollback"] = rollback
        b.has("rollback")

    def _erase(self) -> None:
        b, pick, words = self.b, self.b.pick, self.b.words
        if not pick.chance(30):
            return
        erase: Tree = {"summary": words.text(), "method": words.name()}
        if pick.chance(40):
            erase["from"] = pick.some(b.ends, 2, 1)
        if pick.chance(40):
            scope = {**b.of_record(), **b.of_registry()}
            own = b.guard(b.expressions.boolean(scope), scope)
            erase["guards"] = ["known", own]
        effects = self.commands.some_effects("of erase")
        if effects:
            erase["effects"] = effects
        b.tree["erase"] = erase
        b.has("erase")

    # Views and properties -----------------------------------------------------------------------

    def _snapshot(self) -> None:
        b = self.b
        fields: dict[str, Any] = {"id": f"{b.entity}.id", "status": f"{b.entity}.status"}
        names = {**b.tree["fields"], **({"sequence": ""} if self.feed else {})}
        fields |= {name: f"{b.entity}.{name}" for name in names}
        if "terminal_outcome" not in fields and b.pick.chance(50):
            fields["terminal_outcome"] = f"{b.entity}.terminal_outcome"
        b.tree["snapshot"] = {
            "summary": b.words.text(), "method": b.words.name(), "fields": fields
        }  # fmt: skip
        if b.pick.chance(20):
            b.tree["snapshot"]["json"] = "omit_none"

    def _listing(self) -> None:
        b, pick = self.b, self.b.pick
        if not pick.chance(40):
            return
        ordered = [p for p, t in b.expressions.paths(b.of_record(), 0) if t in ("str", "int")]
        order = [*pick.some(ordered, 1), f"{b.entity}.id"]
        filters = {"status": f"{b.entity}.status"} if pick.chance(80) else {}
        closed = [p for p, t in b.expressions.paths(b.of_record(), 1)
                  if t in ("bool", *b.shapes.enums) and t != b.status]  # fmt: skip
        for path in pick.some(closed, 2):
            filters[b.words.name()] = path
        b.tree["listing"] = {
            "summary": b.words.text(), "method": b.words.name(), "order": order
        }  # fmt: skip
        if filters:
            b.tree["listing"]["filters"] = filters
        b.has("listing")
        self._pages(filters)

    def _pages(self, filters: dict[str, str]) -> None:
        """Orders of pages, most of which never change, so that most machines are accepted."""
        b, pick = self.b, self.b.apart
        if not pick.chance(60):
            return
        listing, constant = b.tree["listing"], self._constant()
        sortable = [p for p, t in b.expressions.paths(constant, 1) if t in ("str", "int", "bool")]
        if pick.chance(90):
            kept = (*constant, f"{b.entity}.id")
            listing["order"] = [each for each in listing["order"] if each in kept]
        listing["orders"] = {
            f"by_{number}": path for number, path in enumerate(pick.some(sortable, 2))
        }
        for side in ("above", "below"):
            bounds = {f"{side}_{name}": name for name in listing["orders"] if pick.chance(50)}
            if bounds and not {*bounds} & {*filters}:
                listing[side] = bounds
        b.has("pages")

    def _classifiers(self) -> None:
        b, pick, words = self.b, self.b.pick, self.b.words
        classifiers: Tree = {}
        owned = [b.tree["feed"].get("counter", "last_sequence"), "watermark"] if self.feed else []
        for name in [*b.tree["registry"], *owned]:
            # So that every field of the registry can be seen from outside.
            rule: Tree = {"summary": words.text(), "returns": f"registry.{name}"}
            if pick.chance(30):
                rule["of"] = "registry"
                b.has("classifier of the registry")
            classifiers[words.name()] = rule
        if pick.chance(50):
            inner = b.expressions.boolean(b.of_record())
            classifiers[words.name()] = {
                "summary": words.text(), "returns": f"{b.entity} is not None and ({inner})"
            }  # fmt: skip
        if pick.chance(30):
            name = words.name()
            type = pick.one(["int", "bool", *b.shapes.enums])
            classifiers[words.name()] = {
                "summary": words.text(), "params": {name: type},
                "returns": b.expressions.boolean({name: type}),
            }  # fmt: skip
        b.tree["classifiers"] = classifiers
        b.has("classifier")

    def _properties(self) -> None:
        b, pick, words = self.b, self.b.pick, self.b.words
        many = f"{b.entity}s"
        invariants: Tree = {}
        for _ in range(pick.integer(0, 2)):
            loop = words.name()
            test = b.expressions.boolean(b.of_record(loop))
            form = pick.one(["all({t} for {l} in {m})", "any({t} for {l} in {m})",
                             "count({l} for {l} in {m} if {t}) >= 0"])  # fmt: skip
            invariants[words.name()] = {
                "summary": words.text(), "expr": form.format(t=test, l=loop, m=many)
            }  # fmt: skip
            b.has("invariant")
        b.tree["invariants"] = invariants
        counts = [n for n, t in b.registry.items() if t == "int"]
        if counts and pick.chance(40):
            name = pick.one(counts)
            b.tree["transition_invariants"] = {
                words.name(): {
                    "summary": words.text(),
                    "expr": f"after.{name} >= before.{name} - 2",
                }
            }
            b.has("step property")


_LATER = 1_000_003
#: Choices of what the language had last.
_LATEST = 2_000_003


def build(number: int) -> tuple[Tree, frozenset[str]]:
    """Return the random machine with a number, and what it has."""
    lengths = Pick(number + 2 * _LATER)
    builder = Builder(
        Pick(number), Pick(number + _LATER), Pick(-1 - number), lengths,
        Pick(-1 - number - _LATEST), Pick(-1 - number - 3 * _LATEST),
        Pick(-1 - number - 5 * _LATEST),
    )  # fmt: skip
    commands = Commands(builder)
    features = Features(builder, commands)
    details = Details(builder)
    builder.types()
    builder.statuses()
    builder.registry_fields()
    builder.create_params()
    builder.record_fields()
    features.declare()
    commands.add()
    features.add()
    details.of_values()
    details.closed_sets()
    details.add()
    details.replacing()
    Timing(builder, Pick(-1 - number - 2 * _LATER)).add()
    Shaping(builder, Pick(-1 - number - _LATER), commands.effects).add()
    apart = Pick(-1 - number - _LATEST)
    add_parent(builder, apart)
    add_keys(builder, apart)
    latest = Pick(number + _LATEST)
    details.defaults(latest)
    details.keywords(Pick(-1 - number - 8 * _LATER))
    details.identifiers(latest)
    Working(builder, Pick(-1 - number - 3 * _LATER)).add()
    _divide(builder, Pick(-1 - number - 4 * _LATER))
    add_methods(builder, Pick(-1 - number - 5 * _LATER))
    add_regions(builder, Pick(-1 - number - 5 * _LATER), commands.effects)
    add_parameters(builder, Pick(-1 - number - 6 * _LATER))
    add_returns(builder, Pick(-1 - number - 7 * _LATER))
    tree = pruned(builder.tree)
    found = builder.features | builder.expressions.used
    if re.search(r"\bnow\b", str(tree)):
        found.add("time of a command")
    if builder.words.long_names:
        found.add("long names")
    if builder.words.hostile_names:
        found.add("hostile: a name")
    if builder.words.hostile_texts:
        found.add("hostile: a text")
    return tree, frozenset(found)


def _divide(builder: Builder, pick: Pick) -> None:
    """Have some guards of `erase` divide by a number that may be 0."""
    stored = {f"registry.{name}": type for name, type in builder.registry.items()}
    scope = {**builder.of_record(), **stored}
    numbers = [path for path, type in builder.expressions.paths(scope) if type == "int"]
    own = builder.tree.get("erase", {}).get("guards", [])[1:]
    if own and numbers and pick.chance(40):
        guard = builder.tree["guards"][own[0]]
        guard["when"] = f"7 // ({pick.one(numbers)} % 2) != 3 and ({guard['when']})"
