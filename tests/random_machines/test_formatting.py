"""Generated code of random machines: a formatter changes nothing, a linter finds nothing."""

from __future__ import annotations

import pytest

from tests.random_machines.compiling import Refused, compiled
from tests.random_machines.features import build
from tests.random_machines.linting import lint

#: Each had expressions that were broken elsewhere than a formatter breaks them.
NUMBERS = [5, 15, 33, 37, 43, 68, 1059]


@pytest.mark.parametrize("number", NUMBERS)
def test_generated_code_is_final(number: int) -> None:
    with compiled(build(number)[0]) as found:
        if isinstance(found, Refused):
            pytest.fail(f"{number} is refused: choose another machine")
        lint(found)
