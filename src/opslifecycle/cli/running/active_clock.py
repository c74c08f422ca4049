"""The time in which a run has really run."""

from __future__ import annotations

from opslifecycle.clock import SYSTEM_CLOCK

#: A longer silence of the event loop means that the process was stopped, or the machine asleep.
_STALLED_MS = 1_000


class ActiveClock:
    """A monotonic clock that stands still while the process is stopped.

    `tick` is called several times a second; what passes between two ticks counts only up to one
    second.
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
