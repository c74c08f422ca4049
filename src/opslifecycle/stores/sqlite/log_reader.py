"""The reading of a registry's rows, with each row checked against its predecessor."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from opslifecycle.errors import StoreDamagedError
from opslifecycle.stores.base import StoreContents
from opslifecycle.stores.schema_version import SchemaVersion
from opslifecycle.stores.sqlite.catalog import RegistryRow
from opslifecycle.stores.sqlite.log_index import LogIndex, Row
from opslifecycle.stores.sqlite.schema import POSITION_BITS, POSITION_MASK, checksum_of_row
from opslifecycle.values.plain import json_of

_KINDS = {"put", "row", "erase", "state"}


class LogReader:
    """A reader of a registry's rows, from the first to the last, which checks each of them.

    `advance` continues after the last row that was read, so a repeated read takes time in
    proportion to the new rows.
    """

    def __init__(self, path: str, registry: str, schema: SchemaVersion) -> None:
        self._path = path
        self._registry = registry
        self._schema = schema
        self._written_by: tuple[int, str, int] | None = None
        self._begin(LogIndex())

    def _begin(self, index: LogIndex) -> None:
        self.index = index
        self._records: dict[str, str] = {}
        self._rows: dict[int, tuple[str, str]] = {}
        self._state: str | None = None

    def advance(self, database: sqlite3.Connection, row: RegistryRow) -> int:
        """Read the new rows, in a transaction of the caller.

        Returns:
            The version of the machine that wrote them.

        Raises:
            StoreVersionError: This program cannot read that version.
            StoreDamagedError: The rows contradict each other.
        """
        self._schema.refuse_unreadable(row.machine, row.version, self._path)
        written_by = (row.number, row.machine, row.version)
        if row.base > self.index.head or written_by != self._written_by:
            # Rows were deleted that this reader has not read. The remaining rows are complete.
            self._begin(LogIndex(row.base, row.base_checksum, row.base, row.base_checksum))
            self._written_by = written_by
        for each in self._verified(database, row.number, row.head, row.head_checksum):
            self._take(*each)
        self.index.base, self.index.base_checksum = row.base, row.base_checksum
        return row.version

    def stored(self) -> StoreContents:
        """Return the contents as they are now."""
        dropped_through = self._dropped_through()
        kept = sorted(sequence for sequence in self._rows if sequence > dropped_through)
        self._rows = {sequence: self._rows[sequence] for sequence in kept}
        positions = self.index.feed
        self.index.feed = {sequence: positions[sequence] for sequence in kept}
        return StoreContents(dict(self._records), dict(self._rows), self._state)

    def _dropped_through(self) -> int:
        if self._state is None:
            return 0
        try:
            return int(json_of(self._state).get("dropped_through", 0))
        except (ValueError, TypeError, ArithmeticError, AttributeError) as error:
            rule = f"the registry's state is no JSON: {error}"
            raise StoreDamagedError(self._path, self.index.head, rule) from None

    def _take(
        self,
        position: int,
        kind: str,
        id: str,
        sequence: int | None,
        body: str | None,
        checksum: int,
    ) -> None:
        index = self.index
        index.head, index.head_checksum = position, checksum
        if kind == "erase":
            self._records.pop(id, None)
            index.latest.pop(id, None)
        elif body is None:
            raise StoreDamagedError(self._path, position, f"a {kind} row without a body")
        elif kind == "state":
            self._state = body
        else:
            if kind == "put":
                self._records[id] = body
                index.latest[id] = position
            if sequence is not None:
                self._rows[sequence] = (id, body)
                index.feed[sequence] = position

    def _verified(
        self, database: sqlite3.Connection, number: int, head: int, head_checksum: int
    ) -> Iterator[Row]:
        """Yield the rows after the current position, each checked against its predecessor."""
        position, checksum = self.index.head, self.index.head_checksum
        found = database.execute(
            "SELECT key, kind, id, sequence, body, checksum FROM log WHERE key > ? AND key <= ?"
            " ORDER BY key",
            ((number << POSITION_BITS) + position, (number << POSITION_BITS) | POSITION_MASK),
        )
        for key, kind, id, sequence, body, row_checksum in found:
            position += 1
            if key & POSITION_MASK != position:
                raise StoreDamagedError(self._path, position, "the row is missing")
            checksum = checksum_of_row(checksum, position, kind, id, sequence, body)
            if checksum != row_checksum:
                raise StoreDamagedError(self._path, position, "the row was altered")
            if kind not in _KINDS or type(id) is not str or not _is_text_or_none(body):
                raise StoreDamagedError(self._path, position, "no store writes such a row")
            if sequence is not None and (type(sequence) is not int or sequence < 1):
                rule = f"sequence: expected a positive integer, got {sequence!r:.80}"
                raise StoreDamagedError(self._path, position, rule)
            yield position, kind, id, sequence, body, checksum
        if position < head:
            raise StoreDamagedError(self._path, position + 1, "rows are missing at the end")
        if (position, checksum) != (head, head_checksum):
            raise StoreDamagedError(self._path, head, "the head does not fit the rows")


def _is_text_or_none(value: object) -> bool:
    return value is None or type(value) is str
