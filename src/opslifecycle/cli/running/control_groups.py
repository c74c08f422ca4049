"""Control groups (cgroup v2) of commands, if this process may create them.

No process leaves its control group by changing its session, process group or environment, and the
kernel kills a whole group at once. A process may create groups below its own if that was delegated:
to its user, by systemd (`Delegate=`), or as the root of its cgroup namespace.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

#: How many seconds killed processes may take to end.
_ENDING_SECONDS_MAX = 1.0
_PREFIX = "opslifecycle-"
#: The attributes by which systemd marks a delegated group.
_DELEGATED = ("user.delegate", "trusted.delegate")


def home_of_groups() -> Path | None:
    """Return the folder in which this process may create control groups; None if it may not."""
    try:
        own = _own_group(Path("/proc/self/cgroup").read_text(), _mounts())
    except (OSError, ValueError):
        return None
    if own is None or not _may_divide(*own):
        return None
    return own[0]


def group_of(home: Path, key: str) -> Path:
    """Return the folder of the group of one command."""
    return home / f"{_PREFIX}{key}"


def end_group(group: Path) -> None:
    """Kill every process in the group of a command whose keeper has ended, and remove the group."""
    with contextlib.suppress(OSError):
        (group / "cgroup.kill").write_text("1")
        until = time.monotonic() + _ENDING_SECONDS_MAX
        while "populated 1" in (group / "cgroup.events").read_text():
            if time.monotonic() > until:
                break
            time.sleep(0.001)
        group.rmdir()


def _own_group(groups: str, mounts: list[tuple[str, str]]) -> tuple[Path, bool] | None:
    """Return the folder of this process's group, and whether it is the root of the namespace."""
    for line in groups.splitlines():
        if line.startswith("0::/"):
            name = line.removeprefix("0::")
            for root, point in mounts:
                if name == root or name.startswith(root.rstrip("/") + "/"):
                    below = name.removeprefix(root).strip("/")
                    return Path(point, below), name == "/"
    return None


def _mounts() -> list[tuple[str, str]]:
    """Return the root and the place of each hierarchy of version 2 that is mounted."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.startswith("cgroup2 "):
            root, point = before.split()[3:5]
            found.append((root, point))
    return found


def _may_divide(group: Path, is_root: bool) -> bool:
    procs = group / "cgroup.procs"
    if not (os.access(group, os.W_OK) and os.access(procs, os.W_OK)):
        return False
    # Root has write permission everywhere, also for groups that systemd manages.
    return os.geteuid() != 0 or is_root or any(_has(group, each) for each in _DELEGATED)


def _has(group: Path, attribute: str) -> bool:
    try:
        return os.getxattr(group, attribute) == b"1"
    except OSError:
        return False
