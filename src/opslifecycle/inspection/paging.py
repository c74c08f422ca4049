"""Pages of the operations in a store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from fnmatch import fnmatchcase
from itertools import dropwhile, islice
from typing import TypeAlias

import attrs
from opslifecycle import OperationOrder, OpsLifecycleError, PageCursor
from opslifecycle.inspection.records import Found, Stored
from opslifecycle.values.plain import Json

#: What an order compares, then the id, and then the registry: two may have operations of one id.
_Key: TypeAlias = tuple[Json, ...]


class OtherPageError(OpsLifecycleError):
    """A cursor of a page that was read with other options."""

    template = "the cursor is of a page with another order; pass the options of that page"


@attrs.frozen
class PageOptions:
    """Which page of a listing is read, and in which order."""

    order: OperationOrder
    reverse: bool
    limit: int | None
    after: PageCursor | None

    def page(
        self, stored: Iterable[Stored], is_chosen: Callable[[Found], bool]
    ) -> tuple[list[Found], PageCursor | None]:
        """Return the chosen operations of a page, and the cursor of the next one, if any follows.

        Raises:
            OtherPageError: The cursor is of another order.
        """
        chosen = self._chosen(stored, is_chosen)
        if self.limit is None:
            return list(chosen), None
        page = list(islice(chosen, self.limit + 1))
        if len(page) <= self.limit:
            return page, None
        last = page[: self.limit][-1:]
        cursor = PageCursor(self.order.value, self.reverse, self._key(last[0])) if last else None
        return page[: self.limit], cursor or self.after

    def _chosen(
        self, stored: Iterable[Stored], is_chosen: Callable[[Found], bool]
    ) -> Iterable[Found]:
        """Return the chosen operations after the cursor, in order."""
        before = self._before()
        if self.order is OperationOrder.ID:
            # Only those that are shown are decoded.
            ordered = sorted(stored, key=_by_id, reverse=self.reverse)
            rest = dropwhile(lambda each: self._is_before(_by_id(each), before), ordered)
            return filter(is_chosen, (each.found() for each in rest))
        found = sorted((each.found() for each in stored), key=self._key, reverse=self.reverse)
        later = dropwhile(lambda each: self._is_before(self._key(each), before), found)
        return filter(is_chosen, later)

    def _key(self, found: Found) -> _Key:
        values: dict[OperationOrder, _Key] = {
            OperationOrder.ID: (),
            OperationOrder.CREATED: (found.snapshot.created_at_ms,),
            OperationOrder.NAME: (found.name,),
        }
        return (*values[self.order], found.id, found.registry)

    def _before(self) -> _Key | None:
        """Return the key of the cursor; None for the beginning."""
        if self.after is None:
            return None
        types = {OperationOrder.ID: (), OperationOrder.CREATED: (int,), OperationOrder.NAME: (str,)}
        wanted = [*types[self.order], str, str]
        made_so = (self.after.order, self.after.descending) == (self.order.value, self.reverse)
        if not made_so or [type(value) for value in self.after.values] != wanted:
            raise OtherPageError
        return self.after.values

    def _is_before(self, key: _Key, before: _Key | None) -> bool:
        """Return whether a key is not after that of the cursor."""
        if before is None:
            return False
        return key >= before if self.reverse else key <= before


def _by_id(stored: Stored) -> _Key:
    return stored.id, stored.registry.name


@attrs.frozen
class Choice:
    """Which operations are listed."""

    status: Collection[str]
    kind: str | None
    name: str | None
    since: int | None
    until: int | None

    def includes(self, each: Found) -> bool:
        """Return whether an operation is chosen by every option that was given."""
        created_at_ms = each.snapshot.created_at_ms
        return (
            (not self.status or each.status in self.status)
            and (self.kind is None or each.snapshot.kind.value == self.kind)
            and (self.name is None or fnmatchcase(each.name, self.name))
            and (self.since is None or created_at_ms >= self.since)
            and (self.until is None or created_at_ms <= self.until)
        )
