"""What an examination of one machine ends with: accepted, refused, or a fault of the project."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import attrs
from attrs import define, field


class FaultError(AssertionError):
    """Something that the compiler accepted and that is wrong; `kind` says in which respect."""

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(f"{kind}: {message}")


@define
class Tally:
    """How many machines were accepted and refused, and what the accepted ones had."""

    accepted: int = 0
    refused: int = 0
    states: int = 0
    calls: int = 0
    reopened: int = 0
    linted: int = 0
    #: Next versions of machines.
    versions: int = 0
    versions_refused: int = 0
    #: Third versions, of the next ones.
    chains: int = 0
    #: What the accepted machines had, and what all of them had.
    features: Counter[str] = field(factory=Counter)
    tried: Counter[str] = field(factory=Counter)
    rules: Counter[str] = field(factory=Counter)

    def add(self, other: Tally) -> None:
        """Count in what another run has counted."""
        for each in attrs.fields(Tally):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    @property
    def share(self) -> float:
        """The share of machines that were accepted."""
        return self.accepted / max(1, self.accepted + self.refused)

    def missing(self, wanted: Iterable[str]) -> list[str]:
        """The features that no accepted machine had."""
        return sorted(each for each in wanted if not self.features[each])

    def lacks(self, features: frozenset[str], wanted: Iterable[str]) -> bool:
        """Whether a machine has a feature of those wanted that no accepted machine had."""
        return not features.isdisjoint(self.missing(wanted))

    def __str__(self) -> str:
        return (
            f"{self.accepted + self.refused} machines: {self.accepted} accepted"
            f" ({self.share:.0%}), {self.refused} refused; {self.states} states,"
            f" {self.calls} calls, {self.reopened} reopenings compared; {self.linted} linted;"
            f" {self.versions} next versions, {self.versions_refused} refused;"
            f" {self.chains} chains of three"
        )
