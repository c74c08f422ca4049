"""Guards and updates as functions of plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import frozen

from opslifecycle_codegen.ir.built_ins import BUILT_IN_REJECTIONS
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.types import BOOL, Type
from opslifecycle_codegen.modelcheck.evaluate import Evaluator, Function, Names
from opslifecycle_codegen.modelcheck.state import Refusal
from opslifecycle_codegen.source import model
from opslifecycle_codegen.source.words import Expr, Text


@frozen
class Refused:
    """A rejection that may be given: its error, and the function of each fact."""

    error: str
    fields: tuple[Function, ...]
    guard: str

    def given(self, names: Names) -> Refusal:
        """Return the rejection, with its facts."""
        return Refusal(self.error, tuple(fact(names) for fact in self.fields), self.guard)


@frozen
class Guard:
    """One guard in its place."""

    lets: tuple[tuple[str, Function], ...]
    holds: Function
    refused: Refused


@frozen
class Update:
    """A field and its new value."""

    of_record: bool
    place: int
    value: Function


class Clauses:
    """Makes functions of what the machine says under guards, rejections and updates."""

    def __init__(self, program: Program, evaluator: Evaluator) -> None:
        self._machine = program.machine
        self._facts = program.error_fields
        self._symbols = program.symbols
        self._evaluator = evaluator

    def guards(
        self, names: Iterable[str], types: Mapping[str, Type], *, global_guards: bool = True
    ) -> tuple[Guard, ...]:
        """Return the guards of a command, in their order."""
        first = list(self._machine.global_guards) if global_guards else []
        declared = {str(name): guard for name, guard in self._machine.guards.items()}
        return tuple(self._guard(str(n), declared[str(n)], types) for n in [*first, *names])

    def _guard(self, name: str, guard: model.Guard, types: Mapping[str, Type]) -> Guard:
        known, lets = dict(types), []
        for local, text in guard.let.items():
            known[str(local)] = self._evaluator.type_of(text, known)
            lets.append((str(local), self._evaluator.function(text, known)))
        holds = self._evaluator.function(guard.when, known, BOOL)
        return Guard(tuple(lets), holds, self.refused(guard.error, known, name))

    def refused(
        self, refusal: model.Refusal, types: Mapping[str, Type], guard: str = ""
    ) -> Refused:
        """Return a rejection with its facts, in the order of its declaration."""
        name = str(refusal.name)
        declared = {str(n): each for n, each in self._machine.errors.items()}
        if name in declared:
            error, wanted = str(declared[name].class_), self._facts[name]
        else:
            error, wanted = BUILT_IN_REJECTIONS[name]
        given = {str(fact): text for fact, text in refusal.fields.items()}
        facts = [self._evaluator.function(given[n], types, type) for n, type in wanted.items()]
        return Refused(error, tuple(facts), guard)

    def updates(
        self, declared: Mapping[Text, Expr], types: Mapping[str, Type]
    ) -> tuple[Update, ...]:
        """Updates in their order; each sees what the ones before it have done."""
        updates = []
        for target, text in declared.items():
            owner, _, field = str(target).partition(".")
            of_record = owner != "registry"
            symbols = self._symbols
            fields = symbols.entity_fields if of_record else symbols.registry_fields
            value = self._evaluator.function(text, types, fields[field])
            updates.append(Update(of_record, list(fields).index(field), value))
        return tuple(updates)


def first_refusal(guards: Sequence[Guard], names: Names) -> Refusal | None:
    """Return what the guards refuse with, in their order; None if all of them hold."""
    for guard in guards:
        for local, value in guard.lets:
            names[local] = value(names)
        if not guard.holds(names):
            return guard.refused.given(names)
    return None
