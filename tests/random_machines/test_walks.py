"""Walks and supervisors of random machines come to what they are there for."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from tests.support.random_machines.compiling import Generated, Refused, compiled
from tests.support.random_machines.features import build
from tests.support.random_machines.supervising import Supervision
from tests.support.random_machines.verdicts import Tally
from tests.support.random_machines.walking import Walk
from tests.support.scale import share

MACHINES_MAX = 60


def _walk(found: Generated, tally: Tally) -> None:
    Walk(found, tally).run(40)


def _supervise(found: Generated, tally: Tally) -> None:
    Supervision(found, tally).run()


@pytest.mark.parametrize(
    ("examine", "declared", "wanted"),
    share(
        [
            (_supervise, {"work"}, {"work: recorded"}),
            (_walk, {"timer: after"}, {"timer: fired", "timer: tried again", "walk: restart"}),
        ],
        1,
    ),
)
def test_some_machines_show_what_a_program_does_with_them(
    examine: Callable[[Generated, Tally], None], declared: set[str], wanted: set[str]
) -> None:
    tally, tried = Tally(), 0
    for number in count(1_000):
        tree, features = build(number)
        if not declared & features:
            continue
        with compiled(tree) as found:
            if not isinstance(found, Refused):
                examine(found, tally)
        if not tally.missing(wanted):
            return
        tried += 1
        assert tried < MACHINES_MAX, tally.missing(wanted)
