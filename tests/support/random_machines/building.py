"""A random machine as the tree of its YAML file: the parts that every machine has."""

from __future__ import annotations

from tests.support.random_machines.building_types import Tree, TypeBuilder
from tests.support.random_machines.expressions import Scope, required

__all__ = ["Builder", "Tree"]


class Builder(TypeBuilder):
    """Builds one machine part by part; `features` says what it has."""

    # Statuses and fields ------------------------------------------------------------------------

    def statuses(self) -> None:
        """Live ones, ends, a pseudo one perhaps, properties and groups."""
        pick, words = self.pick, self.words
        self.live = [words.name() for _ in range(pick.integer(1, 3))]
        self.ends = [words.name() for _ in range(pick.integer(1, 2))]
        declared = self.tree["statuses"]
        properties = {words.name(): pick.one(["bool", "int", *self.shapes.enums])
                      for _ in range(pick.integer(0, 1))}  # fmt: skip
        if properties:
            self.has("status property")
            declared["properties"] = {
                n: {"type": t, "summary": words.text()} for n, t in properties.items()
            }
        pseudo = [words.name()] if pick.chance(10) else []
        for name in [*pseudo, *self.live, *self.ends]:
            member: Tree = {"summary": words.text()}
            member |= {"terminal": True} if name in self.ends else {}
            member |= {"pseudo": True} if name in pseudo else {}
            member |= {n: self.literal(t) for n, t in properties.items()}
            declared["members"][name] = member
        self.shapes.enums[self.status] = [*self.live, *self.ends]
        self.shapes.properties[self.status] = {"terminal": "bool", **properties}
        if len(self.live) > 1 and pick.chance(30):
            declared["groups"] = {words.name(): pick.some(self.live, 2, 1)}
            self.has("group")

    def create_params(self) -> None:
        """What `create` receives: plain parameters, or the id within a value."""
        pick, words, shapes = self.pick, self.words, self.shapes
        if shapes.records and pick.chance(30):
            record = pick.one(list(shapes.records))
            name = words.name()
            inside = words.name()
            fields = {inside: self.id, **shapes.records[record]}
            shapes.records[record] = fields
            self.tree["values"][record]["fields"] = dict(fields)
            self.params[name] = record
            self.create_id = f"{name}.{inside}"
            self.has("create: id within a value")
        else:
            self.params["id"] = self.id
            self.create_id = "id"
        for _ in range(pick.integer(0, 3)):
            self.params[words.name()] = self.type(optional=25)
        for name in shapes.binary if self.latest.chance(80) else ():
            # No literal has bytes: they come from a caller, or not at all.
            self.params[words.name()] = name

    def record_fields(self) -> None:
        """Fields of every type, with every way to have an initial value."""
        pick, words = self.pick, self.words
        known = {n: t for n, t in self.params.items() if t != self.id}
        for name, type in known.items():
            # Most of what is received is stored, some of it in a field that may be None.
            if pick.chance(75):
                wider = pick.chance(20) and not type.endswith(" | None")
                self._field(words.name(), f"{type} | None" if wider else type, name, "parameter")
        inside = [(p, t) for p, t in self.expressions.paths(known) if "." in p and t != self.id]
        for path, type in pick.some(inside, 1):
            self._field(words.name(), type, path, "path into a parameter")
        for name, type in pick.some(list({**self.registry, **self.settings}.items()), 1):
            if pick.chance(30):
                self._field(words.name(), type, f"registry.{name}", "registry field")
        for _ in range(pick.integer(0, 3)):
            type = self.type(optional=30)
            value = self.expressions.value(type, {}, 1)
            if type.endswith(" | None") and (value is None or pick.chance(50)):
                self._field(words.name(), type, None, "none")
            elif value is not None:
                self._field(words.name(), type, value, "constant")
        if self.shapes.unions and pick.chance(50):
            union = pick.one(list(self.shapes.unions))
            if "terminal_outcome" not in self.fields:
                self._field("terminal_outcome", f"{union} | None", None, "none")
                self.has("outcome of a union")
        for type, example in self.shapes.texts.items():
            self._field(words.name(), type, repr(example), "constant")

    def _field(self, name: str, type: str, start: str | None, kind: str) -> None:
        if name in self.fields:
            return
        self.fields[name] = type
        self.tree["fields"][name] = {"type": type, **({} if start is None else {"initial": start})}
        self.has(f"field: {'optional' if type.endswith(' | None') else self.kind(type)}")
        self.has(f"initial value: {kind}{' of an optional field' if ' ' in type else ''}")

    def kind(self, type: str) -> str:
        """What kind of type it is, for the counters."""
        shapes, name = self.shapes, required(type)
        for kind, names in (
            ("closed set", shapes.enums), ("value", shapes.records), ("union", shapes.unions),
            ("id", [*shapes.ids, self.id]), ("int with a range", shapes.numbers),
            ("str with limits", shapes.texts), ("Decimal", shapes.decimals),
            ("bytes", shapes.binary), ("list", shapes.lists), ("frozenset", shapes.sets),
            ("dict", shapes.dicts),
        ):  # fmt: skip
            if name in names:
                return kind
        return name

    def registry_fields(self) -> None:
        """Settings, and fields of the registry."""
        pick, words = self.pick, self.words
        for _ in range(pick.integer(0, 1)):
            name = words.name()
            type = pick.one(["int", "int | None"])
            if self.shapes.numbers and self.apart.chance(50):
                type = self.apart.one(list(self.shapes.numbers))
            setting: Tree = {"summary": words.text(), "type": type}
            if type == "int":
                setting |= {"default": pick.integer(1, 3), "at_least": pick.integer(0, 1)}
            elif type in self.shapes.numbers:
                least, most = self.shapes.numbers[type]
                setting["default"] = self.apart.integer(least, most)
                self.has("setting with a range")
            self.tree["settings"][name] = setting
            self.settings[name] = type
            self.has("setting")
        for _ in range(pick.integer(0, 2)):
            name = words.name()
            type = self.type(
                optional=20, among=["int", "bool", "str", *self.shapes.enums, *self.shapes.numbers]
            )
            value = self.expressions.value(type, {}, 0)
            if value is not None:
                self.registry[name] = type
                self.tree["registry"][name] = {
                    "type": type, "initial": value, "summary": words.text()
                }  # fmt: skip
                self.has("registry field")

    # Scopes -------------------------------------------------------------------------------------

    def of_command(self) -> Scope:
        """What can be read of the registry, and of the command itself."""
        return {**self.of_registry(), **({"now": "int"} if self.timed else {})}

    def of_registry(self) -> Scope:
        """What can be read of the registry."""
        return {f"registry.{n}": t for n, t in {**self.registry, **self.settings}.items()}

    def of_record(self, name: str | None = None) -> Scope:
        """What can be read of a record."""
        name = name or self.entity
        return {f"{name}.status": self.status, **{f"{name}.{n}": t for n, t in self.fields.items()}}

    # Updates ------------------------------------------------------------------------------------

    def updates(self, scope: Scope, most: int, *, taken: set[str] | None = None,
                record: bool = True) -> dict[str, str]:  # fmt: skip
        """Some updates; those in `taken` are left to others."""
        pick, taken = self.pick, taken if taken is not None else set()
        targets = {f"registry.{n}": t for n, t in self.registry.items()}
        if record:
            targets |= {
                f"{self.entity}.{n}": t
                for n, t in self.fields.items()
                if n not in ("terminal_outcome", "sequence")
                and "stamped" not in self.tree["fields"][n]
            }
        free = [name for name in targets if name not in taken]
        found = {}
        for target in pick.some(free, most):
            type = targets[target]
            value = self._updated(target, type, scope)
            if value is not None:
                found[target] = value
                taken.add(target)
        return found

    def _updated(self, target: str, type: str, scope: Scope) -> str | None:
        pick = self.pick
        if type == "int" and pick.chance(70):
            kind, operator = pick.one([("increment", "+"), ("decrement", "-")])
            self.has(f"update: {kind}")
            return f"{target} {operator} {pick.integer(1, 2)}"
        value = self.expressions.value(type, scope)
        if value is not None:
            self.has(f"update: {self.kind(type)}")
        return value

    def rejection(self, scope: Scope, *, says: str = "it is refused") -> tuple[str, dict[str, str]]:
        """Declare a rejection; return its name and its facts."""
        pick, words = self.pick, self.words
        name, facts, given = words.name(), {}, {}
        readable = [(p, t) for p, t in self.expressions.paths(scope) if not t.endswith(" | None")]
        for path, type in pick.some(readable, 2):
            fact = words.name()
            facts[fact], given[fact] = type, path
            says += f" {{{fact}}}"
        declared: Tree = {"class": words.type("Error"), "message": says}
        if facts:
            declared["fields"] = facts
        self.tree["errors"][name] = declared
        return name, given

    def guard(self, when: str, scope: Scope, let: dict[str, str] | None = None) -> str:
        """Declare a guard with a rejection of its own."""
        name = self.words.name()
        rejection, given = self.rejection(scope)
        guard: Tree = {"when": when, "error": {rejection: given} if given else rejection}
        if let:
            guard["let"] = let
        self.tree["guards"][name] = guard
        return name
