"""The only place that reads time."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings: in whole milliseconds, and in nanoseconds for whoever reads at every turn."""

    def wall_ns(self) -> int:
        """Nanoseconds since the Unix epoch; may jump when the machine's clock is set."""

    def monotonic_ns(self) -> int:
        """Nanoseconds from an arbitrary start; never falls."""

    def wall_ms(self) -> int:
        """`wall_ns` in milliseconds."""

    def monotonic_ms(self) -> int:
        """`monotonic_ns` in milliseconds."""


class SystemClock:
    """The clocks of the machine."""

    __slots__ = ()

    wall_ns = staticmethod(time.time_ns)
    monotonic_ns = staticmethod(time.monotonic_ns)

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


SYSTEM_CLOCK = SystemClock()
