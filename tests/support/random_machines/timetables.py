"""When the timers of records are due, as the language says it and not as a registry plans it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from attrs import define
from opslifecycle.shell.messages import retry_seconds
from opslifecycle_codegen.ir.program import Program, Timer
from opslifecycle_codegen.modelcheck.interpreter import Interpreter
from opslifecycle_codegen.modelcheck.state import Call

Key = tuple[str, int]


@define(eq=False)
class Due:
    """One timer of one record."""

    due_ms: int
    #: When it is tried next; the time at which it is due, unless it was refused.
    at_ms: int
    #: Which of two was set first.
    number: int
    failures: int = 0
    #: False once its action was accepted, although it would be due again at the same time.
    waits: bool = True


class Timetable:
    """The timers that are set, as the records say it."""

    def __init__(self, interpreter: Interpreter) -> None:
        program: Program = interpreter.program
        function = interpreter.evaluator.function
        self._entity = str(program.machine.entity)
        self._timers: list[tuple[Timer, Any]] = [(t, function(t.due)) for t in program.timers]
        self._given = [
            tuple((name, function(tree)({})) for name, tree in t.given.items())
            for t in program.timers
        ]
        self._dues: dict[Key, Due] = {}
        #: When the status of each record began, and that of each of its regions.
        self._begun_ms: dict[tuple[str, str | None], int] = {}
        self._regions: list[str | None] = [None, *map(str, program.machine.statuses.regions)]
        self._number = 0

    def begin(self, id: str, moves: Collection[str] | None, now_ms: int) -> None:
        """Have the status of a record begin, and those of some of its regions, or of all."""
        for region in self._regions:
            if region is None or moves is None or region in moves:
                self._begun_ms[id, region] = now_ms

    def forget_plan(self) -> None:
        """Leave nothing but what records say, as a process that ends."""
        self._dues = {}

    def note(self, id: str, record: Any) -> None:
        """Set the timers of a record as it is now; one that is due as before stays as it is."""
        for place in range(len(self._timers)):
            due_ms = self._due(place, record)
            before = self._dues.get((id, place))
            if before is not None and before.due_ms == due_ms:
                continue
            self._dues.pop((id, place), None)
            if due_ms is not None:
                self._number += 1
                self._dues[id, place] = Due(due_ms, due_ms, self._number)

    def _due(self, place: int, record: Any) -> int | None:
        timer, due = self._timers[place]
        if record is None or record[1] not in timer.statuses:
            return None
        if timer.after_ms:
            return self._begun_ms[record[0], timer.region] + timer.after_ms
        found = due({self._entity: record})
        if found is not None and timer.due.type.required.kind == "datetime":
            # The first whole millisecond that is not before it.
            found = -(-found // 1000)
        return None if found is None else int(found)

    def next_ms(self) -> int | None:
        """Return when the first timer is tried."""
        return min((due.at_ms for due in self._dues.values() if due.waits), default=None)

    def tied(self) -> bool:
        """Return whether two timers are due at the same time."""
        times = [due.at_ms for due in self._dues.values() if due.waits]
        return len(set(times)) < len(times)

    def take(self, now_ms: int) -> list[tuple[Key, Due]]:
        """Return the timers that are due, in order."""
        found = [(k, d) for k, d in self._dues.items() if d.waits and d.at_ms <= now_ms]
        for _, due in found:
            due.waits = False
        return sorted(found, key=lambda each: (each[1].at_ms, each[1].number))

    def still(self, key: Key, due: Due, record: Any) -> bool:
        """Return whether a timer that was taken is set as it was."""
        return self._dues.get(key) is due and self._due(key[1], record) == due.due_ms

    def call(self, key: Key, now_ms: int) -> tuple[str, Call]:
        """Return the action of a timer, and its call."""
        id, place = key
        action = self._timers[place][0].action
        return action, Call(action, id, self._given[place], now_ms)

    def refused(self, key: Key, due: Due, now_ms: int) -> None:
        """Try a timer again later."""
        due.failures += 1
        self._number += 1
        due.at_ms = now_ms + round(retry_seconds(due.failures) * 1000)
        due.number, due.waits = self._number, self._dues.get(key) is due
