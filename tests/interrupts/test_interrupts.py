"""An exception at any bytecode of a public call leaves the registry consistent or closed."""

from __future__ import annotations

import pytest

from tests.interrupts.calls import CLOSING, COMMANDS, READS, WAITS, Call, world
from tests.interrupts.checking import Helper, check, interrupted


@pytest.fixture(scope="module")
def helper() -> Helper:
    return Helper()


def every_bytecode(call: Call, helper: Helper, step: int = 1) -> int:
    at = 1
    while True:
        w = world(None)
        place = interrupted(w, call.make, at)
        if place is None:
            w.registry.close()
            return at
        try:
            check(w, helper)
        except BaseException as error:
            raise AssertionError(
                f"{call.name}, interrupted at {at} ({place}): {error!r}"
            ) from error
        at += step


@pytest.mark.parametrize("call", [*COMMANDS, *READS, *WAITS, *CLOSING], ids=lambda call: call.name)
def test_every_bytecode_without_a_store(call: Call, helper: Helper) -> None:
    assert every_bytecode(call, helper) > 20
