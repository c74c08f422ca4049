"""Who waits for which entity to end. Knows nothing of barriers, feed or retention."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeVar

from opslifecycle.errors import ChannelClosedError
from opslifecycle.sync.waits import Ended, Waiting

IdT = TypeVar("IdT", bound=Hashable)


class Watchers(Waiting[IdT]):
    """Who watches what, by id. Called with the publication lock held."""

    __slots__ = ()

    def resolve(self, record: Ended) -> None:
        """Give the watches of a record its outcome."""
        found = self.cells.get(record.id)
        if found is not None:
            outcome = record.terminal_outcome
            for cell in found:
                cell.end(outcome)
            del self.cells[record.id]

    def close(self, record: Ended) -> None:
        """End the watches of a record with ChannelClosedError."""
        self.fail(record.id, ChannelClosedError)

    def close_all(self) -> None:
        """End every watch with ChannelClosedError."""
        self.fail_all(ChannelClosedError)
