"""The completion feed of a registry, as a process reads it that does not own the registry."""

from __future__ import annotations

import re
from itertools import islice

import attrs
from opslifecycle.inspection.machines import Fed, FeedState, Machine
from opslifecycle.stores.reading import StoredRegistry

#: Why entries are missing between a position and the next entry.
EVICTED, EPOCH_CHANGED, PAST_WATERMARK = "evicted", "epoch_changed", "past_watermark"
_POSITION = re.compile(r"([0-9A-Za-z-]{0,64}):([0-9]{1,18})")


@attrs.frozen
class Position:
    """A place in a feed: right after the entry with a sequence number, in an epoch."""

    epoch: str
    sequence: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.sequence}"

    @classmethod
    def parse(cls, text: str) -> Position | None:
        """Return the position of a text from `str()`; None if no position has this text."""
        match = _POSITION.fullmatch(text)
        return cls(match[1], int(match[2])) if match else None


@attrs.frozen
class FeedGap:
    """Entries that a reader of the feed cannot get any more, or never could."""

    reason: str
    #: Where the reader was; None at its beginning.
    after: Position | None
    #: Where it goes on.
    position: Position


@attrs.frozen
class FeedPage:
    """Entries after a position, in their order, and where the next page begins."""

    edges: FeedState
    gap: FeedGap | None
    entries: tuple[Fed, ...]
    position: Position

    @property
    def has_more(self) -> bool:
        """Whether entries followed at that instant."""
        return self.position.sequence < self.edges.watermark


def entries_after(
    registry: StoredRegistry, after: Position | None, limit: int, machine: Machine
) -> FeedPage:
    """Return at most `limit` entries after a position; after None, the oldest ones.

    Raises:
        StoreDamagedError: An entry cannot be decoded.
    """
    edges = machine.feed_state(registry)
    start, reason = _start(edges, after)
    position = Position(edges.epoch, start)
    gap = None if reason is None else FeedGap(reason, after, position)
    rows = ((n, row) for n, row in registry.stored.rows.items() if n > start)
    page = list(islice(rows, limit)) if start < edges.watermark else []
    entries = tuple(registry.decode(machine.feed_entry, id, body) for _, (id, body) in page)
    # Some records have a sequence number and no entry, so that the last one can be below.
    end = page[-1][0] if len(entries) == limit else edges.watermark
    return FeedPage(edges, gap, entries, Position(edges.epoch, max(start, end)))


def _start(edges: FeedState, after: Position | None) -> tuple[int, str | None]:
    """Return the sequence number after which to read, and why it is not that of the position."""
    if after is None:
        return edges.dropped_through, EVICTED if edges.dropped_through else None
    if after.epoch != edges.epoch:
        return edges.dropped_through, EPOCH_CHANGED
    if after.sequence < edges.dropped_through:
        return edges.dropped_through, EVICTED
    if after.sequence > edges.watermark:
        return edges.watermark, PAST_WATERMARK
    return after.sequence, None
