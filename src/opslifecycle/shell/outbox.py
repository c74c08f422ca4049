"""The outbox: effects that a machine declares, delivered after the commit, at least once.

A message is written in the commit of its action, and erased with the next commit after its handler
has returned. If the process ends in between, the next one delivers the message again. Messages of
one record are delivered in order. A message that fails is delivered again after a wait that doubles
each time, while messages of other records are delivered. After the attempts that its effect allows
it is a dead letter (ADR 0007).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import ContextVar
from enum import Enum
from queue import Empty, SimpleQueue

from opslifecycle.clock import SYSTEM_CLOCK, Clock
from opslifecycle.errors import InvalidValueError, OpsLifecycleError
from opslifecycle.logs import EventLog
from opslifecycle.shell.authority import Authority, IdT, RecordT
from opslifecycle.shell.commands import Arguments, Command, Decide, Decision
from opslifecycle.shell.delivery import AbandonedError, Caller, Handler, running_loop
from opslifecycle.shell.messages import (
    RETRY_SECONDS_MIN,
    AnyMessage,
    DeadLetter,
    Lanes,
    OutboxEntry,
    OutboxMessage,
    OutboxRules,
)
from opslifecycle.stores.base import RecordWrite
from opslifecycle.sync.publication import PublicationLock
from opslifecycle.sync.waking import Gate
from opslifecycle.values.conversion import encoded
from opslifecycle.values.plain import json_text

#: How many seconds closing waits for a running handler. Afterwards its message stays pending.
CLOSE_SECONDS = 10.0
_log = EventLog("outbox")

#: The outbox whose handler runs in this context.
_delivering: ContextVar[Outbox | None] = ContextVar("_delivering", default=None)


class _MessageChange(Enum):
    """The change of a message by a command."""

    REVIVE = "revive"
    DISCARD = "discard"
    BEGIN = "begin"


_TEXTS: dict[_MessageChange, Callable[[OutboxEntry], str | None]] = {
    _MessageChange.REVIVE: OutboxEntry.revived_text,
    _MessageChange.DISCARD: lambda entry: None,
    _MessageChange.BEGIN: OutboxEntry.begun_text,
}


class Outbox:
    """The messages of one registry that are not delivered yet, and the thread that delivers them.

    Commands note messages, which are published with the lock held once the commit is durable. One
    thread calls the handler, for one message at a time.

    Args:
        lock: The publication lock of the registry.
        snapshot_of: Returns the snapshot of a record with its number of watches.
        body_of: Returns the stored text of a record; None without a store.
        handler: The handler; None to leave all messages pending.
        rules: The machine's declarations.
        clock: The clock by which messages are due.
    """

    def __init__(
        self,
        lock: PublicationLock,
        snapshot_of: Callable[..., object],
        body_of: Callable[..., str] | None,
        handler: Handler | None,
        rules: OutboxRules,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._lock = lock
        self._snapshot_of = snapshot_of
        self._body_of = body_of
        self._rules = rules
        self._clock = clock
        self._caller = None if handler is None else Caller(handler)
        # The messages that the commands of this batch add, and those that they change.
        self._noted: list[OutboxEntry] = []
        self._decided: dict[int, _MessageChange] = {}
        self._entries: dict[int, OutboxEntry] = {}
        self._queue: SimpleQueue[OutboxEntry | None] = SimpleQueue()
        self._lanes = Lanes()
        self._thread: threading.Thread | None = None
        self._done = Gate()
        # No `threading.Event`, because a finalizer may set it at any moment of any thread.
        self._stopped = False
        self._abandoned = False
        #: Called with each entry that a delivery has changed, so that the store writes it.
        self.changed: Callable[[OutboxEntry], None] = lambda entry: None
        #: Runs a command and waits for its commit; None without a store.
        self.commit: Callable[[Command[None]], object] | None = None

    # Commands: called by the thread that decides ------------------------------------------------

    def note(
        self,
        authority: Authority[IdT, RecordT],
        record: RecordT,
        effects: Iterable[Enum],
        watcher_count: int,
        decide: Decide[object],
        arguments: Arguments,
    ) -> None:
        """Add messages for effects on a record. The caller then calls `publish` or `drop`.

        Args:
            authority: The authority, which counts messages.
            record: The record right after its action.
            effects: The effects of the machine.
            watcher_count: The number of the record's watches.
            decide: The function of the authority that accepted the action.
            arguments: Its arguments.
        """
        command = self._rules.commands.get(decide) or self._rules.commands[authority.decided_by]
        named = command.named(arguments, record.id)
        for effect in effects:
            authority.effects_given += 1
            message: AnyMessage = OutboxMessage(
                authority.effects_given,
                effect,
                command.action,
                named,
                self._snapshot_of(record, watcher_count),
            )
            attempts_max = self._rules.attempts[effect]
            self._noted.append(
                OutboxEntry(message, str(record.id), attempts_max, self._head(message, record))
            )

    def _head(self, message: AnyMessage, record: RecordT) -> str:
        if self._body_of is None:
            return ""
        arguments = ",".join(
            f"{json_text(name)}:{encoded(value)}" for name, value in message.arguments.items()
        )
        return (
            f'{{"effect":"{message.effect.value}","action":"{message.action.value}"'
            f',"arguments":{{{arguments}}},"record_id":{json_text(str(record.id))}'
            f',"record":{self._body_of(record)}'
        )

    def retrying(self, number: int) -> Command[None]:
        """Return the command that gives a dead letter all its attempts again."""
        return self._deciding(number, _MessageChange.REVIVE)

    def discarding(self, number: int) -> Command[None]:
        """Return the command that erases a dead letter."""
        return self._deciding(number, _MessageChange.DISCARD)

    def _deciding(self, number: int, decision: _MessageChange) -> Command[None]:
        def run(authority: object) -> Decision[None, RecordT]:
            entry = self._entries.get(number)
            if entry is None or not entry.dead or number in self._decided:
                reason = f"there is no dead letter {number}: `dead_letters()` lists them"
                return InvalidValueError("number", reason), (), False
            self._decided[number] = decision
            return None, (), True

        return Command(run, has_value=False)

    def _beginning(self, entry: OutboxEntry) -> Command[None]:
        """Return the command that counts a delivery before it begins."""

        def run(authority: object) -> Decision[None, RecordT]:
            if not entry.gone:
                self._decided.setdefault(entry.message.number, _MessageChange.BEGIN)
            return None, (), True

        return Command(run)

    def noted(self) -> dict[str, str | None]:
        """Return the message writes of this batch: texts by id, None to erase."""
        writes: dict[str, str | None] = {entry.id: entry.text() for entry in self._noted}
        for number, decision in self._decided.items():
            entry = self._entries[number]
            writes[entry.id] = _TEXTS[decision](entry)
        return writes

    def mark(self) -> tuple[int, int]:
        """Return what `reset` forgets everything after."""
        return len(self._noted), len(self._decided)

    def reset(self, mark: tuple[int, int]) -> None:
        """Forget the messages and changes of this batch since a mark."""
        noted, decided = mark
        del self._noted[noted:]
        for number in list(self._decided)[decided:]:
            del self._decided[number]

    def drop(self) -> None:
        """Forget the messages and changes of this batch, because its commands have failed."""
        self._noted.clear()
        self._decided.clear()

    # Publishing and reading: called with the publication lock held ------------------------------

    def publish(self) -> None:
        """Publish the messages and changes of this batch."""
        noted, self._noted = self._noted, []
        decided, self._decided = self._decided, {}
        self.restore(noted)
        for number, decision in decided.items():
            entry = self._entries[number]
            if decision is _MessageChange.REVIVE:
                entry.revive()
                self.restore([entry])
            elif decision is _MessageChange.DISCARD:
                entry.gone = True
                del self._entries[number]

    def restore(self, entries: Iterable[OutboxEntry]) -> None:
        """Add messages, and queue those that are no dead letters for their delivery."""
        for entry in entries:
            self._entries[entry.message.number] = entry
            if self._caller is None or entry.dead:
                continue
            self._queue.put(entry)
            if self._thread is None:
                name = "opslifecycle-effects"
                self._thread = threading.Thread(target=self._work, name=name, daemon=True)
                self._thread.start()

    def pending(self) -> tuple[AnyMessage, ...]:
        """Return the messages that will be delivered, in the order of their numbers."""
        return tuple(entry.message for entry in self._entries.values() if not entry.dead)

    def dead_letters(self) -> tuple[DeadLetter[AnyMessage], ...]:
        """Return the dead letters, in the order of their numbers."""
        return tuple(entry.letter() for entry in self._entries.values() if entry.dead)

    def writes(self) -> list[RecordWrite]:
        """Return the record writes of all messages."""
        return [(entry.id, None, entry.text()) for entry in self._entries.values()]

    # Stopping -----------------------------------------------------------------------------------

    def stop(self, *, wait: bool) -> None:
        """Stop the deliveries. Messages that are not delivered stay pending.

        Args:
            wait: Whether to wait for a running handler, at most `CLOSE_SECONDS`. A call by that
                handler, or in its event loop, does not wait.
        """
        self._stopped = True
        self._queue.put(None)
        thread, caller = self._thread, self._caller
        if thread is None or thread.ident is None or caller is None:
            return
        caller.stop()
        inside = _delivering.get() is self or caller.is_of(running_loop())
        if wait and not inside:
            if self._done.wait(CLOSE_SECONDS):
                return
            text = "closed while a handler was still running after %g s: its message stays pending"
            _log.warning("handler_still_running", text, CLOSE_SECONDS)
        # Without the lock, because a finalizer must not wait for it.
        self._abandoned = True

    def detach_after_fork(self) -> None:
        """Stop in a forked child, which has no thread of the outbox."""
        self._stopped, self._abandoned = True, True
        self._thread = None

    # The thread ---------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            self._serve()
            self._done.open()
        except BaseException:
            # Whatever has interrupted this thread, closing does not wait for it.
            self._done.open()
            raise

    def _serve(self) -> None:
        """Deliver until that is to stop, whatever interrupts a delivery."""
        while True:
            try:
                self._deliver()
                return
            except BaseException as error:
                with suppress(Exception):
                    text = "the delivery of effects was interrupted, and begins again"
                    _log.error("delivery_interrupted", text, cause=error)
                with suppress(Empty):
                    # Not at once: what has failed may fail again. A new message ends the pause.
                    self._queue.get(timeout=RETRY_SECONDS_MIN)
                self._lanes = Lanes()
                self._lock.hold(self._queue_again)

    def _queue_again(self) -> None:
        """Queue each message once: the interrupted delivery may have lost one, or finished it."""
        while True:
            try:
                self._queue.get_nowait()
            except Empty:
                break
        for entry in list(self._entries.values()):
            if entry.gone:
                self._forget(entry)
            elif not entry.dead:
                self._queue.put(entry)

    def _deliver(self) -> None:
        assert self._caller is not None
        _delivering.set(self)
        while not self._stopped:
            self._receive(self._lanes.wait_seconds(self._now()))
            if self._stopped:
                return
            entry = self._lanes.take(self._now())
            if entry is None:
                continue
            error = self._begin(entry) or self._caller.call(entry.message)
            if isinstance(error, AbandonedError) and error.for_ever:
                _log.error("loop_closed", "the loop of the handler is closed: effects stay pending")
                return
            self._record(entry, error)

    def _begin(self, entry: OutboxEntry) -> AbandonedError | None:
        """Count a delivery before it starts, if an earlier process may have died of the message.

        Returns:
            None, or an AbandonedError if the count cannot be committed now.
        """
        if not entry.left or self.commit is None:
            return None
        try:
            self.commit(self._beginning(entry))
        except OpsLifecycleError:
            return AbandonedError()
        return None

    def _receive(self, seconds: float | None) -> None:
        """Wait at most `seconds` for a message, and add all queued ones to their lanes."""
        try:
            entry = self._queue.get(timeout=seconds)
            while True:
                if entry is not None:
                    self._lanes.add(entry, self._now())
                entry = self._queue.get_nowait()
        except Empty:
            return

    def _record(self, entry: OutboxEntry, error: BaseException | None) -> None:
        """Record the result of a delivery: delivered, to be repeated, or a dead letter."""
        stays = self._lock.hold(self._note_delivery, entry, error)
        if stays is None:
            return
        if stays:
            self._lanes.put_back(entry, self._now())
        else:
            self._lanes.leave(entry)
        if error is not None and not isinstance(error, AbandonedError):
            with suppress(Exception):  # the logging of a program may fail, too
                _log_failure(entry, error, stays=stays)

    def _note_delivery(self, entry: OutboxEntry, error: BaseException | None) -> bool | None:
        """Return whether the message is delivered again; None if the outbox was abandoned."""
        if self._abandoned:
            return None
        if error is None:
            entry.gone = True
            self._forget(entry)
        elif not isinstance(error, AbandonedError):
            entry.fail(error)
            self.changed(entry)
        # With the lock held, because a command may revive a dead letter afterwards.
        return not (entry.gone or entry.dead)

    def _forget(self, entry: OutboxEntry) -> None:
        """Erase a message that was delivered; again is harmless."""
        self.changed(entry)
        self._entries.pop(entry.message.number, None)

    def _now(self) -> float:
        return self._clock.monotonic_ns() / 1e9


def _log_failure(entry: OutboxEntry, error: BaseException, *, stays: bool) -> None:
    fate = "will be tried again" if stays else "is a dead letter"
    text, message = "effect %d (%s) %s: a delivery failed", entry.message
    arguments = message.number, message.effect.value, fate
    _log.error("delivery_failed", text, *arguments, cause=error)
