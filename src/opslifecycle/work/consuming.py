"""Consumers of the feed: each entry at least once, the cursor moved after it succeeded."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeAlias, overload

import attrs
from opslifecycle import (
    AsyncRegistry,
    CompletionCursorConsumer,
    CompletionEntry,
    CompletionFeedGap,
    InvalidValueError,
    Registry,
)


@attrs.frozen
class Delivery:
    """A feed entry that a consumer receives.

    Attributes:
        entry: The entry. Its `seq` is an idempotency key.
        maybe_redelivered: Whether an earlier iteration of this cursor may have received it, too.
            False is certain, as long as a cursor has one consumer at a time.
    """

    entry: CompletionEntry
    maybe_redelivered: bool


#: What a consumer receives: an entry, or the fact that entries were evicted before it read them.
Consumed: TypeAlias = Delivery | CompletionFeedGap


class _Position:
    """Where a consumer stands: what it has received, and what it has succeeded with."""

    def __init__(
        self, registry: AsyncRegistry | Registry, cursor: CompletionCursorConsumer, wait: bool
    ) -> None:
        self._feed = registry.completion_feed()
        self._registry_of = registry
        self._cursor = cursor
        self._wait = wait
        self._restart()

    def _restart(self) -> None:
        # The cursor first: what comes between the two reads is called a redelivery, not missed.
        self._after = self._registry_of.completion_cursor(self._cursor)
        self._old_until = self._feed.watermark
        self._page: deque[Consumed] = deque()
        # The position to which the cursor moves once the body has succeeded; None: nowhere.
        self._succeeded: int | None = None

    def _take(self) -> Consumed | None:
        """Return what comes next, if it has come."""
        if not self._page:
            self._read()
        if not self._page:
            return None
        item = self._page.popleft()
        self._after = _position_of(item)
        return item

    def _read(self) -> None:
        batch = self._feed.list_since(self._after)
        gap = batch.gap_after(self._after)
        if gap is not None:
            self._page.append(gap)
        for entry in batch.entries:
            self._page.append(Delivery(entry, entry.seq <= self._old_until))

    def _take_many(self, count: int) -> list[Consumed]:
        items: list[Consumed] = []
        while len(items) < count and (item := self._take()) is not None:
            items.append(item)
        return items


def _position_of(item: Consumed) -> int:
    return item.entry.seq if isinstance(item, Delivery) else item.dropped_through


def _check_count(count: int) -> None:
    if type(count) is not int or count < 1:
        raise InvalidValueError("count", f"expected an integer of at least 1, got {count!r}")


class Consumer(_Position, AsyncIterator[Consumed]):
    """An iteration over the entries after a cursor, for event loops. `consume` returns it.

    The next step of `async for` moves the cursor past the entry before, whose body has succeeded.
    A body that raises, is cancelled, or leaves by `break` or `return` has not succeeded: the next
    iteration delivers its entry again.
    """

    def __init__(
        self, registry: AsyncRegistry, cursor: CompletionCursorConsumer, *, wait: bool
    ) -> None:
        super().__init__(registry, cursor, wait)
        self._registry = registry

    def __aiter__(self) -> Consumer:
        self._restart()
        return self

    async def __anext__(self) -> Consumed:
        await self.succeed()
        while (item := self._take()) is None:
            if not self._wait:
                raise StopAsyncIteration
            await self._feed.wait_for_advance(self._after)
        self._succeeded = self._after
        return item

    async def succeed(self) -> None:
        """Move the cursor past what was received last, for a body that ends with `break`."""
        if self._succeeded is not None:
            await self._registry.advance_completion_cursor(self._cursor, self._succeeded)
            self._succeeded = None

    @asynccontextmanager
    async def batch(self, count: int = 100) -> AsyncIterator[list[Consumed]]:
        """Receive several entries; the cursor moves past all of them if the block succeeds.

        It waits for the first one. The list is empty only without waiting (`wait=False`).

        Args:
            count: How many entries at most.
        """
        _check_count(count)
        self._restart()
        while not (items := self._take_many(count)) and self._wait:
            await self._feed.wait_for_advance(self._after)
        yield items
        if items:
            await self._registry.advance_completion_cursor(self._cursor, self._after)


class ThreadConsumer(_Position, Iterator[Consumed]):
    """An iteration over the entries after a cursor, for threads; otherwise as `Consumer`."""

    def __init__(self, registry: Registry, cursor: CompletionCursorConsumer, *, wait: bool) -> None:
        super().__init__(registry, cursor, wait)
        self._registry = registry

    def __iter__(self) -> ThreadConsumer:
        self._restart()
        return self

    def __next__(self) -> Consumed:
        self.succeed()
        while (item := self._take()) is None:
            if not self._wait:
                raise StopIteration
            self._feed.wait_for_advance(self._after).result()
        self._succeeded = self._after
        return item

    def succeed(self) -> None:
        """Move the cursor past what was received last, for a body that ends with `break`."""
        if self._succeeded is not None:
            self._registry.advance_completion_cursor(self._cursor, self._succeeded)
            self._succeeded = None

    @contextmanager
    def batch(self, count: int = 100) -> Iterator[list[Consumed]]:
        """Receive several entries; the cursor moves past all of them if the block succeeds."""
        _check_count(count)
        self._restart()
        while not (items := self._take_many(count)) and self._wait:
            self._feed.wait_for_advance(self._after).result()
        yield items
        if items:
            self._registry.advance_completion_cursor(self._cursor, self._after)


@overload
def consume(
    registry: AsyncRegistry, cursor: CompletionCursorConsumer, *, wait: bool = True
) -> Consumer: ...
@overload
def consume(
    registry: Registry, cursor: CompletionCursorConsumer, *, wait: bool = True
) -> ThreadConsumer: ...
def consume(
    registry: AsyncRegistry | Registry, cursor: CompletionCursorConsumer, *, wait: bool = True
) -> Consumer | ThreadConsumer:
    """Receive every entry of the completion feed after a cursor, at least once.

    For an `AsyncRegistry` use `async for` and `async with`, for a `Registry` `for` and `with`. A
    cursor has one consumer at a time. Entries that were evicted unread are reported as one
    CompletionFeedGap.

    Args:
        registry: The registry whose feed is read and whose cursor is moved.
        cursor: The cursor, which a later process goes on from.
        wait: Whether to wait for entries; without, the iteration ends at the last one there is.

    Raises:
        RegistryClosedError: While iterating: the registry was closed.
        PersistenceError: While iterating: the cursor could not be moved. Nothing is lost.
    """
    if isinstance(registry, AsyncRegistry):
        return Consumer(registry, cursor, wait=wait)
    if isinstance(registry, Registry):
        return ThreadConsumer(registry, cursor, wait=wait)
    reason = f"expected a Registry or an AsyncRegistry, got {type(registry).__name__}"
    raise InvalidValueError("registry", reason)
