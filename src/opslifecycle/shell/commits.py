"""Group commit: commands that arrive during a commit are decided together.

A batch is decided on a staged authority; each command sees the changes of the earlier ones. The
record writes of a batch go to the store in one commit. Changes are published and results are set
only after the commit. If the store fails, the batch is dropped. The published state has not
changed, so nothing must be undone.

A machine can declare that the write of an action is deferred. A batch of such commands alone is
published without a commit. Its writes are part of the next commit, or of a commit of their own when
a deadline passes. It is a deadline and not an idle timer, so that new commands cannot postpone it.
Every commit includes all deferred writes, so the store always holds the state of one instant.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Generic

from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.errors import (
    ClockError,
    CommandInterruptedError,
    InternalError,
    OpsLifecycleError,
    OwnershipLostError,
    PersistenceError,
    RegistryClosedError,
    StoreRolledBackError,
)
from opslifecycle.logs import EventLog
from opslifecycle.shell.authority import Authority, IdT, RecordT
from opslifecycle.shell.batch import Batch, NotStorableError, without
from opslifecycle.shell.codec import RecordCodec
from opslifecycle.shell.engine import Engine
from opslifecycle.shell.mailbox import Mailbox, Wake, commands_of
from opslifecycle.shell.messages import OutboxEntry
from opslifecycle.shell.pending import PendingCommand, set_results
from opslifecycle.shell.retention import Retention
from opslifecycle.shell.writes import Writes
from opslifecycle.stores.base import Commit, Store
from opslifecycle.sync.waking import Gate
from opslifecycle.values.plain import error_text

if TYPE_CHECKING:
    from opslifecycle.shell.observer import Observer, QueueWatch

_log = EventLog("commits")

#: How many seconds a deferred write waits for another commit before it gets one of its own. The
#: contract allows one second; the other half is for the commit itself.
DEFERRED_SECONDS = 0.5
#: How many seconds after a failure a deferred write is repeated.
RETRY_SECONDS = 0.5


class Committer(Generic[IdT, RecordT]):
    """The thread that decides, commits and publishes for a registry with a store.

    Args:
        engine: The engine of the registry.
        store: The open store.
        codec: The conversion of records.
        epoch_id: The epoch of the feed; empty for a machine without a feed.
        state: The registry's fields in the store; None for a new store.
    """

    def __init__(
        self,
        engine: Engine[IdT, RecordT],
        store: Store,
        codec: RecordCodec[Authority[IdT, RecordT], RecordT],
        epoch_id: str,
        state: str | None,
    ) -> None:
        self._engine = engine
        self._store = store
        self._codec = codec
        self._writes: Writes[IdT, RecordT] = Writes(engine, codec, epoch_id, state)
        # The time at which the deferred writes are due; None while there are none.
        self._write_at: float | None = None
        self._heartbeat_at: float | None = None
        self._mailbox = Mailbox()
        #: Queues a command behind the earlier ones.
        self.submit = self._mailbox.submit
        self._watch: QueueWatch | None = None
        self._thread: threading.Thread | None = None
        # Acquired once, for good, by the thread that does the work: this object's own, or the
        # caller of `close` if that thread has not started.
        self._work_to_do = threading.Lock()
        self._done = Gate()

    def defer(self, records: Iterable[RecordT]) -> None:
        """Write records that opening has changed with the next commit; before `start`."""
        self._writes.defer(records)

    def defer_evicted(self, evicted: Retention) -> None:
        """Erase records with the next commit that opening has evicted; before `start`."""
        self._writes.defer_evicted(evicted)

    def note_delivery(self, entry: OutboxEntry) -> None:
        """Write an outbox message that a delivery has changed with the next commit."""
        self._mailbox.put(entry)

    def watch(self, observer: Observer) -> None:
        """Have batches and commits observed from now on, if commands come by the new `submit`."""
        from opslifecycle.shell.observer import QueueWatch

        self._watch = QueueWatch(observer, self._mailbox.submit)
        self.submit = self._watch.submit

    def start(self) -> None:
        """Start the thread.

        Raises:
            PersistenceError: What opening has evicted for the archive cannot be written.
        """
        self._plan_heartbeat()
        self._store.on_ownership_lost(partial(self._mailbox.put, Wake.HEARTBEAT))
        if self._writes.has_archived:
            # Now, because readers find neither the records nor their place in the archive before.
            error = self._write_deferred()
            if error is not None:
                raise error
        if self._writes.are_due:
            self._plan_write()
        # A daemon, because a registry that is not closed must not keep its process alive.
        name = f"opslifecycle-{self._codec.schema.machine}"
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Make the thread finish the queue and close the store, without waiting for it."""
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
        reason: type[OpsLifecycleError] = CommandInterruptedError
        try:
            reason = self._serve()
            self._finish(reason)
        except BaseException:
            # No caller may wait for a thread that was interrupted.
            self._finish(reason)
            raise

    def _serve(self) -> type[OpsLifecycleError]:
        """Commit batches until the end of the queue; return the error of later commands."""
        try:
            while self._next_batch():
                self._meet_deadlines()
            self._write_last()
        except OwnershipLostError:
            self._give_up(OwnershipLostError)
            return OwnershipLostError
        return RegistryClosedError

    def _give_up(self, reason: type[OpsLifecycleError]) -> None:
        """Refuse what comes, and close the store: who hears of it may open the store again."""
        self._engine.refuse(reason)
        self._store.close()

    def _finish(self, reason: type[OpsLifecycleError]) -> None:
        """End every wait, fail every unanswered command, and close the store; twice is harmless."""
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
        """Wait for commands or the next deadline, and commit them; return False at the end."""
        arrived = self._mailbox.take(self._seconds_left())
        batch = commands_of(arrived)
        if len(batch) < len(arrived):
            self._writes.defer_messages(each for each in arrived if isinstance(each, OutboxEntry))
            self._plan_write()
            if Wake.HEARTBEAT in arrived:
                self._heartbeat_at = _now()
        if self._watch is not None and batch:
            self._watch.taken(len(batch))
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
        """Do the work that is due, whether or not commands are queued."""
        now = _now()
        if self._heartbeat_at is not None and now >= self._heartbeat_at:
            self._store.heartbeat()
            self._plan_heartbeat()
        if self._write_at is not None and now >= self._write_at:
            # After a failure the writes are still pending, for the next commit or deadline.
            self._write_deferred()
        # Now, because the callers of the last commit have their results.
        self._store.maintain()

    def _plan_write(self) -> None:
        """Set the deadline of deferred writes, unless an older write has set it."""
        if self._write_at is None:
            self._write_at = _now() + DEFERRED_SECONDS

    def _plan_heartbeat(self) -> None:
        seconds = self._store.heartbeat_seconds()
        self._heartbeat_at = None if seconds is None else _now() + seconds

    def _write_deferred(self) -> PersistenceError | None:
        """Commit the deferred writes; return the error if that fails."""
        try:
            commit = self._writes.of_deferred()
            if commit is not None:
                self._append(commit)
        except PersistenceError as error:
            self._write_at = _now() + RETRY_SECONDS
            return error
        self._nothing_is_deferred()
        return None

    def _write_last(self) -> None:
        """Commit the deferred writes of a closing registry. A failure is logged and loses them."""
        error = self._write_deferred()
        if error is not None:
            count = self._writes.deferred_count
            text = "closed without the deferred writes of %d record(s): %s"
            _log.error("deferred_writes_lost", text, count, error)

    def _nothing_is_deferred(self) -> None:
        self._writes.forget()
        self._write_at = None

    def _append(self, commit: Commit) -> None:
        """Write a commit; if the store has lost earlier ones, write everything again first."""
        if self._watch is not None:
            self._watch.appending()
        try:
            self._store.append(commit)
        except StoreRolledBackError:
            if not self._store.put_back(self._engine.lock.hold(self._writes.published)):
                raise
            self._store.append(commit)
        if self._watch is not None:
            self._watch.appended()

    # Batches ------------------------------------------------------------------------------------

    def _commit(self, batch: list[PendingCommand]) -> list[PendingCommand]:
        """Commit a batch and set its results; return the commands that must be decided again."""
        decided = Batch(self._engine)
        try:
            decided.decide(batch)
            commit = self._writes.of_batch(decided)
            if commit is not None:
                self._append(commit)
            self._publish(decided, commit)
        except (PersistenceError, ClockError) as error:
            self._drop_messages()
            set_results(batch, [error.clone() for _ in batch])
            return []
        except NotStorableError as error:
            self._drop_messages()
            return without(batch, error)
        except BaseException as error:
            # The error then closes the registry, so these commands get their answer here.
            reason: OpsLifecycleError = InternalError(error_text(error, repr))
            later: type[OpsLifecycleError] = CommandInterruptedError
            if isinstance(error, OwnershipLostError):
                reason, later = error, OwnershipLostError
            try:
                self._give_up(later)
            finally:
                set_results(batch, [reason.clone() for _ in batch])
            raise
        set_results(batch, decided.answers)
        return []

    def _drop_messages(self) -> None:
        if self._engine.effects.outbox is not None:
            self._engine.effects.outbox.drop()

    def _publish(self, decided: Batch[IdT, RecordT], commit: Commit | None) -> None:
        """Publish a batch whose writes are committed or deferred."""
        if commit is None:
            if decided.changes:
                self._writes.defer_batch(decided)
                self._plan_write()
        else:
            self._nothing_is_deferred()
        self._engine.lock.hold(self._merge, decided)

    def _merge(self, decided: Batch[IdT, RecordT]) -> None:
        try:
            decided.publish()
        except BaseException:
            self._engine.fail()
            raise


def _now() -> float:
    """Return the seconds of a clock that never falls."""
    return SYSTEM_CLOCK.monotonic_ns() / 1e9
