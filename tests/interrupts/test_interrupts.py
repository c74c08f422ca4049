"""An exception at any bytecode of a public call leaves the registry consistent or closed.

Here it comes before every bytecode of the main calls and before some of the others; `make nightly`
tries all.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interrupts.checking import Helper
from tests.interrupts.examinations import examinations, folder_for_stores

#: The calls that are interrupted before every bytecode, and every how many of the others.
MAIN = {"register", "start", "progress", "complete", "watch", "snapshot", "wait_all"}
STEPS = {"alone": 41, "memory": 211, "file": 1499}
NAMES = [name for name, _ in examinations(Path(), Helper())]


def step_of(name: str) -> int:
    where, _, what = name.partition(" ")
    return 1 if where == "alone" and what in MAIN else STEPS[where]


@pytest.fixture(scope="module")
def helper() -> Helper:
    return Helper()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_interrupts(name: str, helper: Helper) -> None:
    with folder_for_stores() as folder:
        assert dict(examinations(folder, helper))[name](step_of(name)) > 20
