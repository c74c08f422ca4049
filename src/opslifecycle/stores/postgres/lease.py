"""The lease of this process in one database, and the thread that renews it.

The server's clock decides when a lease has ended, so clocks of hosts are not compared. This process
stops earlier than that: at a deadline of its own monotonic clock, counted from before the renewal
was sent. While its connection lasts, it also holds an advisory lock. The server frees that when the
process ends, and other processes need not wait for the lease then.
"""

from __future__ import annotations

import os
import secrets
import selectors
import socket
import threading
from collections.abc import Callable

from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.stores.postgres.link import (
    Deadline,
    Link,
    LinkLostError,
    RefusedError,
    within,
)
from opslifecycle.stores.postgres.statements import Statements

#: How much of a lease this process does not use, for the rates of two clocks differ.
_MARGIN = 0.1
_BEATS = 3
_RETRY_SECONDS = 0.05
_LEAVE_SECONDS = 1.0
#: How long a connection of the lease may take, so that a silent network is tried more than once.
_TRY_SHARE = 0.25


def this_process() -> str:
    """Return this process in words."""
    return f"process {os.getpid()} on {socket.gethostname()}"


class Lease:
    """A lease that a thread renews until it is given up or cannot be renewed.

    Args:
        connect: Opens a connection to the server.
        statements: The statements for the schema.
        seconds: How long a renewal lasts.
        session_lock: Whether to hold an advisory lock while the connection lives.
        lost: Called once, in the thread, when the lease has ended.
    """

    def __init__(
        self,
        connect: Callable[[str, Deadline], Link],
        statements: Statements,
        seconds: float,
        session_lock: bool,
        lost: Callable[[], None],
    ) -> None:
        #: Names this process among all that ever owned something: never used again.
        self.owner = secrets.randbits(62)
        self.is_lost = False
        self._connect = connect
        self._statements = statements
        self._ns = round(seconds * 1e9)
        self._session_lock = session_lock
        self._lost = lost
        self._until_ns = 0
        #: A byte in it wakes the thread; there once the thread is.
        self._pair: tuple[socket.socket, socket.socket] | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="opslifecycle-lease", daemon=True)
        self._link: Link | None = None
        self._is_locked = False

    def deadline(self) -> int:
        """Return until when, on the monotonic clock, this process owns anything."""
        return 0 if self.is_lost else self._until_ns

    def is_valid(self) -> bool:
        """Return whether this process may act as an owner right now."""
        return SYSTEM_CLOCK.monotonic_ns() < self.deadline()

    def begin(self, deadline: Deadline) -> None:
        """Take the lease and start to renew it.

        Raises:
            LinkLostError: The server cannot be reached.
            RefusedError: It refuses.
        """
        sent = SYSTEM_CLOCK.monotonic_ns()
        link = self._connect("lease", deadline)
        try:
            link.run(
                self._statements.appear,
                self.owner, this_process(), str(self._session_lock), self._ns // 1_000_000,
                deadline=deadline,
            )  # fmt: skip
            self._lock(link, deadline)
        except BaseException:
            link.close()
            raise
        self._link = link
        self._extend(sent)
        self._pair = socket.socketpair()
        self._thread.start()

    def _extend(self, sent: int) -> None:
        self._until_ns = sent + round(self._ns * (1 - _MARGIN))

    def _lock(self, link: Link, deadline: Deadline) -> None:
        """Take the advisory lock, unless a former connection that the server knows still has it."""
        if self._session_lock and not self._is_locked:
            statement = "SELECT pg_try_advisory_lock($1::bigint)"
            self._is_locked = link.run(statement, self.owner, deadline=deadline) == [["t"]]

    def end(self) -> None:
        """Stop renewing, and give the lease up; harmless before the beginning."""
        self._stopping = True
        if self._pair is None:
            return
        try:
            self._pair[0].send(b"x")
        except OSError:
            # The thread has ended already.
            pass
        if self._thread is not threading.current_thread():
            self._thread.join()

    # The thread ---------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while not self._stopping and self.is_valid():
                self._pause()
                if not self._stopping and self.is_valid():
                    self._renew()
            if self._stopping:
                self._leave()
        finally:
            self.is_lost = True
            if not self._stopping:
                self._lost()
            if self._link is not None:
                self._link.close()
            assert self._pair is not None
            for end in self._pair:
                end.close()

    def _pause(self) -> None:
        """Wait for the next renewal, or for the end of the connection, which is dealt with now."""
        link = self._link
        if link is None or not link.is_open:
            seconds = _RETRY_SECONDS
        else:
            left = self._until_ns - SYSTEM_CLOCK.monotonic_ns()
            seconds = min(left / 1e9, self._ns / 1e9 / _BEATS)
        assert self._pair is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._pair[1], selectors.EVENT_READ)
            if link is not None and link.is_open:
                selector.register(link, selectors.EVENT_READ)
            if selector.select(max(0.0, seconds)) and link is not None:
                try:
                    link.take_notices()
                except LinkLostError:
                    # The renewal below connects again.
                    return

    def _renew(self) -> None:
        """Renew the lease once, if the server answers in time; ends it if the server says so."""
        sent = SYSTEM_CLOCK.monotonic_ns()
        limit = min(self._until_ns, sent + round(self._ns * _TRY_SHARE))
        try:
            link = self._link
            if link is None or not link.is_open:
                link = self._link = self._connect("lease", lambda: limit)
                self._is_locked = False
            self._lock(link, lambda: limit)
            milliseconds = self._ns // 1_000_000
            if link.run(self._statements.renew, self.owner, milliseconds, deadline=lambda: limit):
                self._extend(sent)
            else:
                self.is_lost = True
        except (LinkLostError, RefusedError):
            # It is tried again until the deadline.
            return

    def _leave(self) -> None:
        deadline = within(_LEAVE_SECONDS)
        try:
            if self._link is None or not self._link.is_alive():
                self._link = self._connect("lease", deadline)
            self._link.run(self._statements.leave, self.owner, deadline=deadline)
        except (LinkLostError, RefusedError):
            # The lease ends by itself.
            return
