"""Symbolic values: the values of a type whose parts are formulas."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from attrs import frozen

from opslifecycle_codegen.ir.several import DICT, SET, element_of
from opslifecycle_codegen.ir.symbols import Symbols
from opslifecycle_codegen.ir.types import BOOL, Type
from opslifecycle_codegen.modelcheck.layouts import Layouts
from opslifecycle_codegen.modelcheck.state import Several, Value
from opslifecycle_codegen.modelcheck.symbolic.sequences import Sequences
from opslifecycle_codegen.modelcheck.symbolic.tables import Tables
from opslifecycle_codegen.modelcheck.symbolic.terms import (
    Formula,
    Member,
    at_most,
    both,
    either,
    is_bool,
    ite,
    negated,
    same,
)
from opslifecycle_codegen.modelcheck.values import OPAQUE, OTHER

#: A formula; `Maybe`; `Sum`; a tuple of the fields of a value, or of which members a set has; None.
Shape = Any


@frozen
class Maybe:
    """A value if `there` is true, else None."""

    there: Formula
    value: Shape


@frozen
class Sum:
    """A value of a union: which variant it is, and the fields of each."""

    variant: Formula
    fields: tuple[tuple[Shape, ...], ...]


class Shapes:
    """Makes, merges and decomposes symbolic values of one machine's types."""

    def __init__(self, symbols: Symbols, layouts: Layouts, ids: tuple[str, ...]) -> None:
        self._symbols = symbols
        self._layouts = layouts
        self._ids = ids
        self._texts: dict[str, int] = {OPAQUE: 0, OTHER: 1}
        self.sequences = Sequences()
        self.tables = Tables()

    # Types --------------------------------------------------------------------------------------

    def fields(self, type: Type) -> list[Type]:
        """Return the types of a value's fields."""
        return list(self._layouts.fields(type).values())

    def union_of(self, type: Type) -> str:
        """Return a union, or the union of a variant."""
        return type.inner.name if type.inner is not None else type.name

    def union_with(self, variant: str) -> str:
        """Return the union that has a variant."""
        return self._symbols.records[variant].union

    def variants(self, union: str) -> list[str]:
        """Return the variants of a union, in the order of their numbers."""
        return list(self._symbols.unions[union].variants)

    def _variant_fields(self, union: str) -> list[list[Type]]:
        records = self._symbols.unions[union].variants.values()
        return [[info.type for info in record.fields.values()] for record in records]

    def made(self, type: Type, name: str, leaf: Callable[[str, Type], Formula]) -> Shape:
        """Return a value of a type; a function makes its leaves by name and type."""
        if type.optional:
            there = leaf(f"{name}_given", BOOL)
            return Maybe(there, self.made(type.required, name, leaf))
        if type.kind in ("union", "variant"):
            union = self.union_of(type)
            fields = [
                tuple(
                    self.made(info.type, f"{name}_{variant}_{field}", leaf)
                    for field, info in self._symbols.records[variant].fields.items()
                )
                for variant in self.variants(union)
            ]
            return Sum(leaf(f"{name}_is", Type("variants", union)), tuple(fields))
        if type.kind == SET:
            words = self._layouts.members(element_of(type).name)
            return tuple(leaf(f"{name}_{word}", BOOL) for word in words)
        if type.kind == "record":
            named = self._layouts.fields(type).items()
            return tuple(self.made(each, f"{name}_{field}", leaf) for field, each in named)
        return leaf(name, type)

    def held(self, type: Type, shape: Shape) -> Shape:
        """Return what a field of a type holds: a test beside a value excludes None."""
        if type.optional:
            return shape
        bare = shape.value if isinstance(shape, Maybe) else shape
        return self.zero(type) if bare is None else bare

    def zero(self, type: Type) -> Shape:
        """Return the value that represents an absent one."""
        return self.made(type, "", lambda n, t: False if t == BOOL else 0)

    def leaves(self, type: Type, shape: Shape) -> Iterator[Formula]:
        """Return the formulas of a value, zero for absent parts: equal values have equal leaves."""
        if type.optional:
            if shape is None:
                shape = Maybe(False, self.zero(type.required))
            elif not isinstance(shape, Maybe):
                shape = Maybe(True, shape)
            yield shape.there
            for leaf in self.leaves(type.required, shape.value):
                yield _if_there(shape.there, leaf)
        elif type.kind in ("union", "variant"):
            yield shape.variant
            for number, types in enumerate(self._variant_fields(self.union_of(type))):
                chosen = same(shape.variant, number)
                for each, value in zip(types, shape.fields[number], strict=True):
                    for leaf in self.leaves(each, value):
                        yield _if_there(chosen, leaf)
        elif type.kind == "record":
            for each, value in zip(self.fields(type), shape, strict=True):
                yield from self.leaves(each, value)
        elif type.kind == SET:
            yield from shape
        else:
            yield shape

    # Values -------------------------------------------------------------------------------------

    def text(self, text: str) -> int:
        """Return the number of a text."""
        return self._texts.setdefault(text, len(self._texts))

    def known_text(self, number: int) -> str:
        """Return the text of a number; one of its own for a text that no rule names."""
        named = {known: text for text, known in self._texts.items()}
        return named.get(number, f"text {number}")

    def text_of(self, number: int) -> str:
        """Return the text of a number, in quotes."""
        return repr(self.known_text(number))

    def member(self, enum: str, name: str) -> Member:
        """Return the number of a member of a closed set."""
        return Member(self._layouts.members(enum).index(name), f"{enum}_{name}")

    def constant(self, type: Type, value: Value) -> Shape:
        """Return a plain value of the interpreter as a symbolic value."""
        inner = type.required
        if type.optional and value is None:
            return None
        if inner.kind == "enum":
            return self.member(inner.name, value)
        if inner == self._symbols.entity_fields["id"]:
            # A part that no rule reads has one representative.
            return self._ids.index(value) if value in self._ids else 0
        if inner.kind == "float":
            return 0
        if isinstance(value, Several):
            return self._several(inner, value)
        if isinstance(value, str):
            return self.text(value)
        if inner.kind == "union":
            number = self.variants(inner.name).index(value[0])
            types = self._variant_fields(inner.name)
            given = tuple(map(self.constant, types[number], value[1:]))
            return self.variant(inner.name, number, given)
        if inner.kind == "record":
            return tuple(map(self.constant, self.fields(inner), value))
        return value

    def _several(self, type: Type, value: Several) -> Shape:
        element = element_of(type)
        if type.kind == SET:
            return tuple(word in value for word in self._layouts.members(element.name))
        found: Formula = 0
        if type.kind == DICT:
            for key, each in value:
                found = self.put(element, found, self.text(key), self.constant(element, each))
            return found
        for each in value:
            found = self.sequences.longer(
                found, self.element(element, self.constant(element, each))
            )
        return found

    def put(self, type: Type, base: Formula, key: Formula, shape: Shape) -> Formula:
        """Return a dict with the value of one key set; its values have a type."""
        return self.tables.put(base, key, *self.leaves(type, shape))

    def value_of_key(self, type: Type, base: Formula, key: Formula) -> Maybe:
        """Return the value that a dict has behind a key, of the type of its values."""
        places = itertools.count()

        def leaf(part: Type) -> Formula:
            return self._within(part, self.tables.value(base, key, next(places)))

        return Maybe(self.tables.has(base, key), self._rebuilt(type, leaf))

    def _within(self, type: Type, value: Formula) -> Formula:
        """Return a number as one that a leaf of a type can be."""
        if type == BOOL:
            return same(value, 1)
        if type.integral:
            least, most = type.range
        elif type.kind == "enum":
            least, most = 0, len(self._layouts.members(type.name)) - 1
        elif type.kind == "variants":
            least, most = 0, len(self.variants(type.name)) - 1
        else:
            return value
        return ite(both(at_most(least, value), at_most(value, most)), value, least)

    def _rebuilt(self, type: Type, leaf: Callable[[Type], Formula]) -> Shape:
        """Return the value whose leaves a function makes, in the order of `leaves`."""
        if type.optional:
            there = leaf(BOOL)
            return Maybe(there, self._rebuilt(type.required, leaf))
        if type.kind in ("union", "variant"):
            union = self.union_of(type)
            variant = leaf(Type("variants", union))
            fields = [
                tuple(self._rebuilt(each, leaf) for each in types)
                for types in self._variant_fields(union)
            ]
            return Sum(variant, tuple(fields))
        if type.kind == "record":
            return tuple(self._rebuilt(each, leaf) for each in self.fields(type))
        if type.kind == SET:
            return tuple(leaf(BOOL) for _ in self._layouts.members(element_of(type).name))
        return leaf(type)

    def element(self, type: Type, shape: Shape) -> Formula:
        """Return an element of a list as one formula; of a value, a function of its parts."""
        if type.kind not in ("record", "union", "variant"):
            only: Formula = shape
            return only
        parts = [ite(e, 1, 0) if is_bool(e) else e for e in self.leaves(type, shape)]
        return self.sequences.unknown(f"value {type.name}", *parts)

    def variant(self, union: str, number: int, given: tuple[Shape, ...]) -> Sum:
        """Return the value of a variant with given fields."""
        fields = [
            given if at == number else tuple(self.zero(each) for each in types)
            for at, types in enumerate(self._variant_fields(union))
        ]
        label = f"{union}_{self.variants(union)[number]}"
        return Sum(Member(number, label), tuple(fields))

    def table(self, enum: str, key: str) -> tuple[dict[str, Shape], Type]:
        """Return a property of every member as symbolic values."""
        table, type = self._layouts.property(enum, key)
        if type.kind == "statuses":
            return table, type
        return {name: self.constant(type, value) for name, value in table.items()}, type


