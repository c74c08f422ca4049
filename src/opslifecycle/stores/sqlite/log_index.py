"""The log of a registry: rows with chained checksums, appended at one end, deleted at the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import attrs
from opslifecycle.stores.base import RecordWrite
from opslifecycle.stores.sqlite.schema import POSITION_BITS, checksum_of_row

# How many rows a log may have beyond twice the needed ones, before old rows are deleted.
_SPARE_ROWS = 256


@attrs.define
class LogIndex:
    """The index of a log: its first and last row, and which rows are still needed."""

    base: int = 0
    base_checksum: int = 0
    head: int = 0
    head_checksum: int = 0
    #: The row with the current version of each record, by id.
    latest: dict[str, int] = attrs.Factory(dict)
    #: The row of each feed entry, by sequence number, in order.
    feed: dict[int, int] = attrs.Factory(dict)


#: One row of the log: its position, kind, id, sequence, body and checksum.
Row: TypeAlias = tuple[int, str, str, int | None, str | None, int]


class Writer:
    """Changes of a log in one transaction: rows appended at the end and deleted at the beginning.

    `values` are the columns of the new rows, in order. The index does not change before `keep`,
    because the transaction may fail.
    """

    def __init__(self, number: int, index: LogIndex) -> None:
        self._first = number << POSITION_BITS
        self._index = index
        self.base, self.base_checksum = index.base, index.base_checksum
        self.head, self.head_checksum = index.head, index.head_checksum
        self.values: list[int | str | None] = []
        self._latest: dict[str, int | None] = {}
        self._feed: dict[int, int] = {}
        self._dropped_through = 0

    def latest(self, id: str) -> int | None:
        """Return the number of the row with the current version of a record."""
        return self._latest[id] if id in self._latest else self._index.latest.get(id)

    def put(self, writes: Iterable[RecordWrite]) -> None:
        """Append record writes, and feed rows for the records that have a sequence number."""
        head, checksum = self.head, self.head_checksum
        for id, sequence, body in writes:
            head += 1
            checksum = checksum_of_row(checksum, head, "put", id, sequence, body)
            self.values += (self._first + head, "put", id, sequence, body, checksum)
            self._latest[id] = head
            if sequence is not None:
                self._feed[sequence] = head
        self.head, self.head_checksum = head, checksum

    def row(self, id: str, sequence: int, body: str) -> None:
        """Append a feed row whose record was removed."""
        self._add("row", id, sequence, body)
        self._feed[sequence] = self.head

    def erase(self, id: str) -> None:
        """Append the removal of a record, if there is one."""
        if self.latest(id) is not None:
            self._add("erase", id, None, None)
            self._latest[id] = None

    def state(self, body: str) -> None:
        """Append the registry's state, the last row of every commit."""
        self._add("state", "", None, body)

    def _add(self, kind: str, id: str, sequence: int | None, body: str | None) -> None:
        head = self.head = self.head + 1
        checksum = checksum_of_row(self.head_checksum, head, kind, id, sequence, body)
        self.head_checksum = checksum
        self.values += (self._first + head, kind, id, sequence, body, checksum)

    def drop_feed(self, dropped_through: int) -> None:
        """Mark the feed rows up to a sequence number as no longer needed."""
        self._dropped_through = dropped_through

    def is_long(self) -> bool:
        """Return whether most of the log is no longer needed."""
        needed = len(self._index.latest) + len(self._index.feed)
        return self._index.head - self._index.base > 2 * needed + _SPARE_ROWS

    def retire(self, row: Row) -> None:
        """Delete the oldest row, and append it again if it is still needed."""
        position, _, id, sequence, body, checksum = row
        self.base, self.base_checksum = position, checksum
        if body is None:
            return
        if self.latest(id) == position:
            self.put([(id, sequence, body)])
        elif sequence is not None and self._feeds(sequence, position):
            # The record was erased, so only the feed needs the row.
            self.row(id, sequence, body)

    def _feeds(self, sequence: int, position: int) -> bool:
        at = self._feed.get(sequence, self._index.feed.get(sequence))
        return sequence > self._dropped_through and at == position

    def keep(self) -> None:
        """Replace the index by the changed one, after the transaction has succeeded."""
        index = self._index
        index.base, index.base_checksum = self.base, self.base_checksum
        index.head, index.head_checksum = self.head, self.head_checksum
        for id, position in self._latest.items():
            if position is None:
                index.latest.pop(id, None)
            else:
                index.latest[id] = position
        index.feed.update(self._feed)
        while index.feed and (oldest := next(iter(index.feed))) <= self._dropped_through:
            del index.feed[oldest]
