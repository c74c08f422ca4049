"""Zones: facts about integers as bounds of the differences of any two.

A zone is a difference-bound matrix (Miné, "A new numerical abstract domain based on
difference-bound matrices", 2001). It includes zero as a variable, so that `x - 0 <= 9` bounds x.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping

from attrs import Factory, frozen

#: The variable that is always 0.
ZERO = ""
#: The maximum number of summands of one sign in a sum whose bounds use differences.
_SUMMANDS_MAX = 4


@frozen
class Sum:
    """A linear expression: a multiple of each variable, and a constant."""

    terms: dict[str, int] = Factory(dict)
    constant: int = 0

    def plus(self, other: Sum, factor: int = 1) -> Sum:
        """Return the sum of this and a multiple of another."""
        names = {**self.terms, **other.terms}
        terms = {n: self.terms.get(n, 0) + factor * other.terms.get(n, 0) for n in names}
        left = {name: factor for name, factor in terms.items() if factor}
        return Sum(left, self.constant + factor * other.constant)

    def summands(self, sign: int) -> list[str]:
        """Return the added, or subtracted, variables, each with its multiplicity."""
        return [n for n, factor in self.terms.items() for _ in range(max(0, sign * factor))]


@frozen
class Zone:
    """Upper bounds of differences: `bounds[x, y]` is the least known c with x - y <= c."""

    bounds: Mapping[tuple[str, str], int] = Factory(dict)

    def variables(self) -> Iterator[str]:
        """Yield the variables with known bounds."""
        return iter(dict.fromkeys(name for pair in self.bounds for name in pair))

    def knows(self, name: str) -> bool:
        """Return whether a variable has a known bound."""
        return any(name in pair for pair in self.bounds)

    def difference_max(self, one: str, other: str) -> int | None:
        """Return the maximum of `one - other`; None if unbounded."""
        return 0 if one == other else self.bounds.get((one, other))

    def with_bound(self, one: str, other: str, most: int) -> Zone | None:
        """Return the zone with the bound `one - other <= most`; None if it is empty."""
        if one == other:
            return self if most >= 0 else None
        known = self.difference_max(one, other)
        if known is not None and known <= most:
            return self
        back = self.difference_max(other, one)
        if back is not None and back + most < 0:
            return None
        bounds = dict(self.bounds)
        names = [*dict.fromkeys([*self.variables(), one, other])]
        for left, right in itertools.product(names, names):
            before, after = self.difference_max(left, one), self.difference_max(other, right)
            if left == right or before is None or after is None:
                continue
            known = bounds.get((left, right))
            reached = before + most + after
            if known is None or reached < known:
                bounds[left, right] = reached
        return Zone(bounds)

    def without(self, names: Iterable[str]) -> Zone:
        """Return the zone without the bounds of some variables."""
        gone = set(names)
        return Zone({pair: most for pair, most in self.bounds.items() if not gone & {*pair}})

    def shifted(self, name: str, by: int) -> Zone:
        """Return the zone after a variable has increased by a constant."""
        bounds = {}
        for (one, other), most in self.bounds.items():
            bounds[one, other] = most + by * ((one == name) - (other == name))
        return Zone(bounds)

    def most(self, total: Sum) -> int | None:
        """Return the maximum of a linear expression; None if unbounded."""
        added, taken = total.summands(1), total.summands(-1)
        size = max(len(added), len(taken))
        added += [ZERO] * (size - len(added))
        taken += [ZERO] * (size - len(taken))
        orders = itertools.permutations(taken) if size <= _SUMMANDS_MAX else [tuple(taken)]
        found = [self._total(added, order) for order in orders]
        reached = [each for each in found if each is not None]
        return min(reached) + total.constant if reached else None

    def least(self, total: Sum) -> int | None:
        """Return the minimum of a linear expression; None if unbounded."""
        most = self.most(Sum().plus(total, -1))
        return None if most is None else -most

    def _total(self, added: Iterable[str], taken: Iterable[str]) -> int | None:
        total = 0
        for one, other in zip(added, taken, strict=True):
            most = self.difference_max(one, other)
            if most is None:
                return None
            total += most
        return total
