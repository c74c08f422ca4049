"""The injection comes before every bytecode, on every version of Python."""

from __future__ import annotations

import dis
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.interrupts import injecting
from tests.support.interrupts.injecting import Injection, Interrupt


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
