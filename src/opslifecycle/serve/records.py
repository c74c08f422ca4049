"""The records of a machine of one's own as JSON: listing and showing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from itertools import islice
from typing import TypeAlias

import attrs
from opslifecycle import PageCursor
from opslifecycle.inspection.machines import Machine, Seen
from opslifecycle.serve.parameters import MOMENT_MAX, Parameters
from opslifecycle.serve.problems import ProblemError, json_response
from opslifecycle.serve.source import Source
from opslifecycle.stores.reading import StoredRegistry
from opslifecycle.values.identifiers import IntIdentifier
from opslifecycle.values.plain import Data, Json
from starlette.requests import Request
from starlette.responses import Response

LIMIT_DEFAULT, LIMIT_MAX = 100, 1000
BY_ID, BY_CREATION = "id", "created"
#: The parameters that listings of every machine have; filters of the same names give way.
PARAMETERS = (
    "registry", "status", "since", "until", "order", "descending", "limit", "after",
)  # fmt: skip

#: What an order compares, then the id, and then the registry.
_Key: TypeAlias = tuple[Json, ...]


def orders_of(machine: Machine) -> tuple[str, ...]:
    """Return the orders of a listing."""
    return (BY_ID, BY_CREATION) if machine.inspection.created else (BY_ID,)


def filters_of(machine: Machine) -> tuple[str, ...]:
    """Return the machine's own filters of a listing."""
    return tuple(each for each in machine.inspection.filters if each not in PARAMETERS)


def times_of(machine: Machine) -> tuple[str, ...]:
    """Return the bounds of a listing: none if the machine does not note when a record begins."""
    return ("since", "until") if machine.inspection.created else ()


@attrs.frozen
class _Found:
    """One record in one registry of a store."""

    registry: StoredRegistry
    id: str
    seen: Seen

    def shown(self, machine: Machine) -> Data:
        """Return it as JSON-ready data."""
        return {
            "id": self.id,
            "registry": self.registry.name,
            "holder": self.registry.holder,
            "responds": self.registry.responds,
            "status": machine.shown_status(self.seen, self.registry),
            "ended": self.seen.ended,
            "created_at_ms": self.seen.created_at_ms,
            "ended_at_ms": self.seen.ended_at_ms,
            "snapshot": self.seen.snapshot,
            "history": list(self.seen.history),
        }


@attrs.frozen
class _Choice:
    """Which records are listed."""

    registry: str | None
    status: tuple[str, ...]
    since: int | None
    until: int | None
    filters: dict[str, str]

    def includes(self, found: _Found, machine: Machine) -> bool:
        """Return whether a record is chosen by every parameter that was given."""
        seen, created_at_ms = found.seen, found.seen.created_at_ms or 0
        return (
            (self.registry is None or found.registry.name == self.registry)
            and (not self.status or machine.shown_status(seen, found.registry) in self.status)
            and (self.since is None or created_at_ms >= self.since)
            and (self.until is None or created_at_ms <= self.until)
            and all(seen.filters[name] == value for name, value in self.filters.items())
        )


class Records:
    """The records of a store.

    Args:
        source: The store.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._machine = source.machine
        self._has_numbers = issubclass(source.machine.id_type, IntIdentifier)

    async def list(self, request: Request) -> Response:
        """Return a page of records."""
        machine, filters = self._machine, filters_of(self._machine)
        known = [each for each in PARAMETERS if each not in ("since", "until")]
        given = Parameters(request, (*known, *times_of(machine), *filters), repeated=("status",))
        choice = _Choice(
            given.text("registry"),
            given.choices("status", machine.statuses),
            given.whole("since", 0, MOMENT_MAX),
            given.whole("until", 0, MOMENT_MAX),
            {name: value for name in filters if (value := given.text(name)) is not None},
        )
        order = given.choice("order", orders_of(machine)) or BY_ID
        descending, after = given.flag("descending"), given.cursor("after")
        limit = given.whole("limit", 1, LIMIT_MAX) or LIMIT_DEFAULT

        def page(found: Sequence[StoredRegistry]) -> Data:
            chosen = (each for each in self._all(found) if choice.includes(each, machine))
            keyed = sorted(((self._key(order, each), each) for each in chosen),
                           key=lambda pair: pair[0], reverse=descending)  # fmt: skip
            before = self._before(after, order, descending)
            later = (p for p in keyed if before is None or _is_after(p[0], before, descending))
            listed = list(islice(later, limit + 1))
            has_more = len(listed) > limit
            last = listed[limit - 1][0] if has_more else ()
            cursor = str(PageCursor(order, descending, last)) if has_more else None
            records = [each.shown(machine) for _, each in listed[:limit]]
            return {machine.inspection.entities: records, "next": cursor}

        return json_response(await self._source.read(page))

    async def show(self, request: Request) -> Response:
        """Return everything about one record."""
        given = Parameters(request, ("registry",))
        registry, id = given.text("registry"), request.path_params["id"]

        def look(found: Sequence[StoredRegistry]) -> Sequence[_Found]:
            chosen = [each for each in found if registry in (None, each.name)]
            return [*self._all(chosen, id)]

        found = await self._source.read(look)
        entity = self._machine.inspection.entity
        if not found:
            raise ProblemError(HTTPStatus.NOT_FOUND, f"there is no {entity} {id!r:.80}")
        if len(found) > 1:
            listed = ", ".join(repr(each.registry.name) for each in found[:5])
            detail = f"{len(found)} registries have {id!r:.80}: {listed}; pass `registry`"
            raise ProblemError(HTTPStatus.CONFLICT, detail)
        return json_response(found[0].shown(self._machine))

    def _all(self, found: Sequence[StoredRegistry], id: str | None = None) -> Iterator[_Found]:
        """Yield the records of registries, or those with an id."""
        for registry in found:
            records = self._machine.records(registry)
            ids = records if id is None else [id] if id in records else []
            for each in ids:
                yield _Found(
                    registry, each, registry.decode(self._machine.see, each, records[each])
                )

    def _key(self, order: str, found: _Found) -> _Key:
        id: Json = int(found.id) if self._has_numbers else found.id
        times = (found.seen.created_at_ms or 0,) if order == BY_CREATION else ()
        return (*times, id, found.registry.name)

    def _before(self, after: PageCursor | None, order: str, descending: bool) -> _Key | None:
        """Return the key of the cursor; None for the beginning."""
        if after is None:
            return None
        types = [*([int] if order == BY_CREATION else []), int if self._has_numbers else str, str]
        made_so = (after.order, after.descending) == (order, descending)
        if not made_so or [type(value) for value in after.values] != types:
            detail = "parameter 'after': the cursor is of a page with another order"
            raise ProblemError(HTTPStatus.BAD_REQUEST, f"{detail}; pass the options of that page")
        return after.values


def _is_after(key: _Key, before: _Key, descending: bool) -> bool:
    return key < before if descending else key > before
