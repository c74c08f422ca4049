"""The completion feed: entries in order, read by position. Independent of watches and barriers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeVar, cast

import attrs
from opslifecycle.errors import (
    CompletionFeedGapError,
    CursorOutOfRangeError,
    EpochChangedError,
    RegistryClosedError,
)
from opslifecycle.sync.publication import PublicationLock
from opslifecycle.sync.waits import Wait, Waiting, ended
from opslifecycle.values import checks

_SEQUENCE = attrgetter("sequence")
_PAGE_ROWS = 256
_DEAD_ROWS_MIN = 64


class Entry(Protocol):
    """What every feed entry has."""

    @property
    def seq(self) -> int:
        """The sequence number of the entry."""


class Position(Protocol):
    """The edges of the feed, which the authority owns."""

    watermark: int
    dropped_through: int


EntryT = TypeVar("EntryT", bound=Entry)
EpochT = TypeVar("EpochT")


@attrs.frozen
class CompletionFeedGap:
    """Entries that a reader asked for and that were evicted."""

    requested_after_seq: int
    dropped_through: int
    watermark: int


@attrs.frozen
class FeedBatch(Generic[EntryT]):
    """Feed entries after a position, with the edges of the feed at the same instant."""

    entries: tuple[EntryT, ...]
    watermark: int
    dropped_through: int

    def gap_after(self, seq: int) -> CompletionFeedGap | None:
        """Return the gap of a reader at position `seq`: None unless `seq < dropped_through`."""
        if seq >= self.dropped_through:
            return None
        return CompletionFeedGap(seq, self.dropped_through, self.watermark)


class FeedAdvance(Wait[int]):
    """A wait until the watermark is past a position. Its result is the watermark."""

    __slots__ = ()


class CompletionFeed(Generic[EntryT, EpochT]):
    """The completion feed: finished records in order, as far back as retention reaches.

    A position is a sequence number; 0 is before the first. `epoch_id` identifies the numbering:
    pass it together with a position that you stored, and a position of another epoch raises
    EpochChangedError. Reading works after the registry is closed; waiting does not.
    """

    __slots__ = (
        "__weakref__", "_batch", "_closed", "_entry_of", "_gone", "_head", "_lock", "_made",
        "_position", "_rows", "_waits", "epoch_id",
    )  # fmt: skip

    def __init__(
        self,
        lock: PublicationLock,
        position: Position,
        entry_of: Callable[[Any], EntryT],
        batch: Callable[[tuple[EntryT, ...], int, int], FeedBatch[EntryT]],
        epoch_id: EpochT,
    ) -> None:
        self.epoch_id = epoch_id
        self._entry_of = entry_of
        self._lock = lock
        self._position = position
        self._batch = batch
        # The ended records that entries are made from, as their sequences rise. Whoever publishes
        # appends to it, without a call that every end would pay for.
        self._rows: list[Any] = []
        # The entries of the first rows, once somebody has read them: whoever ends a record does not
        # pay for readers that may never come.
        self._made: list[EntryT | None] = []
        # The first row that is retained, and how many before it have left the lists.
        self._head = self._gone = 0
        # The waits for an advance, by the position they stand at.
        self._waits: Waiting[int] = Waiting()
        self._closed = False

    @property
    def watermark(self) -> int:
        """The sequence number of the latest entry, also if it was evicted; 0 if there was none."""
        return self._position.watermark

    def list_since(self, after: int, *, epoch_id: EpochT | None = None) -> FeedBatch[EntryT]:
        """Return the entries after a position that are still retained.

        Past the watermark the batch is empty and has the lower watermark.

        Args:
            after: A position.
            epoch_id: The epoch of the position, to be compared with the feed's.

        Returns:
            A batch, whose `gap_after(after)` tells whether entries are missing.

        Raises:
            InvalidValueError: `after` is no count, or `epoch_id` no epoch.
            EpochChangedError: The position is of another epoch.
        """
        self._check(after, epoch_id)
        return self._page(after, None)

    def wait_for_advance(self, after: int) -> FeedAdvance:
        """Wait until the watermark is past a position.

        The position can be past the watermark: the wait is then for the entries after it.

        Args:
            after: A position.

        Returns:
            A wait whose result is the watermark. It is over at once if the watermark is past.

        Raises:
            RegistryClosedError: The registry is closed. Waits in progress fail with it, too.
        """
        self._check(after, None)
        return self._lock.hold(self._advance_past, after)

    def _advance_past(self, after: int) -> FeedAdvance:
        if self._position.watermark > after:
            return ended(self._position.watermark, self._lock, FeedAdvance)
        if self._closed:
            raise RegistryClosedError
        return self._waits.add(after, FeedAdvance, self._lock)

    def subscribe(self, *, after: int = 0, epoch_id: EpochT | None = None) -> AsyncIterator[EntryT]:
        """Iterate over every entry after a position, in order, as they come; for `async for`.

        Args:
            after: A position; the entry with this number was read.
            epoch_id: The epoch of the position, to be compared with the feed's.

        Raises:
            CursorOutOfRangeError: At the call, if the position is past the watermark.
            EpochChangedError: At the call, if the position is of another epoch.
            CompletionFeedGapError: While iterating, if entries were evicted before they were read.
            RegistryClosedError: While iterating, after the last entry of a closed registry.
        """
        self._check_place(after, epoch_id)
        return _Subscription(self, after)

    def iterate(
        self, *, after: int = 0, epoch_id: EpochT | None = None, timeout: float | None = None
    ) -> Iterator[EntryT]:
        """Iterate over every entry after a position, for threads: a step blocks until there is one.

        Args:
            after: A position; the entry with this number was read.
            epoch_id: The epoch of the position, to be compared with the feed's.
            timeout: How many seconds a step waits; None for as long as it takes.

        Raises:
            TimeoutError: A step found no entry in time. The iterator can be used again.
            CursorOutOfRangeError: As for `subscribe`, like the other errors.
        """
        self._check_place(after, epoch_id)
        return _Iteration(self, after, timeout)

    def entries(self) -> Sequence[EntryT]:
        """Return the retained entries, oldest first. Called with the publication lock held."""
        return self._entries(self._made_in(self._head, len(self._rows)), self.records())

    def records(self) -> Sequence[Any]:
        """Return the records of the retained entries. Called with the publication lock held."""
        return self._rows[self._head :]

    def advance(self, record: Any) -> None:
        """End the waits for an entry that was appended. Called with the publication lock held."""
        sequence = record.sequence
        waits = self._waits.cells
        for after in [after for after in waits if after < sequence]:
            for cell in waits[after]:
                cell.end(sequence)
            del waits[after]

    def drop_oldest(self) -> Any:
        """Evict the oldest entry in amortised constant time, and return its record.

        Called with the publication lock held.
        """
        record = self._rows[self._head]
        self._head += 1
        if self._head >= _DEAD_ROWS_MIN and self._head * 2 >= len(self._rows):
            del self._rows[: self._head]
            del self._made[: self._head]
            self._gone += self._head
            self._head = 0
        return record

    def close(self) -> None:
        """Fail every wait with RegistryClosedError. Called with the publication lock held."""
        self._closed = True
        self._waits.fail_all(RegistryClosedError)

    def _page(self, after: int, rows_max: int | None) -> FeedBatch[EntryT]:
        place, made, records, watermark, dropped_through = self._lock.hold(
            self._rows_after, after, rows_max
        )
        if records:
            # Two readers may make them at once; their entries are equal.
            entries = self._entries(made, records)
            self._lock.hold(self._keep, place, entries)
        else:
            entries = cast("list[EntryT]", made)
        return self._batch(tuple(entries), watermark, dropped_through)

    def _rows_after(
        self, after: int, rows_max: int | None
    ) -> tuple[int, list[EntryT | None], Sequence[Any], int, int]:
        """Return the index of the first row after a position, the rows, and the feed's edges."""
        start = bisect_right(self._rows, after, lo=self._head, key=_SEQUENCE)
        stop = len(self._rows)
        if rows_max is not None:
            stop = min(stop, start + rows_max)
        made = self._made_in(start, stop)
        records = () if all(made) else self._rows[start:stop]
        position = self._position
        return self._gone + start, made, records, position.watermark, position.dropped_through

    def _made_in(self, start: int, stop: int) -> list[EntryT | None]:
        """Return the entries of some rows, with None for those that no reader has asked for."""
        made = self._made[start:stop]
        return made + [None] * (stop - start - len(made))

    def _entries(self, made: list[EntryT | None], records: Sequence[Any]) -> list[EntryT]:
        entry_of = self._entry_of
        return [
            entry_of(record) if entry is None else entry
            for entry, record in zip(made, records, strict=True)
        ]

    def _keep(self, place: int, entries: list[EntryT]) -> None:
        """Store entries for later readers, except those whose rows were evicted."""
        start = place - self._gone
        if start < 0:
            entries, start = entries[-start:], 0
        self._made += [None] * (start - len(self._made))
        self._made[start : start + len(entries)] = entries

    def _check(self, after: int, epoch_id: EpochT | None) -> None:
        checks.count("after", after)
        if epoch_id is not None:
            checks.instance("epoch_id", epoch_id, type(self.epoch_id))
            if epoch_id != self.epoch_id:
                raise EpochChangedError(epoch_id, self.epoch_id)

    def _check_place(self, after: int, epoch_id: EpochT | None) -> None:
        """Check the position of a reader, which cannot have read past the watermark."""
        self._check(after, epoch_id)
        watermark = self.watermark
        if after > watermark:
            raise CursorOutOfRangeError(after, watermark)


