"""A batch of commands, decided together on a staged authority."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Generic

from opslifecycle.errors import InternalError, InvalidValueError
from opslifecycle.shell.authority import Authority, IdT, RecordT
from opslifecycle.shell.commands import Change, Command
from opslifecycle.shell.engine import Engine
from opslifecycle.shell.pending import PendingCommand, set_results


class Batch(Generic[IdT, RecordT]):
    """The decisions on some commands, until they are published or dropped.

    Args:
        engine: The engine of the registry.
        staged: An authority on top of the published one, which the batch changes.

    Attributes:
        answers: The value or the error of each command.
        changes: The changed records with their effects, in order.
        retention: The feed entries after the batch.
        durable: Whether the batch must be committed before its results are set.
        moved: Whether a command has changed fields of the registry and no record.
    """

    def __init__(self, engine: Engine[IdT, RecordT], staged: Authority[IdT, RecordT]) -> None:
        self._engine = engine
        self.staged = staged
        self.answers: list[object] = []
        self.changes: list[Change[RecordT]] = []
        self.retention = engine.effects.begin()
        self.durable = False
        self.moved = False

    def decide(self, commands: Sequence[PendingCommand]) -> None:
        """Decide commands in their order, all at one time of the clock."""
        staged, records, apply = self.staged, self.staged.records, self._engine.effects.apply_staged
        answers, changes = self.answers, self.changes
        self._engine.time.set_time(staged)
        for _, id, decide, arguments, deferred in commands:
            if id is None:
                (command,) = arguments
                assert isinstance(command, Command)
                self._run(command)
                continue
            effects = decide(staged, *arguments)
            if effects.__class__ is tuple:
                answers.append(None)
                record = records[id]
                if effects:
                    record = apply(staged, record, effects, self.retention, decide, arguments)
                changes.append((record, effects))
                if not deferred:
                    self.durable = True
            else:
                answers.append(effects)

    def _run(self, command: Command[object]) -> None:
        value, changes, durable = command.run(self.staged)
        self.answers.append(value)
        if durable:
            self.durable = True
            self.moved = self.moved or not changes
        for record, effects in changes:
            if effects:
                record = self._engine.effects.apply_staged(
                    self.staged, record, effects, self.retention, command.decide, command.arguments
                )
            self.changes.append((record, effects))
        self._engine.effects.evict_passed_staged(self.staged, self.retention)


class NotStorableError(Exception):
    """A changed record of a batch that cannot be encoded; `id` is the record's id."""

    def __init__(self, id: Hashable) -> None:
        super().__init__(id)
        self.id = id


def without(batch: list[PendingCommand], error: NotStorableError) -> list[PendingCommand]:
    """Fail the commands on a record that cannot be stored, and return the other commands.

    Arguments are checked before they are queued. A value that passes the checks and cannot be
    stored was modified afterwards. Only the commands on its record fail.

    Raises:
        InternalError: No command of the batch acts on the record.
    """
    guilty = [command for command in batch if command[1] == error.id]
    cause = repr(error.__cause__)
    if not guilty:
        reasons = [InternalError(cause) for _ in batch]
        set_results(batch, reasons)
        raise InternalError(cause)
    reason = f"the record {error.id} cannot be stored with them: {cause}; pass values that no"
    reason += " thread modifies after the call"
    set_results(guilty, [InvalidValueError("arguments", reason) for _ in guilty])
    return [command for command in batch if command[1] != error.id]
