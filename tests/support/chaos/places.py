"""Where the stores of a program under faults are: on a small disk, if one may be mounted here."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
_DISK_BYTES = 24 << 20
_NOBODY = 65534

#: Takes the write lock of a database, says so, and gives it up when standard input ends.
_LOCK = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
database.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
database.execute("ROLLBACK")
"""

#: Lists the operations of a store twice, the second time as another user. It becomes that user only
#: then, because the interpreter and the project may be where others cannot read.
_READ = """
import contextlib, io, os, sys
from opslifecycle.cli.main import main
sys.argv[1:], user = ["ls", "--json", "--store", sys.argv[1]], int(sys.argv[2])
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main()
os.setgroups([])
os.setgid(user)
os.setuid(user)
main()
"""


class Skips:
    """Faults that this machine does not allow, each with its reason."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}

    def add(self, fault: str, reason: str) -> None:
        self.reasons[fault] = reason

    def lines(self) -> list[str]:
        """Return a line for each."""
        return [f"SKIPPED: {fault}: {reason}" for fault, reason in sorted(self.reasons.items())]


@contextlib.contextmanager
def small_disk(folder: Path, skips: Skips) -> Iterator[Path]:
    """Mount a small file system on a new folder; where that is not allowed, it is a plain folder.

    Whether it can be filled is what `is_small` says.
    """
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(folder)]
    mounted = False
    with contextlib.suppress(OSError):
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    if not mounted:
        skips.add("full", "this process may not mount a file system")
    try:
        yield folder
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def is_small(folder: Path) -> bool:
    """Whether the disk of a folder is one that may be filled."""
    return folder.is_mount() and shutil.disk_usage(folder).total <= _DISK_BYTES


def fill(folder: Path) -> Path:
    """Write a file until the disk is full; returns the file."""
    path = folder / "fill"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    return path


@contextlib.contextmanager
def locked(store: Path, seconds_max: float) -> Iterator[None]:
    """Have another process hold the write lock of a store."""
    holder = subprocess.Popen(
        [sys.executable, "-S", "-c", _LOCK, str(store)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "locked\n"
        yield
    finally:
        holder.stdin.close()
        holder.stdout.close()
        holder.wait(seconds_max)


def copy_of(store: Path, target: Path) -> bool:
    """Copy a store as its documentation says; False if a suspended process has locked it."""
    target.unlink(missing_ok=True)
    try:
        with (
            contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as database,
            contextlib.closing(sqlite3.connect(target)) as copy,
        ):
            database.execute("PRAGMA busy_timeout = 200")
            database.backup(copy)
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return False
        raise
    return True


def put_back(copy: Path, store: Path) -> None:
    """Put a copy in the place of a store, as its documentation says; no process owns it."""
    for suffix in ("", "-wal", "-shm"):
        Path(f"{store}{suffix}").unlink(missing_ok=True)
    shutil.copy(copy, store)


def may_be_another_user() -> bool:
    """Whether this process can start one of another user."""
    return os.name == "posix" and os.geteuid() == 0


def read_as_another_user(store: Path) -> subprocess.CompletedProcess[str]:
    """List the operations of a store as a user who owns nothing."""
    return subprocess.run(
        [sys.executable, "-c", _READ, str(store), str(_NOBODY)], capture_output=True, text=True,
        check=False, timeout=90, cwd=ROOT,
    )  # fmt: skip


def open_to_all(folder: Path) -> None:
    """Let every user read and write a folder with stores, as on a careless machine."""
    for each in (folder, *folder.iterdir()):
        each.chmod(0o777 if each.is_dir() else 0o666)