def _if_there(there: Formula, leaf: Formula) -> Formula:
    nothing: Formula = False if isinstance(leaf, bool) or getattr(leaf, "is_bool", False) else 0
    return ite(there, leaf, nothing)


def merged(test: Formula, then: Shape, otherwise: Shape) -> Shape:
    """Return the first value if the test is true, else the second, part by part."""
    if test is True or then is otherwise:
        return then
    if test is False:
        return otherwise
    if isinstance(then, Maybe) or isinstance(otherwise, Maybe) or None in (then, otherwise):
        return _merged_maybe(test, then, otherwise)
    if isinstance(then, Sum):
        pairs = zip(then.fields, otherwise.fields, strict=True)
        variant = ite(test, then.variant, otherwise.variant)
        return Sum(variant, tuple(merged(test, *each) for each in pairs))
    if isinstance(then, tuple):
        return tuple(merged(test, *each) for each in zip(then, otherwise, strict=True))
    return ite(test, then, otherwise)


def _merged_maybe(test: Formula, then: Shape, otherwise: Shape) -> Shape:
    one, other = maybe(then), maybe(otherwise)
    there = ite(test, one.there, other.there)
    if there is False:
        return None
    if then is None or otherwise is None:
        return Maybe(there, other.value if then is None else one.value)
    return Maybe(there, merged(test, one.value, other.value))


def maybe(shape: Shape) -> Maybe:
    """Return an optional value in the form of `Maybe`."""
    if isinstance(shape, Maybe):
        return shape
    return Maybe(shape is not None, shape)


def equal(one: Shape, other: Shape) -> Formula:
    """Return the condition that two values of one type are equal."""
    if isinstance(one, Maybe) or isinstance(other, Maybe) or one is None or other is None:
        a, b = maybe(one), maybe(other)
        if a.value is None or b.value is None:
            return both(negated(a.there), negated(b.there))
        inner = equal(a.value, b.value)
        return either(both(negated(a.there), negated(b.there)), both(a.there, b.there, inner))
    if isinstance(one, Sum):
        parts = [
            either(negated(same(one.variant, number)), equal(*each))
            for number, each in enumerate(zip(one.fields, other.fields, strict=True))
        ]
        return both(same(one.variant, other.variant), *parts)
    if isinstance(one, tuple):
        return both(*(equal(*each) for each in zip(one, other, strict=True)))
    return same(one, other)
