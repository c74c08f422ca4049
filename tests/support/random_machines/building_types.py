"""A random machine as the tree of its YAML file: its types."""

from __future__ import annotations

from typing import Any

from tests.support.random_machines.expressions import Expressions, Shapes
from tests.support.random_machines.picking import Pick
from tests.support.random_machines.words import Words

Tree = dict[str, Any]


class TypeBuilder:
    """Builds the types of a machine; `features` says what it has."""

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
        """Some type; `optional` is the percentage of those that may be None."""
        found = self.pick.one(among or self.shapes.types())
        return f"{found} | None" if self.pick.chance(optional) else found
