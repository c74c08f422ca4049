"""Connections to a store's file, which never create one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from opslifecycle.errors import InvalidValueError, PersistenceError, StoreDamagedError
from opslifecycle.stores.sqlite.catalog import refuse_other_layouts
from opslifecycle.stores.sqlite.failures import failure_of
from opslifecycle.stores.sqlite.files import StoreFile, check_path, locate
from opslifecycle.stores.sqlite.schema import LAYOUT
from opslifecycle.values import checks

#: How many seconds a statement waits for a lock of another program, if nothing else is said.
BUSY_SECONDS = 5.0
_LOCK_TIMEOUT_MAX = 3600.0


def existing(path: Path) -> StoreFile:
    """Locate an existing store.

    Raises:
        PersistenceError: There is no file, it has hard links, or it is mounted alone.
        StoreDamagedError: The file is empty.
    """
    file = present(path)
    refuse_own_mount(file, path)
    return file


def present(path: Path) -> StoreFile:
    """Locate an existing store without a look at the mounts, which takes longer."""
    file = locate(check_path(path))
    if file.inode is None:
        reason = "there is no such store; opening a registry, or `opslifecycle run`, creates it"
        raise PersistenceError(str(path), reason)
    if file.size == 0:
        raise StoreDamagedError(str(path), 0, "an existing file has a length of zero")
    if file.has_other_names():
        reason = (
            f"it has {file.names} names (hard links), and what is written by one of them is lost by"
            " the other; remove the other name, or copy the file"
        )
        raise PersistenceError(str(path), reason)
    return file


def refuse_own_mount(file: StoreFile, path: Path) -> None:
    """Check that a file is no mount of its own; raises PersistenceError if it is."""
    if file.is_mounted_alone():
        reason = (
            "it is mounted alone, and what is written by this mount is lost by others; mount its"
            " folder"
        )
        raise PersistenceError(str(path), reason)


def connect(
    file: Path, mode: str, *options: str, timeout: float | None = None
) -> sqlite3.Connection:
    """Open a file that exists; SQLite creates nothing with these modes."""
    seconds = BUSY_SECONDS if timeout is None else timeout
    uri = f"{file.as_uri()}?{'&'.join((f'mode={mode}', *options))}"
    return sqlite3.connect(
        uri, uri=True, timeout=seconds, isolation_level=None, check_same_thread=False
    )


class Connection:
    """A context manager: a connection for writing, which raises PersistenceErrors."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> sqlite3.Connection:
        self._file = existing(self._path).path
        try:
            self._database = connect(self._file, "rw")
            try:
                refuse_other_layouts(self._database, str(self._path), LAYOUT)
            except BaseException:
                self._database.close()
                raise
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise failure_of(str(self._path), self._file, error, reading=True) from error
        return self._database

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._database.close()
        if isinstance(error, sqlite3.Error | UnicodeDecodeError):
            raise failure_of(str(self._path), self._file, error, reading=False) from error


def check_lock_timeout(lock_timeout: float) -> float:
    """Return the argument of a store after a check.

    Raises:
        InvalidValueError: It is no number of seconds from 0 to 3600.
    """
    checks.exact("lock_timeout", lock_timeout, int | float)
    if not 0 <= lock_timeout <= _LOCK_TIMEOUT_MAX:
        reason = f"expected 0 to {_LOCK_TIMEOUT_MAX:g} seconds, got {checks.shown(lock_timeout)}"
        raise InvalidValueError("lock_timeout", reason)
    return lock_timeout
