"""The file beside a store with the locks and the notes of its owners.

`<store>-lease` has one slot for each registry. The owner of a registry holds a lock on its slot as
long as its process lives, and notes there how far it has written the log. The note is not part of a
backup, so it distinguishes a restored older copy of the store from the store itself.

The lock is an open file description lock of Linux. It does not depend on process ids, reaches every
container and every client of NFS version 4, and ends with the process even if that is killed. A
forked child closes its copy, because it would keep the lock alive. Where the platform or the file
system has no such lock, the lease in the store decides alone.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import struct
import weakref
from pathlib import Path

import attrs
from opslifecycle.errors import PersistenceError
from opslifecycle.stores.sqlite.files import StoreFile, cause_of
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
_NO_FILE = "it is no regular file; remove it"
#: What opening a folder, a socket, or a symbolic link says.
_OF_OTHER_KINDS = (errno.EISDIR, errno.ENXIO, errno.ELOOP)
_HELD = (errno.EACCES, errno.EAGAIN)


@attrs.frozen
class Note:
    """The note of a registry's last owner."""

    #: Identifies one numbering of the registry's feed.
    token: bytes
    fencing_token: int
    head: int


class LeaseFile:
    """An open lease file. An owner locks one slot and writes to it; a reader only reads."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        # Closes its descriptor once, however often an interrupt repeats `close`, and when it is
        # collected: a leaked descriptor would hold the lock until the process ends.
        self._file = io.FileIO(handle, "r")
        self.inode = os.fstat(handle).st_ino
        #: Whether this object holds a lock.
        self.holds = False
        _OPEN.add(self)

    @classmethod
    def of_owner(cls, store: StoreFile) -> LeaseFile:
        """Open the file for writing, and create it if there is none.

        Raises:
            PersistenceError: The file cannot be opened.
        """
        path = store.beside(SUFFIX)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
        try:
            handle = os.open(path, flags, 0o600)
        except OSError as error:
            cause = (
                _NO_FILE if error.errno in _OF_OTHER_KINDS else cause_of(error, "change its mode")
            )
            raise PersistenceError(str(path), cause) from error
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise PersistenceError(str(path), _NO_FILE)
        _share_as(store.path, handle)
        return cls(path, handle)

    @classmethod
    def of_reader(cls, store: StoreFile) -> LeaseFile | None:
        """Open the file for reading; return None if it is missing or unreadable."""
        flags = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0)
        try:
            handle = os.open(store.beside(SUFFIX), flags)
        except OSError:
            return None
        return cls(store.beside(SUFFIX), handle)

    @property
    def lock_name(self) -> str | None:
        """The name of a lock in this file, which its owner writes into the lease."""
        return lock_name(self.inode)

    def take(self, number: int, owners: str | None) -> Lock:
        """Acquire the lock of a registry if it is free, and return its state before.

        Args:
            number: The number of the registry.
            owners: The name of the lock that the owner in the row took.
        """
        try:
            self._control(_SET, number)
        except OSError as error:
            return Lock.HELD if error.errno in _HELD else Lock.UNKNOWN
        self.holds = True
        return self._said(owners)

    def probe(self, number: int, owners: str | None) -> Lock:
        """Return the state of a registry's lock, without acquiring it."""
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
        if not command or struct.calcsize("P") != 8 or self._file.closed:
            raise OSError(errno.ENOTSUP, "no locks here")
        request = struct.pack(_FLOCK, fcntl.F_WRLCK, 0, number * _SLOT.size, _SLOT.size, 0)
        return bytes(fcntl.fcntl(self._file, command, request))

    def note_of(self, number: int) -> Note | None:
        """Return the note of a registry; None if there is none."""
        if self._file.closed:
            return None
        try:
            data = os.pread(self._file.fileno(), _SLOT.size, number * _SLOT.size)
        except OSError:
            return None
        if len(data) < _SLOT.size or not any(data):
            return None
        return Note(*_SLOT.unpack(data))

    def write(self, number: int, note: Note) -> None:
        """Write the note of a registry to the operating system, but not to the disk."""
        if not self._file.closed:
            data = _SLOT.pack(note.token, note.fencing_token, note.head)
            os.pwrite(self._file.fileno(), data, number * _SLOT.size)

    def sync(self) -> None:
        """Flush the notes to the disk."""
        if not self._file.closed:
            os.fsync(self._file.fileno())

    def is_in_place(self) -> bool:
        """Return whether the path of the file still leads to this file."""
        try:
            return os.stat(self.path).st_ino == self.inode
        except OSError:
            return False

    def close(self) -> None:
        """Close the file, which releases its locks."""
        self._file.close()


def _share_as(store: Path, handle: int) -> None:
    """Give the lease file the permissions of its store."""
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
