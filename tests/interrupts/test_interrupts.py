"""An exception at any bytecode of a public call leaves the registry consistent or closed.

Here it comes before every bytecode of the main calls and before some of the others; `make nightly`
tries all (`python -m tests.interrupts.nightly`).
"""

from __future__ import annotations

import pytest

from tests.interrupts.calls import CALLS, Call
from tests.interrupts.checking import Helper, after_each

#: The calls that are interrupted before every bytecode, and how many others are left out between
#: two of the others.
MAIN = {"register", "start", "progress", "complete", "watch", "snapshot", "list_owner", "wait_all"}
STEP = 23


@pytest.fixture(scope="module")
def helper() -> Helper:
    return Helper()


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_without_a_store(call: Call, helper: Helper) -> None:
    step = 1 if call.name in MAIN else STEP
    assert after_each(call, helper, step) > 20
