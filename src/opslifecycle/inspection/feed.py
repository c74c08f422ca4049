"""The completion feed of a registry, as a process reads it that does not own the registry."""

from __future__ import annotations

import re
from itertools import islice

import attrs
from opslifecycle import DEFAULT_MAX_COMPLETED, RuntimeEpochId
from opslifecycle import unstructure as to_json
from opslifecycle.stores.epochs import epoch_of
from opslifecycle.stores.reading import StoredRegistry
from opslifecycle.values.plain import Data, data_of

from opslifecycle.operations.authority import OperationAuthority
from opslifecycle.operations.storage import CODEC, deserialize
from opslifecycle.operations.views import entry_of

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
class FeedEdges:
    """Where the feed of a registry begins and ends."""

    #: What sequence numbers belong to; empty in a registry that has written nothing.
    epoch: str
    #: The sequence number of the last entry.
    watermark: int
    #: The sequence number of the last evicted entry.
    dropped_through: int


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

    edges: FeedEdges
    gap: FeedGap | None
    #: Each entry with its sequence number, as JSON-ready data.
    entries: tuple[tuple[int, Data], ...]
    position: Position

    @property
    def has_more(self) -> bool:
        """Whether entries followed at that instant."""
        return self.position.sequence < self.edges.watermark


def edges_of(registry: StoredRegistry) -> FeedEdges:
    """Return where the feed of a registry begins and ends.

    Raises:
        StoreDamagedError: The stored positions contradict each other, or are none.
    """
    epoch, authority = _state_of(registry)
    return FeedEdges(epoch, authority.watermark, authority.dropped_through)


def cursors_of(registry: StoredRegistry) -> dict[str, int]:
    """Return how far each consumer of the feed of a registry has read.

    Raises:
        StoreDamagedError: As for `edges_of`.
    """
    return {each.value: at for each, at in _state_of(registry)[1].cursors.items()}


def _state_of(registry: StoredRegistry) -> tuple[str, OperationAuthority]:
    """Return the epoch of the feed, and an authority with the fields of the registry."""
    authority = OperationAuthority(max_completed=DEFAULT_MAX_COMPLETED, max_concurrent=None)
    rows = registry.stored.rows

    def decode(state: str) -> str:
        CODEC.read_state(authority, state)
        CODEC.check_feed(authority, rows)
        return str(epoch_of(data_of(state), RuntimeEpochId))

    if registry.stored.state is None:
        return "", authority
    return registry.decode_state(decode, registry.stored.state), authority


def entries_after(registry: StoredRegistry, after: Position | None, limit: int) -> FeedPage:
    """Return at most `limit` entries after a position; after None, the oldest ones.

    Raises:
        StoreDamagedError: An entry cannot be decoded.
    """
    edges = edges_of(registry)
    start, reason = _start(edges, after)
    position = Position(edges.epoch, start)
    gap = None if reason is None else FeedGap(reason, after, position)
    rows = ((n, row) for n, row in registry.stored.rows.items() if n > start)
    page = list(islice(rows, limit)) if start < edges.watermark else []
    entries = tuple((n, registry.decode(entry_data, id, body)) for n, (id, body) in page)
    # Some operations have a sequence number and no entry, so that the last one can be below.
    end = entries[-1][0] if len(entries) == limit else edges.watermark
    return FeedPage(edges, gap, entries, Position(edges.epoch, max(start, end)))


def _start(edges: FeedEdges, after: Position | None) -> tuple[int, str | None]:
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


def entry_data(id: str, body: str) -> Data:
    """Return a feed entry as JSON-ready data."""
    data: Data = to_json(entry_of(deserialize(id, body)))
    return data
