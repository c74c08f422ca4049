"""Group commit: commands that arrive while a commit is under way are decided together, then kept.

A batch is decided on top of what is published, each command on its own predecessors. What is to be
kept goes to the store in one commit; only when the store has it does anybody see it, or get an
answer. If the store fails, the batch is dropped whole: nothing was changed, so nothing has to be
undone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
from opslifecycle.errors import (
    InternalError,
    OpsLifecycleError,
    OwnershipLostError,
    PersistenceError,
    RegistryClosedError,
)
from opslifecycle.shell.steps import Change, Step
from opslifecycle.shell.tickets import Ticket, answer_all
from opslifecycle.stores.base import Commit, Identity, Put, Store
from opslifecycle.sync.publication import Waker
from opslifecycle.sync.waits import wake_all

if TYPE_CHECKING:
    from opslifecycle.shell.engine import Shell

T = TypeVar("T")

#: How long what rides along waits for another commit before it gets one of its own.
IDLE_SECONDS = 1.0


@attrs.frozen
class Storage:
    """How a machine's state becomes data and back; generated."""

    identity: Identity
    stage: Callable[[Any], Any]
    absorb: Callable[[Any, Any], None]
    keeps: Callable[[Any], bool]
    put_of: Callable[[Any], Put]
    state_of: Callable[[Any, str], str]


class Committer:
    """The one thread that decides, keeps and publishes for a registry with a store."""

    def __init__(self, authority: Any, store: Store, storage: Storage, epoch_id: str) -> None:
        self._authority = authority
        self._store = store
        self._storage = storage
        self._epoch_id = epoch_id
        self._shell: Shell[Any, Any]
        self._unwritten: dict[Any, None] = {}
        # Effects that were delivered, to be erased with the next commit.
        self._delivered: list[str] = []
        # Commands, ids of effects that were delivered, and None when there is no more to come.
        # Its `put` may be called by a finalizer at any moment, which no condition variable allows.
        self._queue: SimpleQueue[Ticket | str | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._ended: type[OpsLifecycleError] | None = None

    def attach(self, shell: Shell[Any, Any]) -> None:
        """Learn through which shell to publish, and start to work."""
        self._shell = shell
        if shell.effects.hooks is not None:
            shell.effects.hooks.delivered = self._queue.put
        # A daemon, because a registry that nobody closes must not keep its process from ending.
        name = f"opslifecycle-{self._storage.identity.machine}"
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, ticket: Ticket) -> None:
        """Queue a command behind all that came before it."""
        if self._ended is not None:
            raise self._ended
        self._queue.put(ticket)
        if self._ended is not None:
            # The thread may have looked for the last time before this came.
            self._refuse_rest()

    def stop(self) -> None:
        """Have the thread finish what is queued and give the store up; does not wait."""
        self._queue.put(None)

    def close(self) -> None:
        """As `stop`, and wait until it is done."""
        self.stop()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    # The thread ---------------------------------------------------------------------------------

    def _work(self) -> None:
        reason: type[OpsLifecycleError] = RegistryClosedError
        try:
            while self._next_batch():
                pass
            self._write_the_rest()
        except OwnershipLostError:
            reason = OwnershipLostError
        finally:
            self._shell.end(reason)
            # Whoever queues something from here on finds this set, and refuses it as we do.
            self._ended = reason
            self._refuse_rest()
            self._store.close()

    def _refuse_rest(self) -> None:
        reason = self._ended
        assert reason is not None
        rest = _tickets(drained(self._queue))
        answer_all(rest, [reason() for _ in rest])

    def _next_batch(self) -> bool:
        """Commit what has arrived; False at the end."""
        idle = IDLE_SECONDS if self._rides() else self._store.beat_seconds()
        try:
            first = self._queue.get(timeout=idle)
        except Empty:
            if self._rides():
                self._write_the_rest()
            else:
                self._store.beat()
            return True
        arrived = [first, *drained(self._queue)]
        batch = _tickets(arrived)
        if len(batch) < len(arrived):
            self._delivered += [each for each in arrived if isinstance(each, str)]
        if batch:
            self._commit(batch)
        return None not in arrived

    def _rides(self) -> bool:
        """Whether something waits for the next commit."""
        return bool(self._unwritten or self._delivered)

    def _write_the_rest(self) -> None:
        """Keep what is still riding along, when nothing else comes or the registry is closed."""
        held = (self._authority.records.get(id) for id in self._unwritten)
        puts = tuple(self._storage.put_of(record) for record in held if self._keeps(record))
        try:
            if puts or self._delivered:
                erased = tuple(self._delivered)
                self._store.append(self._commit_on(self._authority, puts, erased))
        except PersistenceError:
            # Nothing that was promised is lost: these changes go on riding along.
            return
        self._unwritten.clear()
        self._delivered.clear()

    def _commit_on(self, authority: Any, puts: tuple[Put, ...], erased: tuple[str, ...]) -> Commit:
        state = self._storage.state_of(authority, self._epoch_id)
        # A machine without a feed drops nothing.
        return Commit(puts, erased, getattr(authority, "dropped_through", 0), state)

    def _keeps(self, record: Any) -> bool:
        return record is not None and self._storage.keeps(record)

    def _commit(self, batch: list[Ticket]) -> None:
        decided = _Batch(self._shell, self._storage.stage(self._authority))
        try:
            decided.decide(batch)
            commit = self._commit_of(decided)
            if commit is not None:
                self._store.append(commit)
            wakers = self._publish(decided, commit)
        except PersistenceError as error:
            if self._shell.effects.hooks is not None:
                self._shell.effects.hooks.drop()
            answer_all(batch, [error.again() for _ in batch])
            return
        except BaseException as error:
            # Whoever waits for these is told before the registry closes itself for it.
            lost = isinstance(error, OwnershipLostError)
            reasons = [OwnershipLostError() if lost else InternalError(repr(error)) for _ in batch]
            answer_all(batch, reasons)
            raise
        wake_all(wakers)
        answer_all(batch, decided.answers)

    def _publish(self, decided: _Batch, commit: Commit | None) -> list[Waker]:
        """Let everybody see a batch that is kept; gives whom to wake."""
        if commit is None:
            self._unwritten.update((record.id, None) for record, _ in decided.changes)
        else:
            self._unwritten.clear()
            self._delivered.clear()
        with self._shell.lock:
            self._storage.absorb(self._authority, decided.staged)
            return self._shell.effects.publish(decided.changes, decided.retention.evicted)

    def _commit_of(self, decided: _Batch) -> Commit | None:
        """What the store has to keep of a batch; None if nothing of it must be durable now."""
        if not decided.durable:
            return None
        staged = decided.staged.records
        # By the record itself: a later record of the same id is another one.
        puts: dict[int, Put] = {}
        erased: dict[str, None] = {}
        keeps, put_of = self._storage.keeps, self._storage.put_of
        some_left = decided.retention.erased or decided.retention.evicted
        for record, effects in decided.changes:
            if not keeps(record):
                continue
            if some_left and record.id not in staged:
                erased[str(record.id)] = None
                # A record that ended and left within the batch is kept for its feed row.
                if not self._shell.effects.feeds(effects):
                    continue
            if id(record) not in puts:
                puts[id(record)] = put_of(record)
        for evicted in decided.retention.evicted:
            if evicted.id not in staged:
                erased[str(evicted.id)] = None
        hooks = self._shell.effects.hooks
        calls = hooks.noted() if hooks is not None else []
        if not (puts or erased or decided.moved or calls):
            return None
        for unwritten in self._unwritten:
            current = staged.get(unwritten)
            if id(current) not in puts and self._keeps(current):
                puts[id(current)] = self._storage.put_of(current)
        erased.update(dict.fromkeys(self._delivered))
        return self._commit_on(decided.staged, (*puts.values(), *calls), tuple(erased))


