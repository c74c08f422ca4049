"""What tools show of a machine's records that look at a store without owning it."""

from __future__ import annotations

from collections.abc import Callable

import attrs


@attrs.frozen(kw_only=True)
class Inspection:
    """The lifecycle of a machine as data, and what is shown of a record; generated.

    Attributes:
        entity: What the machine calls a record.
        entities: What it calls several.
        live: The statuses of records that have not ended, in order.
        final: The statuses of records that have.
        milestones: The live statuses that are announced.
        begins: The first status of a record, and the command that leads to it.
        transitions: Two statuses and the actions that lead from the first to the second.
        created: The record's attribute with the time of its creation; empty if it has none.
        ended: The record's attribute with the time of its end; empty if it has none.
        filters: The names of the properties that `Definition.listing_keys` returns.
        has_history: Whether a record has its last transitions.
        snapshot_of: Returns the snapshot of a record with its number of watches.
    """

    entity: str
    entities: str
    live: tuple[str, ...]
    final: tuple[str, ...]
    milestones: tuple[str, ...] = ()
    begins: tuple[str, str]
    transitions: tuple[tuple[str, ...], ...]
    created: str = ""
    ended: str = ""
    filters: tuple[str, ...]
    has_history: bool = False
    snapshot_of: Callable[..., object]
