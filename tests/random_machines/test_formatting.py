"""Generated code of random machines: a formatter changes nothing, a linter finds nothing."""

from __future__ import annotations

from itertools import count

from tests.random_machines.compiling import Refused, compiled
from tests.random_machines.features import build
from tests.random_machines.linting import lint

#: Other machines than those of `test_random`, which lints none.
FIRST = 1_000
#: How many have names of the greatest length, and how many have none.
ACCEPTED = {True: 4, False: 3}


def test_generated_code_is_final() -> None:
    linted = {True: 0, False: 0}
    for number in count(FIRST):
        tree, features = build(number)
        long_names = "long names" in features
        if linted[long_names] == ACCEPTED[long_names]:
            continue
        with compiled(tree) as found:
            if not isinstance(found, Refused):
                print(f"machine {number}")
                lint(found)
                linted[long_names] += 1
        if linted == ACCEPTED:
            return
