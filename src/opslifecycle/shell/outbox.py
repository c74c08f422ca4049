"""The outbox: effects that a machine declares, delivered after the commit, at least once.

A message is written in the commit of its action, and erased with the next commit after its handler
has returned; a process that ends in between delivers it again. Messages of one record are delivered
in order. A message that fails is delivered again, later and later, while other records go on; after
the attempts that its effect allows it is a dead letter. ADR 0007 says why.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from enum import Enum
from queue import Empty, SimpleQueue
from typing import Any

from opslifecycle.clock import SYSTEM_CLOCK, Clock
from opslifecycle.errors import InvalidValueError, OpsLifecycleError
from opslifecycle.shell.commands import Arguments, Command, Decide, Decision
from opslifecycle.shell.delivery import AbandonedError, Caller, running_loop
from opslifecycle.shell.messages import (
    DeadLetter,
    Lanes,
    OutboxEntry,
    OutboxMessage,
    OutboxRules,
)
from opslifecycle.stores.base import RecordWrite
from opslifecycle.sync.publication import PublicationLock
from opslifecycle.sync.waking import Gate
from opslifecycle.values.conversion import encoded, json_text

#: How long closing waits for the handler that is running; its message then stays pending.
CLOSE_SECONDS = 10.0
_log = logging.getLogger("opslifecycle")

#: The outbox whose handler runs in this context.
_delivering: ContextVar[Outbox | None] = ContextVar("_delivering", default=None)


class _MessageChange(Enum):
    """What a command decides about a message."""

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

    Commands note messages; they are published with the lock held, once their commit is durable. One
    thread of the outbox calls the handler for one message at a time, so it needs no lock.
    """

    def __init__(
        self,
        lock: PublicationLock,
        snapshot_of: Callable[[Any, int], Any],
        body_of: Callable[[Any], str] | None,
        handler: Callable[[Any], object] | None,
        rules: OutboxRules,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._lock = lock
        self._snapshot_of = snapshot_of
        self._body_of = body_of
        self._rules = rules
        self._clock = clock
        self._caller = None if handler is None else Caller(handler)
        #: Entries that the commands of this batch add, and those that they decide about.
        self._noted: list[OutboxEntry] = []
        self._decided: dict[int, _MessageChange] = {}
        self._entries: dict[int, OutboxEntry] = {}
        self._queue: SimpleQueue[OutboxEntry | None] = SimpleQueue()
        self._lanes = Lanes()
        self._thread: threading.Thread | None = None
        self._done = Gate()
        # No `threading.Event`: a finalizer may set it, at any moment of any thread.
        self._stopped = False
        self._abandoned = False
        #: Called with each entry that a delivery has changed, for a store to write.
        self.changed: Callable[[OutboxEntry], None] = lambda entry: None
        #: Runs a command and waits for its commit; None without a store.
        self.commit: Callable[[Command], object] | None = None

    # Commands: called by the thread that decides ------------------------------------------------

    def note(
        self,
        authority: Any,
        record: Any,
        effects: Iterable[Enum],
        watcher_count: int,
        decide: Decide,
        arguments: Arguments,
    ) -> None:
        """Add messages for effects of a record as it is now; `publish` or `drop` follows."""
        command = self._rules.commands[decide]
        named = command.named(arguments, record.id)
        for effect in effects:
            authority.effects_given += 1
            message: OutboxMessage[Any, Any, Any] = OutboxMessage(
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

    def _head(self, message: OutboxMessage[Any, Any, Any], record: Any) -> str:
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

    def retrying(self, number: int) -> Command:
        """Return the command that gives a dead letter all its attempts again."""
        return self._deciding(number, _MessageChange.REVIVE)

    def discarding(self, number: int) -> Command:
        """Return the command that erases a dead letter."""
        return self._deciding(number, _MessageChange.DISCARD)

    def _deciding(self, number: int, decision: _MessageChange) -> Command:
        def run(authority: Any) -> Decision:
            entry = self._entries.get(number)
            if entry is None or not entry.dead or number in self._decided:
                reason = f"there is no dead letter {number}: `dead_letters()` lists them"
                return InvalidValueError("number", reason), (), False
            self._decided[number] = decision
            return None, (), True

        return Command(run)

    def _beginning(self, entry: OutboxEntry) -> Command:
        """Return the command that counts a delivery before it begins."""

        def run(authority: Any) -> Decision:
            if not entry.gone:
                self._decided.setdefault(entry.message.number, _MessageChange.BEGIN)
            return None, (), True

        return Command(run)

    def noted(self) -> dict[str, str | None]:
        """What a store has to write for the commands of this batch: texts by id, None to erase."""
        writes: dict[str, str | None] = {entry.id: entry.text() for entry in self._noted}
        for number, decision in self._decided.items():
            entry = self._entries[number]
            writes[entry.id] = _TEXTS[decision](entry)
        return writes

    def drop(self) -> None:
        """Forget what was noted: its commands have failed."""
        self._noted.clear()
        self._decided.clear()

    # Publishing and reading: called with the publication lock held ------------------------------

    def publish(self) -> None:
        """Take over what was noted: its commands are accepted."""
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
        """Add messages to those that are not delivered yet; dead letters are not delivered."""
        for entry in entries:
            self._entries[entry.message.number] = entry
            if self._caller is None or entry.dead:
                continue
            self._queue.put(entry)
            if self._thread is None:
                name = "opslifecycle-effects"
                self._thread = threading.Thread(target=self._work, name=name, daemon=True)
                self._thread.start()

    def pending(self) -> tuple[OutboxMessage[Any, Any, Any], ...]:
        """The messages that are not delivered yet and are no dead letters, by their numbers."""
        return tuple(entry.message for entry in self._entries.values() if not entry.dead)

    def dead_letters(self) -> tuple[DeadLetter[Any], ...]:
        """Return the messages that are not delivered any more, by their numbers."""
        return tuple(entry.letter() for entry in self._entries.values() if entry.dead)

    def writes(self) -> list[RecordWrite]:
        """Return all messages, for a store."""
        return [(entry.id, None, entry.text()) for entry in self._entries.values()]

    # Stopping -----------------------------------------------------------------------------------

    def stop(self, *, wait: bool) -> None:
        """Deliver nothing more; what is not delivered stays pending.

        Waits for the handler that is running, at most `CLOSE_SECONDS`, and not at all where that
        handler or its event loop waits for this.
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
            _log.warning(
                "closed while the handler of an effect was still running after %g s: its message "
                "stays pending", CLOSE_SECONDS,
            )  # fmt: skip
        # Not under the lock, which a finalizer must not wait for.
        self._abandoned = True

    def detach_after_fork(self) -> None:
        """Forget the thread, which is in the parent, in a forked child."""
        self._stopped, self._abandoned = True, True
        self._thread = None

    # The thread ---------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            self._deliver()
        finally:
            self._done.open()

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
                _log.error("the event loop of the effect handler is closed: effects stay pending")
                return
            self._record(entry, error)

    def _begin(self, entry: OutboxEntry) -> AbandonedError | None:
        """Count a delivery beforehand, of a message that another process may have died of.

        Gives an AbandonedError if that is not possible now.
        """
        if not entry.left or self.commit is None:
            return None
        try:
            self.commit(self._beginning(entry))
        except OpsLifecycleError:
            return AbandonedError()
        return None

    def _receive(self, seconds: float | None) -> None:
        """Wait for messages so long, and put all that are there into their lanes."""
        try:
            entry = self._queue.get(timeout=seconds)
            while True:
                if entry is not None:
                    self._lanes.add(entry, self._now())
                entry = self._queue.get_nowait()
        except Empty:
            return

    def _record(self, entry: OutboxEntry, error: BaseException | None) -> None:
        """Record what became of a delivery: done, to be tried again, or a dead letter."""
        stays = self._lock.hold(self._note_delivery, entry, error)
        if stays is None:
            return
        if not isinstance(error, AbandonedError):
            self.changed(entry)
            if error is not None:
                _log_failure(entry, error, stays=stays)
        if stays:
            self._lanes.put_back(entry, self._now())
        else:
            self._lanes.leave(entry)

    def _note_delivery(self, entry: OutboxEntry, error: BaseException | None) -> bool | None:
        """Whether the message is to be delivered again; None if nothing more is to be recorded."""
        if self._abandoned:
            return None
        if error is None:
            entry.gone = True
            self._entries.pop(entry.message.number, None)
        elif not isinstance(error, AbandonedError):
            entry.fail(error)
        # Read here: as soon as the lock is free, a dead letter may be revived.
        return not (entry.gone or entry.dead)

    def _now(self) -> float:
        return self._clock.monotonic_ns() / 1e9


def _log_failure(entry: OutboxEntry, error: BaseException, *, stays: bool) -> None:
    fate = "will be tried again" if stays else "is a dead letter"
    message = entry.message
    text = "effect %d (%s) %s: a delivery failed"
    _log.error(text, message.number, message.effect.value, fate, exc_info=error)
