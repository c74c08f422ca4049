"""A look at everything once a second: what a callback was prevented from doing is done then.

An interrupt can come before the first bytecode of a callback, where the callback can catch nothing.
The loop forgets the callback then, and only a later look finds what it left undone (ADR 0019).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

INTERVAL_SECONDS = 1.0


class Tender:
    """Calls a function once a second, as long as that returns True.

    Args:
        tend: Does what is undone; returns whether there is anything to look at again.
    """

    def __init__(self, tend: Callable[[], bool]) -> None:
        self._loop = asyncio.get_running_loop()
        self._tend = tend
        self._timer: asyncio.TimerHandle | None = None

    def arm(self) -> None:
        """Look after a second, unless that is planned."""
        timer = self._timer
        # The callback of a timer that is overdue was interrupted.
        if timer is None or timer.when() + INTERVAL_SECONDS < self._loop.time():
            self._timer = self._loop.call_later(INTERVAL_SECONDS, self._look)

    def look_soon(self) -> None:
        """Look as soon as the loop has time, because something was interrupted."""
        self._loop.call_soon(self._tend)

    def disarm(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        try:
            if self._tend():
                self.arm()
        except BaseException:
            self.arm()
            raise


def report(loop: asyncio.AbstractEventLoop, message: str, error: BaseException) -> None:
    """Pass an interrupt to the loop's handler of exceptions, which logs it by default."""
    loop.call_exception_handler({"message": message, "exception": error})
