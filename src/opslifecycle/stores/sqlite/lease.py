"""The owner of a stored registry, decided by its lease and by a lock that ends with a process.

The lease is a row in the store, renewed by heartbeat and limited by the wall clock. The lock is on
a file beside the store, and the operating system frees it when its process ends (`lease_file.py`).

| lock | no owner in the row | lease valid | lease expired | lease ends too late |
|---|---|---|---|---|
| held by a process | held | held | not responding | held |
| free, and the owner's own | free | free | free | free |
| not known | free | held | free | undecided |

A free lock is the owner's own if it was taken on the same file under the same running kernel: then
its owner has ended. Host names and process ids appear in messages only, because two containers may
share them. A lease ends too late if it ends later than one that begins now. It was written before
the clock was set back, or by a host whose clock is ahead. A process that wants the registry
shortens it, and a live owner renews it.
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
    """The state of the lock on a registry."""

    HELD = enum.auto()
    #: No process holds it, and the owner in the row would hold it if its process lived.
    FREE = enum.auto()
    #: There are no locks here, or the owner may run where they have no effect.
    UNKNOWN = enum.auto()


class Ownership(enum.Enum):
    """The ownership of a registry."""

    FREE = enum.auto()
    HELD = enum.auto()
    #: A process holds the lock and has not renewed its lease: it is suspended, or hangs.
    UNRESPONSIVE = enum.auto()
    #: Treated as held, until the lease was shortened and then not renewed.
    UNDECIDED = enum.auto()


@attrs.frozen
class Lease:
    """The lease in the row of a registry."""

    #: The description of the owner, for messages; None if there is none.
    owner: str | None
    #: The name of the owner's lock (`lock_name`); None if there are no locks.
    lock: str | None
    expires_ms: int


def ownership(lease: Lease, lock: Lock, now_ms: int) -> Ownership:
    """Return the ownership of a registry, by the table of this module."""
    if lock is Lock.HELD:
        expired = lease.owner is not None and lease.expires_ms <= now_ms
        return Ownership.UNRESPONSIVE if expired else Ownership.HELD
    if lease.owner is None or lock is Lock.FREE or lease.expires_ms <= now_ms:
        return Ownership.FREE
    return Ownership.HELD if lease.expires_ms <= now_ms + LEASE_MS else Ownership.UNDECIDED


def this_owner() -> str:
    """Return the description of this process."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def lock_name(inode: int) -> str | None:
    """Return the name of a lock: the running kernel and the file. None if the kernel is unknown."""
    boot = _boot_id()
    return None if boot is None else f"{boot} {inode}"


@cache
def _boot_id() -> str | None:
    """Return the identifier of the running kernel, the same in every container; None if unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
