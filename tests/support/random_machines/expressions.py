"""Expressions of a wanted type, made from the names that may stand where they are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import define, field

from tests.support.random_machines.picking import Pick

SCALARS = ["int", "bool", "str", "float"]
#: Names and their types, as the machine file spells types.
Scope = Mapping[str, str]
_LITERALS = {
    "bool": ["true", "false"], "float": ["0.0", "1.5"],
    "str": ["'x'", "''", "'it is \"quoted\"'", "'back\\\\slash {braces}'"],
}  # fmt: skip


@define
class Shapes:
    """The declared types of a machine, as far as expressions look into them."""

    enums: dict[str, list[str]] = field(factory=dict)
    #: Properties of the members of closed sets: name to type.
    properties: dict[str, dict[str, str]] = field(factory=dict)
    records: dict[str, dict[str, str]] = field(factory=dict)
    unions: dict[str, dict[str, dict[str, str]]] = field(factory=dict)
    ids: list[str] = field(factory=list)
    #: Integers with a range: the least and the greatest.
    numbers: dict[str, tuple[int, int]] = field(factory=dict)

    #: Texts with limits, each with an example.
    texts: dict[str, str] = field(factory=dict)

    #: Decimal numbers of two places, each with the least and the greatest as texts.
    decimals: dict[str, tuple[str, str]] = field(factory=dict)

    #: Bytes, which no literal has.
    binary: list[str] = field(factory=list)

    #: Lists and sets, each with the type of its elements.
    lists: dict[str, str] = field(factory=dict)
    sets: dict[str, str] = field(factory=dict)

    #: Dicts, each with the types of its keys and its values.
    dicts: dict[str, tuple[str, str]] = field(factory=dict)

    #: Whether rules may read lengths and parts of texts.
    measured: bool = False

    #: Times and durations, in machines that have them.
    moments: list[str] = field(factory=list)

    def types(self) -> list[str]:
        """Every type that a field or parameter may have."""
        declared = [*self.enums, *self.ids, *self.records, *self.unions]
        return [
            *SCALARS,
            *declared,
            *self.numbers,
            *self.texts,
            *self.moments,
            *self.decimals,
            *self.binary,
            *self.lists,
            *self.sets,
            *self.dicts,
        ]

    def fields(self, type: str) -> Mapping[str, str]:
        """What can be read of a value of a type."""
        return self.records.get(type) or self.properties.get(type) or {}


def required(type: str) -> str:
    """A type without its None."""
    return type.removesuffix(" | None")


class Expressions:
    """Draws expressions; `used` counts the forms that were drawn."""

    def __init__(self, pick: Pick, shapes: Shapes, apart: Pick) -> None:
        self._pick = pick
        self._apart = apart
        self._shapes = shapes
        self.used: set[str] = set()

    def paths(self, scope: Scope, depth: int = 2) -> Iterator[tuple[str, str]]:
        """Every path that can be read in a scope without a test, with its type."""
        for name, type in scope.items():
            yield name, type
            if depth:
                inside = {f"{name}.{n}": t for n, t in self._shapes.fields(type).items()}
                yield from self.paths(inside, depth - 1)

    def _of(self, scope: Scope, *types: str) -> list[str]:
        return [path for path, type in self.paths(scope) if type in types]

    # Values -------------------------------------------------------------------------------------

    def value(self, type: str, scope: Scope, depth: int = 2) -> str | None:
        """An expression of a type, or None if nothing here gives one."""
        pick = self._pick
        if type in self._shapes.numbers and (not depth or self._apart.chance(50)):
            least, most = self._shapes.numbers[type]
            own = [*self._of(scope, type), str(least), str(most)]
            return self._apart.one(own)
        if type == "int" or type in self._shapes.numbers:
            return self.count(scope, depth)
        if type == "bool" and depth and pick.chance(40):
            return self.boolean(scope, depth - 1)
        fitting = [required(type), type] if type.endswith(" | None") else [type]
        found = self._of(scope, *fitting)
        if type.endswith(" | None"):
            if pick.chance(30):
                found.append("None")
            inner = self.value(required(type), scope, depth) if pick.chance(60) else None
            if inner is not None:
                found.append(inner)
            return pick.one(found) if found else "None"
        if type == "bool" or type not in _LITERALS:
            found += _LITERALS.get(type, [])
        else:
            found.append(pick.one(_LITERALS[type]))
        if type in self._shapes.moments:
            found += self._moments(type, scope)
        if type in self._shapes.decimals:
            found += self._decimals(type, scope)
        if type in self._shapes.lists or type in self._shapes.sets:
            found += self._collections(type, scope)
        if type in self._shapes.dicts:
            found += self._dicts(type, scope)
        if type in self._shapes.texts:
            found.append(repr(self._shapes.texts[type]))
        found += [f"{type}.{member}" for member in self._shapes.enums.get(type, [])]
        if type in self._shapes.unions and depth and (not found or pick.chance(50)):
            made = self._variant(type, scope, depth)
            if made is not None:
                found.append(made)
        return pick.one(found) if found else None

    def _sized(self, scope: Scope) -> list[str]:
        """Paths of what has a length."""
        shapes = self._shapes
        several = [*shapes.lists, *shapes.sets, *shapes.dicts]
        return self._of(scope, "str", *shapes.texts, *shapes.binary, *several)

    def _parts(self, scope: Scope) -> Iterator[str]:
        """Tests of what a text is made of."""
        texts = self._of(scope, "str", *self._shapes.texts)
        if texts:
            text, word = self._apart.one(texts), self._apart.one(["'x'", "'i'", "'\"'"])
            self.used.add("expression: part of a text")
            yield self._apart.one(
                [f"{text}.startswith({word})", f"{text}.endswith({word})", f"{word} in {text}"]
            )
        sized = self._sized(scope)
        if sized:
            operator = self._apart.one(["<", "==", "!=", ">="])
            yield f"len({self._apart.one(sized)}) {operator} {self._apart.integer(0, 3)}"

    def _collections(self, type: str, scope: Scope) -> list[str]:
        """Collections: listed ones, and what is joined of others."""
        shapes, known = self._shapes, self._of(scope, type)
        self.used.add("expression: collection")
        if type in shapes.sets:
            members = [f"{shapes.sets[type]}.{word}" for word in shapes.enums[shapes.sets[type]]]
            one = self._apart.one(members)
            found = ["frozenset()", f"{{{one}}}"]
            found += [f"{each} {self._apart.one(['|', '&', '-'])} {{{one}}}" for each in known]
            return found + [f"{each} - {other}" for each in known for other in known]
        element = self.value(shapes.lists[type], scope, 0)
        inside = "" if element is None else element
        found = ["[]", f"[{inside}]", *(f"{each} + [{inside}]" for each in known)]
        return found + [f"{each} + {other}" for each in known for other in known]

    def _key(self, type: str, scope: Scope) -> str:
        """A key of a dict: a text of the rules, or one that is passed or stored."""
        key, _ = self._shapes.dicts[type]
        known = self._of(scope, key)
        literal = repr(self._shapes.texts[key]) if key in self._shapes.texts else "'x'"
        return self._apart.one(known) if known and self._apart.chance(60) else literal

    def _dicts(self, type: str, scope: Scope) -> list[str]:
        """Dicts: an empty one, and others with a key set or removed."""
        self.used.add("expression: dict")
        value = self.value(self._shapes.dicts[type][1], scope, 0)
        found = ["{}"]
        items = f"{{{self._key(type, scope)}: {value}}}"
        if value is not None:
            found += [items, *(f"{each} | {items}" for each in self._of(scope, type))]
        for each in self._of(scope, type):
            found.append(f"without({each}, {self._key(type, scope)})")
            if value is not None:
                found.append(f"without({each}, 'x') | {items}")
        return found

    def _keyed(self, scope: Scope) -> Iterator[str]:
        """Tests of what dicts have."""
        for path, type in [(p, t) for p, t in self.paths(scope) if t in self._shapes.dicts][:2]:
            key, inner = self._key(type, scope), self._shapes.dicts[type][1]
            yield f"{key} {self._apart.one(['in', 'not in'])} {path}"
            yield f"{path} {self._apart.one(['==', '!='])} {{}}"
            got, value = f"{path}.get({key})", self.value(inner, scope, 0)
            yield f"{got} {self._apart.one(['is', 'is not'])} None"
            if value is not None and " " not in value:
                self.used.add("expression: value of a key")
                yield f"{path}.get({key}, {value}) == {value}"
                fields = [n for n, t in self._shapes.records.get(inner, {}).items() if t == "bool"]
                for name in fields[:1]:
                    self.used.add("expression: field of a key")
                    yield f"{got} is not None and {got}.{name}"
                if inner in ("int", *self._shapes.numbers):
                    yield f"{got} is not None and {got} {self._apart.one(['<', '>='])} {value}"

    def _elements(self, scope: Scope) -> Iterator[str]:
        """Tests of what is in collections."""
        for names in (self._shapes.lists, self._shapes.sets):
            for path in self._of(scope, *names)[:2]:
                type = dict(self.paths(scope))[path]
                element = self.value(names[type], scope, 0)
                if element is not None:
                    yield f"{element} {self._apart.one(['in', 'not in'])} {path}"
                yield f"{path} == {self._apart.one(self._of(scope, type))}"

    def _moments(self, type: str, scope: Scope) -> list[str]:
        """Times or durations: a literal of each, and what is computed of others."""
        times, durations = self._of(scope, "datetime"), self._of(scope, "timedelta")
        if type == "datetime":
            found = ["datetime(2026, 1, 31)"]
            found += [f"{time} + timedelta(days=1)" for time in times]
            found += [f"{time} - {duration}" for time in times for duration in durations]
        else:
            found = ["timedelta(hours=1, microseconds=-3)"]
            found += [f"-{duration}" for duration in durations]
            found += [f"{one} - {other}" for one in times for other in times if one != other]
        self.used.add(f"expression: {type}")
        return found

    def _decimals(self, type: str, scope: Scope) -> list[str]:
        """Decimal numbers: literals, and what is computed of others."""
        least, most = self._shapes.decimals[type]
        numbers, counts = self._of(scope, *self._shapes.decimals), self._of(scope, "int")
        found = [least, most]
        found += [f"{one} + {other}" for one in numbers for other in numbers]
        found += [f"{number} - 0.25" for number in numbers]
        found += [f"-{number} * {count}" for number in numbers for count in counts[:2]]
        self.used.add("expression: Decimal")
        return found

    def _variant(self, union: str, scope: Scope, depth: int) -> str | None:
        variants = self._shapes.unions[union]
        name = self._pick.one(list(variants))
        made = [self.value(type, scope, depth - 1) for type in variants[name].values()]
        if any(each is None for each in made):
            return None
        self.used.add("expression: variant")
        return f"{name}({', '.join(str(each) for each in made)})"

    def count(self, scope: Scope, depth: int) -> str:
        """An expression of an integer."""
        pick, found = self._pick, self._of(scope, "int", *self._shapes.numbers)
        form = pick.integer(0, 5) if depth else 0
        if form <= 1:
            return pick.one(found) if found and pick.chance(75) else str(pick.integer(0, 3))
        left, right = self.count(scope, depth - 1), self.count(scope, 0)
        sized = self._sized(scope) if self._shapes.measured else []
        if sized and self._apart.chance(40):
            self.used.add("expression: len")
            return f"len({self._apart.one(sized)})"
        numbers = [n for n, (_, inner) in self._shapes.dicts.items() if inner == "int"]
        dicts = self._of(scope, *numbers)
        if dicts and self._apart.chance(40):
            path = self._apart.one(dicts)
            return f"{path}.get({self._key(dict(self.paths(scope))[path], scope)}, 0)"
        if form in (2, 3):
            operator = "+" if form == 2 else "-"
            if self._shapes.numbers and self._apart.chance(60):
                operator = self._apart.one(["*", "//", "%"])
                left = f"-({left})" if self._apart.chance(40) else left
            self.used.add(f"expression: {operator}")
            return (
                f"{left} {operator} {right}" if " " not in left else f"({left}) {operator} {right}"
            )
        if form == 4:
            self.used.add("expression: min")
            return f"{pick.one(['min', 'max'])}({left}, {right})"
        self.used.add("expression: conditional")
        return f"({left} if {self.boolean(scope, 0)} else {right})"

    # Tests --------------------------------------------------------------------------------------

    def boolean(self, scope: Scope, depth: int = 2) -> str:
        """An expression of a test."""
        pick = self._pick
        if depth and pick.chance(35):
            return self._joined(scope, depth)
        tests = [t for t in self._tests(scope) if t]
        return pick.one(tests) if tests else pick.one(["true", "false"])

    def _joined(self, scope: Scope, depth: int) -> str:
        pick, form = self._pick, self._pick.integer(0, 3)
        left = self.boolean(scope, depth - 1)
        if form == 0:
            self.used.add("expression: not")
            return f"not ({left})"
        if form <= 2:
            joint = ["and", "or"][form - 1]
            self.used.add(f"expression: {joint}")
            return f"({left}) {joint} ({self.boolean(scope, depth - 1)})"
        maybe = [p for p, t in self.paths(scope) if t.endswith(" | None")]
        if not maybe:
            return left
        path = pick.one(maybe)
        self.used.add("expression: narrowing")
        known = {**scope, path: required(dict(self.paths(scope))[path])}
        joint, test = pick.one([("and", "is not"), ("or", "is")])
        return f"{path} {test} None {joint} ({self.boolean({path: known[path]}, 0)})"

    def _tests(self, scope: Scope) -> Iterator[str]:
        """One test of each form that is possible."""
        pick, shapes = self._pick, self._shapes
        counts = self._of(scope, "int", *shapes.numbers)
        if counts:
            operator = pick.one(["<", "<=", "==", "!=", ">", ">="])
            self.used.add("expression: comparison")
            yield f"{pick.one(counts)} {operator} {self.count(scope, 1)}"
        for moment, other in (("datetime", "datetime(2026, 1, 31)"), ("timedelta", "timedelta(1)")):
            known = self._of(scope, moment)
            if known:
                other = self._apart.one([*known, other.replace("(1)", "(days=1)")])
                yield f"{self._apart.one(known)} {self._apart.one(['<', '>=', '=='])} {other}"
        exact = self._of(scope, *shapes.decimals)
        if exact:
            other = self._apart.one([*exact, "0.75", "1", "-2.5"])
            yield f"{self._apart.one(exact)} {self._apart.one(['<', '>=', '!='])} {other}"
        flags = self._of(scope, "bool")
        if flags:
            yield pick.one(flags)
        maybe = [p for p, t in self.paths(scope) if t.endswith(" | None")]
        if maybe:
            yield f"{pick.one(maybe)} {pick.one(['is', 'is not'])} None"
        closed = [(p, t) for p, t in self.paths(scope) if t in shapes.enums]
        if closed:
            path, type = pick.one(closed)
            self.used.add("expression: membership")
            if pick.chance(50):
                yield f"{path} {pick.one(['is', 'is not'])} {pick.one(shapes.enums[type])}"
            else:
                members = pick.some(shapes.enums[type], 2, 1)
                yield f"{path} {pick.one(['in', 'not in'])} [{', '.join(members)}]"
        texts = self._of(scope, "str")
        if texts:
            yield f"{pick.one(texts)} == {pick.one([*texts, repr('x')])}"
        yield from self._elements(scope)
        yield from self._keyed(scope)
        if shapes.measured:
            yield from self._parts(scope)
        unions = [(p, t) for p, t in self.paths(scope) if t in shapes.unions]
        if unions:
            path, type = pick.one(unions)
            self.used.add("expression: is a variant")
            yield f"{path} is {pick.one(list(shapes.unions[type]))}"
