"""The time during which the process of a run was active."""

from __future__ import annotations

from opslifecycle.clock import SYSTEM_CLOCK

#: A longer pause between two ticks means that the process or the computer was suspended.
_STALLED_MS = 1_000


class ActiveClock:
    """A monotonic clock that does not advance while the process is suspended.

    The run calls `tick` several times a second. Between two ticks at most one second is counted.
    """

    def __init__(self) -> None:
        self._last_ms = SYSTEM_CLOCK.monotonic_ms()
        self._active_ms = 0

    def tick(self) -> float:
        """Return the active time in seconds."""
        now_ms = SYSTEM_CLOCK.monotonic_ms()
        self._active_ms += min(now_ms - self._last_ms, _STALLED_MS)
        self._last_ms = now_ms
        return self._active_ms / 1000
