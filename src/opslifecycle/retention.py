"""Which feed rows are kept: first in, first out. Knows nothing of watchers or barriers."""

from __future__ import annotations

from collections import deque
from typing import Any


class Retention(deque[Any]):
    """The records in the order in which their feed rows leave; new ones are appended.

    Called by whoever decides.
    """

    __slots__ = ("rows_max",)

    def __init__(self, rows_max: int) -> None:
        super().__init__()
        self.rows_max = rows_max

    def overdue(self) -> list[Any]:
        """Let go of what is over the limit, oldest first."""
        let_go = []
        while len(self) > self.rows_max:
            let_go.append(self.popleft())
        return let_go

    def undo(self, admitted: int, let_go: list[Any]) -> None:
        """Take back so many admissions, and what was let go since, given oldest first."""
        self.extendleft(reversed(let_go))
        for _ in range(admitted):
            self.pop()
