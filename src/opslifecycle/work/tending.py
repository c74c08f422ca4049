"""Rounds over everything: what a callback was prevented from doing is done then.

An interrupt can come before the first bytecode of a callback, where the callback can catch nothing.
The loop forgets the callback then, and only a later look finds what it left undone (ADR 0019).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

#: The pause after a round, and the one within a round over so much that it is made in parts.
ROUND_SECONDS, PART_SECONDS = 1.0, 0.05


class Tender:
    """Calls a function again and again, as long as that wants it.

    Args:
        tend: Does what is undone; returns after how many seconds to call it again, or None.
    """

    def __init__(self, tend: Callable[[], float | None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._tend = tend
        self._timer: asyncio.TimerHandle | None = None

    def arm(self) -> None:
        """Look after a second, unless that is planned."""
        timer = self._timer
        # The callback of a timer that is overdue was interrupted.
        if timer is None or timer.when() + ROUND_SECONDS < self._loop.time():
            self._timer = self._loop.call_later(ROUND_SECONDS, self._look)

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
            seconds = self._tend()
            if seconds is not None:
                self._timer = self._loop.call_later(seconds, self._look)
        except BaseException:
            self.arm()
            raise


def report(loop: asyncio.AbstractEventLoop, message: str, error: BaseException) -> None:
    """Pass an interrupt to the loop's handler of exceptions, which logs it by default."""
    loop.call_exception_handler({"message": message, "exception": error})
