"""An interrupt before every bytecode of every public call: `make nightly`.

Each failure is printed with the bytecode; the rest of that call is then left out.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from tests.support.interrupts.checking import Helper
from tests.support.interrupts.examinations import examinations, folder_for_stores
from tests.support.interrupts.trying import InterruptError
from tests.support.logs import loggers


def examined(step: int, name: str) -> str:
    """Carry one examination out; return what there is to say of it."""
    threading.excepthook = lambda arguments: None
    for each in loggers():
        each.disabled = True
    with folder_for_stores() as folder:
        try:
            count = dict(examinations(folder, Helper()))[name](step)
        except InterruptError as error:
            return f"FAILED {name}: {error}"
    return f"passed {name}: {count} bytecodes, every {step}."


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="a pattern that names are searched for")
    parser.add_argument(
        "--step", type=int, default=1, help="how many bytecodes lie between two interrupts"
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    names = [name for name, _ in examinations(Path(), Helper()) if re.search(options.only, name)]
    context = multiprocessing.get_context("spawn")
    failed = 0
    with ProcessPoolExecutor(options.processes, context) as pool:
        for line in pool.map(partial(examined, options.step), names):
            print(line, flush=True)
            failed += line.startswith("FAILED")
    print(f"{len(names)} examinations, {failed} failed")
    return 1 if failed or not names else 0


if __name__ == "__main__":
    sys.exit(main())
