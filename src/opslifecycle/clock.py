"""The only place that reads time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol


class Timed(Protocol):
    """Who is told the time: a monotonic one, and what is added to it to give the time of day."""

    now_ms: int
    clock_offset_ms: int


class Clock:
    """Two clocks, those of the machine unless others are given.

    `wall_ns()` gives nanoseconds since the Unix epoch, and may jump when the machine's clock is
    set; `monotonic_ns()` counts from an arbitrary start, and never falls.
    """

    __slots__ = ("monotonic_ns", "wall_ns")

    def __init__(
        self,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.wall_ns = wall_ns
        self.monotonic_ns = monotonic_ns

    def wall_ms(self) -> int:
        """Whole milliseconds since the Unix epoch."""
        return self.wall_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """Whole milliseconds since the arbitrary start."""
        return self.monotonic_ns() // 1_000_000

    def tell(self, timed: Timed) -> int:
        """Tell the time, in whole milliseconds; gives the `monotonic_ns()` until which it is right.

        So whoever is told often enough needs it once for a millisecond.
        """
        now_ms = self.monotonic_ms()
        timed.now_ms = now_ms
        timed.clock_offset_ms = self.wall_ms() - now_ms
        return (now_ms + 1) * 1_000_000


SYSTEM_CLOCK = Clock()
