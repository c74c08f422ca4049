"""The properties of a machine as functions of plain values, and those of every machine."""

from __future__ import annotations

from collections.abc import Callable

from opslifecycle_codegen.modelcheck.functions import Names
from opslifecycle_codegen.modelcheck.interpreter import Interpreter
from opslifecycle_codegen.modelcheck.state import Fields, State

OfState = Callable[[State], bool]
OfStep = Callable[[State, State], bool]

#: The properties of every machine, which need no declaration.
WATCHES_ARE_OF_THE_LIVE = "pending_watches_are_of_live_records"
ENDS_STAND = "an_ended_record_changes_no_more"


class Properties:
    """The invariants and step properties of one machine."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter
        program = interpreter.program
        self._many = f"{program.machine.entity}s"
        function = interpreter.evaluator.function
        self._of_states = {rule.name: function(rule.tree) for rule in program.invariants}
        self._of_steps = {rule.name: function(rule.tree) for rule in program.transition_invariants}
        #: What is broken between two registries: a search takes the same steps in many states.
        self._broken_steps: dict[tuple[Fields, Fields, Fields, Fields], str | None] = {}

    def names(self) -> list[str]:
        """Return every property, the machine's own first."""
        return [*self._of_states, *self._of_steps, WATCHES_ARE_OF_THE_LIVE, ENDS_STAND]

    def broken_by(self, state: State) -> str | None:
        """Return the first property that a state violates."""
        names: Names = {
            self._many: [record for record in state.records if record is not None],
            "registry": state.registry,
            "feed": state.rows,
            "barriers": [barrier for key in state.barriers for barrier in key],
            "cursors": state.cursors,
        }
        for name, holds in self._of_states.items():
            if not holds(names):
                return name
        is_announced = self._interpreter.ends.is_announced
        for record, watched in zip(state.records, state.watched, strict=True):
            if watched and (record is None or is_announced(record)):
                return WATCHES_ARE_OF_THE_LIVE
        return None

    def broken_between(self, before: State, after: State) -> str | None:
        """Return the first property that a step violates."""
        step = before.registry, after.registry, before.cursors, after.cursors
        if step not in self._broken_steps:
            self._broken_steps[step] = self._broken_by_step(*step)
        if (broken := self._broken_steps[step]) is not None:
            return broken
        is_ended = self._interpreter.ends.is_ended
        for old, new in zip(before.records, after.records, strict=True):
            if old is not None and new is not None and old != new and is_ended(old):
                return ENDS_STAND
        return None

    def _broken_by_step(
        self, before: Fields, after: Fields, cursors_before: Fields, cursors_after: Fields
    ) -> str | None:
        names: Names = {
            "before": before, "after": after,
            "before.cursors": cursors_before, "after.cursors": cursors_after,
        }  # fmt: skip
        return next((name for name, holds in self._of_steps.items() if not holds(names)), None)
