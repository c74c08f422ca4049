"""The feed of a registry: as JSON, as CloudEvents, as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial
from http import HTTPStatus

from opslifecycle import OpsLifecycleError
from opslifecycle.inspection.feed import FeedPage, Position, entries_after
from opslifecycle.inspection.machines import Fed
from opslifecycle.serve.cloudevents import (
    BATCH_MEDIA_TYPE,
    event_of_entry,
    event_of_gap,
    gap_data,
)
from opslifecycle.serve.parameters import NOW, Parameters
from opslifecycle.serve.problems import ProblemError, json_bytes, json_response
from opslifecycle.serve.source import Source
from opslifecycle.serve.streams import Pause, event, opening, stream, unavailable
from opslifecycle.stores.reading import StoredRegistry
from opslifecycle.values.plain import Data
from sse_starlette import ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response

LIMIT_DEFAULT, LIMIT_MAX = 100, 1000
FORMATS = ("json", "cloudevents")
#: How many entries are read at once for a stream; the rest waits in the store, not in memory.
_STREAM_LIMIT = 200


class Feeds:
    """The feeds of a store.

    Args:
        source: The store.
        heartbeat_seconds: How often a stream sends a comment when nothing happens.
    """

    def __init__(self, source: Source, heartbeat_seconds: float) -> None:
        self._source = source
        self._machine = source.machine
        self._heartbeat_seconds = heartbeat_seconds

    async def feed(self, request: Request) -> Response:
        """Return entries after a position, or a stream of them."""
        given = Parameters(request, ("registry", "after", "limit", "format"))
        accepted = request.headers.get("accept", "")
        cloud = given.choice("format", FORMATS) == "cloudevents" or "cloudevents" in accepted
        after, seen = given.position("after"), given.last_event_id()
        from_now = seen is None and given.text("after") == NOW
        limit = given.whole("limit", 1, LIMIT_MAX) or LIMIT_DEFAULT
        chosen = given.text("registry")
        look_up = partial(self._start, chosen=chosen, from_now=from_now)
        name, now = await self._source.read(look_up)
        position = seen or after or now
        if "text/event-stream" in accepted:
            return stream(
                partial(self._events, name, position, cloud),
                self._source.poll_seconds,
                self._heartbeat_seconds,
            )
        look = partial(self._page, name=name, after=position, limit=limit)
        page = await self._source.read(look)
        if page is None:
            raise _unknown(name)
        if cloud:
            events = json_bytes(self._cloud_events(name, page))
            return Response(events, media_type=BATCH_MEDIA_TYPE)
        return json_response(
            {
                "registry": name,
                "watermark": str(Position(page.edges.epoch, page.edges.watermark)),
                "gap": None if page.gap is None else gap_data(page.gap),
                "entries": [entry.data for entry in page.entries],
                "position": str(page.position),
                "has_more": page.has_more,
            }
        )

    async def _events(
        self, name: str, position: Position | None, cloud: bool, pause: Pause
    ) -> AsyncIterator[ServerSentEvent]:
        yield opening()
        is_readable = True
        while True:
            try:
                look = partial(self._page, name=name, after=position, limit=_STREAM_LIMIT)
                page = await self._source.read(look, shared=True)
            except OpsLifecycleError as error:
                if is_readable:
                    yield unavailable(error)
                is_readable = False
                if await pause.is_over():
                    return
                continue
            is_readable = True
            if page is None:
                yield event("removed", None, {"registry": name})
                return
            for each in self._stream_events(name, page, cloud):
                yield each
            position = page.position
            if not page.has_more and await pause.is_over():
                return

    def _start(
        self, found: Sequence[StoredRegistry], chosen: str | None, from_now: bool
    ) -> tuple[str, Position | None]:
        """Return the registry that a request means, by default the latest, and where it begins."""
        names = {each.name: each for each in found}
        if chosen is None and not found:
            raise ProblemError(HTTPStatus.NOT_FOUND, "the store has no registry yet")
        name = found[-1].name if chosen is None else chosen
        if name not in names:
            raise _unknown(name)
        edges = self._machine.feed_state(names[name])
        return name, Position(edges.epoch, edges.watermark) if from_now else None

    def _page(
        self, found: Sequence[StoredRegistry], name: str, after: Position | None, limit: int
    ) -> FeedPage | None:
        registry = next((each for each in found if each.name == name), None)
        return None if registry is None else entries_after(registry, after, limit, self._machine)

    def _cloud_events(self, name: str, page: FeedPage) -> list[object]:
        gap = [] if page.gap is None else [event_of_gap(name, page.gap)]
        return [*gap, *(self._cloud_event(name, page, each) for each in page.entries)]

    def _cloud_event(self, name: str, page: FeedPage, entry: Fed) -> Data:
        position = Position(page.edges.epoch, entry.sequence)
        return event_of_entry(name, position, self._machine.inspection.entity, entry)

    def _stream_events(self, name: str, page: FeedPage, cloud: bool) -> list[ServerSentEvent]:
        found = []
        if page.gap is not None:
            data = event_of_gap(name, page.gap) if cloud else gap_data(page.gap)
            found.append(event("gap", str(page.gap.position), data))
        for entry in page.entries:
            position = Position(page.edges.epoch, entry.sequence)
            data = self._cloud_event(name, page, entry) if cloud else entry.data
            found.append(event("entry", str(position), data))
        return found


def _unknown(name: str) -> ProblemError:
    detail = f"there is no registry {name!r:.80}; /v1/registries lists them"
    return ProblemError(HTTPStatus.NOT_FOUND, detail)
