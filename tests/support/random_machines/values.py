"""Real values of a generated package for the plain ones of the interpreter, and back."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import ModuleType
from typing import Any

from opslifecycle import FrozenDict, OpsLifecycleError
from opslifecycle.values.identifiers import Identifier, IntIdentifier
from opslifecycle.values.several import members_of
from opslifecycle_codegen.ir.moments import microseconds_of
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.public_names import public_names
from opslifecycle_codegen.ir.several import DICT, LIST, SET, element_of
from opslifecycle_codegen.ir.types import Type
from opslifecycle_codegen.modelcheck.state import Items, Several
from opslifecycle_codegen.source.words import NOWHERE, Name

_TEXTS = ["x", "", 'a "b" \\ {c} \U0001f600\n']
_COUNTS = [0, 1, 2, 5]
_TIMES = [datetime(2026, 1, 31, tzinfo=UTC), datetime.max.replace(tzinfo=UTC),
          datetime.min.replace(tzinfo=UTC)]  # fmt: skip
_DURATIONS = [timedelta(microseconds=7), timedelta(days=-400), datetime.max - datetime.min]

Parameters = Mapping[str, inspect.Parameter]


class Values:
    """The values of one machine."""

    def __init__(self, program: Program, package: ModuleType, entities: int) -> None:
        self._registry = getattr(package, public_names(program.machine).registry)
        self._symbols = program.symbols
        self._package = package
        self._signatures: dict[str, Parameters] = {}
        #: The parameters of methods, in the order in which the machine declares them.
        self._names: dict[str, list[str]] = {
            str(method): list(map(str, words))
            for method, words in program.machine.create.methods.items()
        }
        for action in program.actions:
            for name in program.machine.actions[Name(action.name, NOWHERE)].methods:
                self._names[str(name)] = ["id", *action.params]
        for choice in program.choices:
            self._names[choice.name] = ["id", *choice.first.params]
        for bulk in program.bulk:
            self._names[bulk.command.name] = [*bulk.command.params]
        for rule in program.classifiers:
            self._names[rule.name] = [*(["id"] if rule.of_record else []), *rule.params]
        self._id_type = program.symbols.entity_fields["id"]
        id_class = getattr(package, self._id_type.name)
        #: Identifiers of records, and behind them one that no record has.
        form = program.symbols.id_forms.get(self._id_type.name)
        text = "00000000-0000-7000-8000-00000000000"
        if form is not None:
            text = "" if form.is_number else f'{form.prefix}"'
        self.ids = [id_class(f"{text}{n}") for n in range(entities + 1)]

    def defaults(self, method: str) -> dict[str, Any]:
        """The values of what a call of a method may leave out."""
        found = {name: each.default for name, each in self._signature(method).items()}
        return {name: each for name, each in found.items() if each is not inspect.Parameter.empty}

    def call(self, registry: Any, method: str, arguments: Sequence[Any]) -> Any:
        """Call a method with arguments in the order of the machine, leaving out what is default."""
        signature = self._signature(method)
        names = self._names.get(method) or [""] * len(arguments)
        by_name = {n for n, each in signature.items() if each.kind is each.KEYWORD_ONLY}
        pairs = list(zip(names, arguments, strict=True))
        given = [each for name, each in pairs if name not in by_name]
        keywords = {name: each for name, each in pairs if name in by_name}
        defaults = self.defaults(method)
        keywords = {
            n: e for n, e in keywords.items() if n not in defaults or not is_same(e, defaults[n])
        }
        omissible = [each for n, each in defaults.items() if n not in by_name]
        while given and omissible and is_same(given[-1], omissible.pop()):
            # What a call may leave out at its end has the same effect if it is passed.
            given.pop()
        return getattr(registry, method)(*given, **keywords)

    def _signature(self, method: str) -> Parameters:
        found = self._signatures.get(method)
        if found is None:
            found = inspect.signature(getattr(self._registry, method)).parameters
            self._signatures[method] = found
        return found

    # From real to plain -------------------------------------------------------------------------

    def plain(self, value: Any) -> Any:
        """A real value as the interpreter spells it."""
        if isinstance(value, enum.Enum):
            return value.value
        if isinstance(value, datetime):
            return microseconds_of(value)
        if isinstance(value, Decimal):
            return int(value * 100)
        if isinstance(value, timedelta):
            return value // timedelta(microseconds=1)
        if isinstance(value, Identifier):
            return str.__str__(value)
        if isinstance(value, IntIdentifier):
            return str(value)
        if isinstance(value, frozenset):
            return Several(members_of(value))
        if isinstance(value, FrozenDict):
            return Items((key, self.plain(each)) for key, each in value.items())
        if type(value) is tuple:
            return Several(map(self.plain, value))
        record = self._symbols.records.get(type(value).__name__)
        if record is not None:
            fields = tuple(self.plain(getattr(value, name)) for name in record.fields)
            return (record.name, *fields) if record.union else fields
        return value

    def real(self, type: Type, plain: Any) -> Any:
        """A time or a duration of what the interpreter spells; another value as it is."""
        duration = timedelta(microseconds=plain) if type.required.kind in _MOMENTS else plain
        return _EPOCH + duration if type.required.kind == "datetime" else duration

    def texts(self, names: list[str], holder: Any) -> tuple[Any, ...]:
        """Some attributes of a view as plain values."""
        return tuple(self.plain(getattr(holder, name)) for name in names)

    # Samples ------------------------------------------------------------------------------------

    def sample(self, type: Type, number: int) -> Any:
        """One of the values of a type; other numbers give others, as far as there are."""
        if type.optional:
            return None if number % 3 == 2 else self.sample(type.required, number)
        if type.kind == "int" and type.limits is not None:
            least, most = type.range
            among = sorted({least, most, *(n for n in (0, 1) if least <= n <= most)})
            return among[number % len(among)]
        if type.kind == LIST and type.inner is not None:
            most = (type.limits and type.limits.max_length) or 0
            length = min([0, 1, most][number % 3], most)
            return tuple(self.sample(type.inner, number + place) for place in range(length))
        if type.kind == DICT and type.inner is not None and type.key is not None:
            most = (type.limits and type.limits.max_length) or 0
            length = min([0, 1, most][number % 3], most)
            places = range(number, number + length)
            # A value may have one text twice: the last item counts.
            return FrozenDict(
                (self.sample(type.key, p), self.sample(type.inner, p)) for p in places
            )
        if type.kind == SET:
            members = list(getattr(self._package, element_of(type).name))
            return frozenset(each for at, each in enumerate(members) if number % 8 >> at & 1)
        if type.kind == "bytes":
            return [b"", b"\x00\xff", b"\"'\\"][number % 3]
        if type.kind == "decimal":
            least, most = type.range
            units = [least, most, min(max(least, 50), most)]
            return Decimal(units[number % 3]).scaleb(-type.places)
        if type.kind == "str" and type.limits is not None:
            texts = [
                each for each in (type.limits.example, "q", 'q"', "") if type.limits.accepts(each)
            ]
            return texts[number % len(texts)]
        if type == self._id_type:
            return self.ids[number % (len(self.ids) - 1)]
        simple: dict[str, list[Any]] = {
            "bool": [False, True], "int": _COUNTS, "float": [0.0, 1.5], "str": _TEXTS,
            "name": ["x", "y"], "datetime": _TIMES, "timedelta": _DURATIONS,
        }  # fmt: skip
        if type.kind in simple:
            return simple[type.kind][number % len(simple[type.kind])]
        if type.kind == "foreign":
            return Decimal(number % 3)
        found = getattr(self._package, type.name, None)
        if type.kind == "id":
            assert found is not None
            if type.name in self._symbols.id_forms:
                return found(number % 3)
            return found(f"10000000-0000-7000-8000-00000000000{number % 3}")
        if type.kind == "enum":
            assert found is not None
            members = list(found)
            return members[number % len(members)]
        if type.kind == "union":
            variants = list(self._symbols.unions[type.name].variants)
            return self._made(variants[number % len(variants)], number)
        return self._made(type.name, number)

    def _made(self, record: str, number: int) -> Any:
        infos = self._symbols.records[record].fields
        arguments = {}
        for place, (name, info) in enumerate(infos.items()):
            # The id of a record varies least, so that calls meet again.
            step = number if info.type == self._id_type else number + place
            arguments[name] = self.sample(info.type, step)
        found = getattr(self._package, record)
        try:
            return found(**arguments)
        except OpsLifecycleError:
            # A constructor may judge what it is given; the plainest values have to do then.
            return found(**{n: self.sample(i.type, 0) for n, i in infos.items()})


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENTS = ("datetime", "timedelta")


def is_same(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other
