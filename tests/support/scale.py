"""How much of a long test is done: a share in `make test`, the whole in `make nightly`.

Whole tests that run in `make nightly` alone have the marker `nightly`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from _pytest.mark.structures import ParameterSet

WHOLE = os.environ.get("OPSLIFECYCLE_TESTS") == "whole"


def whole_or(whole: int, share: int) -> int:
    """Return how often to do something: `whole` times at night, `share` times otherwise."""
    return whole if WHOLE else share


def share(
    cases: Sequence[Any], by_day: int, *, id: Callable[[Any], str] | None = None
) -> list[ParameterSet]:
    """Return the cases of `parametrize`: some of them, evenly spread, for `make test` too.

    Args:
        cases: Each a value, or a tuple with one for each parameter.
        by_day: How many of them run in `make test`; the others have the marker `nightly`.
        id: What a case is called; by default as pytest calls it.
    """
    assert 0 < by_day < len(cases)
    chosen = {len(cases) * number // by_day for number in range(by_day)}
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)),
            id=None if id is None else id(case),
            marks=[] if number in chosen else [pytest.mark.nightly],
        )
        for number, case in enumerate(cases)
    ]
