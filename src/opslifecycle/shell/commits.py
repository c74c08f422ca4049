"""Group commit: commands that arrive during a commit are decided together.

A batch is decided on top of the published state; each command sees the changes of those before it.
The record writes of a batch go to the store in one commit. Only after the commit is anything
published and any result set. If the store fails, the batch is dropped: the published state has not
changed, so there is nothing to undo.

A machine can declare that the write of an action is deferred. A batch of such commands alone is
published without a commit. Its writes go with the next commit, or with one of their own when a
deadline passes. It is a deadline and not an idle timer, so that commands which keep arriving cannot
postpone it. Every commit includes all deferred writes, so the store always holds the state of one
instant.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.errors import (
    CommandBrokenOffError,
    InternalError,
    OpsLifecycleError,
    OwnershipLostError,
    PersistenceError,
    RegistryClosedError,
)
from opslifecycle.shell.batch import Batch, NotStorableError, without
from opslifecycle.shell.codec import RecordCodec
from opslifecycle.shell.engine import Engine
from opslifecycle.shell.mailbox import Mailbox, commands_of
from opslifecycle.shell.messages import OutboxEntry
from opslifecycle.shell.pending import PendingCommand, set_results
from opslifecycle.stores.base import Commit, RecordWrite, Store
from opslifecycle.sync.waking import Gate

_log = logging.getLogger("opslifecycle")

#: How long a deferred write waits for another commit before it gets one of its own. The contract
#: has it on the disk within one second; the other half is for the commit itself.
DEFERRED_SECONDS = 0.5
#: How long after a deferred write has failed it is tried again.
RETRY_SECONDS = 0.5


class Committer:
    """The thread that decides, commits and publishes for a registry with a store."""

    def __init__(
        self,
        engine: Engine[Any, Any],
        store: Store,
        codec: RecordCodec[Any],
        epoch_id: str,
        state: str | None,
    ) -> None:
        self._engine = engine
        self._authority: Any = engine.authority
        self._store = store
        self._codec = codec
        self._epoch_id = epoch_id
        # Whether the store has another state of the registry: other limits, or none yet.
        self._is_stale = codec.serialize_state(engine.authority, epoch_id) != state
        # The records that were published with a change which no commit has written yet.
        self._deferred: dict[Any, None] = {}
        # Records that are no longer to be kept, by their stored ids, and outbox messages that a
        # delivery has changed: to be erased and written with the next commit.
        self._leaving: dict[str, None] = {}
        self._messages: dict[str, OutboxEntry] = {}
        # When the deferred writes are due; None while there are none.
        self._write_at: float | None = None
        self._heartbeat_at: float | None = None
        self._mailbox = Mailbox()
        #: Queues a command behind all that came before it.
        self.submit = self._mailbox.submit
        self._thread: threading.Thread | None = None
        # Taken by whoever does the work: the thread, or `close` if it has not begun.
        self._work_to_do = threading.Lock()
        self._done = Gate()

    def note_delivery(self, entry: OutboxEntry) -> None:
        """Write an outbox message that a delivery has changed with the next commit."""
        self._mailbox.put(entry)

    def start(self) -> None:
        """Start the thread."""
        self._plan_heartbeat()
        if self._is_stale:
            self._plan_write()
        # A daemon, because a registry that nobody closes must not keep its process from ending.
        name = f"opslifecycle-{self._codec.schema.machine}"
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Tell the thread to finish the queue and close the store; does not wait."""
        self._mailbox.put(None)

    def close(self) -> None:
        """Do what `stop` does, and wait for the end of the thread."""
        self.stop()
        if self._thread is threading.current_thread():
            return
        self._work()
        self._done.wait()

    # The thread ---------------------------------------------------------------------------------

    def _work(self) -> None:
        if not self._work_to_do.acquire(blocking=False):
            return
        reason: type[OpsLifecycleError] = CommandBrokenOffError
        try:
            reason = self._serve()
            self._finish(reason)
        except BaseException:
            # Whatever has interrupted this thread, nobody is left waiting for it.
            self._finish(reason)
            raise

    def _serve(self) -> type[OpsLifecycleError]:
        """Do what comes until no more will come; returns why the registry is closed."""
        try:
            while self._next_batch():
                self._meet_deadlines()
            self._write_last()
        except OwnershipLostError:
            return OwnershipLostError
        return RegistryClosedError

    def _finish(self, reason: type[OpsLifecycleError]) -> None:
        """End every wait, refuse what was not answered, and give the store up; again is fine."""
        try:
            try:
                self._engine.end(reason)
            finally:
                self._mailbox.finish(reason)
        finally:
            try:
                self._store.close()
            finally:
                self._done.open()

    def _next_batch(self) -> bool:
        """Wait for commands or the next deadline, and commit what has arrived; False at the end."""
        arrived = self._mailbox.take(self._seconds_left())
        batch = commands_of(arrived)
        if len(batch) < len(arrived):
            changed = (each for each in arrived if isinstance(each, OutboxEntry))
            self._messages.update((each.id, each) for each in changed)
            self._plan_write()
        while batch:
            batch = self._commit(batch)
        goes_on = None not in arrived
        self._mailbox.answered()
        return goes_on

    # Deadlines ----------------------------------------------------------------------------------

    def _seconds_left(self) -> float | None:
        """Return the seconds until the next deadline; None if there is none."""
        deadlines = [at for at in (self._write_at, self._heartbeat_at) if at is not None]
        return max(0.0, min(deadlines) - _now()) if deadlines else None

    def _meet_deadlines(self) -> None:
        """Do what is due, whether or not commands are waiting."""
        now = _now()
        if self._heartbeat_at is not None and now >= self._heartbeat_at:
            self._store.heartbeat()
            self._plan_heartbeat()
        if self._write_at is not None and now >= self._write_at:
            # A failure leaves the writes pending: they are tried again, alone or with a command.
            self._write_deferred()
        # The callers of the last commit have been answered.
        self._store.maintain()

    def _plan_write(self) -> None:
        """Set the deadline of a deferred write, unless an older one has set it."""
        if self._write_at is None:
            self._write_at = _now() + DEFERRED_SECONDS

    def _plan_heartbeat(self) -> None:
        seconds = self._store.heartbeat_seconds()
        self._heartbeat_at = None if seconds is None else _now() + seconds

    def _write_deferred(self) -> PersistenceError | None:
        """Write what is deferred in a commit of its own; return the error if that fails."""
        held = (self._authority.records.get(id) for id in self._deferred)
        writes = [self._codec.serialize(record) for record in held if self._is_persistent(record)]
        try:
            if writes or self._leaving or self._messages or self._is_stale:
                written = {put[0] for put in writes}
                erased = [id for id in self._leaving if id not in written]
                messages = {id: entry.written() for id, entry in self._messages.items()}
                self._store.append(self._commit_on(self._authority, writes, erased, messages))
        except PersistenceError as error:
            self._write_at = _now() + RETRY_SECONDS
            return error
        self._nothing_is_deferred()
        return None

    def _write_last(self) -> None:
        """Write what is deferred when the registry is closed. A failure is logged and loses it."""
        error = self._write_deferred()
        if error is not None:
            count = len(self._deferred)
            _log.error("closed without the deferred writes of %d record(s): %s", count, error)

    def _nothing_is_deferred(self) -> None:
        self._deferred.clear()
        self._leaving.clear()
        self._messages.clear()
        self._is_stale = False
        self._write_at = None

    # Batches ------------------------------------------------------------------------------------

    def _commit_on(
        self,
        authority: Any,
        writes: Iterable[RecordWrite],
        erased: Iterable[str],
        messages: Mapping[str, str | None],
    ) -> Commit:
        """Return a commit of records and outbox messages: texts by id, None for what is erased."""
        state = self._codec.serialize_state(authority, self._epoch_id)
        texts: list[RecordWrite] = [
            (id, None, text) for id, text in messages.items() if text is not None
        ]
        gone = [id for id, text in messages.items() if text is None]
        # A machine without a feed drops nothing.
        dropped_through = getattr(authority, "dropped_through", 0)
        return Commit((*writes, *texts), (*erased, *gone), dropped_through, state)

    def _is_persistent(self, record: Any) -> bool:
        return record is not None and self._codec.is_persistent(record)

    def _may_be_stored(self, id: Any) -> bool:
        """Return whether the store may hold a record that is no longer persistent."""
        return self._is_persistent(self._authority.records.get(id)) or str(id) in self._leaving

    def _commit(self, batch: list[PendingCommand]) -> list[PendingCommand]:
        """Commit a batch and set its results; return the commands that must be decided again."""
        decided = Batch(self._engine, self._codec.stage(self._authority))
        try:
            decided.decide(batch)
            commit = self._commit_of(decided)
            if commit is not None:
                self._store.append(commit)
            self._publish(decided, commit)
        except PersistenceError as error:
            self._drop_messages()
            set_results(batch, [error.clone() for _ in batch])
            return []
        except NotStorableError as error:
            self._drop_messages()
            return without(batch, error)
        except BaseException as error:
            # The callers are answered before the registry closes itself for it.
            lost = isinstance(error, OwnershipLostError)
            reasons = [OwnershipLostError() if lost else InternalError(repr(error)) for _ in batch]
            set_results(batch, reasons)
            raise
        set_results(batch, decided.answers)
        return []

    def _drop_messages(self) -> None:
        if self._engine.effects.outbox is not None:
            self._engine.effects.outbox.drop()

    def _publish(self, decided: Batch, commit: Commit | None) -> None:
        """Publish a batch that is committed or deferred."""
        if commit is None:
            if decided.changes:
                self._deferred.update((record.id, None) for record, _ in decided.changes)
                self._leaving.update(
                    (str(record.id), None)
                    for record, _ in decided.changes
                    if not self._is_persistent(record) and self._may_be_stored(record.id)
                )
                self._plan_write()
        else:
            self._nothing_is_deferred()
        self._engine.lock.hold(self._merge, decided)

    def _merge(self, decided: Batch) -> None:
        try:
            self._codec.merge(self._authority, decided.staged)
            self._engine.effects.publish(decided.changes, decided.retention.evicted)
        except BaseException:
            self._engine.fail()
            raise

    def _commit_of(self, decided: Batch) -> Commit | None:
        """Return the commit of a batch; None if nothing of it must be durable now."""
        if not decided.durable:
            return None
        staged = decided.staged.records
        # By the record itself: a later record of the same id is another one.
        writes: dict[int, RecordWrite] = {}
        erased: dict[str, None] = {}
        is_persistent, serialize = self._codec.is_persistent, self._codec.serialize
        some_left = decided.retention.erased or decided.retention.evicted
        for record, effects in decided.changes:
            kept = is_persistent(record)
            if not kept or (some_left and record.id not in staged):
                # A record that is not kept, or ended and left within the batch, is written for its
                # feed entry alone.
                feeds = self._engine.effects.feeds(effects)
                stored = kept or feeds or self._may_be_stored(record.id)
                if stored and not self._is_persistent(staged.get(record.id)):
                    erased[str(record.id)] = None
                if not feeds:
                    continue
            if id(record) not in writes:
                try:
                    writes[id(record)] = serialize(record)
                except Exception as error:
                    raise NotStorableError(record.id) from error
        for evicted in decided.retention.evicted:
            if evicted.id not in staged:
                erased[str(evicted.id)] = None
        outbox = self._engine.effects.outbox
        noted = outbox.noted() if outbox is not None else {}
        if not (writes or erased or decided.moved or noted):
            return None
        for deferred in self._deferred:
            current = staged.get(deferred)
            if id(current) not in writes and self._is_persistent(current):
                writes[id(current)] = self._codec.serialize(current)
        if self._leaving:
            written = {put[0] for put in writes.values()}
            erased.update((id, None) for id in self._leaving if id not in written)
        # What a command of the batch decides about a message comes after what a delivery did.
        changed = {id: entry.written() for id, entry in self._messages.items()}
        return self._commit_on(decided.staged, writes.values(), erased, {**changed, **noted})


def _now() -> float:
    """Return the seconds of a clock that never falls."""
    return SYSTEM_CLOCK.monotonic_ns() / 1e9
