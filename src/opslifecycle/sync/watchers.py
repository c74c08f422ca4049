"""Watches of records, independent of barriers, feed and retention."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeVar

from opslifecycle.errors import ChannelClosedError
from opslifecycle.sync.waits import Ended, Waiting

IdT = TypeVar("IdT", bound=Hashable)


class Watchers(Waiting[IdT]):
    """The pending watches, by the id of their record."""

    __slots__ = ()

    def resolve(self, record: Ended[IdT, object]) -> None:
        """Set the outcome of a finished record as the result of its watches."""
        found = self.cells.get(record.id)
        if found is not None:
            outcome = record.terminal_outcome
            for cell in found:
                cell.end(outcome)
            del self.cells[record.id]

    def close(self, record: Ended[IdT, object]) -> None:
        """Fail the watches of a record with ChannelClosedError."""
        self.fail(record.id, ChannelClosedError)

    def close_all(self) -> None:
        """Fail every watch with ChannelClosedError."""
        self.fail_all(ChannelClosedError)
