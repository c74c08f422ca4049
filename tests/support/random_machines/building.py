"""A random machine as the tree of its YAML file: the parts that every machine has."""

from __future__ import annotations

from typing import Any

from tests.support.random_machines.expressions import Expressions, Scope, Shapes, required
from tests.support.random_machines.picking import Pick
from tests.support.random_machines.words import Words

Tree = dict[str, Any]


class Builder:
    """Builds one machine part by part; `features` says what it has."""

    def __init__(
        self, pick: Pick, later: Pick, apart: Pick, lengths: Pick, latest: Pick, newest: Pick,
        dicts: Pick,
    ) -> None:  # fmt: skip
        self.pick = pick
        #: Choices of what the language had later, drawn apart: the others stay as they are.
        self.later = later
        #: Those of integers with a range, for the same reason.
        self.apart = apart
        #: Those of decimal numbers.
        self.latest = latest
        #: Those of lengths and collections.
        self.newest = newest
        #: Those of dicts.
        self.dicts = dicts
        #: Whether the rules of commands may read the time.
        self.timed = later.chance(20)
        self.words = Words(pick, lengths)
        self.shapes = Shapes()
        self.expressions = Expressions(pick, self.shapes, apart)
        self.features: set[str] = set()
        self.entity = self.words.entity
        self.id = f"{self.words.title}Id"
        renamed = pick.chance(8)
        self.status = self.words.type("Status") if renamed else f"{self.words.title}Status"
        self.live: list[str] = []
        self.ends: list[str] = []
        #: Fields of a record, of the registry, and what `create` receives, with their types.
        self.fields: dict[str, str] = {}
        self.registry: dict[str, str] = {}
        self.params: dict[str, str] = {}
        self.settings: dict[str, str] = {}
        self.tree: Tree = {
            "machine": "random_machine", "version": 1, "entity": self.entity,
            "summary": self.words.text(), "ids": {self.id: {"summary": self.words.text()}},
            "enums": {}, "values": {}, "statuses": {"members": {}}, "fields": {}, "settings": {},
            "registry": {}, "effects": {}, "errors": {}, "guards": {}, "global_guards": [],
            "default_guards": [], **({"names": {"status": self.status}} if renamed else {}),
        }  # fmt: skip

    def has(self, *features: str) -> None:
        """Note what the machine has."""
        self.features.update(features)

    # Types --------------------------------------------------------------------------------------

    def types(self) -> None:
        """Identifiers, integers with a range, closed sets, values and unions."""
        pick, words, shapes, tree = self.pick, self.words, self.shapes, self.tree
        if self.apart.chance(35):
            self._refined()
        if self.apart.chance(25):
            self._texts()
        if self.apart.chance(30):
            self.shapes.moments = ["datetime", "timedelta"]
        if self.latest.chance(30):
            self._decimals()
        if self.latest.chance(15):
            name = self.words.type()
            self.shapes.binary.append(name)
            declared = {"summary": self.words.text(), "type": "bytes", "max_length": 3}
            tree.setdefault("types", {})[name] = declared
        self.shapes.measured = self.newest.chance(25)
        if self.apart.chance(5):
            tree["status"] = "draft"
        for _ in range(pick.integer(0, 1)):
            name = words.type("Id")
            shapes.ids.append(name)
            tree["ids"][name] = {"summary": words.text()}
        for _ in range(pick.integer(0, 2)):
            self._closed_set()
        if self.newest.chance(30):
            self._collections()
        if self.dicts.chance(25):
            self._dicts()
        for _ in range(pick.integer(0, 2)):
            name = words.type()
            fields = {words.name(): self.type(optional=25) for _ in range(pick.integer(1, 3))}
            # A field that may be left out stands behind those that may not.
            fields = dict(sorted(fields.items(), key=lambda item: item[1].endswith(" | None")))
            tree["values"][name] = {"summary": words.text(), "fields": dict(fields)}
            shapes.records[name] = fields
        if pick.chance(40):
            self._union()
        held = [*shapes.records, *shapes.unions]
        if held and self.dicts.chance(25):
            name, element = words.type(), self.dicts.one(held)
            declared = {"summary": words.text(), "type": f"list[{element}]", "max_length": 2}
            tree.setdefault("types", {})[name] = declared
            shapes.lists[name] = element
            self.has("list of values")
        if held and self.dicts.chance(25):
            name, element = words.type(), self.dicts.one(held)
            declared = {"summary": words.text(), "type": f"dict[str, {element}]", "max_length": 2}
            tree.setdefault("types", {})[name] = declared
            shapes.dicts[name] = ("str", element)
            self.has("dict of values")

    def _refined(self) -> None:
        """Integers with a declared range: it may begin below zero, and may leave out zero."""
        for _ in range(self.apart.integer(1, 2)):
            name = self.words.type()
            least, most = self.apart.integer(-3, 2), self.apart.integer(2, 9)
            declared: Tree = {"summary": self.words.text(), "type": "int"}
            self.shapes.numbers[name] = (least, most)
            self.tree.setdefault("types", {})[name] = declared | {"minimum": least, "maximum": most}

    def _decimals(self) -> None:
        """Decimal numbers of two places, some with a sign."""
        name = self.words.type()
        least, most = self.latest.one(["-9.99", "0", "0.25"]), self.latest.one(["9.99", "2.5"])
        declared: Tree = {"summary": self.words.text(), "type": "Decimal", "digits": 3, "places": 2}
        declared |= {"minimum": least, "maximum": most}
        self.tree.setdefault("types", {})[name] = declared
        self.shapes.decimals[name] = (least, most)

    def _texts(self) -> None:
        """Texts with limits, and ids that are no UUIDs: some with characters that JSON escapes."""
        self.tree["ids"][self.id] |= {"prefix": "x_", "pattern": 'x_[0-9a-z"]+'}
        self.has("id: with a pattern")
        for _ in range(self.apart.integer(1, 2)):
            name = self.words.type()
            limits: Tree = self.apart.one([
                {"max_length": 3}, {"pattern": '[a-z]+["\\\\]?', "example": "it"},
                {"max_length": 4, "pattern": "[a-z]*", "example": "on"},
            ])  # fmt: skip
            self.shapes.texts[name] = limits.get("example", "it")
            declared = {"summary": self.words.text(), "type": "str", **limits}
            self.tree.setdefault("types", {})[name] = declared

    def _collections(self) -> None:
        """Lists of what may be in one, and sets of the members of a closed set."""
        shapes, newest = self.shapes, self.newest
        among = ["int", "str", "bool", self.id, *shapes.ids, *shapes.enums, *shapes.numbers,
                 *shapes.texts, *shapes.decimals, *shapes.moments, *shapes.binary]  # fmt: skip
        for _ in range(newest.integer(1, 2)):
            name, element = self.words.type(), newest.one(among)
            declared: Tree = {"summary": self.words.text(), "type": f"list[{element}]"}
            if shapes.enums and newest.chance(60):
                element = newest.one(list(shapes.enums))
                declared["type"] = f"frozenset[{element}]"
                shapes.sets[name] = element
            else:
                declared["max_length"] = newest.integer(1, 4)
                shapes.lists[name] = element
            self.tree.setdefault("types", {})[name] = declared

    def _dicts(self) -> None:
        """Dicts with texts as keys, and values of what may be in a list."""
        shapes, dicts = self.shapes, self.dicts
        among = ["int", "str", "bool", self.id, *shapes.enums, *shapes.numbers, *shapes.texts,
                 *shapes.decimals, *shapes.moments, *shapes.binary]  # fmt: skip
        name, key, value = self.words.type(), "str", dicts.one(among)
        if shapes.texts and dicts.chance(50):
            key = dicts.one(list(shapes.texts))
        declared: Tree = {"summary": self.words.text(), "type": f"dict[{key}, {value}]"}
        self.tree.setdefault("types", {})[name] = declared | {"max_length": dicts.integer(1, 3)}
        shapes.dicts[name] = (key, value)

    def _closed_set(self) -> None:
        pick, words, shapes = self.pick, self.words, self.shapes
        name = words.type()
        declared: Tree = {"summary": words.text(), "members": {}}
        properties = {}
        for _ in range(pick.integer(0, 2)):
            properties[words.name()] = pick.one(["bool", "int", "str", *shapes.enums])
        if properties:
            declared["properties"] = {
                n: {"type": t, "summary": words.text()} for n, t in properties.items()
            }
        members = [words.name() for _ in range(pick.integer(1, 3))]
        for member in members:
            declared["members"][member] = {
                "summary": words.text(), **{n: self.literal(t) for n, t in properties.items()}
            }  # fmt: skip
        self.tree["enums"][name] = declared
        shapes.enums[name], shapes.properties[name] = members, properties

    def _union(self) -> None:
        pick, words = self.pick, self.words
        name, tag, variants = words.type(), words.name(), {}
        for _ in range(pick.integer(1, 3)):
            fields = {words.name(): self.type(optional=20) for _ in range(pick.integer(0, 2))}
            fields = dict(sorted(fields.items(), key=lambda item: item[1].endswith(" | None")))
            variants[words.type()] = fields
        self.tree["values"][name] = {
            "summary": words.text(), "tag": tag,
            "variants": {
                v: {"summary": words.text(), **({"fields": dict(f)} if f else {})}
                for v, f in variants.items()
            },
        }  # fmt: skip
        self.shapes.unions[name] = variants

    def literal(self, type: str) -> Any:
        """A property of a member, as YAML writes it."""
        values: dict[str, list[Any]] = {
            "bool": [False, True],
            "int": [0, 1, 2, 7],
            "str": ["x", "a.b. c", 'it\'s "it"'],
        }
        return self.pick.one(values.get(type) or self.shapes.enums[type])

    def type(self, *, optional: int = 0, among: list[str] | None = None) -> str:
        """Some type; in so many of a hundred cases it may be None."""
        found = self.pick.one(among or self.shapes.types())
        return f"{found} | None" if self.pick.chance(optional) else found

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
