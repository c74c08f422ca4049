"""The completion feed: entries in order, read by position; independent of watches and barriers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast

import attrs
from opslifecycle.errors import (
    CompletionFeedGapError,
    CursorOutOfRangeError,
    EpochChangedError,
    RegistryClosedError,
)
from opslifecycle.gaps import CompletionFeedGap
from opslifecycle.shell.authority import Row
from opslifecycle.sync.publication import PublicationLock
from opslifecycle.sync.waits import Wait, Waiting, ended
from opslifecycle.values import checks
from opslifecycle.values.identifiers import Identifier
from opslifecycle.values.trusted import freeze, mutable_subclass

_SEQUENCE = attrgetter("sequence")
_PAGE_ROWS = 256
#: So many new entries are constructed with the lock held, which saves a section.
_SHORT_PAGE = 16
_DEAD_ROWS_MIN = 64


class Entry(Protocol):
    """A feed entry."""

    @property
    def seq(self) -> int:
        """The sequence number of the entry."""


class Position(Protocol):
    """The edges of the feed: fields of the authority."""

    watermark: int
    dropped_through: int


EntryT = TypeVar("EntryT", bound=Entry)
EntryT_co = TypeVar("EntryT_co", bound=Entry, covariant=True)
EpochT = TypeVar("EpochT", bound=Identifier)


@attrs.frozen
class FeedBatch(Generic[EntryT_co]):
    """Feed entries after a position, with the edges of the feed at the same instant."""

    entries: tuple[EntryT_co, ...]
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

    A position is a sequence number; 0 is before the first entry. `epoch_id` identifies the
    numbering: pass it together with a position that you stored, and a position of another epoch
    raises EpochChangedError. Reads work after the registry is closed; waits do not.
    """

    __slots__ = (
        "__weakref__", "_batch", "_closed", "_end", "_entry_of", "_gone", "_head", "_lock", "_made",
        "_mutable_batch", "_position", "_rows", "_waits", "epoch_id",
    )  # fmt: skip

    def __init__(
        self,
        lock: PublicationLock,
        position: Position,
        entry_of: Callable[..., EntryT],
        batch: type[FeedBatch[EntryT]],
        epoch_id: EpochT,
    ) -> None:
        self.epoch_id = epoch_id
        self._entry_of = entry_of
        self._lock = lock
        self._position = position
        self._batch = batch
        self._mutable_batch = mutable_subclass(batch)
        # The finished records of the machine, in the order of their sequence numbers. The effect
        # runner appends to it directly, because a call would make every finishing action slower.
        self._rows: list[Any] = []
        # The entries of the first rows. An entry is constructed when it is first read, so that a
        # finishing action is as fast without readers.
        self._made: list[EntryT | None] = []
        # The index of the oldest retained row, and how many rows before it were deleted.
        self._head = self._gone = 0
        # The batch of a reader that is up to date, as of the last such read.
        self._end = batch((), position.watermark, position.dropped_through)
        # The waits for an advance, by their position.
        self._waits: Waiting[int] = Waiting()
        self._closed = False

    @property
    def watermark(self) -> int:
        """The sequence number of the latest entry, also if it was evicted; 0 if there was none."""
        return self._position.watermark

    def list_since(self, after: int, *, epoch_id: EpochT | None = None) -> FeedBatch[EntryT]:
        """Return the entries after a position that are still retained.

        For a position past the watermark the batch is empty, and its watermark is lower than the
        position.

        Args:
            after: A position.
            epoch_id: The epoch of the position; None to skip its comparison with the feed's.

        Returns:
            A batch. Its `gap_after(after)` is the gap between the position and the first entry.

        Raises:
            InvalidValueError: `after` is no count, or `epoch_id` is no epoch.
            EpochChangedError: The position is of another epoch.
        """
        end, position = self._end, self._position
        # Both edges of the feed only increase. If they are those of `end`, they have been since
        # `end` was read, so a reader that is up to date needs no lock.
        if (
            after == end.watermark == position.watermark
            and end.dropped_through == position.dropped_through
            and epoch_id is None
            and type(after) is int
        ):
            return end
        self._check(after, epoch_id)
        batch = self._page(after, None)
        if after == batch.watermark:
            self._end = batch
        return batch

    def wait_for_advance(self, after: int) -> FeedAdvance:
        """Wait until the watermark is past a position.

        Args:
            after: A position. It can be past the watermark.

        Returns:
            A wait whose result is the watermark. It is over at once if the watermark is past the
            position.

        Raises:
            RegistryClosedError: The registry is closed. Closing ends waits in progress with it.
        """
        self._check(after, None)
        wait = self._lock.hold(self._advance_past, after)
        if wait is None:
            raise RegistryClosedError
        return wait

    def _advance_past(self, after: int) -> FeedAdvance | None:
        """Return the wait; None if the feed is closed."""
        if self._position.watermark > after:
            return ended(self._position.watermark, self._lock, FeedAdvance)
        if self._closed:
            return None
        return self._waits.add(after, FeedAdvance, self._lock)

    def subscribe(self, *, after: int = 0, epoch_id: EpochT | None = None) -> AsyncIterator[EntryT]:
        """Iterate with `async for` over every entry after a position, also over future ones.

        Args:
            after: The position of the reader: the sequence number of the last entry that it read.
            epoch_id: The epoch of the position; None to skip its comparison with the feed's.

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
        """Iterate in a thread over every entry after a position; a step blocks until there is one.

        Args:
            after: The position of the reader: the sequence number of the last entry that it read.
            epoch_id: The epoch of the position; None to skip its comparison with the feed's.
            timeout: The number of seconds that a step blocks at most; None for no limit.

        Raises:
            TimeoutError: A step found no entry in time. The iterator can be used again.
            CursorOutOfRangeError: See `subscribe`, which raises the same other errors.
        """
        self._check_place(after, epoch_id)
        return _Iteration(self, after, timeout)

    def entries(self) -> Sequence[EntryT]:
        """Return the retained entries, oldest first. Called with the publication lock held."""
        return self._entries(self._made_in(self._head, len(self._rows)), self.records())

    def records(self) -> Sequence[object]:
        """Return the records of the retained entries. Called with the publication lock held."""
        return self._rows[self._head :]

    def advance(self, record: Row) -> None:
        """End the waits for an entry that was appended. Called with the publication lock held."""
        sequence = record.sequence
        waits = self._waits.cells
        for after in [after for after in waits if after < sequence]:
            for cell in waits[after]:
                cell.end(sequence)
            del waits[after]

    def drop_oldest(self) -> None:
        """Evict the oldest entry in amortised constant time.

        Called with the publication lock held.
        """
        self._head += 1
        if self._head >= _DEAD_ROWS_MIN and self._head * 2 >= len(self._rows):
            del self._rows[: self._head]
            del self._made[: self._head]
            self._gone += self._head
            self._head = 0

    def close(self) -> None:
        """Fail every wait with RegistryClosedError. Called with the publication lock held."""
        self._closed = True
        self._waits.fail_all(RegistryClosedError)

    def _page(self, after: int, rows_max: int | None) -> FeedBatch[EntryT]:
        place, made, records, watermark, dropped_through = self._lock.hold(
            self._rows_after, after, rows_max
        )
        if records:
            # Two readers may construct the same entries at once; these are equal.
            entries = self._entries(made, records)
            self._lock.hold(self._keep, place, entries)
        else:
            entries = cast("list[EntryT]", made)
        batch = self._mutable_batch()
        batch.entries = tuple(entries)
        batch.watermark = watermark
        batch.dropped_through = dropped_through
        return freeze(batch, self._batch)

    def _rows_after(
        self, after: int, rows_max: int | None
    ) -> tuple[int, list[EntryT | None], Sequence[object], int, int]:
        """Return the index of the first row after a position, the rows, and the feed's edges."""
        position, start = self._position, self._row_after(after)
        stop = len(self._rows)
        if rows_max is not None:
            stop = min(stop, start + rows_max)
        made: list[EntryT | None]
        records: Sequence[object]
        if len(self._made) == start and stop - start <= _SHORT_PAGE:
            entry_of = self._entry_of
            made, records = [entry_of(record) for record in self._rows[start:stop]], ()
            self._made += made
        else:
            made = self._made_in(start, stop)
            records = () if all(made) else self._rows[start:stop]
        return self._gone + start, made, records, position.watermark, position.dropped_through

    def _row_after(self, after: int) -> int:
        """Return the index of the first row after a position."""
        rows, head = self._rows, self._head
        # Most readers are near the end, where sequence numbers have no gaps.
        near = len(rows) - (self._position.watermark - after)
        if head <= near < len(rows) and rows[near].sequence == after + 1:
            return near
        return bisect_right(rows, after, lo=head, key=_SEQUENCE)

    def _made_in(self, start: int, stop: int) -> list[EntryT | None]:
        """Return the entries of some rows, with None for those that are not constructed."""
        made = self._made[start:stop]
        return made + [None] * (stop - start - len(made))

    def _entries(self, made: list[EntryT | None], records: Sequence[object]) -> list[EntryT]:
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
        """Check the position of a reader, which cannot be past the watermark."""
        self._check(after, epoch_id)
        watermark = self.watermark
        if after > watermark:
            raise CursorOutOfRangeError(after, watermark)


#: A feed in the shell, which knows neither the machine's entries nor its epochs.
MachineFeed: TypeAlias = CompletionFeed[Any, Any]
#: A feed for readers of its entries, whose class of epochs does not matter.
AnyFeed: TypeAlias = CompletionFeed[EntryT, Any]


class _Reader(Generic[EntryT]):
    """A position in the feed, and a page of the entries after it."""

    __slots__ = ("_after", "_feed", "_page")

    def __init__(self, feed: AnyFeed[EntryT], after: int) -> None:
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

    def __init__(self, feed: AnyFeed[EntryT], after: int, timeout: float | None) -> None:
        super().__init__(feed, after)
        self._timeout = timeout

    def __next__(self) -> EntryT:
        while (entry := self._next()) is None:
            self._feed.wait_for_advance(self._after).result(self._timeout)
        return entry
