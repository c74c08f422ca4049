"""One connection to a server, on which every call has a deadline.

The calls use libpq's non-blocking functions: on a network that drops packets, a blocking call
returns only after minutes. This is the only module that knows the driver.
"""

from __future__ import annotations

import os
import selectors
import weakref
from collections.abc import Callable, Sequence
from typing import TypeAlias

from opslifecycle.clock import SYSTEM_CLOCK

try:
    from psycopg import Error, conninfo, pq
except ImportError as missing:
    fix = "install it with pip install 'opslifecycle[postgres]'"
    raise ImportError(f"PostgresStore needs the driver psycopg, {fix} ({missing})") from missing

#: The time of the monotonic clock, in nanoseconds, at which a call gives up. It may move meanwhile.
Deadline: TypeAlias = Callable[[], int]
Row: TypeAlias = Sequence[str | None]

#: How often a waiting call looks whether its deadline has moved.
_LOOK_NS = 250_000_000
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_UNKNOWN_STATE = "58000"


class LinkLostError(Exception):
    """The connection is gone, or a deadline passed; it is unknown what the server has done."""


class NotConnectedError(LinkLostError):
    """There is no connection, so the server has done nothing."""


class RefusedError(Exception):
    """The server has refused a statement, and done nothing."""

    def __init__(self, state: str, message: str) -> None:
        super().__init__(state, message)
        self.state = state
        self.message = message


def within(seconds: float) -> Deadline:
    """Return a deadline so many seconds from now."""
    at = SYSTEM_CLOCK.monotonic_ns() + round(seconds * 1e9)
    return lambda: at


def place_of(dsn: str) -> str:
    """Return where a connection string leads, without its password.

    Raises:
        ValueError: It is no connection string.
    """
    try:
        given = conninfo.conninfo_to_dict(dsn)
    except Error as error:
        raise ValueError(str(error).strip()) from None
    if "service" in given:
        return f"service={given['service']}"
    # What the connection string leaves out, libpq takes from the environment.
    defaults = {
        each.keyword.decode(): each.val.decode()
        for each in pq.Conninfo.get_defaults()
        if each.val is not None
    }
    known: dict[str, object] = {**defaults, **given}
    host, database = known.get("host") or "localhost", known.get("dbname") or known.get("user")
    return f"postgresql://{host}:{known.get('port')}/{database}"


