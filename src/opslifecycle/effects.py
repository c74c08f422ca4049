"""What follows a decision: first for the records themselves, then for everybody who looks on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

from opslifecycle.barriers import Barriers
from opslifecycle.errors import InternalError, RegistryClosedError
from opslifecycle.feed import CompletionFeed
from opslifecycle.listing import Listing
from opslifecycle.publication import Waker
from opslifecycle.retention import Retention
from opslifecycle.steps import Change
from opslifecycle.watchers import Watchers

IdT = TypeVar("IdT", bound=Hashable)


class Record(Protocol):
    """What is read of a record here; everything else is the machine's."""

    @property
    def id(self) -> Any: ...
    @property
    def terminal_outcome(self) -> Any: ...


RecordT = TypeVar("RecordT", bound=Record)


class FeedParts(Generic[IdT, RecordT]):
    """A machine's feed: its rows, how a record becomes one, and which rows are kept."""

    __slots__ = ("entry_of", "feed", "retention")

    def __init__(
        self,
        feed: CompletionFeed[Any, Any],
        entry_of: Callable[[RecordT], Any],
        retention: Retention[IdT],
    ) -> None:
        self.feed = feed
        self.entry_of = entry_of
        self.retention = retention


class EffectRunner(Generic[IdT, RecordT]):
    """Carries out effects, in two parts.

    `settle` is for whoever decides: what leaves the records, so that the next command of the same
    batch finds it gone. `publish` is for everybody else, once what was decided is kept; it is
    called with the publication lock held, and gives whom to wake.
    """

    def __init__(
        self,
        kinds: type[Enum],
        listing: Listing[IdT, RecordT],
        parts: FeedParts[IdT, RecordT] | None,
    ) -> None:
        self.watchers: Watchers[IdT, Any] = Watchers()
        self.barriers: Barriers[IdT, Any] = Barriers()
        self.listing = listing
        self._parts = parts
        handlers = self.handlers()
        self._handlers = {kind: handlers[kind.value] for kind in kinds}
        named = {kind.value: kind for kind in kinds}
        self._erase = named.get("erase")
        self._append = named.get("append_to_feed")
        self._evict_oldest = named.get("evict_oldest")

    def settle(self, authority: Any, changes: Iterable[Change]) -> list[tuple[int, IdT]]:
        """Take out of the records what is to leave; gives the feed rows that leave, in order."""
        evicted: list[tuple[int, IdT]] = []
        for record, effects in changes:
            for effect in effects:
                if effect is self._erase:
                    authority.erase(record.id)
                elif effect is self._append:
                    self._feed_parts().retention.admit(record.sequence, record.id)
                elif effect is self._evict_oldest:
                    evicted += self._evict(authority)
        return evicted

    def feeds(self, effects: Iterable[Enum]) -> bool:
        """Whether a feed row is among some effects."""
        return self._append is not None and self._append in effects

    def publish(self, changes: Iterable[Change], evicted: Iterable[tuple[int, IdT]]) -> list[Waker]:
        """Let everybody see some changes, in their order, and what was evicted after them."""
        wakers: list[Waker] = []
        for record, effects in changes:
            for effect in effects:
                wakers.extend(self._handlers[effect](record))
            self.listing.note(record.id)
        for _, id in evicted:
            self._feed_parts().feed.drop_oldest()
            self.listing.note(id)
        return wakers

    def restore(self, authority: Any, entries: Iterable[tuple[IdT, Any]]) -> None:
        """Take over feed entries, oldest first, and let go of what is over the limit."""
        for id, entry in entries:
            parts = self._feed_parts()
            parts.retention.admit(entry.seq, id)
            parts.feed.append(entry)
        if self._parts is not None:
            for _ in self._evict(authority):
                self._parts.feed.drop_oldest()

    def end(self) -> list[Waker]:
        """End every wait."""
        wakers = [*self.watchers.close_all(), *self.barriers.fail_all(RegistryClosedError)]
        if self._parts is not None:
            wakers.extend(self._parts.feed.close())
        return wakers

    def undo_retention(self, admitted: int, evicted: list[tuple[int, IdT]]) -> None:
        """Forget what a failed batch has done to the order of retention."""
        if self._parts is not None:
            self._parts.retention.undo(admitted, evicted)

    def handlers(self) -> Mapping[str, Callable[[RecordT], Iterable[Waker]]]:
        """What can be carried out, by the name of the effect in a machine."""
        return {
            "append_to_feed": self._append_to_feed,
            "count_in_barriers": self._count_in_barriers,
            "wake_watchers": self._wake_watchers,
            "evict_oldest": self._settled,
            "close_watchers": self._close_watchers,
            "fail_barriers": self._fail_barriers,
            "erase": self._settled,
        }

    def _append_to_feed(self, record: RecordT) -> Iterable[Waker]:
        parts = self._feed_parts()
        return parts.feed.append(parts.entry_of(record))

    def _count_in_barriers(self, record: RecordT) -> Iterable[Waker]:
        return self.barriers.count(record.id, record.terminal_outcome)

    def _wake_watchers(self, record: RecordT) -> Iterable[Waker]:
        return self.watchers.resolve(record.id, record.terminal_outcome)

    def _close_watchers(self, record: RecordT) -> Iterable[Waker]:
        return self.watchers.close(record.id)

    def _fail_barriers(self, record: RecordT) -> Iterable[Waker]:
        return self.barriers.fail_member(record.id)

    def _settled(self, record: RecordT) -> Iterable[Waker]:
        return ()

    def _evict(self, authority: Any) -> list[tuple[int, IdT]]:
        overdue = self._feed_parts().retention.overdue()
        for sequence, id in overdue:
            authority.evict(sequence, id)
        return overdue

    def _feed_parts(self) -> FeedParts[IdT, RecordT]:
        if self._parts is None:
            raise InternalError("a feed effect without a feed")
        return self._parts
