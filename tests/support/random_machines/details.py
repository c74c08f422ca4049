"""A random machine: what a declaration may say besides, wherever it is allowed."""

from __future__ import annotations

from typing import Any

from tests.support.random_machines.building import Builder, Tree
from tests.support.random_machines.expressions import required
from tests.support.random_machines.picking import Pick

_NAMES = ["interface", "registry", "async_registry", "base", "snapshot", "watch", "effect",
          "action", "record", "authority"]  # fmt: skip


class Details:
    """Adds details to declarations that a machine has already."""

    def __init__(self, builder: Builder) -> None:
        self.b = builder

    # Types --------------------------------------------------------------------------------------

    def of_values(self) -> None:
        """What the fields of values and variants may say besides their type."""
        b = self.b
        for name, fields in b.shapes.records.items():
            self._fields(b.tree["values"][name], fields)
        for union, variants in b.shapes.unions.items():
            for name, fields in variants.items():
                declared = b.tree["values"][union]["variants"][name]
                self._fields(declared, fields)
                self._flatten(declared, fields, str(b.tree["values"][union]["tag"]))

    def _fields(self, declared: Tree, fields: dict[str, str]) -> None:
        b, pick = self.b, self.b.pick
        last = [name for name, type in fields.items() if not type.endswith(" | None")][-1:]
        for name, type in fields.items():
            more: Tree = {}
            others = {n: t for n, t in fields.items() if n != name}
            if type.endswith(" | None") and pick.chance(20):
                more["json"] = "omit_none"
                b.has("field of a value: json")
            if type.endswith(" | None") and pick.chance(15):
                more["always"] = b.expressions.value(type, others)
                b.has("field of a value: always")
            elif [name] == last and type in ("bool", "int") and pick.chance(30):
                # What has a default stands behind whatever has none.
                more["default"] = b.expressions.value(type, {}, 0)
                b.has("field of a value: default")
            if more:
                declared["fields"][name] = {"type": type, **more}

    def _flatten(self, declared: Tree, fields: dict[str, str], tag: str) -> None:
        b = self.b
        for name, type in fields.items():
            inner = b.shapes.records.get(type, {})
            rest = {n for n in fields if n != name}
            if inner and not rest.intersection(inner) and tag not in inner and b.pick.chance(80):
                declared["flatten"] = name
                b.has("flatten")
                return

    def closed_sets(self) -> None:
        """Closed sets whose members are declared elsewhere."""
        b, pick = self.b, self.b.pick
        for source in ["actions", *b.shapes.unions]:
            if not pick.chance(20):
                continue
            name, taken = b.words.type(), b.words.name()
            b.tree["enums"][name] = {"summary": b.words.text(), "members_from": source}
            b.tree["classifiers"][b.words.name()] = {
                "summary": b.words.text(), "params": {taken: name},
                "returns": f"{taken}.label == 'x'" if source == "actions"
                else f"{taken} is {taken}",
            }  # fmt: skip
            b.has(f"members from {'actions' if source == 'actions' else 'a union'}")

    def identifiers(self, pick: Pick) -> None:
        """Identifiers that are integers, and some that say that they are UUIDs."""
        tree = self.b.tree
        made = {tree.get("feed", {}).get("epoch"), tree.get("barrier", {}).get("request_id")}
        for name, declared in tree["ids"].items():
            if "pattern" in declared or name in made:
                continue
            if pick.chance(25):
                declared["type"] = "int"
                self.b.has(f"id: an int{' of records' if name == self.b.id else ''}")
            elif pick.chance(10):
                declared["type"] = "UUID"

    # Parameters ---------------------------------------------------------------------------------

    def defaults(self, pick: Pick) -> None:
        """Parameters that a call may leave out; behind each, no call has to pass another."""
        tree = self.b.tree
        commands = [tree["create"], *tree["actions"].values(), *tree["classifiers"].values()]
        for command in commands:
            for name, type in reversed(list(command.get("params", {}).items())):
                default = self._constant(pick, type)
                if default is not None and pick.chance(30):
                    command["params"][name] = {"type": type, "default": default}
                    self.b.has("parameter with a default")
                elif not type.endswith(" | None"):
                    break
        create = tree["create"]
        defaulted = [name for name, each in create["params"].items() if isinstance(each, dict)]
        if defaulted and pick.chance(50):
            first = next(iter(create["methods"].values()))
            left = [name for name in first if name not in defaulted]
            create["methods"][self.b.words.name()] = left
            self.b.has("create method without a parameter that has a default")

    def keywords(self, pick: Pick) -> None:
        """Parameters that calls pass by name, of commands that no supervisor calls."""
        tree = self.b.tree
        if not pick.chance(25):
            return
        commands = [tree["create"], *tree["actions"].values(), *tree["classifiers"].values()]
        for command in commands:
            for name, each in command.get("params", {}).items():
                if pick.chance(35):
                    declared = each if isinstance(each, dict) else {"type": each}
                    command["params"][name] = {**declared, "keyword": True}
                    self.b.has("parameter by name")

    def _constant(self, pick: Pick, type: str) -> str | None:
        """A default of a type; None for a type that has none."""
        shapes, inner = self.b.shapes, required(type)
        if inner != type and pick.chance(30):
            return "None"
        found = {
            "int": ["2", "1 + 2"], "bool": ["true", "false"], "str": ["it", "'it is \"quoted\"'"],
            "float": ["1.5", "0.0"], "datetime": ["datetime(2026, 1, 31)"],
            "timedelta": ["timedelta(hours=1, microseconds=-3)"],
            **{name: [str(least)] for name, (least, _) in shapes.numbers.items()},
            **{name: [least] for name, (least, _) in shapes.decimals.items()},
            **{name: [repr(text)] for name, text in shapes.texts.items()},
            **{name: [members[0], f"{name}.{members[0]}"]
               for name, members in shapes.enums.items()},
        }  # fmt: skip
        return pick.one(found[inner]) if inner in found else None

    # Other declarations -------------------------------------------------------------------------

    def add(self) -> None:
        """Add details of commands, of the registry and of views."""
        b, pick, tree = self.b, self.b.pick, self.b.tree
        methods = list(tree["create"]["methods"])
        if len(methods) > 1 and pick.chance(60):
            tree["create"]["optional_methods"] = pick.some(methods[1:], 1, 1)
            b.has("optional method")
        for command in tree.get("bulk", {}).values():
            if pick.chance(30):
                command["optional"] = True
                b.has("optional command")
        if "cursors" in tree and pick.chance(40):
            tree["cursors"]["cache"] = b.words.type()
            b.has("cursor cache")
        self._recovered()
        self._names()
        self._shown()
        self._checked()
        if pick.chance(20):
            tree["eventually"] = {
                b.words.name(): {
                    "summary": b.words.text(), "from": "live", "reaches": list(b.ends)
                }
            }  # fmt: skip
            b.has("eventually")

    def _recovered(self) -> None:
        """What a field of the registry is once a store was opened."""
        b, pick = self.b, self.b.pick
        if "recovery" not in b.tree:
            return
        for name, type in b.registry.items():
            loop = "each"
            forms = {
                "bool": ["false", f"any(not {loop}.status.terminal for {loop} in {b.entity}s)"],
                "int": ["2", f"count({loop} for {loop} in {b.entity}s)",
                          f"count({loop} for {loop} in {b.entity}s if {loop}.status.terminal)"],
            }  # fmt: skip
            if type in forms and pick.chance(25):
                b.tree["registry"][name]["recovered_as"] = pick.one(forms[type])
                b.has("recovered as")

    def _names(self) -> None:
        b, pick = self.b, self.b.pick
        names: dict[str, Any] = b.tree.get("names", {})
        if pick.chance(15):
            names |= {key: b.words.type() for key in pick.some(_NAMES, 4, 1)}
        if names:
            b.tree["names"] = names
            b.has("names")

    def replacing(self) -> None:
        """A create whose guards accept an id that a record has."""
        if self.b.pick.chance(4):
            self.b.tree["create"]["guards"].remove("new")
            self.b.has("hostile: a create that may replace a record")

    def _shown(self) -> None:
        """Fields of views that say how their JSON is."""
        b, pick = self.b, self.b.pick
        fields = b.tree["snapshot"]["fields"]
        if b.tree["snapshot"].get("json"):
            for name, path in list(fields.items()):
                type = b.of_record().get(path, "")
                if type != required(type) and pick.chance(40):
                    fields[name] = {"expr": path, "json": "keep_none"}
                    b.has("view field: json")

    def _checked(self) -> None:
        """A field of a value that a guard checks: of a union, in a parameter of `create`."""
        b, pick = self.b, self.b.pick
        if not b.shapes.unions or not pick.chance(40):
            return
        create, union, optional = b.tree["create"], pick.one(list(b.shapes.unions)), pick.chance(50)
        name, field, param, guard = b.words.type(), b.words.name(), b.words.name(), b.words.name()
        type = f"{union} | None" if optional else union
        b.tree["values"][name] = {
            "summary": b.words.text(), "fields": {field: {"type": type, "checked_by": guard}},
        }  # fmt: skip
        path = f"{param}.{field}"
        test = " or ".join(
            [f"{param} is None", *([f"{path} is None"] if optional else []), f"{path} is {union}"]
        )
        refusal = b.tree["guards"][create["guards"][0]]["error"]
        b.tree["guards"][guard] = {"when": test, "error": refusal}
        create["guards"].insert(pick.integer(0, len(create["guards"])), guard)
        create["params"][param] = f"{name} | None"
        for taken in create["methods"].values():
            taken.append(param)
        b.has("field of a value: checked by a guard")
