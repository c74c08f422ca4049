"""Actions as functions of plain values, and what one does with its record."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from opslifecycle_codegen.ir.program import Command, Program
from opslifecycle_codegen.modelcheck.evaluate import Evaluator, Function, Names
from opslifecycle_codegen.modelcheck.guards import Clauses, Guard, Step, Update
from opslifecycle_codegen.modelcheck.state import Draft, Fields
from opslifecycle_codegen.modelcheck.terminal_effects import TerminalEffects


@frozen
class Action:
    """An action: its guards, and what follows once they have passed."""

    guards: tuple[Guard, ...]
    updates: tuple[Update, ...]
    notes: tuple[Update, ...]
    steps: tuple[Step, ...]
    to: str
    terminal: bool
    outcome: Function | None
    stamps: tuple[int, ...]
    effects: tuple[str, ...]


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
        outcome = command.outcome
        return Action(
            self._clauses.guards(command.guards),
            self._clauses.updates(command.updates),
            self._clauses.updates(command.notes),
            self._clauses.steps(command.steps),
            command.to, command.to in self._terminal,
            self._evaluator.function(outcome) if outcome is not None else None,
            self._ends.stamped(command.name), command.effects,
        )  # fmt: skip

    def acted(
        self, draft: Draft, action: Action, names: Names, record: Fields
    ) -> tuple[Fields, tuple[str, ...]]:
        """Return the record after an action, and the effects."""
        fields = list(self._ends.update(draft, action.updates, names, list(record)))
        fields = list(self._ends.update(draft, action.notes, names, fields))
        for place in action.stamps:
            fields[place] = 0
        if not action.terminal:
            if action.to:
                fields[1] = action.to
            fields, more = self._ends.follow(draft, action.steps, fields)
            effects = (*action.effects, *more)
        else:
            # An outcome reads the record after the action's updates.
            ended = {**names, "registry": tuple(draft.registry), self._entity: tuple(fields)}
            outcome = action.outcome(ended) if action.outcome is not None else action.to
            fields, more = self._ends.end(draft, fields, action.to, outcome)
            effects = (*action.effects, *more)
        changed = tuple(fields)
        draft.records[self._places[changed[0]]] = changed
        return changed, effects
