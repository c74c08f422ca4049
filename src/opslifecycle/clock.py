"""The only module that reads time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol


class Timed(Protocol):
    """An authority, as the clock sees it: a monotonic time, and the offset to wall-clock time."""

    now_ms: int
    clock_offset_ms: int


class Clock:
    """Two clocks: those of the system, unless others are passed.

    `wall_ns()` returns nanoseconds since the Unix epoch, and jumps when the system's clock is set.
    `monotonic_ns()` counts from an arbitrary start and never falls.
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
        """Return whole milliseconds since the Unix epoch."""
        return self.wall_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """Return whole milliseconds since the arbitrary start."""
        return self.monotonic_ns() // 1_000_000

    def set_time(self, timed: Timed) -> int:
        """Set the time of an authority, in whole milliseconds.

        Returns:
            The `monotonic_ns()` until which that time is right, so that a busy caller reads the
            clock once for each millisecond.
        """
        now_ms = self.monotonic_ms()
        timed.now_ms = now_ms
        timed.clock_offset_ms = self.wall_ms() - now_ms
        return (now_ms + 1) * 1_000_000


SYSTEM_CLOCK = Clock()
