"""A backup of a store's file, made by SQLite while others use it."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from opslifecycle.errors import PersistenceError
from opslifecycle.stores.sqlite.connection import connect, existing
from opslifecycle.stores.sqlite.failures import failure_of
from opslifecycle.stores.sqlite.files import StoreFile, cause_of

_BESIDE = ("-journal", "-wal", "-shm")
#: What a file system without hard links says of one.
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def back_up(path: Path, target: Path, check: Callable[[Path], None] | None = None) -> None:
    """Write what has been committed to a store into a new file, which only its owner can read.

    The file is complete when it gets its name. Until then its name ends with `.part`.

    Args:
        path: The store.
        target: The new file.
        check: Called with the complete copy before it gets its name; what it raises prevents that.

    Raises:
        PersistenceError: The store cannot be read, or the file exists or cannot be written.
    """
    file = existing(path)
    try:
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        # Only its owner can read it from the start.
        descriptor, name = tempfile.mkstemp(".part", f"{target.name}.", target.parent)
    except OSError as error:
        raise _not_written(target, error) from error
    part = Path(name).absolute()
    try:
        _copy(file, part, f"{path}, copied to {target}")
        if check is not None:
            check(part)
        os.fsync(descriptor)
        _name(part, target)
    except OSError as error:
        raise _not_written(target, error) from error
    finally:
        os.close(descriptor)
        for each in (part, *(part.with_name(f"{part.name}{end}") for end in _BESIDE)):
            each.unlink(missing_ok=True)


def _copy(file: StoreFile, part: Path, name: str) -> None:
    try:
        with closing(connect(file.path, "ro")) as source, closing(connect(part, "rw")) as copy:
            source.backup(copy)
            # One file, which can be read where nothing can be written beside it.
            copy.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise failure_of(name, file.path, error, reading=True) from error


def _name(part: Path, target: Path) -> None:
    """Give a complete file its name, unless another file has it meanwhile."""
    try:
        os.link(part, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        part.rename(target)
    # Some systems cannot open a folder; there the name is durable when the system says so.
    with contextlib.suppress(OSError):
        folder = os.open(target.absolute().parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _not_written(target: Path, error: OSError) -> PersistenceError:
    reason = f"the backup cannot be written: {cause_of(error, 'name another file')}"
    return PersistenceError(str(target), reason)
