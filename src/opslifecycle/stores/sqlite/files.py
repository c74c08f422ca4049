"""The file at the path of a store: a regular file, nothing yet, or something that is no store."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from pathlib import Path

import attrs
from opslifecycle.errors import InvalidValueError, PersistenceError

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_REASONS = {
    errno.EACCES: "no permission to look into its folder; change the mode of the folder",
    errno.ELOOP: "its symbolic links form a loop; remove one",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.ENOTDIR: "a part of the path is no folder; name another path",
}
#: The mounts that this process sees; their paths have octal codes for white space.
_MOUNTS = Path("/proc/self/mountinfo")
_OCTAL = re.compile(rb"\\([0-7]{3})")
#: What is wrong with the system or the file system, and not with one file.
_OF_THE_SYSTEM = {
    errno.EMFILE: "this process has too many files open; close some, or raise `ulimit -n`",
    errno.ENFILE: "the system has too many files open; end some programs",
    errno.ENOSPC: "the disk is full; free some space, then call again",
    errno.EDQUOT: "the disk quota is used up; free some space, then call again",
    errno.EROFS: "it is on a read-only file system; mount it for writing, or move the store",
}


@attrs.frozen
class StoreFile:
    """A path with every symbolic link resolved, as SQLite resolves them for the files beside it.

    It is absolute, so that a program may change its working folder while a store is open.
    """

    path: Path
    #: Identifies the file, also if another one replaces it; None if there is no file yet.
    inode: int | None
    #: Its length in bytes.
    size: int = 0
    #: How many names (hard links) it has.
    names: int = 1

    def beside(self, suffix: str) -> Path:
        """Return the path of one of the files that belong to the store."""
        return self.path.with_name(f"{self.path.name}{suffix}")

    def has_other_names(self) -> bool:
        """Return whether the file has hard links, other than those with which it was made.

        SQLite finds the log of a database by its name, so what is written by one name is not seen
        by the other, and is lost.
        """
        if self.names < 2:
            return False
        # Counted before the names, because a process that makes a store removes its own meanwhile.
        own = len(self._names_of_its_making())
        try:
            return os.stat(self.path).st_nlink - own > 1
        except OSError:
            return False

    def is_mounted_alone(self) -> bool:
        """Return whether the file is a mount of its own, so that its log is not beside it.

        Linux alone can mount a file; containers do so with a volume for a file.
        """
        own = os.fsencode(self.path)
        try:
            mounts = _MOUNTS.read_bytes()
        except OSError:
            return False
        points = (each.split(b" ")[4] for each in mounts.splitlines())
        return any(
            _OCTAL.sub(lambda code: bytes([int(code[1], 8)]), each) == own for each in points
        )

    def _names_of_its_making(self) -> list[str]:
        """Return the names that `create` and a backup give a file before it has its own."""
        name = re.escape(self.path.name)
        own = re.compile(rf"\.{name}\.[0-9a-f]{{16}}|{name}\.\w{{8}}\.part")
        with contextlib.suppress(OSError), os.scandir(self.path.parent) as entries:
            return [
                each.name
                for each in entries
                if each.inode() == self.inode and own.fullmatch(each.name)
            ]
        return []

    def is_in_place(self) -> bool:
        """Return whether the path still leads to this file."""
        try:
            return os.stat(self.path).st_ino == self.inode
        except FileNotFoundError:
            return False
        except OSError:
            # An error of the path does not show that the file was replaced.
            return True


def cause_of(error: OSError, fix: str = "") -> str:
    """Return what has failed, with what to do about it.

    Args:
        error: The failure of a call of the operating system.
        fix: What to do if the failure is one of the file, and not of the system.
    """
    named = _OF_THE_SYSTEM.get(error.errno or 0)
    return named or f"{error.strerror or error}{fix and f'; {fix}'}"


def lacks_descriptors() -> str | None:
    """Return the cause if this process can open no further file; None if it can."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return cause_of(error)
    return None


def check_path(path: Path) -> Path:
    """Return a path after a check.

    Raises:
        InvalidValueError: SQLite would not interpret it as the path of a file.
    """
    text = str(path)
    if text == ":memory:":
        reason = "':memory:' names no file, and no other process could read it; use MemoryStore()"
        raise InvalidValueError("path", reason)
    if text.startswith("file:"):
        raise InvalidValueError(
            "path", f"expected the path of a file, got the URI {text!r}; leave out file: and ?…"
        )
    if "\0" in text:
        raise InvalidValueError("path", f"expected a path without NUL, got {text!r}")
    return path


def locate(path: Path) -> StoreFile:
    """Locate the file at a path, without creating it.

    Raises:
        PersistenceError: The path leads to something that is no regular file, or cannot be read.
    """
    try:
        resolved = Path(os.path.realpath(path))
    except FileNotFoundError as error:
        # A relative path begins in the current folder.
        cause = "the current folder was deleted; change into another one"
        raise PersistenceError(str(path), cause) from error
    try:
        found = os.stat(path)
    except FileNotFoundError:
        if os.path.islink(path):
            cause = f"it is a symbolic link to {os.readlink(path)}, which does not exist; remove it"
            raise PersistenceError(str(path), cause) from None
        return StoreFile(resolved, None)
    except OSError as error:
        cause = _REASONS.get(error.errno or 0) or cause_of(error)
        raise PersistenceError(str(path), cause) from error
    for is_kind, words in _KINDS:
        if is_kind(found.st_mode):
            raise PersistenceError(
                str(path), f"it is {words}, and a store is a regular file; name another path"
            )
    return StoreFile(resolved, found.st_ino, found.st_size, found.st_nlink)
