"""Contestants that take turns, and what their times come to.

Machines differ, and one machine differs from minute to minute: so all contestants of a contest run
in turns, and what is told is the median over the rounds of ratios within one round.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Mapping

from attrs import frozen

#: Does some work and gives the seconds for one unit of it, or whatever else the unit says.
Contestant = Callable[[], float]


@frozen
class Contest:
    """Contestants that do the same work; the unit says what their figures are of."""

    name: str
    unit: str
    contestants: Mapping[str, Contestant]
    #: Bytes are counted, and not timed.
    in_bytes: bool = False


def figure_text(value: float, *, in_bytes: bool) -> str:
    """A figure in its unit."""
    return f"{value:,.0f} bytes" if in_bytes else f"{value * 1e6:,.2f} µs"


#: A contest by its name, made when its turn comes, because some hold much in memory.
Named = tuple[str, Callable[[], Contest]]


@frozen
class Ratio:
    """What a contest is held to: a quotient of its figures, and how it is wished."""

    name: str
    contest: str
    over: tuple[str, ...]
    under: tuple[str, ...]
    wanted: float
    at_least: bool

    @property
    def wish(self) -> str:
        """What is wished, in words."""
        return f"at {'least' if self.at_least else 'most'} {self.wanted:g}"

    def is_met(self, found: float) -> bool:
        """Whether a quotient is as wished."""
        return found >= self.wanted if self.at_least else found <= self.wanted


@frozen
class Measured:
    """The figures of each contestant, round by round."""

    contest: Contest
    figures: Mapping[str, list[float]]

    def median(self, name: str) -> float:
        """The median figure of one."""
        return statistics.median(self.figures[name])

    def ratio(self, ratio: Ratio) -> float:
        """The median over the rounds of a ratio."""
        rounds = []
        for number in range(len(next(iter(self.figures.values())))):
            quotient = 1.0
            for name in ratio.over:
                quotient *= self.figures[name][number]
            for name in ratio.under:
                quotient /= self.figures[name][number]
            rounds.append(quotient)
        return statistics.median(rounds)


def held(contest: Contest, rounds: int) -> Measured:
    """Hold a contest: one round to warm up, then so many."""
    figures: dict[str, list[float]] = {name: [] for name in contest.contestants}
    for number in range(rounds + 1):
        for name, run in contest.contestants.items():
            figure = figure_of(run)
            if number:
                figures[name].append(figure)
    return Measured(contest, figures)


def figure_of(run: Contestant) -> float:
    """The figure of one round, without collections of garbage in between."""
    gc.collect()
    gc.disable()
    try:
        return run()
    finally:
        gc.enable()
