"""The archive of a registry: finished records that left memory, which only its store has."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Generic, NoReturn, Protocol, TypeVar

import attrs
from opslifecycle.errors import OpsLifecycleError, UnsupportedError
from opslifecycle.shell.columns import SortKey
from opslifecycle.shell.export import reporting_damage
from opslifecycle.shell.pages import Bound
from opslifecycle.stores.base import ArchivedRow, StoreContents
from opslifecycle.stores.schema_version import SchemaVersion
from opslifecycle.values import checks

T = TypeVar("T")
SnapshotT = TypeVar("SnapshotT")
SnapshotT_co = TypeVar("SnapshotT_co", covariant=True)

#: How many records one read of the store returns at most, and with a filter at least.
_ROWS_MAX, _ROWS_MIN = 1000, 100


class Closing(Protocol):
    """An engine, as far as it says whether it is closed."""

    closed: type[OpsLifecycleError] | None


class Source(Protocol):
    """The store of an owner, or a view of one, as far as it has an archive."""

    @property
    def name(self) -> str:
        """The name of the store, for messages."""

    def archived(self, id: str) -> ArchivedRow | None:
        """See `Store.archived`."""

    def archived_after(self, sequence: int, limit: int) -> list[ArchivedRow]:
        """See `Store.archived_after`."""

    def archived_before(self, sequence: int | None, limit: int) -> list[ArchivedRow]:
        """See `Store.archived_before`."""


class Elsewhere:
    """The source of a registry that cannot read the archive of its owner."""

    name = "a registry of another host"

    def archived(self, *asked: object) -> NoReturn:
        """Refuse."""
        raise UnsupportedError(f"the archive of {self.name}")

    archived_after = archived_before = archived


@attrs.frozen
class Archived(Generic[SnapshotT_co]):
    """A record of the archive.

    Attributes:
        sequence: The sequence number of its end, by which the archive is ordered.
        snapshot: The record as it was when it left memory.
    """

    sequence: int
    snapshot: SnapshotT_co


@attrs.frozen(kw_only=True)
class ArchivedForm(Generic[SnapshotT]):
    """How archived records are read; the same for every store.

    Attributes:
        schema: The machine. Records of older versions are migrated when they are read.
        deserialize: Returns the record of an id and a body.
        snapshot_of: Returns the snapshot of a record with its number of watches.
        filters_of: Returns the filter properties of a record.
        orders_of: Returns the values of a record in the named orders of the listing.
    """

    schema: SchemaVersion
    deserialize: Callable[[str, str], object]
    snapshot_of: Callable[..., SnapshotT]
    filters_of: Callable[..., Sequence[Hashable]]
    orders_of: Callable[..., Sequence[SortKey]]


class Archive(Generic[SnapshotT]):
    """Reads of a store's archive, which block for the time of one read.

    Args:
        engine: The engine of the registry: reads end with it.
        source: Where the records are; None for a registry without a store, whose archive is empty.
        form: How they are read.
    """

    def __init__(
        self, engine: Closing, source: Source | None, form: ArchivedForm[SnapshotT]
    ) -> None:
        self._engine = engine
        self._source = source
        self._form = form

    def over(self, source: Source) -> Archive[SnapshotT]:
        """Return the archive with the records of another source."""
        return Archive(self._engine, source, self._form)

    def get(self, id: object) -> SnapshotT | None:
        """Return the record with an id that was archived last; None if there is none.

        Raises:
            RegistryClosedError: The registry is closed.
            StoreDamagedError: The record was altered.
            PersistenceError: The store cannot be read.
            UnsupportedError: Only the owner can read the archive.
        """
        self._refuse_closed()
        row = None if self._source is None else self._source.archived(str(id))
        return None if row is None else self._form.snapshot_of(self._record(row), 0)

    def list_since(
        self,
        after: int,
        limit: int,
        descending: bool = False,
        wanted: Sequence[Hashable] = (),
        bounds: Sequence[Bound] = (),
    ) -> list[Archived[SnapshotT]]:
        """Return a page of the archive, in the order of the sequence numbers.

        Args:
            after: The sequence number of the last record of the page before; 0 for the first page.
            limit: How many records at most; fewer are returned only at the end of the archive.
            descending: Whether the latest record comes first.
            wanted: The value of each filter of the listing; None for any value.
            bounds: What the values of the listing's orders must exceed, and what must exceed them.

        Raises:
            InvalidValueError: An argument is no count.
            RegistryClosedError: The registry is closed.
            StoreDamagedError: A record was altered.
            PersistenceError: The store cannot be read.
            UnsupportedError: Only the owner can read the archive.
        """
        checks.count("after", after)
        checks.count("limit", limit)
        filters = [(place, value) for place, value in enumerate(wanted) if value is not None]
        limits = [(place, bound) for place, bound in enumerate(bounds) if bound != (None, None)]
        least = _ROWS_MIN if filters or limits else 0
        found: list[Archived[SnapshotT]] = []
        while True:
            self._refuse_closed()
            missing = limit - len(found)
            if not missing:
                return found
            count = min(max(missing, least), _ROWS_MAX)
            rows = self._rows(after, count, descending)
            for row in rows:
                record = self._record(row)
                if self._passes(record, filters, limits):
                    found.append(Archived(row[0], self._form.snapshot_of(record, 0)))
                    if len(found) == limit:
                        return found
            if len(rows) < count:
                return found
            after = rows[-1][0]

    def _rows(self, after: int, count: int, descending: bool) -> list[ArchivedRow]:
        if self._source is None:
            return []
        if descending:
            return self._source.archived_before(after or None, count)
        return self._source.archived_after(after, count)

    def _passes(
        self,
        record: object,
        filters: Sequence[tuple[int, Hashable]],
        limits: Sequence[tuple[int, Bound]],
    ) -> bool:
        if filters:
            properties = self._form.filters_of(record)
            if any(properties[place] != value for place, value in filters):
                return False
        if limits:
            values = self._form.orders_of(record)
            for place, (least, most) in limits:
                value = values[place]
                if least is not None and not least < value:
                    return False
                if most is not None and not value < most:
                    return False
        return True

    def _refuse_closed(self) -> None:
        """Raise the error of a closed registry; also in a forked child, which shares no store."""
        if self._engine.closed is not None:
            raise self._engine.closed

    def _record(self, row: ArchivedRow) -> object:
        _, id, version, body = row
        with reporting_damage(self._source):
            if version != self._form.schema.version:
                body = self._migrated(id, version, body)
            return self._form.deserialize(id, body)

    def _migrated(self, id: str, version: int, body: str) -> str:
        schema = self._form.schema
        where = "the archive" if self._source is None else self._source.name
        schema.refuse_unreadable(schema.machine, version, where)
        return schema.adopt(version, StoreContents({id: body}, {}, None)).records[id]


async def in_thread(call: Callable[..., T], *arguments: object) -> T:
    """Call a function that blocks in a worker thread."""
    import asyncio  # here, because programs without an event loop do not need it

    return await asyncio.to_thread(call, *arguments)
