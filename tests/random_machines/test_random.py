"""Random machines: each is refused with a position, or everything about it is right.

Here those are examined that have most of the features which none before them had; `make nightly`
examines all, and then others for ten minutes.
"""

from __future__ import annotations

from functools import cache

import pytest

from tests.support.random_machines.building import Tree
from tests.support.random_machines.coverage import (
    ACCEPTED_MIN,
    FEATURES,
    HOSTILE,
    NEVER_GENERATED,
    declared_keys,
    keys_of,
)
from tests.support.random_machines.examining import Examination
from tests.support.random_machines.features import build
from tests.support.random_machines.ordering import best_first
from tests.support.random_machines.verdicts import FaultError, Tally
from tests.support.scale import WHOLE

MACHINES = 320
#: What the examined machines must show between them.
WANTED = FEATURES if WHOLE else FEATURES[::6]
#: They are only built: that takes little.
KEYS_MACHINES = 320


@pytest.fixture(scope="module")
def examination() -> Examination:
    return Examination()


@cache
def made(number: int) -> tuple[Tree, frozenset[str]]:
    return build(number)


def lacking(tally: Tally) -> set[str]:
    """What no machine has shown yet; what is hostile may be refused."""
    untried = {each for each in HOSTILE if not tally.tried[each]}
    return untried.union(tally.missing(WANTED))


def test_what_is_accepted_is_right(examination: Examination) -> None:
    machines = {number: made(number) for number in range(MACHINES)}
    some = best_first(machines, lambda: lacking(examination.tally))
    for number in machines if WHOLE else some:
        try:
            examination.of(*machines[number])
        except FaultError as error:
            again = f"python -m tests.support.random_machines.nightly --number {number}"
            raise AssertionError(f"{error}\nprint the smallest machine: {again}") from error


def test_the_accepted_machines_have_every_feature(examination: Examination) -> None:
    tally = examination.tally
    if not tally.accepted:
        pytest.skip("only together with the machines themselves")
    print(tally)
    assert tally.share >= ACCEPTED_MIN
    assert lacking(tally) == set()


def test_every_key_of_the_language_is_generated() -> None:
    """A new key of the language is added to the generator, or to NEVER_GENERATED with a reason."""
    generated: set[str] = set()
    for number in range(KEYS_MACHINES):
        generated |= keys_of(made(number)[0])
    assert declared_keys() - generated == set(NEVER_GENERATED)
