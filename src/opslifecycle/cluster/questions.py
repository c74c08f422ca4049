"""Questions to the server, which callers in other threads wait for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Generic, TypeVar

from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.errors import OpsLifecycleError
from opslifecycle.stores.postgres.failures import failure_of
from opslifecycle.stores.postgres.link import Deadline, Link, LinkLostError, RefusedError

T = TypeVar("T")


class Question(Generic[T]):
    """A question; repeating it must be harmless.

    Args:
        ask: Asks it on a connection, until a deadline.
        until: When its caller waits no longer.
        where: The name of the server, for errors.
    """

    def __init__(self, ask: Callable[[Link, Deadline], T], until: Deadline, where: str) -> None:
        self._ask = ask
        self._until = until
        self._where = where
        #: The answer. A caller may cancel it, which may be too late.
        self.answer: Future[T] = Future()

    def __call__(self, link: Link) -> None:
        """Ask it; raises LinkLostError if it is to be asked again on another connection."""
        if self.answer.done():
            return
        try:
            found = self._ask(link, self._until)
        except OpsLifecycleError as error:
            self.fail(error)
        except RefusedError as error:
            self.fail(failure_of(self._where, error))
        except LinkLostError as error:
            self.give_up(error)
            raise
        else:
            # The caller may have cancelled it meanwhile.
            with suppress(InvalidStateError):
                self.answer.set_result(found)

    def give_up(self, error: LinkLostError | RefusedError) -> None:
        """Fail if its caller waits no longer, because the server cannot be asked."""
        if SYSTEM_CLOCK.monotonic_ns() >= self._until():
            self.fail(failure_of(self._where, error))

    def fail(self, error: OpsLifecycleError) -> None:
        """Answer with an error, unless there is an answer."""
        with suppress(InvalidStateError):
            self.answer.set_exception(error)
