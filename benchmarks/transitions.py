"""Transitions per second: the authority and the registry against a hand-written class.

    make bench        or        python benchmarks/transitions.py [--rounds N]

All contestants run in one process, in turns, and every figure is the median of the rounds. Read the
ratios: machines differ, and the same machine differs from minute to minute.
"""

from __future__ import annotations

import argparse
import gc
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from handwritten import Handwritten
from opslifecycle import (
    OperationId,
    OperationKind,
    OperationProgressUpdate,
    OperationResult,
    OperationSpec,
    Registry,
    SessionId,
)

from opslifecycle.generated import OperationAuthority

OPERATIONS = 2000
TRANSITIONS = 4 * OPERATIONS
UPDATE = OperationProgressUpdate("half way", 50.0)
OWNER = SessionId.new()


def specs(count: int) -> list[OperationSpec]:
    kind = OperationKind.BACKGROUND_TOOL_OP
    return [OperationSpec(OperationId.new(), kind, OWNER, "n", "l") for _ in range(count)]


def handwritten(work: list[OperationSpec], result: OperationResult) -> float:
    machine = Handwritten()
    start = time.perf_counter()
    for spec in work:
        id = spec.id
        machine.register(spec)
        machine.start(id)
        machine.progress(id, UPDATE)
        machine.complete(id, result)
    return time.perf_counter() - start


def authority(work: list[OperationSpec], result: OperationResult) -> float:
    machine = OperationAuthority(max_completed=256, max_concurrent=None)
    start = time.perf_counter()
    for spec in work:
        id = spec.id
        machine.register(spec, None)
        machine.start(id)
        machine.progress_reported(id, UPDATE)
        machine.complete(id, result)
    return time.perf_counter() - start


def registry(work: list[OperationSpec], result: OperationResult) -> float:
    with Registry(max_completed=256) as machine:
        start = time.perf_counter()
        for spec in work:
            id = spec.id
            machine.register_operation(spec)
            machine.provisioning_succeeded(id)
            machine.report_progress(id, UPDATE)
            machine.complete_operation(id, result)
        return time.perf_counter() - start


def rejections_handwritten(work: list[OperationSpec], result: OperationResult) -> float:
    machine = Handwritten()
    for spec in work:
        machine.register(spec)
    start = time.perf_counter()
    for spec in work:
        for _ in range(4):
            machine.complete(spec.id, result)
    return time.perf_counter() - start


def rejections_authority(work: list[OperationSpec], result: OperationResult) -> float:
    machine = OperationAuthority(max_completed=256, max_concurrent=None)
    for spec in work:
        machine.register(spec, None)
    start = time.perf_counter()
    for spec in work:
        for _ in range(4):
            machine.complete(spec.id, result)
    return time.perf_counter() - start


def with_held(held: int) -> Callable[[list[OperationSpec], OperationResult], float]:
    """The registry while it holds so many live operations besides."""
    machine = Registry(max_completed=256)
    for spec in specs(held):
        machine.register_operation(spec)
        machine.provisioning_succeeded(spec.id)

    def run(work: list[OperationSpec], result: OperationResult) -> float:
        start = time.perf_counter()
        for spec in work:
            id = spec.id
            machine.register_operation(spec)
            machine.provisioning_succeeded(id)
            machine.report_progress(id, UPDATE)
            machine.complete_operation(id, result)
        return time.perf_counter() - start

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    rounds = parser.parse_args().rounds
    contestants: dict[str, Callable[[list[OperationSpec], OperationResult], float]] = {
        "hand-written class": handwritten,
        "generated authority": authority,
        "full registry": registry,
        "hand-written, rejecting": rejections_handwritten,
        "authority, rejecting": rejections_authority,
        "registry holding 256": with_held(256),
        "registry holding 100,000": with_held(100_000),
    }
    times: dict[str, list[float]] = {name: [] for name in contestants}
    result = OperationResult(OperationId.new(), "done", False, 1, 1)
    for number in range(rounds + 2):
        for name, run in contestants.items():
            work = specs(OPERATIONS)
            gc.collect()
            gc.disable()
            seconds = run(work, result)
            gc.enable()
            if number >= 2:
                times[name].append(seconds)

    print(f"Python {platform.python_version()}, {platform.machine()}, {rounds} rounds, medians")
    for name, seconds_each in times.items():
        rate = TRANSITIONS / statistics.median(seconds_each)
        print(f"  {name:<26}{rate:>12,.0f} transitions/s")
    print("ratios, paired round by round")
    for name, base, aim in (
        ("generated authority", "hand-written class", "aim 0.80 or more"),
        ("authority, rejecting", "hand-written, rejecting", ""),
        ("full registry", "hand-written class", ""),
        (
            "registry holding 100,000",
            "registry holding 256",
            "near 1: nothing grows with what is held",
        ),
    ):
        paired = zip(times[base], times[name], strict=True)
        ratio = statistics.median(slow / fast for slow, fast in paired)
        print(f"  {name} : {base} = {ratio:.2f}  {aim}")


if __name__ == "__main__":
    main()
