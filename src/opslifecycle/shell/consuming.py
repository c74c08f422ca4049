"""Consumers of the feed: each entry is delivered at least once; the cursor moves afterwards."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Generic, TypeAlias, TypeVar

import attrs
from opslifecycle.errors import InvalidValueError
from opslifecycle.gaps import CompletionFeedGap
from opslifecycle.shell.feed import AnyFeed, Entry
from opslifecycle.values import checks

EntryT = TypeVar("EntryT", bound=Entry)


@attrs.frozen
class Delivery(Generic[EntryT]):
    """A feed entry for a consumer.

    Attributes:
        entry: The entry. Its `seq` is an idempotency key.
        maybe_redelivered: Whether an earlier iteration with this cursor may have received it, too.
            False is certain if the cursor has one consumer at a time.
    """

    entry: EntryT
    maybe_redelivered: bool


#: An item for a consumer: an entry, or the gap of entries that were evicted before it read them.
Consumed: TypeAlias = Delivery[EntryT] | CompletionFeedGap


class _Position(Generic[EntryT]):
    """A position in the feed: which entries a consumer has received, and which it has processed."""

    def __init__(self, feed: AnyFeed[EntryT], cursor: Callable[[], int], wait: bool) -> None:
        checks.flag("wait", wait)
        self._feed = feed
        self._cursor = cursor
        self._wait = wait
        self._restart()

    def _restart(self) -> None:
        # The cursor is read first, so that an entry between the two reads is marked as a possible
        # redelivery.
        self._after = self._cursor()
        self._old_until = self._feed.watermark
        self._page: deque[Consumed[EntryT]] = deque()
        # The position to which the cursor moves once the body has succeeded; None for no move.
        self._succeeded: int | None = None

    def _take(self) -> Consumed[EntryT] | None:
        """Return the next item; None if the feed has none yet."""
        if not self._page:
            self._read()
        if not self._page:
            return None
        item = self._page.popleft()
        self._after = item.entry.seq if isinstance(item, Delivery) else item.dropped_through
        return item

    def _read(self) -> None:
        batch = self._feed.list_since(self._after)
        gap = batch.gap_after(self._after)
        if gap is not None:
            self._page.append(gap)
        for entry in batch.entries:
            self._page.append(Delivery(entry, entry.seq <= self._old_until))

    def _take_many(self, count: int) -> list[Consumed[EntryT]]:
        items: list[Consumed[EntryT]] = []
        while len(items) < count and (item := self._take()) is not None:
            items.append(item)
        return items


def _check_count(count: object) -> None:
    if type(count) is not int or count < 1:
        raise InvalidValueError("count", f"expected an integer of at least 1, got {count!r:.80}")


class Consumer(_Position[EntryT], AsyncIterator[Consumed[EntryT]]):
    """An iteration over the entries after a cursor, for event loops. `consume` returns it.

    The next step of `async for` moves the cursor past the entry before, whose body has succeeded.
    A body that raises, is cancelled, or leaves by `break` or `return` has not succeeded: the next
    iteration delivers its entry again.
    """

    def __init__(
        self,
        feed: AnyFeed[EntryT],
        cursor: Callable[[], int],
        advance: Callable[[int], Awaitable[int]],
        *,
        wait: bool,
    ) -> None:
        super().__init__(feed, cursor, wait)
        self._advance = advance

    def __aiter__(self) -> Consumer[EntryT]:
        self._restart()
        return self

    async def __anext__(self) -> Consumed[EntryT]:
        await self.succeed()
        while (item := self._take()) is None:
            if not self._wait:
                raise StopAsyncIteration
            await self._feed.wait_for_advance(self._after)
        self._succeeded = self._after
        return item

    async def succeed(self) -> None:
        """Move the cursor past the last received item, for a body that ends with `break`."""
        if self._succeeded is not None:
            await self._advance(self._succeeded)
            self._succeeded = None

    @asynccontextmanager
    async def batch(self, count: int = 100) -> AsyncIterator[list[Consumed[EntryT]]]:
        """Receive several entries; the cursor moves past all of them if the block succeeds.

        It waits for the first entry, except with `wait=False`, when the list may be empty.

        Args:
            count: The maximum number of entries.

        Raises:
            InvalidValueError: `count` is not an integer of at least 1.
        """
        _check_count(count)
        self._restart()
        while not (items := self._take_many(count)) and self._wait:
            await self._feed.wait_for_advance(self._after)
        yield items
        if items:
            await self._advance(self._after)


class ThreadConsumer(_Position[EntryT], Iterator[Consumed[EntryT]]):
    """An iteration over the entries after a cursor for threads; otherwise like `Consumer`."""

    def __init__(
        self,
        feed: AnyFeed[EntryT],
        cursor: Callable[[], int],
        advance: Callable[[int], int],
        *,
        wait: bool,
    ) -> None:
        super().__init__(feed, cursor, wait)
        self._advance = advance

    def __iter__(self) -> ThreadConsumer[EntryT]:
        self._restart()
        return self

    def __next__(self) -> Consumed[EntryT]:
        self.succeed()
        while (item := self._take()) is None:
            if not self._wait:
                raise StopIteration
            self._feed.wait_for_advance(self._after).result()
        self._succeeded = self._after
        return item

    def succeed(self) -> None:
        """Move the cursor past the last received item, for a body that ends with `break`."""
        if self._succeeded is not None:
            self._advance(self._succeeded)
            self._succeeded = None

    @contextmanager
    def batch(self, count: int = 100) -> Iterator[list[Consumed[EntryT]]]:
        """Receive several entries; the cursor moves past all of them if the block succeeds."""
        _check_count(count)
        self._restart()
        while not (items := self._take_many(count)) and self._wait:
            self._feed.wait_for_advance(self._after).result()
        yield items
        if items:
            self._advance(self._after)
