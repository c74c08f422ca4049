"""The completion feed: rows in order, read by position. Knows nothing of watchers or barriers."""

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
    """Where the feed stands; the authority owns it."""

    watermark: int
    dropped_through: int


EntryT = TypeVar("EntryT", bound=Entry)
EpochT = TypeVar("EpochT")


@attrs.frozen
class CompletionFeedGap:
    """Entries that a reader asked for and that are no longer retained."""

    requested_after_seq: int
    dropped_through: int
    watermark: int


@attrs.frozen
class FeedBatch(Generic[EntryT]):
    """Entries after a position, with the feed's edges at the same instant."""

    entries: tuple[EntryT, ...]
    watermark: int
    dropped_through: int

    def gap_after(self, seq: int) -> CompletionFeedGap | None:
        """What a reader standing at `seq` has missed: None unless seq < dropped_through."""
        if seq >= self.dropped_through:
            return None
        return CompletionFeedGap(seq, self.dropped_through, self.watermark)


class FeedAdvance(Wait[int]):
    """Waits until the watermark is past a position; gives the watermark."""

    __slots__ = ()


class CompletionFeed(Generic[EntryT, EpochT]):
    """Every public completion, in order, as far back as retention reaches.

    Positions are sequence numbers; 0 stands before everything. `epoch_id` names the life of the
    numbering: hand it in with a position that you stored, and a position from another life raises
    EpochChangedError. Reading goes on after the registry is closed; waiting does not.
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
        """The sequence of the latest entry there ever was, 0 if none."""
        return self._position.watermark

    def list_since(self, after: int, *, epoch_id: EpochT | None = None) -> FeedBatch[EntryT]:
        """The retained entries with seq > `after`; `gap_after` says whether some are missing.

        Past the watermark there are none yet: the batch is empty, and has the lower watermark.
        Raises EpochChangedError if `epoch_id` is given and is not the feed's.
        """
        self._check(after, epoch_id)
        return self._page(after, None)

    def wait_for_advance(self, after: int) -> FeedAdvance:
        """Wait until the watermark is past `after`; gives the watermark, at once if it is.

        `after` may be past the watermark: the wait is for whatever comes after it.
        Raises RegistryClosedError, also out of waits in progress, when the registry is closed.
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
        """Every entry after `after`, once and in order, as they come; for `async for`.

        Raises CursorOutOfRangeError at the call if `after` is past the watermark, where no entry
        can have been read; EpochChangedError as in `list_since`; CompletionFeedGapError when
        entries are gone before they were read; and RegistryClosedError once all is read and the
        registry is closed.
        """
        self._check_place(after, epoch_id)
        return _Subscription(self, after)

    def iterate(
        self, *, after: int = 0, epoch_id: EpochT | None = None, timeout: float | None = None
    ) -> Iterator[EntryT]:
        """As `subscribe`, for threads: each step blocks until there is an entry.

        A step that finds none for `timeout` seconds raises TimeoutError; the iterator stays usable.
        """
        self._check_place(after, epoch_id)
        return _Iteration(self, after, timeout)

    def entries(self) -> Sequence[EntryT]:
        """The retained entries, oldest first. Called with the publication lock held."""
        return self._entries(self._made_in(self._head, len(self._rows)), self.records())

    def records(self) -> Sequence[Any]:
        """What the retained entries are made from. Called with the publication lock held."""
        return self._rows[self._head :]

    def advance(self, record: Any) -> None:
        """End the waits for a row that is there now. Called with the publication lock held."""
        sequence = record.sequence
        waits = self._waits.cells
        for after in [after for after in waits if after < sequence]:
            for cell in waits[after]:
                cell.end(sequence)
            del waits[after]

    def drop_oldest(self) -> Any:
        """Let the oldest row go, in amortised constant time, and give its record.

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
        """End every wait with RegistryClosedError. Called with the publication lock held."""
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
        """The place of some rows, their entries and records, and the feed's edges."""
        start = bisect_right(self._rows, after, lo=self._head, key=_SEQUENCE)
        stop = len(self._rows)
        if rows_max is not None:
            stop = min(stop, start + rows_max)
        made = self._made_in(start, stop)
        records = () if all(made) else self._rows[start:stop]
        position = self._position
        return self._gone + start, made, records, position.watermark, position.dropped_through

    def _made_in(self, start: int, stop: int) -> list[EntryT | None]:
        """The entries of some rows, with None for what nobody has read."""
        made = self._made[start:stop]
        return made + [None] * (stop - start - len(made))

    def _entries(self, made: list[EntryT | None], records: Sequence[Any]) -> list[EntryT]:
        entry_of = self._entry_of
        return [
            entry_of(record) if entry is None else entry
            for entry, record in zip(made, records, strict=True)
        ]

    def _keep(self, place: int, entries: list[EntryT]) -> None:
        """Keep entries for whoever reads them next, but for those whose rows have left."""
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
        """A reader goes on from an entry that it has read, and none is past the watermark."""
        self._check(after, epoch_id)
        watermark = self.watermark
        if after > watermark:
            raise CursorOutOfRangeError(after, watermark)


class _Reader(Generic[EntryT]):
    """A place in the feed, and the page read ahead of it."""

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
