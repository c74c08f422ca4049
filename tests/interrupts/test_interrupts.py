"""An exception at any bytecode of a public call leaves the registry consistent or closed.

Here it comes before some bytecodes of some calls; `make nightly` tries all bytecodes of all calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.interrupts.checking import Helper
from tests.support.interrupts.examinations import examinations, folder_for_stores
from tests.support.interrupts.planning import Examiner
from tests.support.scale import whole_or

#: The calls that are interrupted before more bytecodes than the others, and always.
MAIN = {
    f"alone {call}"
    for call in ("register", "start", "progress", "complete", "watch", "snapshot", "wait_all")
}
#: Calls that have few bytecodes.
SHORT = {"alone executor cancel"}
#: How many bytecodes lie between two interrupts, and one of how many calls is tried.
STEPS = {"alone": 499, "memory": 997, "file": 2999}
CALLS_EVERY = {"alone": whole_or(1, 3), "memory": whole_or(1, 15), "file": whole_or(1, 24)}


def names() -> Iterator[str]:
    """Yield the names of the examinations, some of them left out by day."""
    count = Counter[str]()
    for each in examinations(Path(), Helper()):
        where = each.name.partition(" ")[0]
        if each.name in MAIN or count[where] % CALLS_EVERY[where] == 0:
            yield each.name
        count[where] += 1


def step_of(name: str) -> int:
    if name in SHORT:
        return 7
    return 47 if name in MAIN else STEPS[name.partition(" ")[0]]


@pytest.fixture(scope="module")
def helper() -> Helper:
    return Helper()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", list(names()))
def test_interrupts(name: str, helper: Helper) -> None:
    with folder_for_stores() as folder:
        found = {each.name: each for each in examinations(folder, helper)}
        Examiner(step_of(name)).carry_out(found[name]).check()
