"""The feed entries that a batch retains, first in, first out; independent of watches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opslifecycle.shell.authority import Authority, IdT, RecordT, Row


class Retention:
    """The rows of a feed in a batch: the published ones, and then those of the batch.

    A row is the record of a feed entry. The published rows do not change before the batch is
    published.

    Args:
        published: The rows of the feed.
        retained_from: The index of the oldest one that is retained.
        rows_max: How many are retained.
        held_by_cursors: Whether a row that not every cursor has passed is retained in any case.
        archives: Whether the store archives records that are erased with their rows.

    Attributes:
        evicted: The rows that the batch evicts, oldest first.
        left: With `archives`, those whose records were erased with them.
        erased: Whether effects of the batch have erased a record.
    """

    __slots__ = (
        "_archives",
        "_held_by_cursors",
        "_own",
        "_published",
        "_retained_from",
        "_rows_max",
        "erased",
        "evicted",
        "left",
    )

    def __init__(
        self,
        published: Sequence[Row],
        retained_from: int,
        rows_max: int,
        held_by_cursors: bool = False,
        archives: bool = False,
    ) -> None:
        self._published = published
        self._retained_from = retained_from
        self._rows_max = rows_max
        self._held_by_cursors = held_by_cursors
        self._archives = archives
        self._own: list[Row] = []
        self.evicted: list[Row] = []
        self.left: list[Row] = []
        self.erased = False

    def mark(self) -> tuple[int, int, int, bool]:
        """Return what `reset` undoes everything after."""
        return len(self._own), len(self.evicted), len(self.left), self.erased

    def reset(self, mark: tuple[int, int, int, bool]) -> None:
        """Undo what was appended and evicted since a mark."""
        own, evicted, left, self.erased = mark
        del self._own[own:], self.evicted[evicted:], self.left[left:]

    def append(self, record: Any) -> None:
        """Append the row of a finished record."""
        self._own.append(record)

    def evict(self, authority: Authority[IdT, RecordT]) -> None:
        """Evict the rows over the limit, up to the first that a cursor holds."""
        published = len(self._published)
        every = published + len(self._own)
        while every - (oldest := self._retained_from + len(self.evicted)) > self._rows_max:
            row = self._published[oldest] if oldest < published else self._own[oldest - published]
            if self._held_by_cursors and row.sequence > min(authority.cursors.values()):
                return
            held = self._archives and row.id in authority.records
            authority.evict(row.sequence, row.id)
            if held and row.id not in authority.records:
                self.left.append(row)
            self.evicted.append(row)
