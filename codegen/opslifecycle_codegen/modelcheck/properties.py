"""The properties of a machine as functions of plain values, and those that every machine makes."""

from __future__ import annotations

from collections.abc import Callable

from opslifecycle_codegen.modelcheck.evaluate import Names
from opslifecycle_codegen.modelcheck.interpreter import Interpreter
from opslifecycle_codegen.modelcheck.state import State

OfState = Callable[[State], bool]
OfStep = Callable[[State, State], bool]

#: What is claimed of every machine, without being declared.
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

    def names(self) -> list[str]:
        """Return every property, the machine's own first."""
        return [*self._of_states, *self._of_steps, WATCHES_ARE_OF_THE_LIVE, ENDS_STAND]

    def broken_by(self, state: State) -> str | None:
        """Return the first property that does not hold of a state."""
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
        is_ended = self._interpreter.ends.is_ended
        for record, watched in zip(state.records, state.watched, strict=True):
            if watched and (record is None or is_ended(record)):
                return WATCHES_ARE_OF_THE_LIVE
        return None

    def broken_between(self, before: State, after: State) -> str | None:
        """Return the first property that does not hold of a step."""
        names = {
            "before": before.registry, "after": after.registry,
            "before.cursors": before.cursors, "after.cursors": after.cursors,
        }  # fmt: skip
        for name, holds in self._of_steps.items():
            if not holds(names):
                return name
        is_ended = self._interpreter.ends.is_ended
        for old, new in zip(before.records, after.records, strict=True):
            if old is not None and new is not None and old != new and is_ended(old):
                return ENDS_STAND
        return None
