"""The thread that writes the commits of all registries that this process owns in one database.

Commits that arrive while a statement runs are written together by the next one. A registry that was
taken over is left out by the statement and spoils nothing for the others.

If the connection ends during a statement, it is unknown whether the server has written it. Then the
fencing tokens are raised, which waits for a statement that may still run and shuts out one that is
still to arrive, and the heads say which of the two happened.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

import attrs
from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.errors import (
    CommitInDoubtError,
    OpsLifecycleError,
    OwnershipLostError,
    StoreRolledBackError,
)
from opslifecycle.logs import EventLog
from opslifecycle.stores.postgres.failures import failure_of, is_about_data, is_passing
from opslifecycle.stores.postgres.link import (
    Deadline,
    Link,
    LinkLostError,
    NotConnectedError,
    RefusedError,
)
from opslifecycle.stores.postgres.log_index import COLUMN, LINE
from opslifecycle.stores.postgres.statements import Statements, keys_text

_log = EventLog("postgres")
_PAUSE_SECONDS = 0.05
#: How long commits wait for a server that cannot be reached, if the lease lasts so long.
_UNREACHABLE_SECONDS = 5.0


@attrs.define(eq=False)
class Write:
    """A commit of one registry on its way."""

    number: int
    fencing_token: int
    before: int
    after: int
    dropped_through: int
    state: str
    rows: str
    superseded: list[int]
    dead: list[int]
    #: Archived records, as one text.
    archived: str = ""
    #: Answers to requests of other hosts, as one text.
    answers: str = ""
    #: Why it was not written; None once it is durable.
    error: OpsLifecycleError | None = None
    done: threading.Event = attrs.Factory(threading.Event)

    def encoded(self) -> str:
        """Return the registry's part of the statement's first parameter."""
        head = (self.number, self.fencing_token, self.before, self.after, self.dropped_through)
        return COLUMN.join((*map(str, head), self.state))


class Writer:
    """Writes commits, one statement after the other.

    Args:
        name: What messages call the store.
        connect: Opens a connection to the server.
        statements: The statements for the schema.
        owner: The lease's owner.
        deadline: Until when this process owns anything.
        prepares: Whether the server may keep the plan of the statement for the connection.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[str, Deadline], Link],
        statements: Statements,
        owner: int,
        deadline: Deadline,
        *,
        prepares: bool,
    ) -> None:
        self._name = name
        self._connect = connect
        self._statements = statements
        self._owner = owner
        self._deadline = deadline
        self._prepares = prepares
        self._queue: SimpleQueue[Write | None] = SimpleQueue()
        self._link: Link | None = None
        self._thread = threading.Thread(target=self._work, name="opslifecycle-writer", daemon=True)
        self._thread.start()

    def write(self, write: Write) -> None:
        """Write a commit, and wait until its outcome is known; raises the error of the write."""
        self._queue.put(write)
        write.done.wait()
        if write.error is not None:
            raise write.error

    def end(self) -> None:
        """Stop when everything is written."""
        self._queue.put(None)
        self._thread.join()

    # The thread ---------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            taken = [self._queue.get()]
            try:
                while True:
                    taken.append(self._queue.get_nowait())
            except Empty:
                pass
            writes = [each for each in taken if each is not None]
            # A steady order of row locks.
            writes.sort(key=lambda each: each.number)
            try:
                if writes:
                    self._write(writes)
            except Exception as error:
                # The thread goes on for the other registries of the process.
                _log.error(
                    "writer_failed",
                    "%s: an unexpected error of the writer",
                    self._name,
                    cause=error,
                )
                for each in writes:
                    each.error = each.error or CommitInDoubtError(self._name, repr(error))
            finally:
                for each in writes:
                    each.done.set()
            if len(writes) < len(taken):
                if self._link is not None:
                    self._link.close()
                return

    def _write(self, writes: list[Write]) -> None:
        """Write commits until the outcome of each is known, or the lease has ended."""
        unreachable_at = SYSTEM_CLOCK.monotonic_ns() + round(_UNREACHABLE_SECONDS * 1e9)
        left: Sequence[Write] = writes
        cause: LinkLostError | None = None
        in_doubt = False
        while left:
            now = SYSTEM_CLOCK.monotonic_ns()
            if now >= self._deadline():
                _fail(left, self._unresolved(cause) if in_doubt else OwnershipLostError())
                return
            try:
                if in_doubt:
                    left = self._resolve(left)
                    in_doubt = False
                else:
                    left = self._write_once(left)
            except NotConnectedError as error:
                cause = cause or error
                if not in_doubt and now >= unreachable_at:
                    _fail(left, failure_of(self._name, error))
                    return
                threading.Event().wait(_PAUSE_SECONDS)
            except LinkLostError as error:
                cause, in_doubt = error, True
            except RefusedError as error:
                if in_doubt or is_passing(error):
                    cause = cause or LinkLostError(error.message)
                    threading.Event().wait(_PAUSE_SECONDS)
                else:
                    self._refuse(left, error)
                    return

    def _unresolved(self, cause: LinkLostError | None) -> OpsLifecycleError:
        return CommitInDoubtError(self._name, str(cause))

    def _refuse(self, writes: Sequence[Write], error: RefusedError) -> None:
        """Fail what the server has refused; data of one registry does not spoil the others."""
        if len(writes) > 1 and is_about_data(error):
            for each in writes:
                self._write([each])
        else:
            _fail(writes, failure_of(self._name, error))

    def _linked(self) -> Link:
        if self._link is None or not self._link.is_open:
            self._link = self._connect("writer", self._deadline)
        return self._link

    def _write_once(self, writes: Sequence[Write]) -> list[Write]:
        """Send commits in one statement; returns none, because each has its outcome."""
        link = self._linked()
        # Planning takes the server eight times as long as writing a row.
        run = link.run_prepared if self._prepares else link.run
        parameters = [
            LINE.join([each.encoded() for each in writes]),
            LINE.join([each.rows for each in writes if each.rows]),
            keys_text([key for each in writes for key in each.superseded]),
            keys_text([key for each in writes for key in each.dead]),
        ]
        further = [
            LINE.join([each.archived for each in writes if each.archived]),
            LINE.join([each.answers for each in writes if each.answers]),
        ]
        parameters += [each for each in further if each]
        statement = self._statements.commit_of(*map(bool, further))
        rows = run(statement, *parameters, deadline=self._deadline)
        written = {int(number or 0) for (number,) in rows}
        missing = [each for each in writes if each.number not in written]
        try:
            if missing:
                self._explain(link, missing)
        except RefusedError as error:
            # Others are written: this says nothing about them.
            raise LinkLostError(error.message) from None
        return []

    def _explain(self, link: Link, missing: Sequence[Write]) -> None:
        """Say why the statement left registries out."""
        numbers = keys_text([each.number for each in missing])
        found = {
            int(number or 0): (int(token or 0), int(head or 0))
            for number, token, _, head in link.run(
                self._statements.owner, numbers, deadline=self._deadline
            )
        }
        for each in missing:
            token, head = found.get(each.number, (each.fencing_token + 1, 0))
            # No process lowers a token or a head: the server is another one, which is behind.
            if (token, head) < (each.fencing_token, each.before):
                each.error = self._rolled_back(each.before, head)
            else:
                each.error = OwnershipLostError()

    def _resolve(self, writes: Sequence[Write]) -> list[Write]:
        """Find out what became of commits; returns those that were not written, to send again."""
        link = self._linked()
        numbers = keys_text([each.number for each in writes])
        found = {
            int(number or 0): (int(token or 0), int(head or 0))
            for number, token, head in link.run(
                self._statements.resolve, numbers, self._owner, deadline=self._deadline
            )
        }
        missing = [each for each in writes if each.number not in found]
        if missing:
            self._explain(link, missing)
        again = []
        for each in writes:
            if each.number not in found:
                continue
            each.fencing_token, head = found[each.number]
            if head == each.before:
                again.append(each)
            elif head != each.after:
                each.error = self._rolled_back(each.before, head)
        return again

    def _rolled_back(self, acknowledged: int, found: int) -> StoreRolledBackError:
        error = StoreRolledBackError(self._name, acknowledged, found)
        _log.error("commits_lost", "%s", error)
        return error


def _fail(writes: Sequence[Write], error: OpsLifecycleError) -> None:
    for each in writes:
        each.error = error.clone()
