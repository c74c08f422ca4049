"""Some of the mutants of the machine's file; `make mutate` tries all of them."""

from __future__ import annotations

import random

from tests.proof.mutants import EQUIVALENT, Mutant, killer, mutants, tried

SHARE = 12


def test_mutants_are_noticed() -> None:
    every = [each for each in mutants() if each.name not in EQUIVALENT]
    assert len(every) > 350
    result = tried(random.Random(1).sample(every, SHARE))
    print(f"{result.killed.total()} of {result.total} of {len(every)} mutants killed")
    assert result.lived == ()
    assert result.killed.total() == SHARE


def test_a_mutant_that_changes_nothing_lives() -> None:
    assert killer(Mutant("nothing", lambda root: None)) is None
