"""The program under faults: two registries, at work until standard input ends.

    python -m tests.support.chaos.library_program FOLDER SEED DESCRIPTOR [DEFECT]

What it says goes to the pipe behind the descriptor. A store that refuses to be opened is tried
again; one that refuses a command is asked for the next one.
"""

from __future__ import annotations

import faulthandler
import logging
import select
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from opslifecycle import PersistenceError

from tests.support.chaos.answering import OverError
from tests.support.chaos.defects import DEFECTS
from tests.support.chaos.office_part import OfficePart
from tests.support.chaos.operations_part import OperationsPart
from tests.support.chaos.pipe import Reporter

_PARTS: tuple[Any, ...] = (OperationsPart, OfficePart)
_AGAIN_SECONDS = 0.1


def opened(make: Any, path: str, reporter: Reporter, *rest: Any, defect: str) -> Any:
    """Return a part once its store can be opened."""
    while True:
        store = DEFECTS[defect](f"{path}/{make.name}.db", durability="process")
        try:
            return make(store, reporter, *rest)
        except PersistenceError as error:
            reporter.say("unopened", part=make.name, error=type(error).__name__, text=str(error))
            if asked_to_end():
                sys.exit(1)
            time.sleep(_AGAIN_SECONDS)


def asked_to_end() -> bool:
    """Whether standard input has ended."""
    return bool(select.select([sys.stdin], [], [], 0)[0])


def work(path: str, seed: int, reporter: Reporter, defect: str) -> None:
    with ThreadPoolExecutor(6) as threads:
        parts = [opened(each, path, reporter, threads, seed, defect=defect) for each in _PARTS]
        while not asked_to_end():
            for part in parts:
                try:
                    part.round()
                except OverError:
                    part.close()
                    place = parts.index(part)
                    make = type(part)
                    parts[place] = opened(make, path, reporter, threads, seed, defect=defect)
        operations, office = parts
        if sys.stdin.readline() == "drain\n":
            office.drain()
        for part in (operations, office):
            part.close()
            reporter.say("closed", part=part.name)


def main() -> None:
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    # A handler that fails is no fault of the product; what it raised would be printed.
    logging.getLogger("opslifecycle").addHandler(logging.NullHandler())
    path, seed, descriptor, *defect = sys.argv[1:]
    work(path, int(seed), Reporter(int(descriptor)), defect[0] if defect else "none")


if __name__ == "__main__":
    main()
