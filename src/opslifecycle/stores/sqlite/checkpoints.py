"""Checkpoints: the write-ahead log of a store is copied into its file and limited in its length."""

from __future__ import annotations

import sqlite3

from opslifecycle.logs import EventLog

_log = EventLog("sqlite")

#: The maximum length of the write-ahead log after a checkpoint, in bytes.
_LOG_BYTES_MAX = 4 * 1024 * 1024
#: A checkpoint between two commits is due after about 1,000 pages. If a reader prevents it, SQLite
#: tries one within a commit at 4,000, and a warning is logged at 16,000.
_PAGES_OF_CHECKPOINT, _PAGES_AT_LAST, _PAGES_OF_WARNING = 1000, 4000, 16_000
_PAGES_OF_COMMIT = 3


class Checkpoints:
    """The checkpoints of one open store."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._pages_written = 0
        self._has_warned = False

    def limit(self, database: sqlite3.Connection) -> None:
        """Set the limits of the log for a connection."""
        database.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES_MAX}")
        database.execute(f"PRAGMA wal_autocheckpoint = {_PAGES_AT_LAST}")

    def note(self, rows: int) -> None:
        """Count a commit by the number of its rows."""
        self._pages_written += _PAGES_OF_COMMIT + rows

    def run(self, database: sqlite3.Connection) -> None:
        """Run a checkpoint if one is due; log a warning once if a reader prevents it for long."""
        if self._pages_written < _PAGES_OF_CHECKPOINT:
            return
        self._pages_written = 0
        try:
            _, logged, copied = database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error:
            # The log grows until a checkpoint succeeds, and the next commit reports the cause.
            return
        if logged - copied > _PAGES_OF_WARNING and not self._has_warned:
            self._has_warned = True
            text = "%s: the write-ahead log has %d pages, because a program reads without an end"
            _log.warning("log_grows", text, self._name, logged)
