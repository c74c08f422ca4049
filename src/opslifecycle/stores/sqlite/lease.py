"""Who owns a stored registry: the decision from its lease and from a lock that ends with a process.

The lease is a row in the store, renewed by heartbeat and limited by the wall clock. The lock is on
a file beside the store, and the operating system frees it when its process ends (`lease_file.py`).

| lock | no owner in the row | lease valid | lease expired | lease ends later than one can |
|---|---|---|---|---|
| held by a process | held | held | not responding | held |
| free, and the owner's own | free | free | free | free |
| not known | free | held | free | undecided |

A free lock is the owner's own if it was taken on the same file under the same running kernel: then
its owner has ended. Host names and process ids appear in messages only, because two containers may
share them. A lease that ends later than one can was written before the clock was set back, or by a
host whose clock is ahead: a process that wants the registry shortens it, and an owner that lives
renews it.
"""

from __future__ import annotations

import enum
import os
import socket
from functools import cache
from pathlib import Path

import attrs

LEASE_MS = 10_000
BEAT_SECONDS = 3.0


class Lock(enum.Enum):
    """What the lock on a registry says."""

    HELD = enum.auto()
    #: No process holds it, and the owner in the row would.
    FREE = enum.auto()
    #: There is no lock here, or the owner may be where it does not reach.
    UNKNOWN = enum.auto()


class Ownership(enum.Enum):
    """How a registry is owned."""

    FREE = enum.auto()
    HELD = enum.auto()
    #: A process holds the lock and has not renewed its lease: it is suspended, or hangs.
    UNRESPONSIVE = enum.auto()
    #: Held, until the lease has been shortened and was not renewed.
    UNDECIDED = enum.auto()


@attrs.frozen
class Lease:
    """The lease of a registry, as its row has it."""

    #: The owner in words, for messages; None if there is none.
    owner: str | None
    #: Which lock the owner took (`lock_name`); None if it found no way to take one.
    lock: str | None
    expires_ms: int


def ownership(lease: Lease, lock: Lock, now_ms: int) -> Ownership:
    """Decide how a registry is owned; see the table of this module."""
    if lock is Lock.HELD:
        expired = lease.owner is not None and lease.expires_ms <= now_ms
        return Ownership.UNRESPONSIVE if expired else Ownership.HELD
    if lease.owner is None or lock is Lock.FREE or lease.expires_ms <= now_ms:
        return Ownership.FREE
    return Ownership.HELD if lease.expires_ms <= now_ms + LEASE_MS else Ownership.UNDECIDED


def this_owner() -> str:
    """Return this process in words."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def lock_name(inode: int) -> str | None:
    """Return what tells a lock from all others: the running kernel and the file it is on."""
    boot = _boot_id()
    return None if boot is None else f"{boot} {inode}"


@cache
def _boot_id() -> str | None:
    """Return what a kernel calls itself from one start to the next, the same in every container."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
