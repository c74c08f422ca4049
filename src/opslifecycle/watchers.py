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

    __slots__ = ("_cells",)

    def __init__(self) -> None:
        self._cells: dict[IdT, dict[Cell[OutcomeT], None]] = {}

    def add(self, id: IdT) -> Cell[OutcomeT]:
        """A new pending watch of `id`."""
        cell: Cell[OutcomeT] = Cell(self, id)
        self._cells.setdefault(id, {})[cell] = None
        return cell

    def count(self, id: IdT) -> int:
        """How many watches of `id` are pending and still wanted."""
        return len(self._cells.get(id, ()))

    def resolve(self, record: Ended) -> Iterable[Waker]:
        """Give every watch of a record its outcome."""
        cells = self._cells.pop(record.id, None)
        if cells is None:
            return ()
        return [waker for cell in cells for waker in cell.resolve(record.terminal_outcome)]

    def close(self, id: IdT) -> Iterable[Waker]:
        """End every watch of `id` with ChannelClosedError."""
        cells = self._cells.pop(id, ())
        return [waker for cell in cells for waker in cell.fail(ChannelClosedError())]

    def close_all(self) -> Iterable[Waker]:
        """End every watch with ChannelClosedError."""
        return [waker for id in list(self._cells) for waker in self.close(id)]

    def forget(self, cell: Cell[Any]) -> None:
        """Stop counting a watch that nobody wants any longer."""
        cells = self._cells.get(cell.key)
        if cells is not None:
            cells.pop(cell, None)
            if not cells:
                del self._cells[cell.key]
