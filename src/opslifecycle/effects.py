"""What follows a decision: first for the records themselves, then for everybody who looks on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence, Sized
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs
from opslifecycle.barriers import Barriers
from opslifecycle.errors import InternalError, RegistryClosedError
from opslifecycle.feed import CompletionFeed
from opslifecycle.listing import Listing
from opslifecycle.publication import Waker
from opslifecycle.retention import Retention
from opslifecycle.steps import Change
from opslifecycle.waits import Ended
from opslifecycle.watchers import Watchers

if TYPE_CHECKING:
    from opslifecycle.hooks import Hooks

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
Teller = tuple[Sized, Callable[[Any], Iterable[Waker]]]


@attrs.frozen
class FeedParts:
    """A machine's feed, and which of its rows are kept."""

    feed: CompletionFeed[Any, Any]
    retention: Retention


class _Plan:
    """What some effects come to, for one record after another."""

    __slots__ = (
        "_evicts", "_hooks", "_own", "_retention", "_rows", "_tellers", "_watching", "appends",
        "erases",
    )  # fmt: skip

    def __init__(
        self,
        names: set[str],
        own: tuple[Enum, ...],
        tellers: list[Teller],
        parts: FeedParts | None,
        hooks: Hooks | None,
        watching: Callable[[Any], int],
    ) -> None:
        self.appends = "append_to_feed" in names
        self.erases = "erase" in names
        self._evicts = "evict_oldest" in names
        self._own = own
        self._hooks = hooks if own else None
        self._watching = watching
        self._retention = parts.retention if parts is not None else None
        self._rows = parts.feed._rows if parts and self.appends else None
        self._tellers = tellers

    def settle(self, authority: Any, record: Any) -> Sequence[Any]:
        """Take out of the records what is to leave; gives those whose feed rows leave, in order."""
        evicted: Sequence[Any] = ()
        if self._hooks is not None:
            self._hooks.note(authority, record, self._own, self._watching(record.id))
        retention = self._retention
        if retention is not None:
            if self.appends:
                retention.append(record)
            if self._evicts and len(retention) > retention.rows_max:
                evicted = retention.overdue()
                for row in evicted:
                    authority.evict(row.sequence, row.id)
        if self.erases:
            authority.erase(record.id)
        return evicted

    def tell(self, record: Any) -> list[Waker]:
        """Let everybody see what became of a record; gives whom to wake."""
        if self._rows is not None:
            self._rows.append(record)
        wakers: list[Waker] = []
        for waiting, tell in self._tellers:
            if waiting:
                wakers += tell(record)
        return wakers


class _Plans(dict[tuple[Enum, ...], _Plan]):
    """Plans by their effects. The authority gives one of a few shared tuples, each planned once."""

    def __init__(
        self,
        watchers: Watchers[Any, Any],
        barriers: Barriers[Any, Any],
        parts: FeedParts | None,
        hooks: Hooks | None,
    ) -> None:
        self._parts = parts
        self._hooks = hooks
        self._watching = watchers.count
        self._tellers: dict[str, Teller] = {
            "count_in_barriers": (barriers.by_member, barriers.count),
            "wake_watchers": (watchers.cells, watchers.resolve),
            "close_watchers": (watchers.cells, watchers.close),
            "fail_barriers": (barriers.by_member, barriers.fail_member),
        }
        if parts is not None:
            self._tellers["append_to_feed"] = (parts.feed._waits, parts.feed.advance)

    def __missing__(self, effects: tuple[Enum, ...]) -> _Plan:
        names = [effect.value for effect in effects]
        if self._parts is None and not _OF_THE_FEED.isdisjoint(names):
            raise InternalError("a feed effect without a feed")
        own = tuple(effect for effect in effects if effect.value not in BUILT_IN)
        tellers = [self._tellers[name] for name in names if name in self._tellers]
        # Nobody watches any longer what they are told of now.
        told = not _OF_WATCHERS.isdisjoint(names)
        watching = _nobody if told else self._watching
        plan = _Plan(set(names), own, tellers, self._parts, self._hooks, watching)
        self[effects] = plan
        return plan


def _nobody(id: Any) -> int:
    return 0


class EffectRunner(Generic[IdT, RecordT]):
    """Carries out effects, in two parts.

    `settle` is for whoever decides: what leaves the records, so that the next command of the same
    batch finds it gone. `publish` is for everybody else, once what was decided is kept; it is
    called with the publication lock held, and gives whom to wake. `carry_out` is both, where
    nothing is kept in between.
    """

    def __init__(
        self,
        listing: Listing[IdT, RecordT],
        parts: FeedParts | None,
        hooks: Hooks | None = None,
    ) -> None:
        self.watchers: Watchers[IdT, Any] = Watchers()
        self.barriers: Barriers[IdT, Any] = Barriers()
        self.listing = listing
        self.hooks = hooks
        self._parts = parts
        self._plans = _Plans(self.watchers, self.barriers, parts, hooks)

    def carry_out(self, authority: Any, record: RecordT, effects: tuple[Enum, ...]) -> list[Waker]:
        """Settle and publish what follows for one record."""
        plan = self._plans[effects]
        evicted = plan.settle(authority, record)
        wakers = plan.tell(record)
        if self.listing.is_built:
            self.listing.note(record.id)
        if evicted or self.hooks is not None:
            self._finish(evicted)
        return wakers

    def settle(self, authority: Any, changes: Iterable[Change]) -> list[Any]:
        """Take out of the records what is to leave; gives those whose feed rows leave, in order."""
        evicted: list[Any] = []
        for record, effects in changes:
            if effects:
                evicted += self._plans[effects].settle(authority, record)
        return evicted

    def publish(self, changes: Iterable[Change], evicted: Iterable[Any]) -> list[Waker]:
        """Let everybody see some changes, in their order, and what was evicted after them."""
        wakers: list[Waker] = []
        for record, effects in changes:
            if effects:
                wakers += self._plans[effects].tell(record)
            if self.listing.is_built:
                self.listing.note(record.id)
        self._finish(evicted)
        return wakers

    def _finish(self, evicted: Iterable[Any]) -> None:
        for record in evicted:
            assert self._parts is not None
            self._parts.feed.drop_oldest()
            if self.listing.is_built:
                self.listing.note(record.id)
        if self.hooks is not None:
            self.hooks.publish()

    def erases(self, effects: tuple[Enum, ...]) -> bool:
        """Whether a record leaves by some effects."""
        return self._plans[effects].erases

    def feeds(self, effects: tuple[Enum, ...]) -> bool:
        """Whether a feed row is among some effects."""
        return self._plans[effects].appends

    def restore(self, authority: Any, rows: Iterable[Any]) -> None:
        """Take over feed rows, oldest first, and let go of what is over the limit."""
        if self._parts is None:
            return
        for record in rows:
            self._parts.retention.append(record)
            self._parts.feed._rows.append(record)
        for record in self._parts.retention.overdue():
            authority.evict(record.sequence, record.id)
            self._parts.feed.drop_oldest()

    def end(self) -> list[Waker]:
        """End every wait."""
        wakers = [*self.watchers.close_all(), *self.barriers.fail_all(RegistryClosedError)]
        if self._parts is not None:
            wakers.extend(self._parts.feed.close())
        return wakers

    def undo(self, admitted: int, evicted: list[Any]) -> None:
        """Forget what a failed batch has noted, and has done to the order of retention."""
        if self.hooks is not None:
            self.hooks.drop()
        if self._parts is not None:
            self._parts.retention.undo(admitted, evicted)
