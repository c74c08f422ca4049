"""A batch of commands, decided together on an authority of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opslifecycle.errors import InternalError, InvalidValueError
from opslifecycle.shell.commands import Change, Command
from opslifecycle.shell.engine import Engine
from opslifecycle.shell.pending import PendingCommand, set_results


class Batch:
    """The decisions on some commands, until they are published or dropped."""

    def __init__(self, engine: Engine[Any, Any], staged: Any) -> None:
        self._engine = engine
        self.staged = staged
        self.answers: list[Any] = []
        self.changes: list[Change] = []
        self.retention = engine.effects.begin()
        self.durable = False
        self.moved = False

    def decide(self, commands: Sequence[PendingCommand]) -> None:
        """Decide commands in their order, all at the same time of day."""
        staged, records, apply = self.staged, self.staged.records, self._engine.effects.apply_staged
        answers, changes = self.answers, self.changes
        self._engine.clock.set_time(staged)
        for _, id, decide, arguments, deferred in commands:
            if id is None:
                (command,) = arguments
                assert isinstance(command, Command)
                self._run(command)
                continue
            effects = decide(staged, *arguments)
            if effects.__class__ is not tuple:
                answers.append(effects)
                continue
            answers.append(None)
            record = records[id]
            changes.append((record, effects))
            if effects:
                apply(staged, record, effects, self.retention, decide, arguments)
            if not deferred:
                self.durable = True

    def _run(self, command: Command) -> None:
        value, changes, durable = command.run(self.staged)
        self.answers.append(value)
        self.changes += changes
        if durable:
            self.durable = True
            self.moved = self.moved or not changes
        for record, effects in changes:
            if effects:
                self._engine.effects.apply_staged(
                    self.staged, record, effects, self.retention, command.decide, command.arguments
                )
        self._engine.effects.evict_passed_staged(self.staged, self.retention)


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
        set_results(batch, reasons)
        raise InternalError(cause)
    reason = f"the record {error.id} cannot be stored with them: {cause}"
    set_results(guilty, [InvalidValueError("arguments", reason) for _ in guilty])
    return [command for command in batch if command[1] != error.id]
