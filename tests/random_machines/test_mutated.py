"""The repository's machines with random changes: refused with a position, or all is right.

Here those are examined that are changed as none before them was that was accepted; `make nightly`
examines all.
"""

from __future__ import annotations

import pytest

from tests.support.random_machines.coverage import ACCEPTED_MIN
from tests.support.random_machines.examining import Examination
from tests.support.random_machines.mutations import CHANGES, MACHINES, mutated
from tests.support.random_machines.verdicts import FaultError
from tests.support.scale import WHOLE

COUNT = 240
GROUPS = 4
WANTED = [
    *(f"machine: {name}" for name in MACHINES),
    *(f"mutation: {change}" for change in [*CHANGES][:: 1 if WHOLE else 3]),
]


@pytest.fixture(scope="module")
def examination() -> Examination:
    return Examination()


@pytest.mark.parametrize("group", range(GROUPS))
def test_what_is_accepted_is_right(examination: Examination, group: int) -> None:
    for number in range(group, COUNT, GROUPS):
        tree, features = mutated(number)
        if not (WHOLE or examination.tally.lacks(features, WANTED)):
            continue
        try:
            examination.of(tree, features)
        except FaultError as error:
            again = f"python -m tests.support.random_machines.nightly --mutated --number {number}"
            raise AssertionError(f"{error}\nprint the smallest machine: {again}") from error


def test_each_machine_and_change_is_accepted_and_some_are_refused(examination: Examination) -> None:
    tally = examination.tally
    if not tally.accepted:
        pytest.skip("only together with the machines themselves")
    print(tally)
    assert tally.share >= ACCEPTED_MIN
    assert tally.missing(WANTED) == []
    assert tally.refused
