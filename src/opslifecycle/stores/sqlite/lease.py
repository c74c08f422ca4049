"""Who owns a stored registry: a process by its id and start, for as long as its lease runs."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from opslifecycle.clock import SYSTEM_CLOCK

LEASE_MS = 10_000
BEAT_SECONDS = 3.0


def this_owner() -> str:
    """This process, as other processes will see it."""
    return f"{socket.gethostname()} {os.getpid()} {_started(os.getpid())}"


def holder_of(owner: str) -> str:
    """An owner in words."""
    host, pid, _ = owner.split(" ")
    return f"process {pid} on {host}"


def is_dead(owner: str) -> bool:
    """Whether an owner is known to be gone; an owner on another machine never is."""
    host, pid, started = owner.split(" ")
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    # Another process may have got the id since.
    return _started(int(pid)) != started


def is_held(owner: str | None, expires_ms: int) -> bool:
    """Whether a lease is somebody's who may still be there."""
    if owner is None or expires_ms <= SYSTEM_CLOCK.wall_ms():
        return False
    return not is_dead(owner)


def _started(pid: int) -> str:
    """When a process started, in the system's own words; "?" where it does not say."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return "?"
    fields = stat.rpartition(")")[2].split()
    # A zombie runs nothing any more, whatever its parent is waiting for.
    return "?" if fields[0] in "ZX" else fields[19]
