"""Stage 3, analyze, first half: the types of collections that a machine declares."""

from __future__ import annotations

import re

from opslifecycle_codegen.analysis.refined import given_limits, integer_of, is_several
from opslifecycle_codegen.base.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.ir.several import SET
from opslifecycle_codegen.ir.symbols import Symbols
from opslifecycle_codegen.ir.types import SCALARS, STR, UNKNOWN, Limits, Type
from opslifecycle_codegen.source import model, type_model
from opslifecycle_codegen.source.words import TypeName

#: The greatest length of a list or a dict: a record is written whole with each change.
ELEMENTS_MAX = 1000
_SPELLED = re.compile(r"(list|frozenset)\s*\[\s*(\w+)\s*\]")
_DICT = re.compile(r"(dict)\s*\[\s*(\w+)\s*,\s*(\w+)\s*\]")
#: Kinds of types whose values a list can hold, and what messages call them.
_HELD = "it holds integers, decimal numbers, texts, times, bytes, ids and members of closed sets"
_MORE = f"{_HELD}; lists and dicts hold values, too"
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
        text = declared.type.strip()
        spelled = _SPELLED.fullmatch(text) or _DICT.fullmatch(text)
        if spelled is None:
            message = f"there is no type {str(declared.type)!r}"
            hint = "a collection is list[T], frozenset[E] or dict[str, T], with the name of a type"
            if re.search(r"\b(None|Optional)\b", text):
                hint = f"no element of a collection is None: leave it out; {hint}"
            self._diagnostics.add(declared.type.mark, "unknown-type", message, hint)
            return UNKNOWN
        kind, *keys, word = spelled.groups()
        inner = self._element(kind, word, declared)
        key = self._key(keys[0], declared) if keys else None
        known = () if kind == SET else ("max_length",)
        for limit, value in given_limits(declared).items():
            if limit not in known:
                message = f"a {kind} has no {limit}"
                hint = f"it has {known[0]}" if known else "it has at most the members of its enum"
                self._diagnostics.add(value.mark, "unknown-key", message, hint)
        if inner is None or key == UNKNOWN:
            return UNKNOWN
        if kind != SET:
            limits = Limits(max_length=self._length(name, declared))
            return Type(kind, str(name), inner, limits, key)
        if inner.kind != "enum":
            message = f"a frozenset has members of a closed set, and {word} is none"
            hint = f"write list[{word}], or declare {word} under `enums`"
            self._diagnostics.add(declared.type.mark, "wrong-type", message, hint)
            return UNKNOWN
        return Type(SET, str(name), inner, Limits(max_length=self._members(inner.name)))

    def _element(self, kind: str, word: str, declared: type_model.RefinedType) -> Type | None:
        found = SCALARS.get(word) or self._symbols.type_named(word)
        value = next((each for n, each in self._machine.values.items() if n == word), None)
        if value is not None and kind != SET and value.python is None:
            return Type("union" if value.variants else "record", word)
        if found is None:
            message = f"there is no type {word!r}"
            hint = nearest(word, [*SCALARS, *self._symbols.type_names()])
            rule = "unknown-type"
            if value is not None or word in {*map(str, self._machine.types)}:
                rule, message, hint = "wrong-type", f"a {kind} cannot hold a {word}", _MORE
            self._diagnostics.add(declared.type.mark, rule, message, hint)
        elif found.kind not in _ELEMENTS:
            message = f"a {kind} cannot hold a {found.kind}"
            self._diagnostics.add(declared.type.mark, "wrong-type", message, _MORE)
            return None
        return found

    def _key(self, word: str, declared: type_model.RefinedType) -> Type:
        """Return the type of the keys of a dict: a text, as in JSON."""
        found = SCALARS.get(word) or self._symbols.type_named(word)
        if found is not None and found.kind == STR.kind:
            return found
        message = f"the keys of a dict are texts, and {word} is none"
        hint = "write `str`, or the name of a `str` with a pattern or a length"
        self._diagnostics.add(declared.type.mark, "wrong-type", message, hint)
        return UNKNOWN

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
