"""The archive of a registry: finished records that left memory, which only its store has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import attrs
from opslifecycle.errors import OpsLifecycleError
from opslifecycle.shell.export import reporting_damage
from opslifecycle.stores.base import ArchivedRow, SchemaVersion, Store, StoreContents
from opslifecycle.values import checks

T = TypeVar("T")
SnapshotT = TypeVar("SnapshotT")
SnapshotT_co = TypeVar("SnapshotT_co", covariant=True)


class Closing(Protocol):
    """An engine, as far as it says whether it is closed."""

    closed: type[OpsLifecycleError] | None


@attrs.frozen
class Archived(Generic[SnapshotT_co]):
    """A record of the archive.

    Attributes:
        sequence: The sequence number of its end, by which the archive is ordered.
        snapshot: The record as it was when it left memory.
    """

    sequence: int
    snapshot: SnapshotT_co


class Archive(Generic[SnapshotT]):
    """Reads of a store's archive, which block for the time of one read.

    Args:
        engine: The engine of the registry: reads end with it.
        store: The store; None for a registry without one, whose archive is empty.
        schema: The machine. Records of older versions are migrated when they are read.
        read: Returns the snapshot of an id and a body.
    """

    def __init__(
        self,
        engine: Closing,
        store: Store | None,
        schema: SchemaVersion,
        read: Callable[[str, str], SnapshotT],
    ) -> None:
        self._engine = engine
        self._store = store
        self._schema = schema
        self._read = read

    def get(self, id: object) -> SnapshotT | None:
        """Return the record with an id that was archived last; None if there is none.

        Raises:
            RegistryClosedError: The registry is closed.
            StoreDamagedError: The record was altered.
            PersistenceError: The store cannot be read.
        """
        self._refuse_closed()
        row = None if self._store is None else self._store.archived(str(id))
        return None if row is None else self._snapshot(row)

    def list_since(self, after: int, limit: int) -> list[Archived[SnapshotT]]:
        """Return the records that ended after a sequence number, at most `limit`, in their order.

        Raises:
            InvalidValueError: An argument is no count.
            RegistryClosedError: The registry is closed.
            StoreDamagedError: A record was altered.
            PersistenceError: The store cannot be read.
        """
        checks.count("after", after)
        checks.count("limit", limit)
        self._refuse_closed()
        rows = [] if self._store is None else self._store.archived_after(after, limit)
        return [Archived(row[0], self._snapshot(row)) for row in rows]

    def _refuse_closed(self) -> None:
        """Raise the error of a closed registry; also in a forked child, which shares no store."""
        if self._engine.closed is not None:
            raise self._engine.closed

    def _snapshot(self, row: ArchivedRow) -> SnapshotT:
        _, id, version, body = row
        with reporting_damage(self._store):
            if version != self._schema.version:
                body = self._migrated(id, version, body)
            return self._read(id, body)

    def _migrated(self, id: str, version: int, body: str) -> str:
        schema = self._schema
        where = "the archive" if self._store is None else self._store.name
        schema.refuse_unreadable(schema.machine, version, where)
        return schema.adopt(version, StoreContents({id: body}, {}, None)).records[id]


async def in_thread(call: Callable[..., T], *arguments: object) -> T:
    """Call a function that blocks in a worker thread."""
    import asyncio  # here, because programs without an event loop do not need it

    return await asyncio.to_thread(call, *arguments)
