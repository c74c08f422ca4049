"""Who waits for which entity to end. Knows nothing of barriers, feed or retention."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Generic, TypeVar

from opslifecycle.errors import ChannelClosedError
from opslifecycle.publication import Waker
from opslifecycle.waits import Cell, Ended

IdT = TypeVar("IdT", bound=Hashable)
OutcomeT = TypeVar("OutcomeT")


class Watchers(Generic[IdT, OutcomeT]):
    """One-shot watchers by id. Every method is called with the publication lock held."""

    __slots__ = ("cells",)

    def __init__(self) -> None:
        #: The pending watches; empty if nobody watches anything.
        self.cells: dict[IdT, dict[Cell[OutcomeT], None]] = {}

    def add(self, id: IdT) -> Cell[OutcomeT]:
        """A new pending watch of `id`."""
        cell: Cell[OutcomeT] = Cell(self, id)
        self.cells.setdefault(id, {})[cell] = None
        return cell

    def count(self, id: IdT) -> int:
        """How many watches of `id` are pending and still wanted."""
        return len(self.cells.get(id, ()))

    def resolve(self, record: Ended) -> Iterable[Waker]:
        """Give every watch of a record its outcome."""
        wakers: list[Waker] = []
        outcome = record.terminal_outcome
        for cell in self.cells.pop(record.id, ()):
            wakers += cell.end(outcome)
        return wakers

    def close(self, record: Ended) -> Iterable[Waker]:
        """End every watch of a record with ChannelClosedError."""
        wakers: list[Waker] = []
        for cell in self.cells.pop(record.id, ()):
            wakers += cell.fail(ChannelClosedError())
        return wakers

    def close_all(self) -> Iterable[Waker]:
        """End every watch with ChannelClosedError."""
        cells = [cell for watching in self.cells.values() for cell in watching]
        self.cells.clear()
        return [waker for cell in cells for waker in cell.fail(ChannelClosedError())]

    def forget(self, cell: Cell[Any]) -> None:
        """Stop counting a watch that nobody wants any longer."""
        cells = self.cells.get(cell.key)
        if cells is not None:
            cells.pop(cell, None)
            if not cells:
                del self.cells[cell.key]
