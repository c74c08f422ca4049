"""The arguments of calls: every value that rules distinguish, and one representative of others."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence

from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression, nodes_of
from opslifecycle_codegen.ir.parameters import NO_DEFAULTS
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.several import DICT, SET, element_of
from opslifecycle_codegen.ir.types import BOOL, FLOAT, Type, decimal_notation, decimal_units
from opslifecycle_codegen.modelcheck.evaluate import Evaluator
from opslifecycle_codegen.modelcheck.representatives import Representatives, Source
from opslifecycle_codegen.modelcheck.several import items_of
from opslifecycle_codegen.modelcheck.state import Arguments, Items, Several, Value

#: The representative of texts, ids and objects that no rule inspects.
OPAQUE = "x"
#: A second representative, where a rule compares them.
OTHER = "y"
#: The greatest number of members of which a search tries every set.
SUBSETS_OF = 3
#: The longest text that reports show whole.
_SHOWN_MAX = 40


class Values:
    """The values of types, as far as rules distinguish them."""

    def __init__(
        self,
        program: Program,
        evaluator: Evaluator,
        ids: Sequence[str],
        counts_max: int | None,
        takes: Mapping[str, Sequence[str]],
    ) -> None:
        self._program = program
        self._symbols = program.symbols
        self._evaluator = evaluator
        self._ids = tuple(ids)
        self._counts_max = counts_max
        self._takes = takes
        self.representatives = Representatives(program)
        #: The integers that were chosen for a parameter, or a field of one, by its path.
        self.chosen: dict[str, list[int] | list[str]] = {}
        #: What the scenario names, and no value of the type is: the path, and the word.
        self.unknown: set[tuple[str, str]] = set()
        self._always = {
            (record, name): evaluator.derived(record, tree)
            for (record, name), tree in program.always.items()
        }

    def arguments(
        self, params: Mapping[str, Type], defaults: Mapping[str, Expression] = NO_DEFAULTS
    ) -> Iterator[Arguments]:
        """Yield every combination of a command's arguments, with the values of omitted ones."""
        looked_at = self._evaluator.names_looked_at
        domains = []
        for name, type in params.items():
            held_in = self.representatives.held_in.get(name, set())
            is_read = not held_in.isdisjoint(self._evaluator.looked_at)
            looked = name in looked_at or self._is_compared(name, type) or is_read
            found = self.of(type, name, looked=looked)
            if looked and name in defaults and name not in self._takes:
                default = self._evaluator.function(defaults[name])({})
                found += [default] if default not in found else []
            domains.append(found)
        for combination in itertools.product(*domains):
            yield tuple(zip(params, combination, strict=True))

    def _is_compared(self, name: str, type: Type) -> bool:
        return type.required.integral and self.representatives.is_compared(name)

    def of(
        self, type: Type, path: str, *, looked: bool, source: Source | None = None
    ) -> list[Value]:
        """Return the values of a type for a field; a single one if no rule reads the field."""
        found = self._all(type, path, looked=looked, source=source or path)
        if found[-1:] == [OPAQUE]:
            found[-1:] = self._texts(type, path, source or path)
        if path in self._takes:
            units = type.required.kind == "decimal"
            known = {spelled(each): each for each in found if not units or each is None}
            named = {word: known.get(word, _named(word, type)) for word in self._takes[path]}
            self.unknown |= {
                (path, word) for word, each in named.items() if each is None and word not in known
            }
            return [each for word, each in named.items() if each is not None or word in known]
        return found if looked or type.kind == "record" else found[:1]

    def _texts(self, type: Type, path: str, source: Source) -> list[Value]:
        """Return the values of a text or an id: a first one, and those that rules tell from it."""
        evaluator, limits = self._evaluator, type.required.limits
        # What a rule compares may be a field that holds the parameter, or a list that is one.
        held_in = self.representatives.held_in
        sources = {source, *held_in.get(path, ())}
        sources |= held_in.get(source, set()) if isinstance(source, str) else set()
        is_compared = source in evaluator.compared
        is_compared |= not sources.isdisjoint(evaluator.compared_with_others)
        found = self._stand_ins(2 if is_compared else 1)
        named: set[str] = set()
        if type.required.kind == "str":
            for each in sources:
                named |= evaluator.literals.get(each, set())
            if not sources.isdisjoint(evaluator.key_sources):
                named |= evaluator.keys
        texts = sorted(each for each in named if limits is None or limits.accepts(each))
        lengths = self.representatives.lengths(type, source)
        if lengths is not None or not sources.isdisjoint(evaluator.characters):
            # What rules read of a text is what it is made of, so it has to be one of the type.
            texts += sorted(_of_lengths(lengths or (), named, evaluator.endings))
            texts += [limits.example] if limits is not None else []
            tried = dict.fromkeys((*found, *texts))
            return self._chose_texts(path, [e for e in tried if not limits or limits.accepts(e)])
        more = [each for each in texts if each not in found]
        return self._chose_texts(path, found + more) if texts else [*found]

    def _stand_ins(self, count: int) -> list[str]:
        """Return the texts that stand for all that no rule names: as many of them, and `OPAQUE`."""
        named = self._evaluator.keys.union(*self._evaluator.literals.values())
        usual = [OPAQUE, OTHER][:count]
        spare = (text for n in itertools.count() if (text := f"z{n}") not in named)
        return usual + [next(spare) for each in usual if each in named]

    def _chose_texts(self, path: str, found: list[str]) -> list[Value]:
        if path not in self._takes:
            self.chosen[path] = [shortened(each) or "''" for each in found]
        return [*found]

    def _all(self, type: Type, path: str, *, looked: bool, source: Source = "") -> list[Value]:
        inner = type.required
        if type.optional:
            return [None, *self._all(inner, path, looked=looked, source=source)]
        if inner == self._symbols.entity_fields["id"]:
            return list(self._ids) if looked else [OPAQUE]
        if inner == BOOL:
            return [False, True]
        if inner.kind == "enum":
            return list(self._symbols.enums[inner.name].members)
        if inner.integral:
            return self._integers(inner, path, source, looked=looked)
        if inner == FLOAT:
            return [0.0]
        if inner.kind in ("str", "bytes", "name", "id", "foreign"):
            return [OPAQUE]
        if inner.several:
            return self._several(inner, path, source)
        if inner.kind == "union":
            variants = self._symbols.unions[inner.name].variants
            return [(name, *value) for name in variants for value in self._fields(name, path)]
        return [tuple(value) for value in self._fields(inner.name, path)]

    def _several(self, type: Type, path: str, source: Source) -> list[Value]:
        """Return collections: the empty one, each element alone, and longer ones."""
        element = element_of(type)
        if type.kind == SET:
            members = list(self._symbols.enums[element.name].members)
            whole = len(members) <= SUBSETS_OF
            sizes = range(len(members) + 1) if whole else (0, 1, len(members))
            return [Several(e) for size in sizes for e in itertools.combinations(members, size)]
        if type.kind == DICT:
            return self._dicts(type, path, source)
        elements = self.of(element, f"{path}[]", looked=True, source=source)
        lengths = self.representatives.lengths(type, source) or [0, 1, 2]
        most = (type.limits and type.limits.max_length) or 0
        found = [Several()]
        for length in lengths:
            if length == 1:
                found += [Several([each]) for each in elements]
            elif 1 < length <= most:
                found.append(Several(itertools.islice(itertools.cycle(elements), length)))
        return [*found]

    def _dicts(self, type: Type, path: str, source: Source) -> list[Value]:
        """Return dicts: the empty one, each value behind each key, and one with two keys."""
        limits = type.key.limits if type.key is not None else None
        named = [each for each in self._evaluator.keys if limits is None or limits.accepts(each)]
        keys = [*dict.fromkeys((*self._stand_ins(1), *sorted(named)))]
        values = self.of(element_of(type), f"{path}[]", looked=True, source=source)
        found = [items_of({}), *(items_of({key: each}) for key in keys for each in values)]
        keys.append(OTHER)
        if ((type.limits and type.limits.max_length) or 0) >= 2:
            found.append(items_of({keys[0]: values[-1], keys[1]: values[0]}))
        return [*found]

    def _integers(self, type: Type, path: str, source: Source, *, looked: bool) -> list[Value]:
        if self._counts_max is not None:
            least, most = type.range
            start = max(least, 0)
            return list(range(start, min(start + self._counts_max, most) + 1))
        found = self.representatives.values(type, source)
        if looked and path not in self._takes and found != [0, 1]:
            self.chosen[path] = found
            if type.kind == "decimal":
                self.chosen[path] = [decimal_notation(each, type.places) for each in found]
        return list(found)

    def _fields(self, record: str, path: str) -> list[list[Value]]:
        """Return every combination of a value's fields; its constructor derives some of them."""
        infos = self._symbols.records[record].fields
        looked_at = self._looked_at(record)
        domains = [
            self.of(
                info.type, f"{path}.{name}", looked=name in looked_at, source=(record, name)
            )
            if (record, name) not in self._always else [None]
            for name, info in infos.items()
        ]  # fmt: skip
        made = []
        for combination in itertools.product(*domains):
            fields = list(combination)
            for place, name in enumerate(infos):
                if (record, name) in self._always:
                    named = dict(zip(infos, fields, strict=True))
                    fields[place] = self._always[record, name](named)
            made.append(fields)
        return made

    def _looked_at(self, record: str) -> set[str]:
        """Return the fields that rules read, also through others that a constructor computes."""
        owners = (record, self._symbols.records[record].union)
        found = {name for of, name in self._evaluator.looked_at if of and of in owners}
        for (of, name), tree in self._program.always.items():
            if of == record and name in found:
                found |= {each.name for each in nodes_of(tree) if isinstance(each, nodes.Name)}
        return found

    def kept(self, type: Type, value: Value) -> Value:
        """Return a value as records hold it: parts that no rule reads have one representative."""
        if value is None or type.required.kind != "record":
            return value
        record = type.required.name
        looked_at = self._evaluator.looked_at_in_records
        infos = self._symbols.records[record].fields
        return tuple(
            each if (record, name) in looked_at else self._all(info.type, "", looked=False)[0]
            for each, (name, info) in zip(value, infos.items(), strict=True)
        )


