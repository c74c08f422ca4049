"""Feed entries and gaps as CloudEvents 1.0, in JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from opslifecycle.inspection.feed import FeedGap, Position
from opslifecycle.inspection.machines import Fed
from opslifecycle.values.plain import Data

MEDIA_TYPE = "application/cloudevents+json"
BATCH_MEDIA_TYPE = "application/cloudevents-batch+json"
_PREFIX = "opslifecycle"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def event_of_entry(registry: str, position: Position, entity: str, entry: Fed) -> Data:
    """Return a feed entry as an event; its id is its position."""
    event = _event(registry, position, f"{entity}.{entry.status}", entry.data)
    event["subject"] = entry.id
    if entry.at_ms is not None:
        moment = _EPOCH + timedelta(milliseconds=entry.at_ms)
        event["time"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return event


def event_of_gap(registry: str, gap: FeedGap) -> Data:
    """Return a gap as an event; its id is where the reader goes on."""
    return _event(registry, gap.position, "feed.gap", gap_data(gap))


def gap_data(gap: FeedGap) -> Data:
    """Return a gap as JSON-ready data."""
    return {
        "reason": gap.reason,
        "after": None if gap.after is None else str(gap.after),
        "position": str(gap.position),
    }


def _event(registry: str, position: Position, kind: str, data: Data) -> Data:
    return {
        "specversion": "1.0",
        "id": f"{position}" if kind != "feed.gap" else f"{position}:gap",
        "source": f"urn:{_PREFIX}:registry:{quote(registry, safe='')}",
        "type": f"{_PREFIX}.{kind}",
        "datacontenttype": "application/json",
        "data": data,
    }
