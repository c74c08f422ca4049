"""Random machines: each is refused with a position, or everything about it is right.

Here those are examined that have a feature which none before them had; `make nightly` examines all,
and then others for ten minutes.
"""

from __future__ import annotations

import pytest

from tests.random_machines.coverage import (
    ACCEPTED_MIN,
    FEATURES,
    HOSTILE,
    NEVER_GENERATED,
    declared_keys,
    keys_of,
)
from tests.random_machines.examining import Examination
from tests.random_machines.features import build
from tests.random_machines.verdicts import FaultError
from tests.scale import WHOLE

MACHINES = 240
GROUPS = 4
#: They are only built: that takes little.
KEYS_MACHINES = 300


@pytest.fixture(scope="module")
def examination() -> Examination:
    return Examination()


def shows_something_new(examination: Examination, features: frozenset[str]) -> bool:
    tally = examination.tally
    return tally.lacks(features, FEATURES) or any(
        each in features and not tally.tried[each] for each in HOSTILE
    )


@pytest.mark.parametrize("group", range(GROUPS))
def test_what_is_accepted_is_right(examination: Examination, group: int) -> None:
    for number in range(group, MACHINES, GROUPS):
        tree, features = build(number)
        if not (WHOLE or shows_something_new(examination, features)):
            continue
        try:
            examination.of(tree, features)
        except FaultError as error:
            again = f"python -m tests.random_machines.nightly --number {number}"
            raise AssertionError(f"{error}\nprint the smallest machine: {again}") from error


def test_the_accepted_machines_have_every_feature(examination: Examination) -> None:
    tally = examination.tally
    if not tally.accepted:
        pytest.skip("only together with the machines themselves")
    print(tally)
    assert tally.share >= ACCEPTED_MIN
    assert tally.missing(FEATURES) == []
    assert [each for each in HOSTILE if not tally.tried[each]] == []


def test_every_key_of_the_language_is_generated() -> None:
    """A new key of the language is added to the generator, or to NEVER_GENERATED with a reason."""
    generated: set[str] = set()
    for number in range(KEYS_MACHINES):
        generated |= keys_of(build(number)[0])
    assert declared_keys() - generated == set(NEVER_GENERATED)
