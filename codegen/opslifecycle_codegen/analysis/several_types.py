"""Stage 3, analyze, first half: the types of collections that a machine declares."""

from __future__ import annotations

import re

from opslifecycle_codegen.analysis.refined import given_limits, integer_of, is_several
from opslifecycle_codegen.base.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.ir.several import LIST, SET
from opslifecycle_codegen.ir.symbols import Symbols
from opslifecycle_codegen.ir.types import SCALARS, UNKNOWN, Limits, Type
from opslifecycle_codegen.source import model, type_model
from opslifecycle_codegen.source.words import TypeName

#: The greatest length of a list: a record is one value, which is written whole with each change.
ELEMENTS_MAX = 1000
_SPELLED = re.compile(r"(list|frozenset)\s*\[\s*(\w+)\s*\]")
#: Kinds of types whose values a list can hold, and what messages call them.
_HELD = "it holds integers, decimal numbers, texts, times, bytes, ids and members of closed sets"
_ELEMENTS = ("bool", "int", "str", "datetime", "timedelta", "decimal", "bytes", "enum", "id")


def several_types(
    machine: model.Machine, symbols: Symbols, diagnostics: Diagnostics
) -> dict[str, Type]:
    """Return the types of collections by their names; report what makes no sense."""
    resolver = _Several(machine, symbols, diagnostics)
    return {
        str(name): resolver.resolve(name, each)
        for name, each in machine.types.items()
        if is_several(each)
    }


class _Several:
    def __init__(self, machine: model.Machine, symbols: Symbols, diagnostics: Diagnostics) -> None:
        self._machine = machine
        self._symbols = symbols
        self._diagnostics = diagnostics

    def resolve(self, name: TypeName, declared: type_model.RefinedType) -> Type:
        """Return one type; of what is wrong in it, one whose errors are reported once."""
        spelled = _SPELLED.fullmatch(declared.type.strip())
        if spelled is None:
            message = f"there is no type {str(declared.type)!r}"
            hint = "a collection is list[T] or frozenset[E], with the name of a type"
            self._diagnostics.add(declared.type.mark, "unknown-type", message, hint)
            return UNKNOWN
        kind, word = spelled.groups()
        inner = self._element(word, declared)
        known = ("max_length",) if kind == LIST else ()
        for key, value in given_limits(declared).items():
            if key not in known:
                message = f"a {kind} has no {key}"
                hint = f"it has {known[0]}" if known else "it has at most the members of its enum"
                self._diagnostics.add(value.mark, "unknown-key", message, hint)
        if inner is None:
            return UNKNOWN
        if kind == LIST:
            return Type(LIST, str(name), inner, Limits(max_length=self._length(name, declared)))
        if inner.kind != "enum":
            message = f"a frozenset has members of a closed set, and {word} is none"
            hint = f"write list[{word}], or declare {word} under `enums`"
            self._diagnostics.add(declared.type.mark, "wrong-type", message, hint)
            return UNKNOWN
        return Type(SET, str(name), inner, Limits(max_length=self._members(inner.name)))

    def _element(self, word: str, declared: type_model.RefinedType) -> Type | None:
        found = SCALARS.get(word) or self._symbols.type_named(word)
        if found is None:
            message = f"there is no type {word!r}"
            hint = nearest(word, [*SCALARS, *self._symbols.type_names()])
            rule = "unknown-type"
            if word in {*map(str, (*self._machine.values, *self._machine.types))}:
                rule, message, hint = "wrong-type", f"a list cannot hold a {word}", _HELD
            self._diagnostics.add(declared.type.mark, rule, message, hint)
        elif found.kind not in _ELEMENTS:
            message = f"a list cannot hold a {found.kind}"
            self._diagnostics.add(declared.type.mark, "wrong-type", message, _HELD)
            return None
        return found

    def _length(self, name: TypeName, declared: type_model.RefinedType) -> int:
        if declared.max_length is None:
            message = f"{name} needs max_length, the greatest number of elements"
            self._diagnostics.add(declared.mark, "missing-key", message, "add `max_length`")
            return 1
        length = integer_of(declared.max_length, self._diagnostics)
        if length is not None and not 1 <= length <= ELEMENTS_MAX:
            message = f"expected a length from 1 to {ELEMENTS_MAX}, found {length}"
            hint = "what grows without end is better a record of its own for each"
            self._diagnostics.add(declared.max_length.mark, "wrong-shape", message, hint)
        return length or 1

    def _members(self, enum: str) -> int:
        """Return the number of members of a closed set, most of which are resolved later."""
        known = self._symbols.enums[enum].members
        if known:
            return len(known)
        for name, declared in self._machine.enums.items():
            if name == enum and declared.members_from == "actions":
                return len(self._machine.actions)
            if name == enum and declared.members_from is not None:
                unions = {str(each): value for each, value in self._machine.values.items()}
                union = unions.get(str(declared.members_from))
                return len(union.variants) if union is not None else 0
            if name == enum:
                return len(declared.members)
        return len(self._machine.statuses.members)
