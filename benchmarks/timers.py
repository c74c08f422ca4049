"""Timers: setting, cancelling and firing them while many others wait, and what one takes in memory.

The machine is the example with deadlines. An order that was placed has two timers; the clock is
moved by hand, so no thread takes part. A dict shows what finding one id among as many costs.
"""

from __future__ import annotations

import importlib
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from opslifecycle import ManualClock
from opslifecycle.shell.timers import Plan

from benchmarks.measuring import Contest, Named, Ratio

WAITING = (1_000, 10_000, 100_000, 1_000_000)
_EXAMPLE = Path(__file__).parents[1] / "examples" / "deadlines" / "src"
#: Orders of a round; no timer that waits is due before the last of their timers.
_ORDERS = 2_000
_FAR_MS = 10**12
_BYTES_OF = 100_000
_NAME = "timers"


class _Taken(NamedTuple):
    """Seconds for a step of one order: two timers are set, one fires, two give way to one."""

    set: float
    fire: float
    cancel: float


def _machine() -> Any:
    """Import the package of the example."""
    if str(_EXAMPLE) not in sys.path:
        sys.path.insert(0, str(_EXAMPLE))
    return importlib.import_module("order")


@cache
def _waiting(timers: int) -> tuple[Any, ManualClock]:
    """Return a registry in which a number of timers wait, and its clock."""
    machine, clock = _machine(), ManualClock(0)
    registry = machine.OrderRegistry(clock=clock)
    for _ in range(timers // 2):
        registry.place(machine.OrderId.new(), 10, _FAR_MS, _FAR_MS)
    return registry, clock


def _steps(timers: int) -> _Taken:
    machine, (registry, clock) = _machine(), _waiting(timers)
    ids = [machine.OrderId.new() for _ in range(_ORDERS)]
    threads = threading.active_count()
    start = time.perf_counter()
    for number, id in enumerate(ids):
        registry.place(id, 10, _FAR_MS, number + 1)
    is_set = time.perf_counter()
    clock.advance(milliseconds=_ORDERS)
    fired = time.perf_counter()
    for id in ids:
        registry.pay(id)
    cancelled = time.perf_counter()
    assert threading.active_count() == threads
    assert registry.snapshot(ids[-1]).reminders == 1
    for id in ids:
        registry.ship(id)
        registry.send_back(id)
    steps = (is_set - start, fired - is_set, cancelled - fired)
    return _Taken(*(each / _ORDERS for each in steps))


def _step(name: str, timers: int) -> Callable[[], float]:
    def run() -> float:
        taken: float = getattr(_steps(timers), name)
        return taken

    return run


def _dict_of(count: int) -> Callable[[], float]:
    """A bare dict of as many ids, which a step finds as often as a registry finds a record."""
    machine = _machine()
    found = {machine.OrderId.new(): [0] for _ in range(count // 2)}

    def run() -> float:
        ids = [machine.OrderId.new() for _ in range(_ORDERS)]
        start = time.perf_counter()
        for id in ids:
            found[id] = [0]
            for _ in range(3):
                found[id][0] += 1
            del found[id]
        return (time.perf_counter() - start) / _ORDERS

    return run


def _grown() -> Contest:
    contestants: dict[str, Callable[[], float]] = {}
    for step in _Taken._fields:
        for count in WAITING:
            contestants[f"{step} at {count:,}"] = _step(step, count)
    for count in WAITING:
        contestants[f"dict of {count:,}"] = _dict_of(count)
    return Contest(_NAME, "order", contestants)


class _Record(NamedTuple):
    id: int


def _bytes_of_timer() -> float:
    records = [_Record(number) for number in range(_BYTES_OF)]
    tracemalloc.start()
    plan: Plan[int] = Plan(lambda record: ((0, _FAR_MS + record.id),))
    for record in records:
        plan.note(record)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert plan.next_ms() == _FAR_MS
    return used / _BYTES_OF


def _bytes_of_entry() -> float:
    """What a dict of times takes for each, as the least that a plan could hold."""
    tracemalloc.start()
    times = {number: _FAR_MS + number for number in range(_BYTES_OF)}
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used / len(times)


def _sized() -> Contest:
    contestants = {"dict of times": _bytes_of_entry, "plan": _bytes_of_timer}
    return Contest("bytes of a timer", "timer", contestants, in_bytes=True)


contests: list[Named] = [(_NAME, _grown), ("bytes of a timer", _sized)]


def _growth(step: str) -> Ratio:
    few, many = WAITING[0], WAITING[-1]
    return Ratio(
        f"to {step} a timer while {many:,} wait against {few:,}, relative to a dict's", _NAME,
        (f"{step} at {many:,}", f"dict of {few:,}"), (f"{step} at {few:,}", f"dict of {many:,}"),
        1.3, at_least=False,
    )  # fmt: skip


RATIOS = [_growth(step) for step in _Taken._fields]
