"""Transactions, and the statement that appends the rows of a whole commit."""

from __future__ import annotations

import sqlite3
from functools import cache

from opslifecycle.errors import OwnershipLostError

_COLUMNS = 6

#: The number of rows is rounded up to a multiple of this, so that few statements are prepared. The
#: statement skips the rows that fill it.
_STEP_ROWS = 8
_VALUES_MAX = 2048 * _COLUMNS


class Transaction:
    """Several statements that succeed or fail together."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is None:
            try:
                self._database.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise
        else:
            self._roll_back()

    def _roll_back(self) -> None:
        """Undo the transaction. If that fails, the connection is still in a transaction."""
        try:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
        except sqlite3.Error:
            pass


def append_rows(
    database: sqlite3.Connection, number: int, fencing_token: int, values: list[int | str | None]
) -> None:
    """Append rows to a registry's log, all or none, if this process still has the fencing token.

    Rows that fit into one statement are a transaction of their own: SQLite releases the
    interpreter's lock once for the whole, and other threads run while the disk works.

    Raises:
        OwnershipLostError: Another process has taken over the registry; nothing was appended.
    """
    if not values:
        # A registry whose process ended before its first commit has nothing to be written anew.
        return
    if len(values) > _VALUES_MAX:
        if not database.in_transaction:
            with Transaction(database):
                append_rows(database, number, fencing_token, values)
            return
        for start in range(0, len(values), _VALUES_MAX):
            append_rows(database, number, fencing_token, values[start : start + _VALUES_MAX])
        return
    count = len(values) // _COLUMNS
    size = -(-count // _STEP_ROWS) * _STEP_ROWS if count > 2 else count
    filled = values + [None] * (_COLUMNS * (size - count))
    if database.execute(_statement(size), (*filled, number, fencing_token)).rowcount != count:
        raise OwnershipLostError


@cache
def _statement(size: int) -> str:
    row = f"({', '.join('?' * _COLUMNS)})"
    rows = ", ".join([row] * size)
    return (
        f"INSERT INTO log SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
        " AND EXISTS (SELECT 1 FROM registries WHERE number = ? AND fence = ?)"
    )
