"""The effects of a decision: first on the records, then on what readers and waiters see."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterable, Sized
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs
from opslifecycle.errors import InternalError, RegistryClosedError
from opslifecycle.shell.commands import Arguments, Change, Decide
from opslifecycle.shell.feed import CompletionFeed
from opslifecycle.shell.listing import Listing
from opslifecycle.shell.retention import Retention
from opslifecycle.sync.barriers import Barriers
from opslifecycle.sync.waits import Ended
from opslifecycle.sync.watchers import Watchers

if TYPE_CHECKING:
    from opslifecycle.shell.outbox import Outbox

IdT = TypeVar("IdT", bound=Hashable)

#: What the shell carries out itself; every other effect is the machine's own.
BUILT_IN = frozenset(
    {"append_to_feed", "count_in_barriers", "wake_watchers", "evict_oldest"}
    | {"close_watchers", "fail_barriers", "erase"}
)
_OF_THE_FEED = {"append_to_feed", "evict_oldest"}
_OF_WATCHERS = {"wake_watchers", "close_watchers"}


RecordT = TypeVar("RecordT", bound=Ended)

#: A teller lets those who wait for a record know; it is asked only if anybody waits for anything.
Teller = tuple[Sized, Callable[[Any], None]]


@attrs.frozen
class FeedParts:
    """The feed of a machine, and how many of its entries are retained.

    Without retention there is no limit. With `held_by_cursors`, an entry stays until every cursor
    has passed it, whatever the limit is.
    """

    feed: CompletionFeed[Any, Any]
    rows_max: int = sys.maxsize
    held_by_cursors: bool = False


@attrs.frozen
class _Plan:
    """What a tuple of effects requires for a record."""

    #: The machine's own, if anybody carries them out.
    own: tuple[Enum, ...]
    #: The rows of the feed, if one more is appended to them.
    rows: list[Any] | None
    tellers: list[Teller]
    erases: bool
    #: The feed whose oldest rows leave, if they do.
    evicts_from: CompletionFeed[Any, Any] | None
    #: How many watch the record.
    watching: Callable[[Any], int]


class _Plans(dict[tuple[Enum, ...], _Plan]):
    """The plans of effects. The authority returns a few shared tuples; each is planned once."""

    def __init__(
        self,
        watchers: Watchers[Any],
        barriers: Barriers[Any, Any],
        feed: CompletionFeed[Any, Any] | None,
        has_outbox: bool,
    ) -> None:
        self._feed = feed
        self._has_outbox = has_outbox
        self._watching = watchers.count
        self._tellers: dict[str, Teller] = {
            "count_in_barriers": (barriers.by_member, barriers.count),
            "wake_watchers": (watchers.cells, watchers.resolve),
            "close_watchers": (watchers.cells, watchers.close),
            "fail_barriers": (barriers.by_member, barriers.fail_member),
        }
        if feed is not None:
            self._tellers["append_to_feed"] = (feed._waits.cells, feed.advance)

    def __missing__(self, effects: tuple[Enum, ...]) -> _Plan:
        names = [effect.value for effect in effects]
        if self._feed is None and not _OF_THE_FEED.isdisjoint(names):
            raise InternalError("a feed effect without a feed")
        own = [effect for effect in effects if effect.value not in BUILT_IN]
        appends = "append_to_feed" in names
        # Nobody watches any longer what they are told of now.
        told = not _OF_WATCHERS.isdisjoint(names)
        plan = self[effects] = _Plan(
            own=tuple(own) if self._has_outbox else (),
            rows=self._feed._rows if self._feed is not None and appends else None,
            tellers=[self._tellers[name] for name in names if name in self._tellers],
            erases="erase" in names,
            evicts_from=self._feed if "evict_oldest" in names else None,
            watching=_nobody if told else self._watching,
        )
        return plan


def _nobody(id: Any) -> int:
    return 0


class EffectRunner(Generic[IdT, RecordT]):
    """The application of effects, in two parts.

    `apply_staged` changes the records, so that the next command of the same batch finds a removed
    record gone. `publish` shows the changes to readers and waiters after the commit; it is called
    with the publication lock held. `apply` does both, where no commit is in between.
    """

    def __init__(
        self,
        listing: Listing[IdT, RecordT],
        parts: FeedParts | None,
        outbox: Outbox | None = None,
    ) -> None:
        self.watchers: Watchers[IdT] = Watchers()
        self.barriers: Barriers[IdT, Any] = Barriers()
        self.listing = listing
        self.outbox = outbox
        self.feed = parts.feed if parts is not None else None
        self._rows_max = parts.rows_max if parts is not None else 0
        self._held_by_cursors = parts is not None and parts.held_by_cursors
        self._plans = _Plans(self.watchers, self.barriers, self.feed, outbox is not None)

    def apply(
        self,
        authority: Any,
        record: RecordT,
        effects: tuple[Enum, ...],
        decide: Decide | None,
        arguments: Arguments,
    ) -> None:
        """Apply the effects on one record, in few calls: this is part of every finishing action."""
        plan = self._plans[effects]
        if plan.own:
            self._note(authority, record, plan, decide, arguments)
        if plan.rows is not None:
            plan.rows.append(record)
        for waiting, tell in plan.tellers:
            if waiting:
                tell(record)
        feed = plan.evicts_from
        if feed is not None and len(feed._rows) - feed._head > self._rows_max:
            self._evict(authority, feed)
        if plan.erases:
            authority.erase(record.id)
        if self.listing.is_built:
            self.listing.note(record.id)
        if self.outbox is not None:
            self.outbox.publish()

    def evict_passed(self, authority: Any) -> None:
        """Evict what a cursor that has advanced no longer holds back."""
        if self._held_by_cursors and self.feed is not None:
            self._evict(authority, self.feed)

    def evict_passed_staged(self, authority: Any, retention: Retention) -> None:
        """Do what `evict_passed` does, within a batch."""
        if self._held_by_cursors:
            retention.evict(authority)

    def _evict(self, authority: Any, feed: CompletionFeed[Any, Any]) -> None:
        while len(feed._rows) - feed._head > self._rows_max:
            row = feed._rows[feed._head]
            if self._held_by_cursors and row.sequence > min(authority.cursors.values()):
                return
            feed.drop_oldest()
            authority.evict(row.sequence, row.id)
            if self.listing.is_built:
                self.listing.note(row.id)

    def begin(self) -> Retention:
        """Return the rows of the feed as the start of a batch."""
        if self.feed is None:
            return Retention((), 0, sys.maxsize)
        return Retention(self.feed._rows, self.feed._head, self._rows_max, self._held_by_cursors)

    def apply_staged(
        self,
        authority: Any,
        record: RecordT,
        effects: tuple[Enum, ...],
        retention: Retention,
        decide: Decide | None,
        arguments: Arguments,
    ) -> None:
        """Remove what the effects of a batch remove from its records and rows."""
        plan = self._plans[effects]
        if plan.own:
            self._note(authority, record, plan, decide, arguments)
        if plan.rows is not None:
            retention.append(record)
        if plan.evicts_from is not None:
            retention.evict(authority)
        if plan.erases:
            authority.erase(record.id)
            retention.erased = True

    def _note(
        self,
        authority: Any,
        record: RecordT,
        plan: _Plan,
        decide: Decide | None,
        arguments: Arguments,
    ) -> None:
        if self.outbox is None or decide is None:
            raise InternalError("an effect of the machine's own that no action has")
        watching = plan.watching(record.id)
        self.outbox.note(authority, record, plan.own, watching, decide, arguments)

    def publish(self, changes: Iterable[Change], evicted: Iterable[Any]) -> None:
        """Publish some changes in their order, and what was evicted after them."""
        for record, effects in changes:
            plan = self._plans[effects]
            if plan.rows is not None:
                plan.rows.append(record)
            for waiting, tell in plan.tellers:
                if waiting:
                    tell(record)
            if self.listing.is_built:
                self.listing.note(record.id)
        for record in evicted:
            assert self.feed is not None
            self.feed.drop_oldest()
            if self.listing.is_built:
                self.listing.note(record.id)
        if self.outbox is not None:
            self.outbox.publish()

    def feeds(self, effects: tuple[Enum, ...]) -> bool:
        """Return whether the effects append a feed entry."""
        return self._plans[effects].rows is not None

    def restore(self, authority: Any, rows: list[Any]) -> None:
        """Store feed entries, oldest first, and evict those over the limit."""
        if self.feed is None:
            return
        retention = Retention(rows, 0, self._rows_max, self._held_by_cursors)
        retention.evict(authority)
        self.feed._rows += rows[len(retention.evicted) :]

    def end(self) -> None:
        """End every wait; twice is harmless."""
        self.watchers.close_all()
        self.barriers.fail_all(RegistryClosedError)
        if self.feed is not None:
            self.feed.close()
