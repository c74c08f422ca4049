"""Who waits for which entity to end. Knows nothing of barriers, feed or retention."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Generic, TypeVar

from opslifecycle.errors import ChannelClosedError
from opslifecycle.sync.publication import Waker
from opslifecycle.sync.waits import Cell, Ended

IdT = TypeVar("IdT", bound=Hashable)
OutcomeT = TypeVar("OutcomeT")


class Watchers(Generic[IdT, OutcomeT]):
    """Who watches what, by id: one cell for all watches of the same.

    Every method is called with the publication lock held.
    """

    __slots__ = ("cells",)

    def __init__(self) -> None:
        #: What is watched; empty if nothing is.
        self.cells: dict[IdT, Cell[OutcomeT]] = {}

    def add(self, id: IdT) -> Cell[OutcomeT]:
        """The cell of `id`, for one more pending watch."""
        cell = self.cells.get(id)
        if cell is None:
            cell = self.cells[id] = Cell(self, id)
        else:
            cell.wanted += 1
        return cell

    def count(self, id: IdT) -> int:
        """How many watches of `id` are pending and still wanted."""
        cell = self.cells.get(id)
        return 0 if cell is None else cell.wanted

    def resolve(self, record: Ended) -> Iterable[Waker]:
        """Give the watches of a record its outcome."""
        cell = self.cells.pop(record.id, None)
        return () if cell is None else cell.end(record.terminal_outcome)

    def close(self, record: Ended) -> Iterable[Waker]:
        """End the watches of a record with ChannelClosedError."""
        cell = self.cells.pop(record.id, None)
        return () if cell is None else cell.fail(ChannelClosedError())

    def close_all(self) -> Iterable[Waker]:
        """End every watch with ChannelClosedError."""
        cells = list(self.cells.values())
        self.cells.clear()
        return [waker for cell in cells for waker in cell.fail(ChannelClosedError())]

    def forget(self, cell: Cell[Any]) -> None:
        """Forget what nobody watches any longer."""
        del self.cells[cell.key]
