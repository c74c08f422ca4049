"""The orders of a machine's listing, and the requests for its pages."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from enum import Enum
from typing import Generic, Protocol, TypeAlias, TypeVar, final

import attrs
from opslifecycle.errors import InvalidValueError
from opslifecycle.shell.columns import Key, SortKey
from opslifecycle.values.conversion import structure, unstructure
from opslifecycle.values.pages import PageCursor
from opslifecycle.values.plain import Json


class Identified(Protocol):
    """A record, as far as an order needs it."""

    @property
    def id(self) -> Hashable:
        """The id of the record."""


RecordT = TypeVar("RecordT", bound=Identified)
#: What the values of an order must exceed, and what must exceed them; None for anything.
Bound: TypeAlias = tuple[SortKey | None, SortKey | None]

#: The order by the id alone, which every listing with pages has.
BY_ID = "id"
#: The listing's own order, in cursors.
_OWN = ""


@final
class _Greatest:
    """A value that is greater than any other."""

    def __lt__(self, other: object) -> bool:
        return False

    def __gt__(self, other: object) -> bool:
        return True


_GREATEST = _Greatest()


@attrs.frozen
class PageRequest:
    """The arguments of a listing that are about its pages, each of the right type.

    `bounds` are those of each named order: what its values must exceed, and what must exceed them;
    None for anything.
    """

    order_by: Enum | None
    descending: bool
    limit: int | None
    after: PageCursor | None
    bounds: tuple[Bound, ...] = ()


@attrs.frozen(eq=False, repr=False)
class Query:
    """A checked request: which records, and from where.

    Attributes:
        order: The name of the order.
        descending: Whether the greatest record comes first.
        limit: How many records at most; None for all.
        after: The key of the record before the page; None for the beginning.
        bounds: For orders by their index: what values must exceed, and what must exceed them.
        cursor: The cursor of the request.
        least: What the first value of a key must exceed in this order; None for anything.
        most: What must exceed the first value of a key in this order.
    """

    order: str
    descending: bool
    limit: int | None
    after: Key | None
    bounds: tuple[tuple[int, SortKey | None, SortKey | None], ...]
    cursor: PageCursor | None
    least: SortKey | None
    most: SortKey | None

    def start(self) -> Key | None:
        """Return the key after which a walk begins, in its direction; None for the beginning."""
        bound: Key | None
        if self.descending:
            bound = None if self.most is None else (self.most,)
            return bound if self.after is None or (bound and bound < self.after) else self.after
        bound = None if self.least is None else (self.least, _GREATEST)
        return bound if self.after is None or (bound and self.after < bound) else self.after

    def is_past(self, key: Key) -> bool:
        """Return whether a walk has passed the last key within the bounds."""
        if self.descending:
            return self.least is not None and not self.least < key[0]
        return self.most is not None and not key[0] < self.most

    def is_after(self, key: Key) -> bool:
        """Return whether a key comes after the cursor of the request."""
        if self.after is None:
            return True
        return key < self.after if self.descending else self.after < key


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Pages(Generic[RecordT]):
    """The orders of a machine's listing; generated.

    No value of an order changes as long as its record exists. So a record that exists during a walk
    through the pages has one place in it, and is listed exactly once.

    Attributes:
        id_type: The type of the ids.
        order_of: Returns the values of a record in the listing's own order.
        own_types: The types of these values.
        keys_of: Returns the value of a record in each named order.
        orders: The named orders, as `keys_of` returns them, each with the type of its value.
    """

    id_type: type[object]
    order_of: Callable[[RecordT], tuple[SortKey, ...]]
    own_types: tuple[object, ...]
    keys_of: Callable[[RecordT], tuple[SortKey, ...]]
    orders: tuple[tuple[str, object], ...]
    #: The index of each named order.
    places: Mapping[str, int] = attrs.field(init=False)

    @places.default
    def _places(self) -> Mapping[str, int]:
        return {name: place for place, (name, _) in enumerate(self.orders)}

    def key(self, order: str, record: RecordT) -> Key:
        """Return the key of a record in an order."""
        return (*self._values(order, record), *_of_id(record.id))

    def _values(self, order: str, record: RecordT) -> tuple[SortKey, ...]:
        if order == _OWN:
            return self.order_of(record)
        if order == BY_ID:
            return ()
        return (self.keys_of(record)[self.places[order]],)

    def admits(self, record: RecordT, query: Query) -> bool:
        """Return whether a record is within the bounds of a request."""
        if not query.bounds:
            return True
        values = self.keys_of(record)
        return all(
            (least is None or least < values[place]) and (most is None or values[place] < most)
            for place, least, most in query.bounds
        )

    def query(self, request: PageRequest) -> Query:
        """Return a request as the listing needs it.

        Raises:
            InvalidValueError: The cursor is not one of the requested order.
        """
        order = _OWN if request.order_by is None else str(request.order_by.value)
        bounds = tuple(
            (place, least, most)
            for place, (least, most) in enumerate(request.bounds)
            if least is not None or most is not None
        )
        least = most = None
        for place, lower, upper in bounds:
            if self.places.get(order) == place:
                least, most = lower, upper
        after = self._after(order, request)
        return Query(
            order, request.descending, request.limit, after, bounds, request.after, least, most
        )

    def _after(self, order: str, request: PageRequest) -> Key | None:
        cursor = request.after
        if cursor is None:
            return None
        if (cursor.order, cursor.descending) != (order, request.descending):
            found = cursor.order or "the listing's own order"
            way = "descending" if cursor.descending else "ascending"
            reason = f"is a cursor of {found}, {way}: pass it with the order that it was made in"
            raise InvalidValueError("after", reason)
        types: tuple[object, ...] = ()
        if order == _OWN:
            types = self.own_types
        elif order != BY_ID:
            types = (self.orders[self.places[order]][1],)
        *values, id = cursor.values
        if len(values) != len(types):
            raise InvalidValueError("after", "is a cursor of another listing")
        try:
            read: list[SortKey] = [
                structure(each, type) for each, type in zip(values, types, strict=True)
            ]
            return (*read, *_of_id(structure(id, self.id_type)))
        except InvalidValueError as error:
            reason = f"is a cursor of another listing: {error.reason}"
            raise InvalidValueError("after", reason) from None

    def cursor(self, query: Query, last: Key) -> PageCursor:
        """Return the cursor after a key."""
        return PageCursor(query.order, query.descending, tuple(map(_data, last[:-1])))


def _data(value: object) -> Json:
    """Return a value of a key as JSON-ready data, if possible without loading cattrs."""
    if isinstance(value, str):
        return str.__str__(value)
    return value if type(value) in (int, float, bool) else unstructure(value)


def _of_id(id: Hashable) -> Key:
    """Return the end of a key: the id as plain data, which compares fast, and the id."""
    plain: Hashable = id
    if isinstance(id, str):
        plain = str.__str__(id)
    elif isinstance(id, int):
        plain = int(id)
    key: Key = (plain, id)  # type: ignore[assignment]
    return key
