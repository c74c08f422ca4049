"""An interrupt before every bytecode of every public call: `make nightly`.

Each failure is printed with the bytecode. `planning` says which executions of a bytecode there are.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import re
import sys
import threading
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from attrs import frozen

from tests.support.interrupts.checking import Helper
from tests.support.interrupts.examinations import examinations, folder_for_stores
from tests.support.interrupts.planning import Examiner
from tests.support.logs import loggers


@frozen
class Options:
    """What is examined, and how closely."""

    only: str
    step: int
    failures: int


@frozen
class Total:
    """What has come of the examinations of a kind of world."""

    world: str
    examinations: int
    bytecodes: int
    interrupted: int
    missed: int
    failed: int
    seconds: float


def examined(options: Options, world: str) -> Total:
    """Carry the examinations in a kind of world out; print what there is to say of each."""
    threading.excepthook = lambda arguments: None
    warnings.simplefilter("ignore")
    for logger in loggers():
        logger.disabled = True
    began = time.process_time()
    examiner = Examiner(options.step, listings=3, failures_max=options.failures)
    reports = []
    with folder_for_stores() as folder:
        chosen = [each for each in examinations(folder, Helper()) if each.world == world]
        # What is imported stays, and need not be looked at by each collection.
        gc.freeze()
        for each in chosen:
            if re.search(options.only, each.name):
                reports.append(examiner.carry_out(each))
                print(reports[-1], flush=True)
                gc.collect()
    return Total(
        world,
        len(reports),
        sum(each.bytecodes for each in reports),
        sum(each.interrupted for each in reports),
        sum(each.missed for each in reports),
        sum(bool(each.failures) for each in reports),
        time.process_time() - began,
    )


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="a pattern that names are searched for")
    parser.add_argument("--step", type=int, default=1, help="of how many targets one is tried")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--failures", type=int, default=10, help="after how many failures an examination ends"
    )
    given = parser.parse_args()
    options = Options(given.only, given.step, given.failures)
    every = examinations(Path(), Helper())
    worlds = [*dict.fromkeys(each.world for each in every if re.search(given.only, each.name))]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(given.processes, context) as pool:
        totals = list(pool.map(partial(examined, options), worlds))
    print("examinations, bytecodes, interrupted, not met, failed, seconds of a processor:")
    for each in totals:
        print(
            f"{each.world}: {each.examinations}, {each.bytecodes}, {each.interrupted},"
            f" {each.missed}, {each.failed}, {each.seconds:.0f}"
        )
    failed = sum(each.failed for each in totals)
    print(f"{sum(each.examinations for each in totals)} examinations, {failed} failed")
    return 1 if failed or not totals else 0


if __name__ == "__main__":
    sys.exit(main())
