"""The repository's machines with random changes: refused with a position, or all is right."""

from __future__ import annotations

import pytest

from tests.random_machines.coverage import ACCEPTED_MIN
from tests.random_machines.examining import Examination
from tests.random_machines.mutations import MACHINES, mutated
from tests.random_machines.verdicts import FaultError
from tests.scale import whole_or

COUNT = whole_or(45, 24)
GROUPS = 4


@pytest.fixture(scope="module")
def examination() -> Examination:
    return Examination()


@pytest.mark.parametrize("group", range(GROUPS))
def test_what_is_accepted_is_right(examination: Examination, group: int) -> None:
    for number in range(group, COUNT, GROUPS):
        tree, features = mutated(number)
        try:
            examination.of(tree, features)
        except FaultError as error:
            again = f"python -m tests.random_machines.nightly --mutated --number {number}"
            raise AssertionError(f"{error}\nprint the smallest machine: {again}") from error


def test_each_machine_is_accepted_and_refused(examination: Examination) -> None:
    tally = examination.tally
    if tally.accepted + tally.refused < COUNT // 2:
        pytest.skip("only together with the machines themselves")
    print(tally)
    assert tally.share >= ACCEPTED_MIN
    assert tally.missing([f"machine: {name}" for name in MACHINES]) == []
    assert tally.refused
