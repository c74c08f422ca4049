"""The histories of records, as the calls of a program say them."""

from __future__ import annotations

from typing import Any

from opslifecycle_codegen.ir.messages import create_word
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.modelcheck.state import Answer, Arguments, State

from tests.support.random_machines.values import Values
from tests.support.random_machines.verdicts import FaultError

#: Beside the names of actions: that a record was created, and that some were removed at most.
CREATED, REMOVED = "+", "-"


class Histories:
    """The last transitions of each record, oldest first."""

    def __init__(self, program: Program, values: Values) -> None:
        self._declared = program.machine.history
        self._create = create_word(program.machine)
        #: Actions that lead to a status, some of them to one of several.
        self._leading = {str(n) for n, each in program.machine.actions.items() if each.to}
        self._values = values
        self._of: dict[str, list[tuple[Any, ...]]] = {}

    def note(
        self, before: State, answer: Answer, action: str, arguments: Arguments, at_ms: int
    ) -> None:
        """Take down what a command has done: the creation of a record, or an action."""
        if self._declared is None or answer.state is None:
            return
        old = {record[0]: record for record in before.records if record is not None}
        after = {record[0]: record for record in answer.state.records if record is not None}
        given = dict(arguments)
        params = tuple(given.get(str(name)) for name in self._declared.params)
        for id, _ in answer.effects:
            if action == CREATED and id in after:
                self._of[id] = [(self._create, None, after[id][1], at_ms, *params)]
            elif action in self._leading and id in after:
                entry = (action, old[id][1], after[id][1], at_ms, *params)
                self._of[id] = [*self._of[id], entry][-self._declared.last :]
        self._of = {id: entries for id, entries in self._of.items() if id in after}

    def look(self, registry: Any) -> None:
        """Compare the histories that a registry shows."""
        if self._declared is None:
            return
        names = ["action", "from_status", "to_status", "at_ms", *map(str, self._declared.params)]
        for id in self._values.ids:
            shown = getattr(registry, str(self._declared.method))(id)
            found = [self._values.texts(names, entry) for entry in shown]
            wanted = self._of.get(self._values.plain(id), [])
            if found != wanted:
                raise FaultError("history", f"{found} of {id}, not {wanted}")
