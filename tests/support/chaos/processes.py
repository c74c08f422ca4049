"""What runs on this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from tests.support.chaos.verdict import ViolationError


def marked(mark: str) -> list[int]:
    """Return the living processes that have a mark in their environment; Linux alone tells."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # The environment of a zombie is empty.
            if mark.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


def kill_all(pids: Iterable[int]) -> None:
    """End processes by force."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def require_none(mark: str, seconds: float) -> None:
    """Require that no process with a mark is left, once it has had so many seconds to end."""
    until = time.monotonic() + seconds
    while left := marked(mark):
        if time.monotonic() > until:
            kill_all(left)
            raise ViolationError("orphan", f"processes are left: {left}")
        time.sleep(0.02)
