"""Who is still there: a process is told by its id and by when it started."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from opslifecycle.stores.sqlite import lease

HOST = socket.gethostname()
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")


def fields_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def test_this_process_is_there() -> None:
    assert not lease.is_dead(lease.this_owner())


def test_an_owner_elsewhere_is_never_known_to_be_gone() -> None:
    assert lease.is_dead("elsewhere 1 1") is False


@needs_proc
def test_another_process_with_the_same_id_is_not_the_owner() -> None:
    assert lease.is_dead(f"{HOST} {os.getpid()} 1") is True


@needs_proc
def test_a_zombie_runs_nothing_any_more() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    started = fields_of(process.pid)[19]
    deadline = time.monotonic() + 30
    while fields_of(process.pid)[0] != "Z":
        assert time.monotonic() < deadline
    owner = f"{HOST} {process.pid} {started}"
    assert lease.is_dead(owner) is True
    process.wait()
    assert lease.is_dead(owner) is True


def test_a_lease_is_held_until_it_expires() -> None:
    now_ms = time.time_ns() // 1_000_000
    assert lease.is_held(lease.this_owner(), now_ms + 60_000)
    assert not lease.is_held(lease.this_owner(), now_ms - 1)
    assert not lease.is_held(None, now_ms + 60_000)
