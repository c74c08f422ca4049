"""What changes in a store, as server-sent events for a page that shows all of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial

from opslifecycle import OpsLifecycleError
from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.inspection.feed import Position
from opslifecycle.serve.live import Changes, LiveState
from opslifecycle.serve.parameters import Parameters
from opslifecycle.serve.source import Source
from opslifecycle.serve.streams import Pause, event, opening, stream, unavailable
from opslifecycle.values.plain import Data
from sse_starlette import ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response

#: How many operations are in one event.
_ROWS_MAX = 500


class Changing:
    """The stream of what changes.

    Args:
        source: The store.
        heartbeat_seconds: How often it sends a comment when nothing happens.
    """

    def __init__(self, source: Source, heartbeat_seconds: float) -> None:
        self._source = source
        self._heartbeat_seconds = heartbeat_seconds

    async def changes(self, request: Request) -> Response:
        """Return the stream; with `Last-Event-ID`, only what has changed since."""
        seen = Parameters(request, ()).last_event_id()
        return stream(
            partial(self._events, seen), self._source.poll_seconds, self._heartbeat_seconds
        )

    async def _events(self, seen: Position | None, pause: Pause) -> AsyncIterator[ServerSentEvent]:
        yield opening()
        is_readable, registries, resumed = True, None, seen is not None
        while True:
            try:
                look = partial(_look, seen=seen)
                changes, instance, found = await self._source.changes(look)
            except OpsLifecycleError as error:
                if is_readable:
                    yield unavailable(error)
                is_readable = False
            else:
                if changes.whole and resumed:
                    yield event("gap", None, {"reason": "changes since the last event are lost"})
                if found != registries or not is_readable:
                    now_ms = SYSTEM_CLOCK.wall_ms()
                    yield event("registries", None, {"now_ms": now_ms, "registries": found})
                is_readable, registries, resumed = True, found, True
                if seen is None or changes.version != seen.sequence or changes.whole:
                    seen = Position(instance, changes.version)
                    for each in _change_events(changes, seen):
                        yield each
            if await pause.is_over():
                return


def _look(live: LiveState, seen: Position | None) -> tuple[Changes, str, list[Data]]:
    instance, version = ("", -1) if seen is None else (seen.epoch, seen.sequence)
    return live.since(instance, version), live.instance, live.registries


def _change_events(changes: Changes, position: Position) -> Iterator[ServerSentEvent]:
    """Yield events, the last of which has the id: a client that misses it gets all of them."""
    if changes.whole:
        yield event("reset", None, {})
    if changes.removed:
        yield event("removed", None, changes.removed)
    for start in range(0, len(changes.rows), _ROWS_MAX):
        yield event("operations", None, changes.rows[start : start + _ROWS_MAX])
    yield event("version", str(position), {})
