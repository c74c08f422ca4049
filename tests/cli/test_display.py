"""What a run draws on a terminal: as many rows as there are lines, however many commands."""

from __future__ import annotations

import io
from collections import Counter, deque
from types import SimpleNamespace
from typing import Any

from opslifecycle import OperationId, OperationLifecycleSnapshot, Registry
from opslifecycle.cli.display import LiveTable
from opslifecycle.cli.running.job import Phase
from rich.console import Console

from tests.support.builders import running

_LINES, _COMMANDS = 12, 200


class ManyCommands:
    """A runner with far more commands than a terminal has lines."""

    def __init__(self) -> None:
        self._registry = Registry(max_completed=_COMMANDS)
        self._ids: list[OperationId] = [
            running(self._registry, name=f"c{n}") for n in range(_COMMANDS)
        ]
        self.events: deque[Any] = deque()
        self.counts = Counter({Phase.RUNNING: _COMMANDS})
        self.recorder = SimpleNamespace(problem=None)
        self.asked = 0

    def visible(self, rows: int) -> list[OperationLifecycleSnapshot]:
        self.asked = max(self.asked, rows)
        found = (self._registry.snapshot(id) for id in self._ids[:rows])
        return [each for each in found if each is not None]


def test_a_table_is_as_long_as_its_terminal() -> None:
    runner: Any = ManyCommands()
    drawn = io.StringIO()
    console = Console(file=drawn, force_terminal=True, width=80, height=_LINES)
    display = LiveTable(console)
    for _ in range(3):
        display.refresh(runner)
    display._live.stop()
    assert 0 < runner.asked < _LINES
    assert "200 running" in drawn.getvalue()
    names = [f"c{n}" for n in range(_COMMANDS)]
    assert sum(drawn.getvalue().count(f" {name} ") for name in names) <= 4 * _LINES
