"""A copy of the published state of a registry that another process owns.

The owner's commits are in a store. A replica takes up what they have changed since its last look,
and tells readers and waiters, as the owner's registry tells those in its own process.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Container, Hashable, Iterable
from enum import Enum
from itertools import chain, islice, takewhile
from typing import Generic, TypeAlias, TypeVar

import attrs
from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.errors import RegistryClosedError
from opslifecycle.shell.archive import Elsewhere
from opslifecycle.shell.authority import Authority, IdT, RecordT, Row
from opslifecycle.shell.build import Parts, parts_of
from opslifecycle.shell.codec import MachineCodec
from opslifecycle.shell.commands import Change
from opslifecycle.shell.definitions import Definition
from opslifecycle.shell.engine import Engine
from opslifecycle.shell.executor import Executor
from opslifecycle.shell.staging import slots_of
from opslifecycle.stores.base import StoreContents, is_outbox_key

RegistryT = TypeVar("RegistryT")

#: A row of the store: the id of a record, the sequence number of its feed entry or None, whether it
#: is the current state of the record, and the body.
StoredRow: TypeAlias = tuple[str, int | None, bool, str]

#: What an authority has besides its records and indexes of them.
_NOT_INDEXES = {"records", "ended", "cursors"}


class _Seen(Enum):
    """The effects of what an owner has done, as far as they concern readers and waiters."""

    APPEND_TO_FEED = "append_to_feed"
    COUNT_IN_BARRIERS = "count_in_barriers"
    WAKE_WATCHERS = "wake_watchers"
    CLOSE_WATCHERS = "close_watchers"
    FAIL_BARRIERS = "fail_barriers"


_ANNOUNCED = (_Seen.COUNT_IN_BARRIERS, _Seen.WAKE_WATCHERS)
_REMOVED = (_Seen.FAIL_BARRIERS, _Seen.CLOSE_WATCHERS)


def replicate_registry(
    kind: type[RegistryT],
    definition: Definition[RecordT],
    contents: StoreContents,
    executor_of: Callable[[Engine[Hashable, RecordT]], Executor],
) -> RegistryT:
    """Return a registry that reads a copy of one in another process.

    Args:
        kind: The class of the registry.
        definition: The machine.
        contents: What the store of the other registry holds.
        executor_of: Returns the executor, which has commands decided by the other process.
    """
    return replicate(kind, definition, contents, executor_of)[0]


def replicate(
    kind: type[RegistryT],
    definition: Definition[RecordT],
    contents: StoreContents,
    executor_of: Callable[[Engine[Hashable, RecordT]], Executor],
) -> tuple[RegistryT, Parts[RecordT]]:
    """Return such a registry and its parts; see `replicate_registry`."""
    parts = parts_of(definition, {}, None, contents, None, SYSTEM_CLOCK)
    archive = None if parts.archive is None else parts.archive.over(Elsewhere())
    parts = attrs.evolve(parts, executor=executor_of(parts.engine), archive=archive)
    registry = kind.__new__(kind)
    for name, part in parts.attributes().items():
        setattr(registry, name, part)
    weakref.finalize(registry, parts.executor.abandon).atexit = False
    return registry, parts


class Replica(Generic[IdT, RecordT]):
    """Brings the engine of a registry up to date with a store.

    Args:
        engine: The engine, with the contents of the store at some time.
        codec: The conversion of records.
    """

    def __init__(self, engine: Engine[IdT, RecordT], codec: MachineCodec[RecordT]) -> None:
        self._engine = engine
        self._codec = codec

    @property
    def is_open(self) -> bool:
        """Whether the registry was not closed."""
        return self._engine.closed is None

    def end(self) -> None:
        """Close the registry here, and end its waits; the owner's goes on."""
        self._engine.end(RegistryClosedError)

    def advance(
        self, rows: Iterable[StoredRow], current: Container[str] | None, state: str
    ) -> None:
        """Take up what the owner has changed, in one step for every reader.

        A record that ended and was removed since the last look, and left no feed entry, cannot be
        told from one that was rolled back.

        Args:
            rows: The rows that are new since the last look, in the order of their commits.
            current: The ids of all records, if some of those known may be gone.
            state: The registry's fields, as JSON text.

        Raises:
            ValueError, LookupError, TypeError: No registry of this machine has written such rows.
        """
        read = [
            (sequence, is_current, self._codec.deserialize(id, body))
            for id, sequence, is_current, body in rows
            if not is_outbox_key(id)
        ]
        # An owner that has taken over may have written the rows in another order.
        read.sort(key=lambda each: each[0] or 0)
        self._engine.lock.hold(self._take_up, read, current, state)

    def _take_up(
        self,
        read: list[tuple[int | None, bool, RecordT]],
        current: Container[str] | None,
        state: str,
    ) -> None:
        try:
            self._change(read, current, state)
        except BaseException:
            # What was taken up halfway cannot be told from what was announced (ADR 0019).
            self._engine.fail()
            raise

    def _change(
        self,
        read: list[tuple[int | None, bool, RecordT]],
        current: Container[str] | None,
        state: str,
    ) -> None:
        authority = self._engine.authority
        has_feed = self._engine.effects.feed is not None
        watermark = authority.watermark if has_feed else 0
        changes: list[Change[RecordT]] = []
        for sequence, is_current, record in read:
            is_news = has_feed and sequence is not None and sequence > watermark
            before = authority.records.get(record.id)
            outcome = record.terminal_outcome
            announced = outcome is not None and (
                is_news or before is None or before.terminal_outcome is None
            )
            effects = (_Seen.APPEND_TO_FEED,) if is_news else ()
            changes.append((record, (*effects, *(_ANNOUNCED if announced else ()))))
            if is_current:
                self._put(authority, record)
        if current is not None:
            changes += self._remove(authority, current)
        self._codec.read_state(authority, state)
        news = [] if not has_feed else [row for row, *_ in read if row is not None]
        self._codec.check_feed(authority, [each for each in news if each > watermark])
        for name in slots_of(authority):
            if name not in _NOT_INDEXES and isinstance(getattr(authority, name), dict):
                getattr(authority, name).clear()
        self._codec.recover_fields(authority)
        self._engine.effects.publish(changes, self._evicted(changes))

    def _put(self, authority: Authority[IdT, RecordT], record: RecordT) -> None:
        authority.records[record.id] = record
        authority.ended.pop(record.id, None)
        if record.status.terminal:
            authority.ended[record.id] = record

    def _remove(
        self, authority: Authority[IdT, RecordT], current: Container[str]
    ) -> list[Change[RecordT]]:
        changes: list[Change[RecordT]] = []
        for id in [each for each in authority.records if str(each) not in current]:
            record = authority.records.pop(id)
            authority.ended.pop(id, None)
            changes.append((record, () if record.status.terminal else _REMOVED))
        return changes

    def _evicted(self, changes: list[Change[RecordT]]) -> list[Row]:
        """Return the feed entries that the owner has evicted, oldest first."""
        feed = self._engine.effects.feed
        if feed is None:
            return []
        news = (record for record, effects in changes if _Seen.APPEND_TO_FEED in effects)
        retained = chain(islice(feed._rows, feed._head, None), news)
        dropped_through = self._engine.authority.dropped_through
        return list(takewhile(lambda row: row.sequence <= dropped_through, retained))
