"""Server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import anyio
from opslifecycle import OpsLifecycleError
from opslifecycle.serve.problems import json_bytes, text_of_error
from sse_starlette import EventSourceResponse, ServerSentEvent

#: A client that takes nothing for so long is disconnected.
_SEND_TIMEOUT_SECONDS = 60
#: How long a stream may take to end after the server was asked to.
_GRACE_SECONDS = 1
_RETRY_MS = 1000


class Pause:
    """The pause of a stream between two looks at the store, which the end of the server cuts."""

    def __init__(self, seconds: float, ending: anyio.Event) -> None:
        self._seconds = seconds
        self._ending = ending

    async def is_over(self) -> bool:
        """Return after the pause whether the stream has to end."""
        with anyio.move_on_after(self._seconds):
            await self._ending.wait()
        return self._ending.is_set()


def stream(
    events: Callable[[Pause], AsyncIterator[ServerSentEvent]],
    poll_seconds: float,
    heartbeat_seconds: float,
) -> EventSourceResponse:
    """Return an answer that sends events.

    Args:
        events: Yields them, with a pause whenever there are no more.
        poll_seconds: The pause.
        heartbeat_seconds: How often a comment is sent meanwhile.
    """
    ending = anyio.Event()
    return EventSourceResponse(
        events(Pause(poll_seconds, ending)),
        ping=heartbeat_seconds,
        send_timeout=_SEND_TIMEOUT_SECONDS,
        shutdown_event=ending,
        shutdown_grace_period=_GRACE_SECONDS,
    )


def opening() -> ServerSentEvent:
    """Return what a stream begins with: how long a client waits before it connects again."""
    return ServerSentEvent(comment="open", retry=_RETRY_MS)


def event(kind: str, id: str | None, data: object) -> ServerSentEvent:
    """Return an event whose data is JSON."""
    return ServerSentEvent(json_bytes(data).decode("ascii"), event=kind, id=id)


def unavailable(error: OpsLifecycleError) -> ServerSentEvent:
    """Return the event of a store that cannot be read; the stream goes on when it can."""
    return event("unavailable", None, {"detail": text_of_error(error)})
