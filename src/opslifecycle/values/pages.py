"""The pages of a listing, and the cursors between them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, Self, TypeVar

import attrs
from opslifecycle.errors import InvalidValueError
from opslifecycle.values.checks import shown
from opslifecycle.values.plain import Json, json_of, text_of

T = TypeVar("T")

#: The types of the values in a cursor: those of JSON that have an order.
_VALUES = frozenset({str, int, float, bool})


@attrs.frozen
class PageCursor:
    """A place in the order of a listing: right after one record.

    `str()` returns a text for URLs and files, which `parse` reads in any process. A cursor stays
    valid when its record changes or is removed.

    Attributes:
        order: The name of the order; empty for the listing's own.
        descending: Whether the page runs from the last record of the order to the first.
        values: What the order compares of the record, and then its id, as JSON-ready data.
    """

    order: str
    descending: bool
    values: tuple[Json, ...]

    def __str__(self) -> str:
        import base64  # here, because few programs need the text of a cursor

        text = text_of([self.order, self.descending, *self.values])
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the cursor of a text from `str()`.

        Raises:
            InvalidValueError: No cursor has this text.
        """
        import base64

        try:
            padded = text.encode() + b"=" * (-len(text) % 4)
            data = json_of(base64.b64decode(padded, altchars=b"-_", validate=True))
            order, descending, *values = data
        except (AttributeError, TypeError, ValueError):
            raise _unreadable(text) from None
        known = all(type(value) in _VALUES for value in values)
        if type(data) is not list or type(order) is not str or not (values and known):
            raise _unreadable(text)
        if type(descending) is not bool:
            raise _unreadable(text)
        return cls(order, descending, tuple(values))


def _unreadable(text: object) -> InvalidValueError:
    reason = f"expected the text of a page cursor, got {shown(text)}; pass str(page.cursor)"
    return InvalidValueError("cursor", reason)


class Page(list[T], Generic[T]):
    """Some records of a listing, in its order, all as they were at one instant.

    Attributes:
        cursor: The place after the last record of the page: pass it as `after` for the next page.
            That of an empty page is the place where it began; None at the beginning.
        has_more: Whether records followed at that instant.
    """

    __slots__ = ("cursor", "has_more")

    def __init__(self, records: Iterable[T], cursor: PageCursor | None, *, has_more: bool) -> None:
        super().__init__(records)
        self.cursor = cursor
        self.has_more = has_more
