"""Guards and updates as functions of plain values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from attrs import frozen

from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.program import Assignment, Check, EndStep, Program
from opslifecycle_codegen.modelcheck.evaluate import Evaluator
from opslifecycle_codegen.modelcheck.functions import Function, Names
from opslifecycle_codegen.modelcheck.state import Refusal


@frozen
class Refused:
    """A possible rejection: its error, and the function of each of its fields."""

    error: str
    fields: tuple[Function, ...]
    guard: str

    def given(self, names: Names) -> Refusal:
        """Return the rejection with the values of its fields."""
        return Refusal(self.error, tuple(field(names) for field in self.fields), self.guard)


@frozen
class Guard:
    """A guard of a command."""

    lets: tuple[tuple[str, Function], ...]
    holds: Function
    refused: Refused


@frozen
class Update:
    """A field and its new value."""

    of_record: bool
    place: int
    value: Function


#: A step: its test, its updates, and the effects that follow.
Step: TypeAlias = tuple[Function | None, tuple[Update, ...], tuple[str, ...]]


class Clauses:
    """Compiles the guards, rejections and updates of a program to functions."""

    def __init__(self, program: Program, evaluator: Evaluator) -> None:
        self._symbols = program.symbols
        self._evaluator = evaluator

    def guards(self, checks: Iterable[Check]) -> tuple[Guard, ...]:
        """Return the guards of a command, in their order."""
        return tuple(map(self._guard, checks))

    def _guard(self, check: Check) -> Guard:
        function = self._evaluator.function
        lets = tuple((local, function(tree)) for local, tree in check.lets)
        return Guard(lets, function(check.test), self.refused(check.refusal, check.guard))

    def refused(self, refusal: nodes.Refusal, guard: str = "") -> Refused:
        """Return a rejection with its fields, in the order of its declaration."""
        return Refused(refusal.error, tuple(map(self._evaluator.function, refusal.fields)), guard)

    def updates(self, declared: Iterable[Assignment]) -> tuple[Update, ...]:
        """Return the updates in order; each reads the results of those before it."""
        updates = []
        for each in declared:
            symbols = self._symbols
            fields = symbols.entity_fields if each.of_record else symbols.registry_fields
            place = list(fields).index(each.target.name)
            updates.append(Update(each.of_record, place, self._evaluator.function(each.value)))
        return tuple(updates)

    def steps(self, declared: Iterable[EndStep]) -> tuple[Step, ...]:
        """Return steps in order; each reads the results of those before it."""
        function = self._evaluator.function
        return tuple(
            (
                function(step.test) if step.test is not None else None,
                self.updates(step.updates),
                step.effects,
            )
            for step in declared
        )


def first_refusal(guards: Sequence[Guard], names: Names) -> Refusal | None:
    """Return the rejection of the first guard that is false; None if all are true."""
    for guard in guards:
        for local, value in guard.lets:
            names[local] = value(names)
        if not guard.holds(names):
            return guard.refused.given(names)
    return None