class Link:
    """A connection. One thread at a time uses it; after LinkLostError it is closed.

    Args:
        dsn: The connection string: a URL, `key=value` pairs or `service=NAME`.
        program: The name that the server shows for the connection.
        deadline: When connecting gives up.

    Raises:
        NotConnectedError: The server cannot be reached, or refuses the connection.
    """

    def __init__(self, dsn: str, program: str, deadline: Deadline) -> None:
        self._selector = selectors.DefaultSelector()
        #: The names of prepared statements.
        self._prepared: dict[str, bytes] = {}
        try:
            text = conninfo.make_conninfo(dsn, fallback_application_name=program)
            self._connection = pq.PGconn.connect_start(text.encode())
            self._connect(deadline)
        except (Error, LinkLostError, UnicodeEncodeError) as error:
            self._selector.close()
            raise NotConnectedError(str(error).strip()) from None
        except BaseException:
            self._selector.close()
            raise
        self._connection.nonblocking = 1
        self._selector.register(self._connection.socket, _READ)
        _LINKS.add(self)

    def _connect(self, deadline: Deadline) -> None:
        connection = self._connection
        while True:
            if self._is_bad():
                raise LinkLostError(connection.get_error_message())
            step = connection.connect_poll()
            if step == pq.PollingStatus.OK:
                return
            if step == pq.PollingStatus.FAILED:
                raise LinkLostError(connection.get_error_message())
            # Another address of the same host has another socket.
            self._selector.register(
                connection.socket, _READ if step == pq.PollingStatus.READING else _WRITE
            )
            try:
                self._wait(deadline)
            finally:
                self._selector.unregister(connection.socket)

    @property
    def is_open(self) -> bool:
        """Whether the link can be used."""
        state: int = self._connection.status
        return bool(state == pq.ConnStatus.OK)

    def _is_bad(self) -> bool:
        state: int = self._connection.status
        return bool(state == pq.ConnStatus.BAD)

    def is_alive(self) -> bool:
        """Return whether the link can be used, and its other end has not closed it meanwhile."""
        try:
            self.take_notices()
            while self._selector.select(0):
                # The server's last message, and behind it the end.
                self.take_notices()
        except LinkLostError:
            return False
        return True

    def fileno(self) -> int:
        """Return the socket, for those who wait for several."""
        descriptor: int = self._connection.socket
        return descriptor

    def run(self, statement: str, *values: str | int | None, deadline: Deadline) -> list[Row]:
        """Run one statement with its values, and return its rows as texts.

        Raises:
            RefusedError: The server has refused it.
            LinkLostError: Its outcome is unknown.
        """
        texts = [None if each is None else str(each).encode() for each in values]
        connection = self._connection
        return self._exchange(
            lambda: connection.send_query_params(statement.encode(), texts), deadline
        )

    def run_prepared(
        self, statement: str, *values: str | int | None, deadline: Deadline
    ) -> list[Row]:
        """Do what `run` does with a statement that the server parses and plans only once."""
        connection = self._connection
        name = self._prepared.get(statement)
        if name is None:
            new = b"s%d" % len(self._prepared)
            self._exchange(lambda: connection.send_prepare(new, statement.encode()), deadline)
            name = self._prepared[statement] = new
        texts = [None if each is None else str(each).encode() for each in values]
        return self._exchange(lambda: connection.send_query_prepared(name, texts), deadline)

    def run_script(self, statements: str, deadline: Deadline) -> None:
        """Run several statements without values; outside a transaction, they are one.

        Raises:
            RefusedError: The server has refused one, and undone them.
            LinkLostError: Their outcome is unknown.
        """
        connection = self._connection
        self._exchange(lambda: connection.send_query(statements.encode()), deadline)

    def _exchange(self, send: Callable[[], None], deadline: Deadline) -> list[Row]:
        """Send something, and return the rows of the answer."""
        self._refuse_closed()
        try:
            send()
            return self._results(deadline)
        except Error as error:
            self.close()
            raise LinkLostError(str(error).strip()) from None
        except RefusedError:
            raise
        except BaseException:
            # What the server answers now belongs to no later statement.
            self.close()
            raise

    def _refuse_closed(self) -> None:
        if not self.is_open:
            raise NotConnectedError("the connection is closed")

    def _results(self, deadline: Deadline) -> list[Row]:
        connection = self._connection
        self._flush(deadline)
        rows: list[Row] = []
        refused: RefusedError | None = None
        while True:
            while connection.is_busy():
                self._wait(deadline)
                connection.consume_input()
            result = connection.get_result()
            if result is None:
                break
            kind: int = result.status
            if kind == pq.ExecStatus.FATAL_ERROR:
                refused = refused or _refusal(result)
                if _ends_the_session(result):
                    self.close()
                    raise LinkLostError(refused.message)
            else:
                width = range(result.nfields)
                rows = [[_text(result.get_value(at, each)) for each in width]
                        for at in range(result.ntuples)]  # fmt: skip
        if self._is_bad():
            self.close()
            raise LinkLostError(refused.message if refused else "the connection was closed")
        if refused is not None:
            raise refused
        return rows

    def _flush(self, deadline: Deadline) -> None:
        connection = self._connection
        while connection.flush():
            self._selector.modify(connection.socket, _READ | _WRITE)
            try:
                if self._wait(deadline) & _READ:
                    # The server may answer before it has read everything.
                    connection.consume_input()
            finally:
                self._selector.modify(connection.socket, _READ)

    def _wait(self, deadline: Deadline) -> int:
        """Wait for the socket; returns the events."""
        while True:
            left = deadline() - SYSTEM_CLOCK.monotonic_ns()
            if left <= 0:
                raise LinkLostError("the server has not answered in time")
            for _, events in self._selector.select(min(left, _LOOK_NS) / 1e9):
                return events

    def take_notices(self) -> list[tuple[str, str]]:
        """Return the notifications that have arrived, as channels and payloads.

        Raises:
            LinkLostError: The connection is gone.
        """
        self._refuse_closed()
        found = []
        try:
            self._connection.consume_input()
            while (notice := self._connection.notifies()) is not None:
                found.append((notice.relname.decode(), notice.extra.decode()))
        except Error as error:
            self.close()
            raise LinkLostError(str(error).strip()) from None
        return found

    def close(self) -> None:
        """Close the connection; twice is harmless."""
        _LINKS.discard(self)
        self._selector.close()
        self._connection.finish()

    def forget_after_fork(self) -> None:
        """Close the socket in a forked child; the parent's connection stays as it is."""
        # The server sees the end of a connection when its last socket is closed, so a child must
        # not hold one. A proper end would tell the server goodbye in the parent's name.
        if self.is_open:
            os.close(self._connection.socket)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _refusal(result: pq.abc.PGresult) -> RefusedError:
    state = result.error_field(pq.DiagnosticField.SQLSTATE) or _UNKNOWN_STATE.encode()
    message = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"no message"
    return RefusedError(state.decode(), message.decode(errors="replace"))


def _ends_the_session(result: pq.abc.PGresult) -> bool:
    """Return whether the server closes the connection, which may come after a commit."""
    severity = result.error_field(pq.DiagnosticField.SEVERITY_NONLOCALIZED)
    return severity in (b"FATAL", b"PANIC")


_LINKS: weakref.WeakSet[Link] = weakref.WeakSet()


def _forget_all() -> None:
    for link in list(_LINKS):
        link.forget_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
