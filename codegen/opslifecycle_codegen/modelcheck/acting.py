"""Actions as functions of plain values, and what one does with its record."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from opslifecycle_codegen.ir.expr import Expression
from opslifecycle_codegen.ir.program import Command, Program, tested_ways
from opslifecycle_codegen.modelcheck.evaluate import Evaluator
from opslifecycle_codegen.modelcheck.functions import Function, Names
from opslifecycle_codegen.modelcheck.guards import Clauses, Guard, Step, Update
from opslifecycle_codegen.modelcheck.state import Draft, Fields
from opslifecycle_codegen.modelcheck.terminal_effects import TerminalEffects


@frozen
class Way:
    """What follows once the guards of an action have passed, for one of its targets."""

    #: Whether the target is taken if none before it is; None for one that then always is.
    test: Function | None
    updates: tuple[Update, ...]
    notes: tuple[Update, ...]
    steps: tuple[Step, ...]
    to: str
    terminal: bool
    outcome: Function | None
    stamps: tuple[int, ...]
    effects: tuple[str, ...]


@frozen
class Action:
    """An action: its guards, and its ways in order."""

    guards: tuple[Guard, ...]
    ways: tuple[Way, ...]

    def taken(self, names: Names) -> Way:
        """Return the way that the action takes, of which analysis has proved that there is one."""
        return next(way for way in self.ways if way.test is None or way.test(names))


class Acting:
    """Compiles the actions of a machine, and applies them to records."""

    def __init__(
        self, program: Program, evaluator: Evaluator, clauses: Clauses, ends: TerminalEffects,
        places: Mapping[str, int],
    ) -> None:  # fmt: skip
        self._terminal = program.symbols.status_groups["terminal"]
        self._evaluator = evaluator
        self._clauses = clauses
        self._ends = ends
        self._places = places
        self._entity = str(program.machine.entity)

    def action(self, command: Command) -> Action:
        """Return the functions of an action."""
        ways = tuple(self._way(test, way) for test, way in tested_ways(command))
        return Action(self._clauses.guards(command.guards), ways)

    def _way(self, test: Expression | None, command: Command) -> Way:
        outcome = command.outcome
        return Way(
            self._evaluator.function(test) if test is not None else None,
            self._clauses.updates(command.updates),
            self._clauses.updates(command.notes),
            self._clauses.steps(command.steps),
            command.to, command.to in self._terminal,
            self._evaluator.function(outcome) if outcome is not None else None,
            self._ends.stamped(command.name), command.effects,
        )  # fmt: skip

    def acted(
        self, draft: Draft, way: Way, names: Names, record: Fields
    ) -> tuple[Fields, tuple[str, ...]]:
        """Return the record after an action that takes a way, and the effects."""
        fields = list(self._ends.update(draft, way.updates, names, list(record)))
        fields = list(self._ends.update(draft, way.notes, names, fields))
        self._ends.stamp(draft, fields, way.stamps)
        if not way.terminal:
            if way.to:
                fields[1] = way.to
            fields, more = self._ends.follow(draft, way.steps, fields)
            effects = (*way.effects, *more)
        else:
            # An outcome reads the record after the action's updates.
            ended = {**names, "registry": tuple(draft.registry), self._entity: tuple(fields)}
            outcome = way.outcome(ended) if way.outcome is not None else way.to
            fields, more = self._ends.end(draft, fields, way.to, outcome)
            effects = (*way.effects, *more)
        changed = tuple(fields)
        draft.records[self._places[changed[0]]] = changed
        return changed, effects
