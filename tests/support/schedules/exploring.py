"""Carries out a scenario under every schedule with so many disturbances, or some at random."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from attrs import frozen

from tests.support.schedules.scheduling import Schedule, ScheduleError

Scenario = Callable[[Schedule], None]


@frozen
class Explored:
    """How much was looked at."""

    runs: int
    choices_max: int


class ScenarioError(AssertionError):
    """A schedule under which a scenario fails; carried out again by `replay`."""

    def __init__(self, scenario: Scenario, schedule: Schedule, cause: BaseException) -> None:
        picks = [each.picked for each in schedule.taken]
        while picks and picks[-1] == 0:
            picks.pop()
        disturbed = [f"  choice {step}: {each}" for step, each in enumerate(schedule.taken)
                     if each.picked]  # fmt: skip
        lines = [f"{scenario.__name__} fails: {type(cause).__name__}: {cause}", *disturbed,
                 f"  again: replay({scenario.__name__}, {picks})"]  # fmt: skip
        super().__init__("\n".join(lines))
        self.picks = picks


def replay(scenario: Scenario, picks: Sequence[int]) -> None:
    """Carry out one schedule again."""
    _run(scenario, Schedule(picks))


def explore(scenario: Scenario, disturbances_max: int) -> Explored:
    """Every schedule with at most so many disturbances; raises ScenarioError at the first failure.

    Fewer disturbances come first, so what fails is told as simply as it can be.
    """
    runs = longest = 0
    level: list[list[int]] = [[]]
    for disturbances in range(disturbances_max + 1):
        following = []
        for prefix in level:
            schedule = _run(scenario, Schedule(prefix))
            runs, longest = runs + 1, max(longest, len(schedule.taken))
            if disturbances == disturbances_max:
                continue
            picks = [each.picked for each in schedule.taken]
            if picks[: len(prefix)] != prefix:
                raise ScheduleError(f"{scenario.__name__} does not repeat itself")
            for step in range(len(prefix), len(picks)):
                others = range(1, len(schedule.taken[step].labels))
                following += [[*picks[:step], other] for other in others]
        level = following
    return Explored(runs, longest)


def sample(scenario: Scenario, seeds: range) -> Explored:
    """Schedules at random, one for each seed, with any number of disturbances."""
    longest = 0
    for seed in seeds:
        chance = random.Random(seed)
        often = chance.choice([0.1, 0.3, 0.7])
        pick = _picker(chance, often)
        longest = max(longest, len(_run(scenario, Schedule((), pick)).taken))
    return Explored(len(seeds), longest)


def _picker(chance: random.Random, often: float) -> Callable[[int], int]:
    return lambda count: chance.randrange(1, count) if chance.random() < often else 0


def _run(scenario: Scenario, schedule: Schedule) -> Schedule:
    try:
        schedule.apply(lambda: scenario(schedule))
    except Exception as error:
        raise ScenarioError(scenario, schedule, error) from error
    return schedule
