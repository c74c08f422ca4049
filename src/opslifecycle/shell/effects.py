"""The effects of a decision: first on the records, then on what readers and waiters see."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence, Sized
from copy import copy
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import attrs
from opslifecycle.errors import InternalError, RegistryClosedError
from opslifecycle.shell.authority import Authority, IdT, RecordT, Row
from opslifecycle.shell.commands import Arguments, Change, Decide, Effects
from opslifecycle.shell.feed import MachineFeed
from opslifecycle.shell.listing import Listing
from opslifecycle.shell.retention import Retention
from opslifecycle.sync.barriers import Barriers
from opslifecycle.sync.watchers import Watchers

if TYPE_CHECKING:
    from opslifecycle.shell.alarm import Alarm
    from opslifecycle.shell.outbox import Outbox

OutcomeT = TypeVar("OutcomeT")

#: The effects that the shell applies itself. Every other effect is an outbox message.
BUILT_IN = frozenset(
    {"append_to_feed", "count_in_barriers", "wake_watchers", "evict_oldest"}
    | {"close_watchers", "fail_barriers", "erase", "plan_timers", "cancel_timers"}
)
_OF_THE_FEED = {"append_to_feed", "evict_oldest"}
_OF_WATCHERS = {"wake_watchers", "close_watchers"}


#: The waits of one kind, and the function that notifies those for a record. It is called only if
#: there are any.
Notifier: TypeAlias = tuple[Sized, Callable[..., None]]


@attrs.frozen(eq=False, repr=False)
class FeedParts:
    """The feed of a machine with its retention.

    Attributes:
        feed: The feed.
        rows_max: How many entries are retained; by default there is no limit.
        held_by_cursors: Whether an entry that not every cursor has passed is retained in any case.
        of_transitions: Whether records change after their entries.
        archives: Whether the store archives records that are evicted.
    """

    feed: MachineFeed
    rows_max: int = sys.maxsize
    held_by_cursors: bool = False
    of_transitions: bool = False
    archives: bool = False


@attrs.frozen(eq=False, repr=False)
class _Plan:
    """The steps that apply a tuple of effects to a record."""

    #: The effects that become outbox messages.
    own: Effects
    #: The rows of the feed, if the record is appended to them.
    rows: list[Any] | None
    #: Whether the row is a copy of the record, which changes after it.
    copies: bool
    notifiers: list[Notifier]
    erases: bool
    #: The feed, if its oldest rows may be evicted.
    evicts_from: MachineFeed | None
    #: Returns the number of watches of a record, for the snapshot in a message.
    watching: Callable[..., int]


class _Plans(dict[Effects, _Plan]):
    """The plans of effects. The authority returns a few shared tuples; each is planned once."""

    def __init__(
        self,
        watchers: Watchers[IdT],
        barriers: Barriers[IdT, OutcomeT],
        parts: FeedParts | None,
        has_outbox: bool,
    ) -> None:
        self._feed = feed = parts.feed if parts is not None else None
        self._of_transitions = parts is not None and parts.of_transitions
        self._has_outbox = has_outbox
        self._watching = watchers.count
        self._notifiers: dict[str, Notifier] = {
            "count_in_barriers": (barriers.by_member, barriers.count),
            "wake_watchers": (watchers.cells, watchers.resolve),
            "close_watchers": (watchers.cells, watchers.close),
            "fail_barriers": (barriers.by_member, barriers.fail_member),
        }
        if feed is not None:
            self._notifiers["append_to_feed"] = (feed._waits.cells, feed.advance)

    def notify(self, effect: str, notifier: Notifier) -> None:
        """Have a notifier called for an effect."""
        self._notifiers[effect] = notifier

    def __missing__(self, effects: Effects) -> _Plan:
        names = [effect.value for effect in effects]
        if self._feed is None and not _OF_THE_FEED.isdisjoint(names):
            raise InternalError("a feed effect without a feed")
        own = [effect for effect in effects if effect.value not in BUILT_IN]
        appends = "append_to_feed" in names
        # Effects that end the watches of a record leave none to count.
        ends_watches = not _OF_WATCHERS.isdisjoint(names)
        plan = self[effects] = _Plan(
            own=tuple(own) if self._has_outbox else (),
            rows=self._feed._rows if self._feed is not None and appends else None,
            copies=appends and self._of_transitions,
            notifiers=[self._notifiers[name] for name in names if name in self._notifiers],
            erases="erase" in names,
            evicts_from=self._feed if "evict_oldest" in names else None,
            watching=_no_watches if ends_watches else self._watching,
        )
        return plan


def _no_watches(id: object) -> int:
    return 0


class EffectRunner(Generic[IdT, RecordT]):
    """The application of effects, in two parts.

    `apply_staged` changes the records of a batch, so that the next command of the batch does not
    find a removed record. `publish` shows the changes to readers and waiters after the commit, with
    the publication lock held. Without a store, `apply` does both.

    Args:
        listing: The index of the records.
        parts: The feed with its retention; None for a machine without a feed.
        outbox: The outbox; None for a machine without effects of its own.
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
        self._archives = parts is not None and parts.archives
        #: The timers of the machine; None for a machine without.
        self.alarm: Alarm[IdT, RecordT] | None = None
        self._plans = _Plans(self.watchers, self.barriers, parts, outbox is not None)

    def apply(
        self,
        authority: Authority[IdT, RecordT],
        record: RecordT,
        effects: Effects,
        decide: Decide[object] | None,
        arguments: Arguments,
    ) -> None:
        """Apply the effects on one record, with few calls: every finishing action does this."""
        plan = self._plans[effects]
        if plan.own:
            self._note(authority, record, plan, decide, arguments)
        if plan.rows is not None:
            plan.rows.append(copy(record) if plan.copies else record)
        for waits, notify in plan.notifiers:
            if waits:
                notify(record)
        feed = plan.evicts_from
        if feed is not None and len(feed._rows) - feed._head > self._rows_max:
            self._evict(authority, feed)
        if plan.erases:
            authority.erase(record.id)
        if self.listing.is_built:
            self.listing.note(record.id)
        if self.outbox is not None:
            self.outbox.publish()

    def evict_passed(self, authority: Authority[IdT, RecordT]) -> None:
        """Evict the entries that no cursor holds any longer."""
        if self._held_by_cursors and self.feed is not None:
            self._evict(authority, self.feed)

    def evict_passed_staged(self, authority: Authority[IdT, RecordT], retention: Retention) -> None:
        """Do what `evict_passed` does, within a batch."""
        if self._held_by_cursors:
            retention.evict(authority)

    def _evict(self, authority: Authority[IdT, RecordT], feed: MachineFeed) -> None:
        while len(feed._rows) - feed._head > self._rows_max:
            row = feed._rows[feed._head]
            if self._held_by_cursors and row.sequence > min(authority.cursors.values()):
                return
            feed.drop_oldest()
            authority.evict(row.sequence, row.id)
            if self.listing.is_built:
                self.listing.note(row.id)

    def begin(self) -> Retention:
        """Return the rows of the feed at the start of a batch."""
        if self.feed is None:
            return Retention((), 0, sys.maxsize)
        return self._retention(self.feed._rows, self.feed._head)

    def _retention(self, rows: Sequence[Row], retained_from: int) -> Retention:
        limit, held = self._rows_max, self._held_by_cursors
        return Retention(rows, retained_from, limit, held, self._archives)

    def apply_staged(
        self,
        authority: Authority[IdT, RecordT],
        record: RecordT,
        effects: Effects,
        retention: Retention,
        decide: Decide[object] | None,
        arguments: Arguments,
    ) -> RecordT:
        """Apply the effects on one record within a batch: to its records, rows and messages.

        Returns:
            The record to publish: a copy of it if it changes after its feed entry.
        """
        plan = self._plans[effects]
        if plan.own:
            self._note(authority, record, plan, decide, arguments)
        if plan.copies:
            record = copy(record)
        if plan.rows is not None:
            retention.append(record)
        if plan.evicts_from is not None:
            retention.evict(authority)
        if plan.erases:
            authority.erase(record.id)
            retention.erased = True
        return record

    def _note(
        self,
        authority: Authority[IdT, RecordT],
        record: RecordT,
        plan: _Plan,
        decide: Decide[object] | None,
        arguments: Arguments,
    ) -> None:
        if self.outbox is None or decide is None:
            raise InternalError("an effect of the machine that follows no action")
        watching = plan.watching(record.id)
        self.outbox.note(authority, record, plan.own, watching, decide, arguments)

    def publish(self, changes: Iterable[Change[RecordT]], evicted: Iterable[Row]) -> None:
        """Publish the changes of a batch in their order, and then the rows that it evicted."""
        for record, effects in changes:
            plan = self._plans[effects]
            if plan.rows is not None:
                plan.rows.append(record)
            for waits, notify in plan.notifiers:
                if waits:
                    notify(record)
            if self.listing.is_built:
                self.listing.note(record.id)
        for row in evicted:
            assert self.feed is not None
            self.feed.drop_oldest()
            if self.listing.is_built:
                self.listing.note(row.id)
        if self.outbox is not None:
            self.outbox.publish()

    def use_alarm(self, alarm: Alarm[IdT, RecordT]) -> None:
        """Have the effects on timers applied to an alarm."""
        self.alarm = alarm
        self._plans.notify("plan_timers", (alarm, alarm.note))
        self._plans.notify("cancel_timers", (alarm, alarm.cancel))

    def feeds(self, effects: Effects) -> bool:
        """Return whether the effects append a feed entry."""
        return self._plans[effects].rows is not None

    def restore(self, authority: Authority[IdT, RecordT], rows: list[Any]) -> Retention:
        """Append the stored rows, oldest first; evict those over the limit, and return which."""
        if self.feed is None:
            return self.begin()
        retention = self._retention(rows, 0)
        retention.evict(authority)
        self.feed._rows += rows[len(retention.evicted) :]
        return retention

    def end(self) -> None:
        """End every wait; twice is harmless."""
        self.watchers.close_all()
        self.barriers.fail_all(RegistryClosedError)
        if self.feed is not None:
            self.feed.close()
