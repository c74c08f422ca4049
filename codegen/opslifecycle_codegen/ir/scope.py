"""The bindings of names while an expression is checked."""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import Factory, evolve, frozen

from opslifecycle_codegen.ir.expr import Expression
from opslifecycle_codegen.ir.symbols import Symbols
from opslifecycle_codegen.ir.types import (
    ACTION,
    BARRIER,
    ENTITY,
    NONE,
    REGISTRY,
    ROW,
    STR,
    Type,
    collection,
)


@frozen
class Scope:
    """The names that an expression may use, with types narrowed by tests."""

    symbols: Symbols
    names: dict[str, Expression]
    #: Bound paths, such as `action.label`.
    constants: dict[str, Expression] = Factory(dict)
    narrowed: dict[str, Type] = Factory(dict)

    def attributes_of(self, base: Type) -> dict[str, Type]:
        """Return the attributes of a type's values."""
        symbols = self.symbols
        if base == ENTITY:
            return symbols.entity_fields
        if base == REGISTRY:
            return symbols.registry_fields
        if base == ROW:
            return symbols.row_fields
        if base == BARRIER:
            return {"unfinished": collection(symbols.entity_fields["id"])}
        if base == ACTION:
            return {"label": STR}
        if base.kind == "enum":
            properties = symbols.enums[base.name].properties
            types = {name: info.type for name, info in properties.items()}
            return {"value": STR, "generated_variant": STR, **types}
        if base.kind in ("record", "variant"):
            fields = symbols.records[base.name].fields
            types = {name: info.type for name, info in fields.items()}
            return {**types, **(self._tag_of(base.inner) if base.inner else {})}
        return self._tag_of(base) if base.kind == "union" else {}

    def _tag_of(self, union: Type) -> dict[str, Type]:
        info = self.symbols.unions[union.name]
        return {info.tag: Type("enum", info.tag_enum) if info.tag_enum else STR}

    def with_names(self, names: Mapping[str, Expression]) -> Scope:
        """Return the scope with additional names."""
        return evolve(self, names={**self.names, **names})

    def inside(self, given: Mapping[str, Expression]) -> Scope:
        """Return the scope of a guard: its parameters are what a command gives for them."""
        return evolve(self.with_names(given), narrowed=_without(self.narrowed, given))

    def outside(self, given: Mapping[str, Expression], before: Scope) -> Scope:
        """Return the scope behind a guard, in which the names of its parameters are as before."""
        names = {name: each for name, each in self.names.items() if name not in given}
        names |= {name: before.names[name] for name in given if name in before.names}
        old = {path: type for path, type in before.narrowed.items() if _root(path) in given}
        return evolve(self, names=names, narrowed={**_without(self.narrowed, given), **old})

    def updated(self, path: str, value: Type) -> Scope:
        """Return the scope after a path was set to a value of a type.

        What a test made sure of may not be true of the value; that there is one still may.
        """
        word = re.compile(rf"(?<![\w.]){re.escape(path)}(?!\w)")
        narrowed = {name: type for name, type in self.narrowed.items() if not word.search(name)}
        before = self.narrowed.get(path, NONE)
        if NONE not in (before, value) and not (before.optional or value.optional):
            narrowed[path] = value if value.kind in ("union", "variant") else before
        return evolve(self, narrowed=narrowed)

    def with_narrowed(self, path: str, type: Type) -> Scope:
        """Return the scope in which a path has a narrower type."""
        return evolve(self, narrowed={**self.narrowed, path: type})


def _root(path: str) -> str:
    """Return the name that a path begins with."""
    return path.partition(".")[0]


def _without(narrowed: Mapping[str, Type], names: Mapping[str, Expression]) -> dict[str, Type]:
    """Return narrowed types without those of paths that begin with some names."""
    return {path: type for path, type in narrowed.items() if _root(path) not in names}