def _tickets(arrived: Iterable[Ticket | str | None]) -> list[Ticket]:
    return [each for each in arrived if isinstance(each, tuple)]


def drained(queue: SimpleQueue[T]) -> list[T]:
    """What is in a queue now."""
    found: list[T] = []
    while True:
        try:
            found.append(queue.get_nowait())
        except Empty:
            return found


class _Batch:
    """Commands decided together, on an authority of their own."""

    def __init__(self, shell: Shell[Any, Any], staged: Any) -> None:
        self._shell = shell
        self.staged = staged
        self.answers: list[Any] = []
        self.changes: list[Change] = []
        self.retention = shell.effects.begin()
        self.durable = False
        self.moved = False

    def decide(self, tickets: Sequence[Ticket]) -> None:
        """Decide commands in their order, all at the time of this instant."""
        staged, records, settle = self.staged, self.staged.records, self._shell.effects.settle
        answers, changes = self.answers, self.changes
        self._shell.clock.tell(staged)
        for _, id, decide, arguments, creates in tickets:
            if id is None:
                self._step(decide)
                continue
            effects = decide(staged, *arguments)
            if effects.__class__ is not tuple:
                answers.append(effects)
                continue
            answers.append(None)
            record = records[id]
            changes.append((record, effects))
            if effects:
                settle(staged, record, effects, self.retention)
            if effects or creates:
                # What makes no record and ends none rides along.
                self.durable = True

    def _step(self, step: Step) -> None:
        value, changes, durable = step(self.staged)
        self.answers.append(value)
        self.changes += changes
        if durable:
            self.durable = True
            self.moved = self.moved or not changes
        for record, effects in changes:
            if effects:
                self._shell.effects.settle(self.staged, record, effects, self.retention)
