"""Waiting for what another process or thread does, where no event says it."""

from __future__ import annotations

import time
from collections.abc import Callable

DEADLINE_SECONDS = 60
_LOOK_SECONDS = 0.01


def until(condition: Callable[[], object], what: object = None) -> None:
    """Wait until a condition holds.

    Args:
        condition: Is looked at a hundred times a second.
        what: Is named if it has not come within a minute; by default the condition.
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what or condition} did not come in time"
        time.sleep(_LOOK_SECONDS)
