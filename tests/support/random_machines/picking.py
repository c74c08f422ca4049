"""Random choices of one machine, all of them repeatable from its number."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Pick:
    """Makes the choices of the machine with a number."""

    def __init__(self, number: int) -> None:
        self._random = random.Random(number)

    def chance(self, percent: int) -> bool:
        """Return True in so many of a hundred cases."""
        return self._random.randrange(100) < percent

    def integer(self, least: int, most: int) -> int:
        """Return an integer between two bounds, both included."""
        return self._random.randint(least, most)

    def one(self, choices: Sequence[T]) -> T:
        """Return one of some choices."""
        return self._random.choice(choices)

    def some(self, choices: Sequence[T], most: int, least: int = 0) -> list[T]:
        """Return different choices in a random order."""
        count = self.integer(min(least, len(choices)), min(most, len(choices)))
        return self._random.sample(list(choices), count)
