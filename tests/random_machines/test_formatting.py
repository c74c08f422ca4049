"""Generated code of random machines: a formatter changes nothing, a linter finds nothing."""

from __future__ import annotations

from itertools import count

from tests.random_machines.compiling import Refused, compiled
from tests.random_machines.features import build
from tests.random_machines.linting import lint

#: Other machines than those of `test_random`, which lints none.
FIRST = 1_000
ACCEPTED = 7


def test_generated_code_is_final() -> None:
    linted = 0
    for number in count(FIRST):
        with compiled(build(number)[0]) as found:
            if not isinstance(found, Refused):
                print(f"machine {number}")
                lint(found)
                linted += 1
        if linted == ACCEPTED:
            return
