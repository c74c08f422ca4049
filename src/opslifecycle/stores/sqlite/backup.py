"""A backup of a store's file, made by SQLite while others use it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from opslifecycle.errors import PersistenceError
from opslifecycle.stores.sqlite.connection import connect, existing
from opslifecycle.stores.sqlite.failures import failure_of
from opslifecycle.stores.sqlite.files import cause_of


def back_up(path: Path, target: Path) -> None:
    """Write what has been committed to a store into a new file, which only its owner can read.

    Args:
        path: The store.
        target: The new file.

    Raises:
        PersistenceError: The store cannot be read, or the file exists or cannot be written.
    """
    file = existing(path)
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        reason = f"the backup cannot be written: {cause_of(error, 'name another file')}"
        raise PersistenceError(str(target), reason) from error
    try:
        with (
            closing(connect(file.path, "ro")) as source,
            closing(connect(target.absolute(), "rw")) as copy,
        ):
            source.backup(copy)
    except BaseException as error:
        target.unlink(missing_ok=True)
        if isinstance(error, sqlite3.Error):
            raise failure_of(str(path), file.path, error, reading=True) from error
        raise