class _Reader(Generic[EntryT]):
    """A position in the feed, and the page read ahead of it."""

    __slots__ = ("_after", "_feed", "_page")

    def __init__(self, feed: CompletionFeed[EntryT, Any], after: int) -> None:
        self._feed = feed
        self._after = after
        self._page: Iterator[EntryT] = iter(())

    def _next(self) -> EntryT | None:
        entry = next(self._page, None)
        if entry is None:
            batch = self._feed._page(self._after, _PAGE_ROWS)
            gap = batch.gap_after(self._after)
            if gap is not None:
                raise CompletionFeedGapError(gap)
            self._page = iter(batch.entries)
            entry = next(self._page, None)
        if entry is not None:
            self._after = entry.seq
        return entry


class _Subscription(_Reader[EntryT], AsyncIterator[EntryT]):
    __slots__ = ()

    async def __anext__(self) -> EntryT:
        while (entry := self._next()) is None:
            await self._feed.wait_for_advance(self._after)
        return entry


class _Iteration(_Reader[EntryT], Iterator[EntryT]):
    __slots__ = ("_timeout",)

    def __init__(
        self, feed: CompletionFeed[EntryT, Any], after: int, timeout: float | None
    ) -> None:
        super().__init__(feed, after)
        self._timeout = timeout

    def __next__(self) -> EntryT:
        while (entry := self._next()) is None:
            self._feed.wait_for_advance(self._after).result(self._timeout)
        return entry
