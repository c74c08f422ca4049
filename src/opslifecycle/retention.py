"""Which feed rows are kept: first in, first out. Knows nothing of watchers or barriers."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

IdT = TypeVar("IdT")


class Retention(Generic[IdT]):
    """The order in which feed rows leave. Called with the publication lock held."""

    __slots__ = ("_rows", "_rows_max")

    def __init__(self, rows_max: int) -> None:
        self._rows_max = rows_max
        self._rows: deque[tuple[int, IdT]] = deque()

    def admit(self, sequence: int, id: IdT) -> None:
        """Keep a new row, the latest of all."""
        self._rows.append((sequence, id))

    def overdue(self) -> Sequence[tuple[int, IdT]]:
        """Let go of what is over the limit: sequence and id of each row, oldest first."""
        let_go = []
        while len(self._rows) > self._rows_max:
            let_go.append(self._rows.popleft())
        return let_go

    def undo(self, admitted: int, let_go: list[tuple[int, IdT]]) -> None:
        """Take back so many admissions, and what was let go since, given oldest first."""
        self._rows.extendleft(reversed(let_go))
        for _ in range(admitted):
            self._rows.pop()
