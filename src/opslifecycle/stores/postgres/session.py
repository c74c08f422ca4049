"""What the registries of a process share in one database: a lease, a writer, three connections."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import attrs
from opslifecycle.errors import PersistenceError
from opslifecycle.locks import OwnedLock, hold, owned_lock
from opslifecycle.stores.postgres.failures import failure_of
from opslifecycle.stores.postgres.lease import Lease
from opslifecycle.stores.postgres.link import (
    Deadline,
    Link,
    LinkLostError,
    RefusedError,
    place_of,
    within,
)
from opslifecycle.stores.postgres.schema import layout_of, migrate, refuse_other_layouts
from opslifecycle.stores.postgres.statements import Statements, statements
from opslifecycle.stores.postgres.writer import Writer

#: How long opening and closing a registry wait for the server.
PATIENCE_SECONDS = 10.0


@attrs.frozen
class Target:
    """A schema in a database, and how this process owns registries in it."""

    dsn: str
    schema: str
    lease_seconds: float = 10.0
    session_lock: bool = True

    @property
    def name(self) -> str:
        """What messages call the store."""
        return f"{place_of(self.dsn)} schema {self.schema}"

    def connect(self, purpose: str, deadline: Deadline) -> Link:
        """Open a connection; raises NotConnectedError."""
        return Link(self.dsn, f"opslifecycle {purpose} {os.getpid()}", deadline)


class Session:
    """The registries that this process owns in one database."""

    def __init__(self, target: Target) -> None:
        self.name = target.name
        self.target = target
        self.statements: Statements = statements(target.schema)
        self.lease = Lease(
            target.connect, self.statements, target.lease_seconds, target.session_lock, self._lose
        )
        self.users = 0
        #: What is called, in any thread, when the lease has ended: by the registry's number.
        self.owned: dict[int, Callable[[], None]] = {}
        self._side: Link | None = None
        self._side_lock = owned_lock()
        self._writer: Writer | None = None

    @property
    def writer(self) -> Writer:
        """The writer of this process; it is there once the session has begun."""
        assert self._writer is not None
        return self._writer

    def begin(self) -> None:
        """Create the tables if there are none, take the lease and start the threads.

        Raises:
            PersistenceError: The server cannot be reached, refuses, or would lose commits.
            StoreVersionError: The tables are of another version of this program.
        """
        schema, deadline = self.target.schema, within(PATIENCE_SECONDS)
        with self.reporting(), self.side() as link:
            _refuse_unsafe(self.name, link, deadline)
            if layout_of(link, schema, deadline) == 0:
                migrate(link, schema, deadline)
            refuse_other_layouts(link, schema, deadline)
            self.lease.begin(deadline)
        self._writer = Writer(
            self.name,
            self.target.connect,
            self.statements,
            self.lease.owner,
            self.lease.deadline,
            prepares=self.target.session_lock,
        )

    @contextlib.contextmanager
    def reporting(self) -> Iterator[None]:
        """Raise PersistenceError for what fails at the server."""
        try:
            yield
        except (LinkLostError, RefusedError) as error:
            raise failure_of(self.name, error) from error

    @contextlib.contextmanager
    def side(self) -> Iterator[Link]:
        """Use the connection beside those of the lease and the writer, in this thread alone."""
        try:
            self._side_lock.acquire()
            if self._side is None or not self._side.is_alive():
                self._side = self.target.connect("side", within(PATIENCE_SECONDS))
            try:
                yield self._side
            except BaseException:
                # A transaction may be open.
                self._side.close()
                raise
        finally:
            # An interrupt may have come before the lock was acquired (ADR 0019).
            try:
                self._side_lock.release()
            except RecursionError:
                raise
            except RuntimeError:
                pass

    def _lose(self) -> None:
        for notify in list(self.owned.values()):
            notify()

    def end(self) -> None:
        """Give the lease up and close every connection."""
        if self._writer is not None:
            self._writer.end()
        self.lease.end()
        if self._side is not None:
            self._side.close()


def _refuse_unsafe(name: str, link: Link, deadline: Deadline) -> None:
    """Raise PersistenceError if the server would acknowledge what a crash of it loses."""
    ((found, replica),) = link.run(
        "SELECT current_setting('synchronous_commit'), pg_is_in_recovery()", deadline=deadline
    )
    if replica == "t":
        raise PersistenceError(name, "the server is a replica; connect to the primary")
    if found == "off":
        fix = "ALTER ROLE … SET synchronous_commit = on"
        cause = f"synchronous_commit is off, so a crash of the server would lose commits; {fix}"
        raise PersistenceError(name, cause)


_SESSIONS: dict[Target, Session] = {}
#: Held while a session begins, which may take as long as a connection does.
_BEGINNING: dict[Target, OwnedLock] = {}
_SESSIONS_LOCK = owned_lock()


def enter(target: Target) -> Session:
    """Return the session of this process, which lasts until everybody has left it."""
    beginning = hold(_SESSIONS_LOCK, _BEGINNING.setdefault, target, owned_lock())
    return hold(beginning, _joined_or_begun, target)


def _joined_or_begun(target: Target) -> Session:
    joined = hold(_SESSIONS_LOCK, _joined, target)
    if joined is not None:
        return joined
    session = Session(target)
    try:
        session.begin()
    except BaseException:
        session.end()
        raise
    hold(_SESSIONS_LOCK, _share, session)
    return session


def _joined(target: Target) -> Session | None:
    session = _SESSIONS.get(target)
    if session is None or not session.lease.is_valid():
        return None
    session.users += 1
    return session


def _share(session: Session) -> None:
    _SESSIONS[session.target] = session
    session.users += 1


def existing(target: Target) -> Session | None:
    """Return the session that this process has in a schema, if it has one."""
    sessions = hold(_SESSIONS_LOCK, lambda: [*_SESSIONS.values()])
    for each in sessions:
        if (each.target.dsn, each.target.schema) == (target.dsn, target.schema):
            return each
    return None


def leave(session: Session) -> None:
    """Leave a session; the last one ends it."""
    if hold(_SESSIONS_LOCK, _is_left, session):
        session.end()


def _is_left(session: Session) -> bool:
    session.users -= 1
    if session.users:
        return False
    if _SESSIONS.get(session.target) is session:
        del _SESSIONS[session.target]
    return True


def _forget_all() -> None:
    """Begin anew in a forked child: threads and connections are the parent's."""
    global _SESSIONS_LOCK
    _SESSIONS_LOCK = owned_lock()
    _SESSIONS.clear()
    _BEGINNING.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
