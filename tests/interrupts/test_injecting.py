"""The injection comes before every bytecode, on every version of Python."""

from __future__ import annotations

import dis
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from tests.support.interrupts import injecting
from tests.support.interrupts.injecting import INTERRUPTS, Aimed, Injection, Interrupt, Target
from tests.support.interrupts.planning import Examination, Examiner, InterruptError


def _straight() -> int:
    first = 1
    second = first + len("four")
    return first * second


def _places() -> list[int]:
    """Where an exception may come: the beginning of a call is none."""
    instructions = dis.get_instructions(_straight)
    return [each.offset for each in instructions if each.opname not in ("RESUME", "CACHE")]


def test_an_interrupt_comes_before_every_instruction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(injecting, "OURS", [__file__])
    places = []
    for at in range(1, 100):
        injection = Injection(at, Interrupt)
        try:
            injection.during(_straight)
        except Interrupt:
            assert injection.place is not None
            places.append(int(injection.place.rpartition("+")[2]))
        else:
            break
    assert [each for each in places if each in _places()] == _places()


def test_the_first_injection_of_a_process_comes_too() -> None:
    program = "from tests.interrupts.test_injecting import first; first()"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "interrupted\n", done.stderr


def first() -> None:
    """Interrupt the first call of a new process."""
    injecting.OURS[:] = [__file__]
    try:
        Injection(1, Interrupt).during(_straight)
    except Interrupt:
        print("interrupted")


def _five_times() -> int:
    return sum(_straight() for _ in range(5))


def _attempt(met: list[str | None], injection: Injection) -> None:
    try:
        injection.during(_five_times)
    except INTERRUPTS:
        pass
    met.append(injection.place)


def test_a_bytecode_is_interrupted_in_two_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(injecting, "OURS", [__file__])
    met: list[str | None] = []
    report = Examiner().carry_out(Examination("five times", partial(_attempt, met)))
    places = Counter(each.rpartition(" ")[2] for each in met if each is not None)
    assert all(places[f"_straight+{offset}"] == 2 for offset in _places())
    assert report.interrupted == places.total() < report.bytecodes
    assert report.missed == 0


def test_what_one_examination_has_interrupted_is_left_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(injecting, "OURS", [__file__])
    examiner = Examiner()
    found = [
        examiner.carry_out(Examination("five times", partial(_attempt, []), world))
        for world in ("one", "one", "another")
    ]
    assert [each.interrupted > 0 for each in found] == [True, False, True]


def test_another_caller_is_another_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(injecting, "OURS", [__file__])
    target = Target(((_straight.__code__, _places()[-1]), (_five_times.__code__, 0)))
    injection = Aimed(target=target)
    injection.during(_straight)
    assert injection.place is None


def _fails(injection: Injection) -> None:
    try:
        injection.during(_straight)
    except INTERRUPTS:
        raise AssertionError("the lock is held") from None


def test_a_failure_is_reported_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(injecting, "OURS", [__file__])
    report = Examiner(failures_max=3).carry_out(Examination("fails", _fails))
    assert len(report.failures) == 3
    assert "_straight+" in str(report)
    assert "the lock is held" in str(report)
    with pytest.raises(InterruptError):
        report.check()


def test_what_one_of_three_listings_has_is_no_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(injecting, "OURS", [__file__])
    calls = iter([_straight, _five_times, *[_straight] * 1000])
    found = []

    def attempt(injection: Injection) -> None:
        try:
            injection.during(next(calls))
        except INTERRUPTS:
            found.append(injection.place)

    report = Examiner(listings=3).carry_out(Examination("by chance", attempt))
    assert report.missed == 0
    assert report.interrupted == len(found) == len(set(found)) >= len(_places())
