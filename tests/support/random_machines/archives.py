"""What a machine archives: the records that evictions have erased, as they were then."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from opslifecycle_codegen.modelcheck.state import State

from tests.support.random_machines.exploring import Exploration
from tests.support.random_machines.shown import Views
from tests.support.random_machines.sides import Side
from tests.support.random_machines.verdicts import FaultError


def check_archive(side: Side, exploration: Exploration, views: Views, states: list[State]) -> None:
    """Compare a registry's archive with the way to its state; raises FaultError for a difference.

    A record that ends and is evicted by one call is in no state; all others are.
    """
    retention = side.program.machine.retention
    if retention is None or retention.archive is None:
        return
    found = getattr(side.registry, str(retention.archive.since))()
    seen = {each.sequence: each.snapshot for each in found}
    if [each.sequence for each in found] != sorted(seen):
        raise FaultError("archive", f"sequence numbers {[each.sequence for each in found]}")
    since = getattr(side.registry, str(retention.archive.since))
    if since(descending=True) != found[::-1]:
        raise FaultError("archive", "it is another one in descending order")
    evicted = _evicted(exploration, states)
    types = {name: type for name, type, _ in side.program.views.filters}
    for name, function in views.filters.items():
        wanted = side.values.sample(types[name].required, 0)
        plain, passing = side.values.plain(wanted), {e.sequence for e in since(**{name: wanted})}
        for sequence, record in evicted.items():
            if (sequence in passing) != (function({views.entity: record}) == plain):
                raise FaultError("archive", f"{record} with {name}={wanted}")
    for sequence, record in evicted.items():
        if sequence not in seen:
            raise FaultError("archive", f"it lacks {record}")
        names = {views.entity: record, "watcher_count": 0}
        for name, function in views.snapshot.items():
            value = side.values.plain(getattr(seen[sequence], name))
            if value != function(dict(names)):
                raise FaultError("archive", f"{name} of {record} is {value}")
        latest = getattr(side.registry, str(retention.archive.get))(
            next(id for id in side.values.ids if side.values.plain(id) == record[0])
        )
        if latest is None:
            raise FaultError("archive", f"it does not find {record}")


def _evicted(exploration: Exploration, states: list[State]) -> dict[int, Any]:
    """Return finished records that left with their entries on the way, by sequence number."""
    interpreter = exploration.interpreter
    dropped = interpreter.registry_place("dropped_through")
    sequence = list(exploration.program.symbols.entity_fields).index("sequence")
    found = {}
    for before, after in pairwise(states):
        limits = before.registry[dropped], after.registry[dropped]
        for old, new in zip(before.records, after.records, strict=True):
            if old is None or new == old or not interpreter.ends.is_ended(old):
                continue
            if limits[0] < old[sequence] <= limits[1]:
                found[old[sequence]] = old
    return found
