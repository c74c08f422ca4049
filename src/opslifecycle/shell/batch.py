"""A batch of commands, decided together on a staged authority."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Generic

from opslifecycle.errors import InternalError, InvalidValueError, OpsLifecycleError
from opslifecycle.shell.authority import Authority, IdT, RecordT
from opslifecycle.shell.commands import Change, Command, Reply, Step, Together
from opslifecycle.shell.engine import Engine
from opslifecycle.shell.pending import PendingCommand, set_results
from opslifecycle.shell.retention import Retention
from opslifecycle.values.plain import error_text


class Batch(Generic[IdT, RecordT]):
    """The decisions on some commands, until they are published or dropped.

    Args:
        engine: The engine of the registry.
        below: The batch whose transaction this one decides, on top of it; None for a batch on top
            of the published authority.

    Attributes:
        staged: An authority on top of the published one, which the batch changes.
        answers: The value or the error of each command.
        changes: The changed records with their effects, in order.
        retention: The feed entries after the batch.
        durable: Whether the batch must be committed before its results are set.
        moved: Whether the store must be written though no record has changed.
        replies: The answers to commands of other hosts, which the commit stores.
    """

    def __init__(
        self, engine: Engine[IdT, RecordT], below: Batch[IdT, RecordT] | None = None
    ) -> None:
        self._engine = engine
        base = engine.authority if below is None else below.staged
        self.staged: Authority[IdT, RecordT] = engine.staging.stage(base)
        self.answers: list[object] = []
        self.changes: list[Change[RecordT]] = []
        self.retention: Retention = engine.effects.begin() if below is None else below.retention
        self.durable = False
        self.moved = False
        self.replies: list[Reply] = []

    def set_time(self) -> None:
        """Set the time of all commands; raises ClockError if the clock cannot be used."""
        self._engine.time.set_time(self.staged)

    def decide(self, commands: Sequence[Step[object]]) -> None:
        """Decide commands in their order, all at one time of the clock."""
        self.set_time()
        self._decide(commands, stops=False)

    def decide_together(self, steps: Sequence[Step[object]]) -> OpsLifecycleError | None:
        """Decide the commands of a transaction, up to the first that is rejected; return that."""
        return self._together(steps)

    def _decide(self, commands: Sequence[Step[object]], *, stops: bool) -> None:
        staged, records, apply = self.staged, self.staged.records, self._engine.effects.apply_staged
        answers, changes = self.answers, self.changes
        for _, id, decide, arguments, deferred in commands:
            if id is None:
                self._decide_many(*arguments)
                if stops and isinstance(answers[-1], OpsLifecycleError):
                    return
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
                if stops:
                    return

    def _decide_many(self, command: object) -> None:
        if isinstance(command, Together):
            rejection = self._transact(command)
            self.answers.append(rejection)
            if command.reply is not None:
                self._reply(command.reply, rejection, ())
        else:
            assert isinstance(command, Command)
            self._run(command)

    def _transact(self, transaction: Together) -> OpsLifecycleError | None:
        """Decide a transaction on top of this batch; return the rejection that has undone it."""
        outbox, retention = self._engine.effects.outbox, self.retention
        rows, messages = retention.mark(), None if outbox is None else outbox.mark()
        own = Batch(self._engine, self)
        rejection = own._together(transaction.steps)
        if rejection is not None:
            retention.reset(rows)
            if outbox is not None and messages is not None:
                outbox.reset(messages)
            return rejection
        self._engine.staging.merge(self.staged, own.staged)
        self.changes += own.changes
        # A transaction is durable when it returns, also if all its actions are deferred.
        self.durable = self.durable or own.durable or bool(own.changes)
        self.moved = self.moved or own.moved
        return None

    def _together(self, steps: Sequence[Step[object]]) -> OpsLifecycleError | None:
        self._decide(steps, stops=True)
        last = self.answers[-1] if self.answers else None
        if isinstance(last, OpsLifecycleError):
            return last.of_command(len(self.answers) - 1)
        return None

    def publish(self) -> None:
        """Publish the batch; called with the publication lock held."""
        self._engine.staging.merge(self._engine.authority, self.staged)
        self._engine.effects.publish(self.changes, self.retention.evicted)
        for reply in self.replies:
            reply.is_stored = True

    def _run(self, command: Command[object]) -> None:
        value, changes, durable = command.run(self.staged)
        self.answers.append(value)
        if command.reply is not None:
            self._reply(command.reply, value, changes)
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

    def _reply(self, reply: Reply, value: object, changes: Sequence[Change[RecordT]]) -> None:
        """Have the commit store the answer to a command, also if the command was rejected."""
        reply.text = reply.encode(value, changes)
        self.replies.append(reply)
        self.durable = self.moved = True


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
    guilty = [command for command in batch if _acts_on(command, error.id)]
    cause = error_text(error.__cause__ or error, repr)
    if not guilty:
        reasons = [InternalError(cause) for _ in batch]
        set_results(batch, reasons)
        raise InternalError(cause)
    reason = f"the record {error.id} cannot be stored with them: {cause}; pass values that no"
    reason += " thread modifies after the call"
    set_results(guilty, [InvalidValueError("arguments", reason) for _ in guilty])
    return [command for command in batch if not _acts_on(command, error.id)]


def _acts_on(command: PendingCommand, id: Hashable) -> bool:
    if command[1] is None:
        given = command[3][0]
        return given.acts_on(id) if isinstance(given, Command | Together) else False
    return bool(command[1] == id)
