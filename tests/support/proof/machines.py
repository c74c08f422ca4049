"""The shipped machine, edited and searched."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from opslifecycle_codegen.analysis import placement
from opslifecycle_codegen.base.diagnostics import Diagnostics, Location
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.modelcheck import baseline
from opslifecycle_codegen.modelcheck.scenarios import Answering, Scenario, scenarios
from opslifecycle_codegen.modelcheck.search import Search
from opslifecycle_codegen.modelcheck.state import State
from opslifecycle_codegen.source.parser import parse
from opslifecycle_codegen.source.reader import read
from opslifecycle_codegen.source.words import Name

from tests.support.edits import replaced
from tests.support.scale import WHOLE

ROOT = Path(__file__).parents[3]
#: How many states of a scenario stand for all of them in `make test`.
STATES = 150
#: The average number of calls after which a walk begins again, and the steps of all walks.
_CALLS, _STEPS_MAX = 40, 1_000_000
_KNOWN = baseline.load(ROOT / "machine/ops_lifecycle.baseline.json")
SHIPPED = (ROOT / "machine/ops_lifecycle.yaml").read_text(encoding="utf-8")


def edited(*edits: tuple[str, str]) -> Program:
    """The shipped machine with some of its text replaced."""
    text = replaced(SHIPPED, edits)
    return program_of(text.encode(), "edited.yaml")


@contextmanager
def unplaced(effect: str) -> Iterator[None]:
    """The compiler with one mistake: it places an effect nowhere."""
    names = placement.effect_names

    def without(found: Sequence[str], mark: Location) -> list[Name]:
        return [name for name in names(found, mark) if name != effect]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(placement, "effect_names", without)
        yield


def scenario_of(program: Program, name: str) -> Scenario:
    return next(each for each in scenarios(program) if each.name == name)


@cache
def search(name: str) -> Search:
    """The search of a scenario of the shipped machine, done once for all tests."""
    done = Search(scenario_of(edited(), name))
    done.run()
    return done


@cache
def states_of(name: str) -> list[State]:
    """States of a scenario of the shipped machine: at night or of a small one all, else some."""
    is_small = _KNOWN[name]["states"] <= STATES
    return search(name).states if WHOLE or is_small else _walked(scenario_of(edited(), name))


def _walked(scenario: Scenario) -> list[State]:
    pick = random.Random(0)
    # Methods with many arguments are asked no more often than the others.
    asked: dict[str, list[Answering]] = {}
    for call, answer_of in zip(scenario.calls, scenario.answers, strict=True):
        asked.setdefault(call.method, []).append(answer_of)
    methods = list(asked.values())
    begin = scenario.interpreter.initial()
    found, state = {begin: None}, begin
    for _ in range(_STEPS_MAX):
        if len(found) >= STATES:
            return list(found)
        after = pick.choice(pick.choice(methods))(state).state
        if after is None:
            continue
        is_last = scenario.beyond(after) is not None or not pick.randrange(_CALLS)
        state = begin if is_last else after
        found[state] = None
    raise AssertionError(f"a walk of {_STEPS_MAX} steps has found {len(found)} states only")


SCENARIOS = [
    str(name)
    for name, each in parse(read(SHIPPED.encode(), "shipped.yaml"), Diagnostics()).scenarios.items()
    if not each.large
]
