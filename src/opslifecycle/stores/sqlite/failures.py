"""The classification of SQLite's errors: damage, or a failure that may pass, with its cause."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from opslifecycle.errors import PersistenceError, StoreBusyError, StoreDamagedError
from opslifecycle.stores.sqlite.files import cause_of, lacks_descriptors

#: The errors of bytes that no store has written.
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
#: The errors that no statement of this package causes in an undamaged store.
_CONTRADICTIONS = {
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_SCHEMA,
}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_DENIED = {
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH,
}


def is_damage(error: Exception) -> bool:
    """Return whether an error shows that no store has written the contents of the file."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in _DAMAGE or code == sqlite3.SQLITE_IOERR_SHORT_READ


def is_fatal(error: Exception) -> bool:
    """Return whether the contents of the file are unknown after an error."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_IOERR or is_damage(error)


def failure_of(name: str, file: Path, error: Exception, *, reading: bool) -> PersistenceError:
    """Return the error to raise for a failure.

    Args:
        name: The name of the store in messages.
        file: The resolved path of the store.
        error: The failure.
        reading: Whether the statement only reads. Then a contradiction, or a text that is no UTF-8,
            is damage as well.
    """
    if isinstance(error, OSError):
        return _failure_of_system(name, error)
    code = getattr(error, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    wrong = is_damage(error) or (reading and (primary is None or primary in _CONTRADICTIONS))
    if wrong:
        return StoreDamagedError(name, 0, str(error))
    if primary in _LOCKED:
        cause = "it is locked by another program, which has not released it in time; call again"
        return StoreBusyError(name, cause)
    if primary == sqlite3.SQLITE_FULL:
        return StoreBusyError(name, "the disk is full; free some space, then call again")
    return PersistenceError(name, _cause(file, primary, error))


def _failure_of_system(name: str, error: OSError) -> PersistenceError:
    kind = StoreBusyError if error.errno in (errno.ENOSPC, errno.EDQUOT) else PersistenceError
    return kind(name, cause_of(error))


def _cause(file: Path, primary: int | None, error: Exception) -> str:
    if primary == sqlite3.SQLITE_IOERR:
        limit = _file_size_limit()
        return f"the disk has failed: {error}; check it{limit}, then open a new registry"
    if primary in _DENIED:
        return (
            lacks_descriptors()
            or _denial(file)
            or f"{error}; check the permissions of the file and its folder"
        )
    return f"{error}; call again, and check the file with `opslifecycle doctor` if it fails again"


def _file_size_limit() -> str:
    """Return a note about the limit on the size of a file, if this process has one."""
    try:
        import resource  # here, because not every system has it
    except ImportError:
        return ""
    soft, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    is_limited = soft != resource.RLIM_INFINITY
    return f" and the limit of {soft} bytes a file (ulimit -f)" if is_limited else ""


def _denial(file: Path) -> str | None:
    """Return why a file cannot be opened or written; None if no reason is visible."""
    if not file.exists():
        return "the file was deleted; restore it, or open a registry, which creates it"
    try:
        system = os.statvfs(file)
        if system.f_flag & os.ST_RDONLY:
            return "it is on a read-only file system; mount it for writing, or move the store"
        if system.f_files and not system.f_favail:
            return "the file system can hold no more files (inodes); delete some"
    except (OSError, AttributeError):
        pass
    if not os.access(file, os.R_OK):
        return "no permission to read it; run as its owner, or change its mode"
    beside = [file.with_name(f"{file.name}{suffix}") for suffix in ("-wal", "-shm")]
    for each in (file, *beside):
        if each.exists() and not each.is_file():
            return f"{each.name} is no regular file; remove it"
        if each.exists() and not os.access(each, os.W_OK):
            user = each.stat().st_uid
            if user == os.geteuid():
                protected = "it is protected against its own user"
                return f"{protected}: change the mode or attributes of {each.name}"
            return f"no permission to write {each.name}; run as user {user}, who owns it"
    if not os.access(file.parent, os.W_OK | os.X_OK):
        return f"no permission to create files in {file.parent}; change its mode"
    return None
