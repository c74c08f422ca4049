"""The completion feed of a registry, as a process reads it that does not own the registry."""

from __future__ import annotations

import attrs
from opslifecycle import unstructure as to_json
from opslifecycle.stores.reading import StoredRegistry
from opslifecycle.values.plain import Data, data_of

from opslifecycle.operations.storage import deserialize
from opslifecycle.operations.views import entry_of


@attrs.frozen
class FeedPosition:
    """Where the feed of a registry begins and ends."""

    #: What sequence numbers belong to; empty in a registry that has written nothing.
    epoch: str
    #: The sequence number of the last entry.
    watermark: int
    #: The sequence number of the last evicted entry.
    dropped_through: int


def position_of(registry: StoredRegistry) -> FeedPosition:
    """Return where the feed of a registry begins and ends."""
    state = registry.stored.state
    data = {} if state is None else data_of(state)
    dropped_through = int(data.get("dropped_through", 0))
    return FeedPosition(
        str(data.get("epoch_id", "")),
        max(dropped_through, *registry.stored.rows, 0),
        dropped_through,
    )


def entry_data(id: str, body: str) -> Data:
    """Return a feed entry as JSON-ready data."""
    data: Data = to_json(entry_of(deserialize(id, body)))
    return data
