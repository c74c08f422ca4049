"""Machines, as far as their records are shown: the shipped one, and those of users."""

from __future__ import annotations

import datetime as _dt
from collections.abc import Hashable, Mapping

import attrs
from opslifecycle.errors import InvalidValueError
from opslifecycle.shell.definitions import AnyDefinition, Definition
from opslifecycle.shell.inspected import Inspection
from opslifecycle.stores.base import is_outbox_key
from opslifecycle.stores.epochs import epoch_of, lacks_feed
from opslifecycle.stores.reading import StoredRegistry
from opslifecycle.stores.schema_version import SchemaVersion
from opslifecycle.values.conversion import unstructure
from opslifecycle.values.moments import milliseconds_of
from opslifecycle.values.plain import Data, Json, data_of

from opslifecycle.operations import Registry

#: The shown status of a live record whose owner has ended, if the next owner ends it.
INTERRUPTED = "interrupted"
#: The shown status of a live record whose owner lives and does not renew its lease.
UNRESPONSIVE = "unresponsive"
#: The statuses that no record has.
NOT_RECORDED = (INTERRUPTED, UNRESPONSIVE)


@attrs.frozen
class Seen:
    """What is shown of one record, whatever its owner does."""

    status: str
    ended: bool
    #: Milliseconds since 1970; None if the machine stamps no such time, or it is to come.
    created_at_ms: int | None
    ended_at_ms: int | None
    #: The snapshot as JSON-ready data.
    snapshot: Data
    #: The last transitions, oldest first; none if the machine has no history.
    history: tuple[Json, ...]
    #: The filters of the listing as texts, by their names.
    filters: dict[str, str]


@attrs.frozen
class Fed:
    """What is shown of one entry of a feed."""

    sequence: int
    #: The id and the status of its record.
    id: str
    status: str
    #: When the record ended; None if that is not known, or it has not.
    at_ms: int | None
    data: Data


@attrs.frozen
class FeedState:
    """Where the feed of a registry is."""

    #: What sequence numbers belong to; empty in a registry that has written nothing.
    epoch: str
    #: The sequence number of the last entry.
    watermark: int
    #: The sequence number of the last evicted entry.
    dropped_through: int
    #: How far each consumer has read.
    cursors: dict[str, int]


class Machine:
    """A machine whose records are shown.

    Args:
        definition: What its registries are built from.
        inspection: What is shown of its records.
    """

    def __init__(self, definition: AnyDefinition, inspection: Inspection) -> None:
        assert definition.codec is not None, "a machine without recovery has no store"
        self.definition = definition
        self.inspection = inspection
        self._codec = definition.codec
        # One object each: what they return is cached for as long as they are the same.
        self.see = self._seen
        self.feed_entry = self._fed

    @property
    def name(self) -> str:
        """The name of the machine."""
        return self._codec.schema.machine

    @property
    def schema(self) -> SchemaVersion:
        """What stores of the machine are read as."""
        return self._codec.schema

    @property
    def id_type(self) -> type[object]:
        """The type of the records' identifiers."""
        return self.definition.id_type

    @property
    def is_interrupted(self) -> bool:
        """Whether live records end when their owner does, as the next owner finds out."""
        return self.definition.terminate is not None

    @property
    def statuses(self) -> tuple[str, ...]:
        """The statuses that are shown."""
        inspected = self.inspection
        others = NOT_RECORDED if self.is_interrupted else ()
        return (*inspected.live, *inspected.final, *others)

    def shown_status(self, seen: Seen, registry: StoredRegistry) -> str:
        """Return the status of a record, or what its owner makes of it."""
        if not seen.ended and self.is_interrupted:
            if registry.holder is None:
                return INTERRUPTED
            if not registry.responds:
                return UNRESPONSIVE
        return seen.status

    def records(self, registry: StoredRegistry) -> Mapping[str, str]:
        """Return the bodies of the records of a registry by their ids, without messages."""
        stored = registry.stored.records
        if not self._codec.has_outbox:
            return stored
        return {id: body for id, body in stored.items() if not is_outbox_key(id)}

    def feed_state(self, registry: StoredRegistry) -> FeedState:
        """Return where the feed of a registry is; that of one that has written none is empty.

        Raises:
            StoreDamagedError: The stored positions contradict each other, or are none.
        """
        feed, stored = self.definition.feed, registry.stored
        if feed is None or stored.state is None:
            return FeedState("", 0, 0, {})
        epoch_type = feed.epoch

        def decode(state: str) -> FeedState:
            data = data_of(state)
            given = {each.argument: each.value({}, data) for each in self.definition.settings}
            authority = self.definition.authority(**given)
            self._codec.read_state(authority, state)
            if lacks_feed(data):
                return FeedState("", 0, 0, {})
            self._codec.check_feed(authority, stored.rows)
            cursors = getattr(authority, "cursors", {})
            return FeedState(
                str(epoch_of(data, epoch_type)),
                authority.watermark,
                authority.dropped_through,
                {each.value: at for each, at in cursors.items()},
            )

        return registry.decode_state(decode, stored.state)

    def _seen(self, id: str, body: str) -> Seen:
        record, inspected = self._codec.deserialize(id, body), self.inspection
        filters = zip(inspected.filters, self.definition.listing_keys(record), strict=True)
        return Seen(
            status=str(record.status.value),
            ended=record.status.terminal,
            created_at_ms=_moment(record, inspected.created),
            ended_at_ms=_moment(record, inspected.ended),
            snapshot=unstructure(inspected.snapshot_of(record, 0)),
            history=tuple(map(unstructure, record.history)) if inspected.has_history else (),
            filters={name: _text(value) for name, value in filters},
        )

    def _fed(self, id: str, body: str) -> Fed:
        record, feed = self._codec.deserialize(id, body), self.definition.feed
        assert feed is not None, "a machine without a feed has no entries"
        return Fed(
            record.sequence,
            id,
            str(record.status.value),
            _moment(record, self.inspection.ended) if record.status.terminal else None,
            unstructure(feed.entry_of(record)),
        )


def machine_of(registry: object) -> Machine:
    """Return the machine of a class of registries, of either kind.

    Raises:
        InvalidValueError: It is no such class, or its records cannot be shown.
    """
    definition = getattr(registry, "_definition", None) if isinstance(registry, type) else None
    if not isinstance(definition, Definition) or definition.codec is None:
        reason = "expected the class of a registry that can have a store"
        raise InvalidValueError("machine", f"{reason}, got {registry!r:.80}")
    inspected = getattr(registry, "_inspection", None)
    if not isinstance(inspected, Inspection):
        reason = f"{registry!r:.80} was generated by an older version; generate it again"
        raise InvalidValueError("machine", reason)
    return Machine(definition, inspected)


def _moment(record: object, attribute: str) -> int | None:
    """Return a time of a record in milliseconds since 1970; None for none."""
    value = getattr(record, attribute) if attribute else None
    return milliseconds_of(value) if isinstance(value, _dt.datetime) else value


def _text(value: Hashable) -> str:
    """Return the text by which a filter selects a value."""
    data = unstructure(value)
    if data is None or isinstance(data, bool):
        return {None: "null", True: "true", False: "false"}[data]
    return str(data)


#: The machine that opslifecycle ships.
OPERATIONS = machine_of(Registry)
