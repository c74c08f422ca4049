"""What follows a decision: first for the records themselves, then for everybody who looks on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

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
# Effects on the records alone: there is nothing left of them to publish.
_SETTLED = {"erase", "evict_oldest"}
_OF_THE_FEED = {"append_to_feed", "evict_oldest"}


RecordT = TypeVar("RecordT", bound=Ended)


class FeedParts(Generic[IdT]):
    """A machine's feed, and which of its rows are kept."""

    __slots__ = ("feed", "retention")

    def __init__(self, feed: CompletionFeed[Any, Any], retention: Retention[IdT]) -> None:
        self.feed = feed
        self.retention = retention


class _Plan:
    """What some effects come to: the part that is settled, and the handlers that publish."""

    __slots__ = ("admit", "appends", "erases", "handlers", "hooks", "overdue", "settles")

    def __init__(
        self,
        names: set[str],
        handlers: list[Callable[[Any], Iterable[Waker]]],
        hooks: tuple[Enum, ...],
        parts: FeedParts[Any] | None,
    ) -> None:
        self.erases = "erase" in names
        self.appends = "append_to_feed" in names
        self.admit = parts.retention.admit if parts and self.appends else None
        self.overdue = parts.retention.overdue if parts and "evict_oldest" in names else None
        self.hooks = hooks
        self.settles = bool(self.erases or self.admit or self.overdue or hooks)
        self.handlers = handlers


class _Plans(dict[tuple[Enum, ...], _Plan]):
    """Plans by their effects. The authority gives one of a few shared tuples, each planned once."""

    def __init__(
        self,
        watchers: Watchers[Any, Any],
        barriers: Barriers[Any, Any],
        parts: FeedParts[Any] | None,
    ) -> None:
        self._parts = parts
        self._publishing: dict[str, Callable[[Any], Iterable[Waker]]] = {
            "count_in_barriers": barriers.count,
            "wake_watchers": watchers.resolve,
            "close_watchers": lambda record: watchers.close(record.id),
            "fail_barriers": lambda record: barriers.fail_member(record.id),
        }
        if parts is not None:
            self._publishing["append_to_feed"] = parts.feed.append

    def __missing__(self, effects: tuple[Enum, ...]) -> _Plan:
        names = [effect.value for effect in effects]
        if self._parts is None and not _OF_THE_FEED.isdisjoint(names):
            raise InternalError("a feed effect without a feed")
        own = tuple(effect for effect in effects if effect.value not in BUILT_IN)
        handlers = [self._publishing[name] for name in names if name in BUILT_IN - _SETTLED]
        plan = self[effects] = _Plan(set(names), handlers, own, self._parts)
        return plan


class EffectRunner(Generic[IdT, RecordT]):
    """Carries out effects, in two parts.

    `settle` is for whoever decides: what leaves the records, so that the next command of the same
    batch finds it gone. `publish` is for everybody else, once what was decided is kept; it is
    called with the publication lock held, and gives whom to wake.
    """

    def __init__(
        self,
        listing: Listing[IdT, RecordT],
        parts: FeedParts[IdT] | None,
        hooks: Hooks | None = None,
    ) -> None:
        self.watchers: Watchers[IdT, Any] = Watchers()
        self.barriers: Barriers[IdT, Any] = Barriers()
        self.listing = listing
        self.hooks = hooks
        self._parts = parts
        self._plans = _Plans(self.watchers, self.barriers, parts)

    def settle(self, authority: Any, changes: Iterable[Change]) -> list[tuple[int, IdT]]:
        """Take out of the records what is to leave; gives the feed rows that leave, in order."""
        evicted: list[tuple[int, IdT]] = []
        for record, effects in changes:
            plan = self._plans[effects]
            if not plan.settles:
                continue
            if plan.hooks and self.hooks is not None:
                self.hooks.note(authority, record, plan.hooks)
            if plan.admit is not None:
                plan.admit(record.sequence, record.id)
            if plan.overdue is not None:
                for sequence, id in plan.overdue():
                    authority.evict(sequence, id)
                    evicted.append((sequence, id))
            if plan.erases:
                authority.erase(record.id)
        return evicted

    def erases(self, effects: tuple[Enum, ...]) -> bool:
        """Whether a record leaves by some effects."""
        return self._plans[effects].erases

    def feeds(self, effects: tuple[Enum, ...]) -> bool:
        """Whether a feed row is among some effects."""
        return self._plans[effects].appends

    def publish(self, changes: Iterable[Change], evicted: Iterable[tuple[int, IdT]]) -> list[Waker]:
        """Let everybody see some changes, in their order, and what was evicted after them."""
        wakers: list[Waker] = []
        note = self.listing.note if self.listing.is_built else None
        for record, effects in changes:
            for handle in self._plans[effects].handlers:
                wakers += handle(record)
            if note is not None:
                note(record.id)
        for _, id in evicted:
            assert self._parts is not None
            self._parts.feed.drop_oldest()
            if note is not None:
                note(id)
        if self.hooks is not None:
            self.hooks.publish()
        return wakers

    def restore(self, authority: Any, rows: Iterable[Any]) -> None:
        """Take over feed rows, oldest first, and let go of what is over the limit."""
        if self._parts is None:
            return
        for record in rows:
            self._parts.retention.admit(record.sequence, record.id)
            self._parts.feed.append(record)
        for sequence, id in self._parts.retention.overdue():
            authority.evict(sequence, id)
            self._parts.feed.drop_oldest()

    def end(self) -> list[Waker]:
        """End every wait."""
        wakers = [*self.watchers.close_all(), *self.barriers.fail_all(RegistryClosedError)]
        if self._parts is not None:
            wakers.extend(self._parts.feed.close())
        return wakers

    def undo(self, admitted: int, evicted: list[tuple[int, IdT]]) -> None:
        """Forget what a failed batch has noted, and has done to the order of retention."""
        if self.hooks is not None:
            self.hooks.drop()
        if self._parts is not None:
            self._parts.retention.undo(admitted, evicted)
