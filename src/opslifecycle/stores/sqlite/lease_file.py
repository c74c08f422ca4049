"""The file beside a store that holds the locks of its owners, and what they last wrote.

`<store>-lease` has one slot for each registry. The owner of a registry holds a lock on its slot for
as long as its process lives, and notes there how far it has written. The note tells an older copy
of the store, put back in its place, from the store that it replaced: it is no part of a backup.

The lock is an open file description lock of Linux. It does not depend on process ids, reaches every
container and every client of NFS version 4, and ends with the process even if that is killed. A
forked child closes its copy, because it would keep the lock alive. Where the platform or the file
system has no such lock, the lease in the store decides alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct
import weakref
from pathlib import Path

import attrs
from opslifecycle.errors import PersistenceError
from opslifecycle.stores.sqlite.files import StoreFile
from opslifecycle.stores.sqlite.lease import Lock, lock_name

try:
    import fcntl

    _SET, _GET = fcntl.F_OFD_SETLK, fcntl.F_OFD_GETLK
except (ImportError, AttributeError):
    _SET = _GET = 0

SUFFIX = "-lease"

#: `struct flock` of 64-bit Linux: type, whence, start, length, process id.
_FLOCK = "hhqqi4x"
_SLOT = struct.Struct("<16sqq")
_HELD = (errno.EACCES, errno.EAGAIN)


@attrs.frozen
class Note:
    """What the last owner of a registry noted."""

    #: Names one numbering of the registry's feed.
    token: bytes
    fencing_token: int
    head: int


class LeaseFile:
    """An open lease file. An owner locks one slot and writes to it; a reader only looks."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle: int | None = handle
        self.inode = os.fstat(handle).st_ino
        #: Whether a lock was taken here.
        self.holds = False
        _OPEN.add(self)

    @classmethod
    def of_owner(cls, store: StoreFile) -> LeaseFile:
        """Open the file for writing, and create it if there is none.

        Raises:
            PersistenceError: If it cannot be opened.
        """
        path = store.beside(SUFFIX)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
        try:
            handle = os.open(path, flags, 0o600)
        except OSError as error:
            raise PersistenceError(str(path), str(error.strerror)) from error
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise PersistenceError(str(path), "it is no regular file; remove it")
        _share_as(store.path, handle)
        return cls(path, handle)

    @classmethod
    def of_reader(cls, store: StoreFile) -> LeaseFile | None:
        """Open the file for reading; None if there is none, or none that may be read."""
        flags = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0)
        try:
            handle = os.open(store.beside(SUFFIX), flags)
        except OSError:
            return None
        return cls(store.beside(SUFFIX), handle)

    @property
    def lock_name(self) -> str | None:
        """What an owner that holds a lock here writes into its lease."""
        return lock_name(self.inode)

    def take(self, number: int, owners: str | None) -> Lock:
        """Take the lock of a registry, and return what it said before.

        Args:
            number: The registry's.
            owners: Which lock the owner in the row took.
        """
        try:
            self._control(_SET, number)
        except OSError as error:
            return Lock.HELD if error.errno in _HELD else Lock.UNKNOWN
        self.holds = True
        return self._said(owners)

    def probe(self, number: int, owners: str | None) -> Lock:
        """Return what the lock of a registry says, without taking it."""
        try:
            found = self._control(_GET, number)
        except OSError:
            return Lock.UNKNOWN
        held = struct.unpack(_FLOCK, found)[0] != fcntl.F_UNLCK
        return Lock.HELD if held else self._said(owners)

    def _said(self, owners: str | None) -> Lock:
        own = owners is not None and owners == self.lock_name
        return Lock.FREE if own else Lock.UNKNOWN

    def _control(self, command: int, number: int) -> bytes:
        if not command or struct.calcsize("P") != 8 or self._handle is None:
            raise OSError(errno.ENOTSUP, "no locks here")
        request = struct.pack(_FLOCK, fcntl.F_WRLCK, 0, number * _SLOT.size, _SLOT.size, 0)
        return bytes(fcntl.fcntl(self._handle, command, request))

    def note_of(self, number: int) -> Note | None:
        """Return what was noted of a registry; None if nothing was."""
        if self._handle is None:
            return None
        try:
            data = os.pread(self._handle, _SLOT.size, number * _SLOT.size)
        except OSError:
            return None
        if len(data) < _SLOT.size or not any(data):
            return None
        return Note(*_SLOT.unpack(data))

    def write(self, number: int, note: Note) -> None:
        """Note how far a registry is written, as far as the operating system is concerned."""
        if self._handle is not None:
            data = _SLOT.pack(note.token, note.fencing_token, note.head)
            os.pwrite(self._handle, data, number * _SLOT.size)

    def sync(self) -> None:
        """Have the notes on the disk."""
        if self._handle is not None:
            os.fsync(self._handle)

    def is_in_place(self) -> bool:
        """Return whether other processes find this file, and not another one or none."""
        try:
            return os.stat(self.path).st_ino == self.inode
        except OSError:
            return False

    def close(self) -> None:
        """Close the file, which releases its locks."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)


def _share_as(store: Path, handle: int) -> None:
    """Let those who may use a store use its lease file, too."""
    with contextlib.suppress(OSError):
        found = os.stat(store)
        if stat.S_IMODE(os.fstat(handle).st_mode) != found.st_mode & 0o666:
            os.fchmod(handle, found.st_mode & 0o666)
        if os.geteuid() == 0:
            os.fchown(handle, found.st_uid, found.st_gid)
        else:
            os.fchown(handle, -1, found.st_gid)


_OPEN: weakref.WeakSet[LeaseFile] = weakref.WeakSet()


def _close_all() -> None:
    # Closing releases nothing here: the parent's descriptor refers to the same lock.
    for each in list(_OPEN):
        each.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_all)
