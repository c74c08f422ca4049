"""A batch of commands, decided together on an authority of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opslifecycle.errors import InternalError, InvalidValueError
from opslifecycle.shell.commands import PendingCommand, answer_all
from opslifecycle.shell.steps import Change, Step

if TYPE_CHECKING:
    from opslifecycle.shell.engine import Shell


class Batch:
    """The decisions on some commands, until they are published or dropped."""

    def __init__(self, shell: Shell[Any, Any], staged: Any) -> None:
        self._shell = shell
        self.staged = staged
        self.answers: list[Any] = []
        self.changes: list[Change] = []
        self.retention = shell.effects.begin()
        self.durable = False
        self.moved = False

    def decide(self, commands: Sequence[PendingCommand]) -> None:
        """Decide commands in their order, all at the same time of day."""
        staged, records, settle = self.staged, self.staged.records, self._shell.effects.settle
        answers, changes = self.answers, self.changes
        self._shell.clock.tell(staged)
        for _, id, decide, arguments, deferred in commands:
            if id is None:
                self._step(arguments[0])
                continue
            effects = decide(staged, *arguments)
            if effects.__class__ is not tuple:
                answers.append(effects)
                continue
            answers.append(None)
            record = records[id]
            changes.append((record, effects))
            if effects:
                settle(staged, record, effects, self.retention, decide, arguments)
            if not deferred:
                self.durable = True

    def _step(self, step: Step) -> None:
        value, changes, durable = step.run(self.staged)
        self.answers.append(value)
        self.changes += changes
        if durable:
            self.durable = True
            self.moved = self.moved or not changes
        for record, effects in changes:
            if effects:
                self._shell.effects.settle(
                    self.staged, record, effects, self.retention, step.decide, step.arguments
                )
        self._shell.effects.settle_passed(self.staged, self.retention)


class NotStorableError(Exception):
    """A changed record of the batch that cannot be encoded; `id` is the record's."""

    def __init__(self, id: Any) -> None:
        super().__init__(id)
        self.id = id


def without(batch: list[PendingCommand], error: NotStorableError) -> list[PendingCommand]:
    """Fail the commands whose values cannot be stored, and return the others.

    Arguments are checked before they are queued. A value that passes the checks and cannot be
    stored was modified afterwards; it fails its own calls only.

    Raises:
        InternalError: No command of the batch has such a value.
    """
    guilty = [command for command in batch if command[1] == error.id]
    cause = repr(error.__cause__)
    if not guilty:
        reasons = [InternalError(cause) for _ in batch]
        answer_all(batch, reasons)
        raise InternalError(cause)
    reason = f"the record {error.id} cannot be stored with them: {cause}"
    answer_all(guilty, [InvalidValueError("arguments", reason) for _ in guilty])
    return [command for command in batch if command[1] != error.id]
