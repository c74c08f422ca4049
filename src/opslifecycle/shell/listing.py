"""An index that finds records by their properties.

It is derived data: only the listing depends on it, and it can be rebuilt from the records. The
first filtered listing builds it. From then on, each command notes the id of its record, and the
next listing updates the entries of the noted ids. An index whose update was interrupted is built
again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Generic, Protocol, Self, TypeVar

IdT = TypeVar("IdT", bound=Hashable)
RecordT = TypeVar("RecordT")


class SortKey(Protocol):
    """A value that is ordered among those of its type."""

    def __lt__(self, other: Self, /) -> bool: ...


class Listing(Generic[IdT, RecordT]):
    """An index of records by their filter properties. Called with the publication lock held.

    Args:
        records: The records of the authority.
        keys_of: Returns the filter properties of a record.
    """

    __slots__ = ("_buckets", "_keys", "_keys_of", "_noted", "_records", "is_built")

    def __init__(
        self,
        records: Mapping[IdT, RecordT],
        keys_of: Callable[[RecordT], tuple[Hashable, ...]],
    ) -> None:
        self._records = records
        self._keys_of = keys_of
        #: Whether there is an index, so that commands must note their changes. The handler of an
        #: interrupted command sets it to False, because its change may not be noted.
        self.is_built = False
        self._buckets: dict[tuple[int, Hashable], dict[IdT, None]] = {}
        self._keys: dict[IdT, tuple[Hashable, ...]] = {}
        self._noted: dict[IdT, None] = {}

    def note(self, id: IdT) -> None:
        """Note that the record with an id was created, changed or erased."""
        self._noted[id] = None

    def select(self, wanted: tuple[Hashable, ...]) -> list[RecordT]:
        """Return the records with the wanted properties, in no order.

        Args:
            wanted: The value of each property, in the order of `keys_of`; None for any value.
        """
        filters = [(place, value) for place, value in enumerate(wanted) if value is not None]
        if not filters:
            return list(self._records.values())
        self._bring_up_to_date()
        buckets, keys, records = self._buckets, self._keys, self._records
        smallest = min((buckets.get(key, {}) for key in filters), key=len)
        return [
            records[id]
            for id in smallest
            if all(keys[id][place] == value for place, value in filters)
        ]

    def _bring_up_to_date(self) -> None:
        if not self.is_built:
            self._buckets, self._keys, self._noted = {}, {}, {}
        outdated = self._noted if self.is_built else self._records
        try:
            for id in list(outdated):
                self._update(id)
                self._noted.pop(id, None)
        except BaseException:
            # Without a call, because the stack may have no room for one.
            self.is_built = False
            raise
        self.is_built = True

    def _update(self, id: IdT) -> None:
        record = self._records.get(id)
        before = self._keys.pop(id, ())
        after = self._keys_of(record) if record is not None else ()
        if before != after:
            self._move(id, before, after)
        if record is not None:
            self._keys[id] = after

    def _move(self, id: IdT, before: tuple[Hashable, ...], after: tuple[Hashable, ...]) -> None:
        for key in enumerate(before):
            bucket = self._buckets[key]
            del bucket[id]
            if not bucket:
                del self._buckets[key]
        for key in enumerate(after):
            self._buckets.setdefault(key, {})[id] = None