def _named(word: str, type: Type) -> int | str | None:
    """Return an integer or a text that a scenario names; None for what is none of the type."""
    inner = type.required
    if inner.kind == "str":
        return word if inner.limits is None or inner.limits.accepts(word) else None
    if not inner.integral:
        return None
    found = decimal_units(word, inner.places)
    least, most = inner.range
    return found if found is not None and least <= found <= most else None


def _of_lengths(
    lengths: Sequence[int], named: Collection[str], endings: Collection[object]
) -> Iterator[str]:
    """Yield texts of given lengths, also with the texts that rules name at an end."""
    for length in lengths:
        yield OPAQUE * length
        for text in named:
            if len(text) < length:
                yield text.rjust(length, OPAQUE) if text in endings else text.ljust(length, OPAQUE)


def shortened(text: str) -> str:
    """Return a text as reports show it: of a long one, the beginning and the length."""
    return text if len(text) <= _SHOWN_MAX else f"{text[:12]}… ({len(text)} characters)"


def spelled(value: Value) -> str:
    """Return a value as scenarios spell it: a member, a number, a variant's name, or none."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Items):
        return f"{{{', '.join(f'{key}: {spelled(each)}' for key, each in value)}}}"
    if isinstance(value, Several):
        return f"[{', '.join(map(spelled, value))}]"
    return str(value[0] if isinstance(value, tuple) else value)
