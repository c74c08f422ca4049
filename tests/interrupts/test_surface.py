"""Every public call is interrupted, or said to be left out: the list is computed."""

from __future__ import annotations

from types import CodeType, FrameType
from typing import Any

import pytest
from opslifecycle import Registry

from tests.support.interrupts import surface
from tests.support.interrupts.checking import Helper
from tests.support.interrupts.examinations import examinations, folder_for_stores
from tests.support.interrupts.injecting import OURS, Injection
from tests.support.interrupts.surface import NOT_EXAMINED, is_left_out, public_calls
from tests.support.logs import loggers


@pytest.fixture(scope="module")
def entered() -> set[CodeType]:
    """The code of every function that an examination calls, in the thread that it interrupts."""
    found: set[CodeType] = set()
    real = Injection._enter

    def enter(self: Injection, frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename.startswith(tuple(OURS)):
            found.add(frame.f_code)
        return real(self, frame, event, argument)

    with pytest.MonkeyPatch.context() as patch, folder_for_stores() as folder:
        patch.setattr(Injection, "_enter", enter)
        # Deliveries that are refused would be logged thousands of times.
        for logger in loggers():
            patch.setattr(logger, "disabled", True)
        for each in examinations(folder, Helper()):
            each.attempt(Injection())
    return found


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore")
def test_every_public_call_is_interrupted_or_left_out(entered: set[CodeType]) -> None:
    calls = public_calls()
    assert len(calls) > 150
    missing = [name for name, code in calls.items() if code not in entered]
    left = [each for each in missing if not is_left_out(each)]
    assert left == [], left


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore")
def test_what_is_left_out_is_a_call_that_is_not_interrupted(entered: set[CodeType]) -> None:
    missing = [name for name, code in public_calls().items() if code not in entered]
    for pattern in NOT_EXAMINED:
        assert any(each.startswith(pattern) for each in missing), pattern


def test_a_new_public_call_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgotten(self: Registry) -> None:
        """Do what no examination does."""

    monkeypatch.setattr(surface, "OURS", [*OURS, __file__])
    monkeypatch.setattr(Registry, "forgotten", forgotten, raising=False)
    assert surface.public_calls()["Registry.forgotten"] is forgotten.__code__
    assert not is_left_out("Registry.forgotten")
