"""An index that finds records by their properties, and pages of them in an order.

It is derived data: only the listing depends on it, and it can be rebuilt from the records. The
first filtered listing builds it. From then on, each command notes the id of its record, and the
next listing updates the entries of the noted ids. An index whose update was interrupted is built
again. The first page in an order adds a column to the index, unless a filter leaves few records.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Generic, TypeVar, cast

from opslifecycle.errors import InternalError
from opslifecycle.shell.columns import Column, Key
from opslifecycle.shell.pages import Identified, Pages, Query

IdT = TypeVar("IdT", bound=Hashable)
RecordT = TypeVar("RecordT", bound=Identified)


class Listing(Generic[IdT, RecordT]):
    """An index of records by their filter properties. Called with the publication lock held.

    Args:
        records: The records of the authority.
        keys_of: Returns the filter properties of a record.
        pages: The orders of pages; None for a listing without pages.
    """

    __slots__ = (
        "_buckets", "_columns", "_keys", "_keys_of", "_noted", "_pages", "_records", "is_built"
    )  # fmt: skip

    def __init__(
        self,
        records: Mapping[IdT, RecordT],
        keys_of: Callable[[RecordT], tuple[Hashable, ...]],
        pages: Pages[RecordT] | None = None,
    ) -> None:
        self._records = records
        self._keys_of = keys_of
        self._pages = pages
        #: Whether there is an index, so that commands must note their changes. The handler of an
        #: interrupted command sets it to False, because its change may not be noted.
        self.is_built = False
        self._buckets: dict[tuple[int, Hashable], dict[IdT, None]] = {}
        self._keys: dict[IdT, tuple[Hashable, ...]] = {}
        self._noted: dict[IdT, None] = {}
        # The columns of the orders in which pages were read, by their names.
        self._columns: dict[str, Column[IdT]] = {}

    @property
    def pages(self) -> Pages[RecordT]:
        """The orders of the listing."""
        if self._pages is None:
            raise InternalError("a page of a listing without orders")
        return self._pages

    def note(self, id: IdT) -> None:
        """Note that the record with an id was created, changed or erased."""
        self._noted[id] = None

    def select(self, wanted: tuple[Hashable, ...]) -> list[RecordT]:
        """Return the records with the wanted properties, in no order.

        Args:
            wanted: The value of each property, in the order of `keys_of`; None for any value.
        """
        filters = _filters(wanted)
        if not filters:
            return list(self._records.values())
        self._bring_up_to_date()
        keys, records = self._keys, self._records
        return [
            records[id]
            for id in self._smallest(filters)
            if all(keys[id][place] == value for place, value in filters)
        ]

    def _smallest(self, filters: list[tuple[int, Hashable]]) -> dict[IdT, None]:
        """Return the ids of the records that pass the most selective filter."""
        return min((self._buckets.get(key, {}) for key in filters), key=len)

    def page(self, wanted: tuple[Hashable, ...], query: Query) -> tuple[list[Key], bool]:
        """Return the keys of the records of a page, in order, and whether more follow.

        Args:
            wanted: The value of each property, in the order of `keys_of`; None for any value.
            query: What the page contains besides.
        """
        limit = query.limit
        if limit is None:
            return self._gathered(wanted, query), False
        if self._walks(wanted, limit):
            keys = self._walked(wanted, query, limit + 1)
        else:
            keys = self._gathered(wanted, query)
        return keys[:limit], len(keys) > limit

    def _walks(self, wanted: tuple[Hashable, ...], limit: int) -> bool:
        """Return whether a walk along a column visits fewer records than a filter leaves.

        If the records that pass the filters are spread evenly, a page is full after the share
        `limit / passing` of all records.
        """
        every, filters = len(self._records), _filters(wanted)
        if not filters:
            return every > limit
        self._bring_up_to_date()
        passing = len(self._smallest(filters))
        return passing * passing > (limit + 1) * every

    def _gathered(self, wanted: tuple[Hashable, ...], query: Query) -> list[Key]:
        """Return the keys of all records that are wanted, in order."""
        pages, order = self.pages, query.order
        records = (each for each in self.select(wanted) if pages.admits(each, query))
        keys = [key for record in records if query.is_after(key := pages.key(order, record))]
        keys.sort(reverse=query.descending)
        return keys

    def _walked(self, wanted: tuple[Hashable, ...], query: Query, count: int) -> list[Key]:
        """Return the keys of the first records that are wanted, along the column of the order."""
        self._bring_up_to_date()
        column, pages, filters = self._column(query.order), self.pages, _filters(wanted)
        walk = column.descending if query.descending else column.ascending
        found: list[Key] = []
        for key in walk(query.start()):
            if query.is_past(key):
                break
            id = cast("IdT", key[-1])
            properties = self._keys[id]
            passes = all(properties[place] == value for place, value in filters)
            if passes and pages.admits(self._records[id], query):
                found.append(key)
                if len(found) == count:
                    break
        return found

    def _column(self, order: str) -> Column[IdT]:
        column = self._columns.get(order)
        if column is None:
            key = self.pages.key
            column = Column((id, key(order, each)) for id, each in self._records.items())
            self._columns[order] = column
        return column

    def _bring_up_to_date(self) -> None:
        if not self.is_built:
            self._buckets, self._keys, self._noted, self._columns = {}, {}, {}, {}
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
        for order, column in self._columns.items():
            column.replace(id, None if record is None else self.pages.key(order, record))

    def _move(self, id: IdT, before: tuple[Hashable, ...], after: tuple[Hashable, ...]) -> None:
        for key in enumerate(before):
            bucket = self._buckets[key]
            del bucket[id]
            if not bucket:
                del self._buckets[key]
        for key in enumerate(after):
            self._buckets.setdefault(key, {})[id] = None


def _filters(wanted: tuple[Hashable, ...]) -> list[tuple[int, Hashable]]:
    return [(place, value) for place, value in enumerate(wanted) if value is not None]
