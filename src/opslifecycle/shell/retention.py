"""Which feed rows a batch keeps: first in, first out. Knows nothing of watchers or barriers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Retention:
    """The rows of a feed as a batch has them: those that are published, and then its own.

    What is published stays as it is; `evicted` is what is to leave it with the batch, oldest first.
    `erased` says whether a record has left by its own effects.
    """

    __slots__ = (
        "_held_by_cursors",
        "_own",
        "_published",
        "_retained_from",
        "_rows_max",
        "erased",
        "evicted",
    )

    def __init__(
        self,
        published: Sequence[Any],
        retained_from: int,
        rows_max: int,
        held_by_cursors: bool = False,
    ) -> None:
        self._published = published
        self._retained_from = retained_from
        self._rows_max = rows_max
        self._held_by_cursors = held_by_cursors
        self._own: list[Any] = []
        self.evicted: list[Any] = []
        self.erased = False

    def append(self, record: Any) -> None:
        """Keep one more."""
        self._own.append(record)

    def evict(self, authority: Any) -> None:
        """Evict what is over the limit, up to the first entry that a cursor has not passed."""
        published = len(self._published)
        every = published + len(self._own)
        while every - (oldest := self._retained_from + len(self.evicted)) > self._rows_max:
            row = self._published[oldest] if oldest < published else self._own[oldest - published]
            if self._held_by_cursors and row.sequence > min(authority.cursors.values()):
                return
            authority.evict(row.sequence, row.id)
            self.evicted.append(row)
