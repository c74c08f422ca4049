"""Holds the statuses that owners have written against the machine's declaration.

One commit may contain several commands on a record, so a later status must be reachable from the
earlier one. A finished record has no later status, whichever process owns its registry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import attrs

from tests.support.proof.both_sides import PROGRAM


@attrs.frozen
class Step:
    """A row of a record, as a trigger has recorded it: in the order of the server."""

    registry: str
    id: str
    status: str


def reachable() -> Mapping[str, frozenset[str]]:
    """Return which statuses are reachable from each, in one action or more."""
    found: dict[str, set[str]] = {}
    for action in PROGRAM.actions:
        for status in action.from_statuses:
            if action.to is not None:
                found.setdefault(status, set()).add(action.to)
    grows = True
    while grows:
        grows = False
        for targets in found.values():
            more = set().union(*(found.get(each, set()) for each in targets)) - targets
            targets |= more
            grows = grows or bool(more)
    return {status: frozenset(targets) for status, targets in found.items()}


def illegal(steps: Iterable[Step]) -> list[str]:
    """Return in words which steps the machine does not allow."""
    later, first = reachable(), PROGRAM.create.to
    assert first is not None
    by_record: dict[tuple[str, str], list[str]] = {}
    for step in steps:
        by_record.setdefault((step.registry, step.id), [first]).append(step.status)
    return [
        f"{registry}: {id} went from {before} to {after}"
        for (registry, id), statuses in by_record.items()
        for before, after in _changes(statuses)
        if after not in later.get(before, frozenset())
    ]


def _changes(statuses: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Yield the pairs of different statuses; a row may also be written for other fields."""
    return (pair for pair in pairwise(statuses) if pair[0] != pair[1])
