"""Checks what hosts were told against what the server has. It imports nothing of the project.

The sequence numbers of a registry's feed are a total order of its ends. A history is linearizable
if no call contradicts that order: an end that was acknowledged before another one was asked for has
the smaller number; a read of an owner returns at least what was acknowledged before it began, and
no more than what was asked for before it returned. That takes no search.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import attrs

#: What a host reports of a call while it owns the registry.
_CALLS = ("registered", "completed", "read", "followed")
#: Reads: of the owner's own memory, and of a copy that follows another host's.
_READS = ("read", "followed")


@attrs.frozen
class Event:
    """A call that has returned, of one process."""

    host: int
    kind: str
    registry: str
    value: str | int
    before: int
    after: int


@attrs.frozen
class Entry:
    """A row of the feed, as SQL shows it."""

    sequence: int
    id: str
    status: str


@attrs.frozen
class Written:
    """A commit, as a trigger has recorded it: in the order of the server."""

    fencing_token: int
    head: int


def events(host: int, lines: Iterable[str]) -> list[Event]:
    """Return the events that a host has reported; a line cut by a kill is none."""
    whole = (line for line in lines if line.endswith("\n"))
    return [Event(host, *json.loads(line)) for line in whole]


def wrong(
    history: Sequence[Event],
    feeds: Mapping[str, Sequence[Entry]],
    commits: Mapping[str, Sequence[Written]],
) -> list[str]:
    """Return in words what contradicts the guarantees; nothing if all hold."""
    found: list[str] = []
    by_registry: dict[str, list[Event]] = {}
    for event in history:
        by_registry.setdefault(event.registry, []).append(event)
    for name, own in by_registry.items():
        _refuse_mixed(own)
        feed = feeds.get(name, ())
        found += [f"{name}: {each}" for each in _of_feed(own, feed)]
        found += [f"{name}: {each}" for each in _of_order(own, feed)]
        found += [f"{name}: {each}" for each in _of_hosts(own, feed)]
    for name, written in commits.items():
        found += [f"{name}: {each}" for each in _of_owners(written)]
    return found


def _refuse_mixed(history: Sequence[Event]) -> None:
    """Raise ValueError if the calls of a host overlap: then it stands for two processes.

    A host makes one call of a registry after the other. What is said of a host below, such as what
    it has acknowledged after a read, would be said of neither process.
    """
    latest: dict[int, Event] = {}
    calls = (each for each in history if each.kind in _CALLS)
    for each in sorted(calls, key=lambda each: each.before):
        before = latest.get(each.host)
        if before is not None and each.before < before.after:
            raise ValueError(f"the calls of host {each.host} overlap: {before} and {each}")
        latest[each.host] = each


def _of_feed(history: Sequence[Event], feed: Sequence[Entry]) -> Iterable[str]:
    """Acknowledged and lost, twice, or skipped."""
    if [each.sequence for each in feed] != list(range(1, len(feed) + 1)):
        yield "the feed has holes, or a number twice"
    ends: dict[str, str] = {}
    for each in feed:
        if each.id in ends:
            yield f"{each.id} ended twice"
        ends[each.id] = each.status
    for event in history:
        if event.kind == "registered" and event.value not in ends:
            yield f"the registration of {event.value} was acknowledged and lost"
        if event.kind == "completed" and ends.get(str(event.value)) != "completed":
            yield f"the end of {event.value} was acknowledged and lost"
        if event.kind == "not registered" and event.value in ends:
            yield f"the registration of {event.value} was withdrawn, and applied"
        if event.kind == "not completed" and ends.get(str(event.value)) == "completed":
            yield f"the end of {event.value} was withdrawn, and applied"
        if event.kind == "repeated":
            yield f"a command on {event.value} was applied twice"


def _of_order(history: Sequence[Event], feed: Sequence[Entry]) -> Iterable[str]:
    """Calls that contradict the order of the feed."""
    sequences = {each.id: each.sequence for each in feed}
    ended = sorted(
        (each for each in history if each.kind == "completed"), key=lambda each: each.after
    )
    asked = sorted(ended, key=lambda each: each.before)
    reads = [each for each in history if each.kind in _READS]
    acknowledged = _Highest([(each.after, sequences.get(str(each.value), 0)) for each in ended])
    for each in asked:
        sequence = sequences.get(str(each.value))
        if sequence is not None and acknowledged.before(each.before) > sequence:
            yield f"{each.value} has a smaller number than an end acknowledged before it"
    # What was asked for later than a read returned cannot be in it.
    later = _Lowest([(each.before, sequences.get(str(each.value), 0)) for each in asked])
    for read in reads:
        watermark = int(read.value)
        # A copy follows the owner; it may be late.
        is_late = read.kind == "read" and watermark < acknowledged.before(read.before)
        if is_late and _goes_on(read, history):
            yield f"host {read.host} read {watermark}, and a later end was acknowledged before"
        first = later.after(read.after)
        if first is not None and watermark >= first:
            yield f"host {read.host} read {watermark}, which was asked for later"


def _of_hosts(history: Sequence[Event], feed: Sequence[Entry]) -> Iterable[str]:
    """Reads of one host that go back, or lack what it has done itself before."""
    sequences = {each.id: each.sequence for each in feed}
    least: dict[int, int] = {}
    for event in sorted(history, key=lambda each: each.before):
        seen = least.get(event.host, 0)
        if event.kind in _READS:
            watermark = int(event.value)
            if watermark < seen:
                yield f"host {event.host} read {watermark} after it had seen {seen}"
            least[event.host] = max(seen, watermark)
        elif event.kind == "completed":
            least[event.host] = max(seen, sequences.get(str(event.value), 0))


def _goes_on(read: Event, history: Sequence[Event]) -> bool:
    """Return whether the host of a read acknowledged something after it as the same owner.

    A host that has lost a registry and has not noticed yet may return what it knew. It acknowledges
    nothing before it has noticed.
    """
    later = [
        each
        for each in history
        if each.host == read.host and each.after > read.after and each.kind not in _READS
    ]
    first = min(later, key=lambda each: each.after, default=None)
    return first is not None and first.kind in ("registered", "completed")


def _of_owners(written: Sequence[Written]) -> Iterable[str]:
    """Commits of an owner after one of its successor."""
    for before, after in pairwise(written):
        if after.fencing_token < before.fencing_token:
            yield f"two owners: fencing token {after.fencing_token} after {before.fencing_token}"
        if after.head <= before.head:
            yield f"two owners: position {after.head} after {before.head}"


class _Highest:
    """The highest value up to a time."""

    def __init__(self, pairs: Sequence[tuple[int, int]]) -> None:
        self._times = [time for time, _ in pairs]
        self._values: list[int] = []
        for _, value in pairs:
            self._values.append(max(value, self._values[-1] if self._values else 0))

    def before(self, time: int) -> int:
        at = bisect_left(self._times, time)
        return self._values[at - 1] if at else 0


class _Lowest:
    """The lowest value after a time."""

    def __init__(self, pairs: Sequence[tuple[int, int]]) -> None:
        self._times = [time for time, _ in pairs]
        self._values: list[int] = [value for _, value in pairs]
        for at in range(len(pairs) - 2, -1, -1):
            self._values[at] = min(self._values[at], self._values[at + 1])

    def after(self, time: int) -> int | None:
        at = bisect_right(self._times, time)
        return self._values[at] if at < len(self._values) else None
