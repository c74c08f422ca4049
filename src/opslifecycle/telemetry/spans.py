"""A span for each record of a registry, from its registration to its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import TypeAlias

import attrs
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer
from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.shell.observer import Act, Sight

STATUS = "opslifecycle.status"
#: The attribute of every error in the conventions of OpenTelemetry.
ERROR_TYPE = "error.type"
#: What takes the place of the status of a record that its last command has erased.
ERASED = "erased"
#: Nanoseconds of a millisecond.
_NS = 1_000_000

#: Returns attributes of a record, which is to be read only.
Describe: TypeAlias = Callable[..., Mapping[str, str | int | float | bool]]


@attrs.define
class _Live:
    """A record whose span has not ended, or whose commands have not."""

    links: tuple[Link, ...] = ()
    #: Whether it had ended before its first command here, which then does nothing.
    was_ended: bool = False
    #: How many commands on it are in progress: one may see what a later one has done.
    commands: int = 0
    span: Span | None = None
    begun_ms: int = 0
    #: When it was seen as finished, and in which status.
    ended_ms: int | None = None
    status: str = ""


class Spans:
    """The spans of the records of one registry.

    Args:
        tracer: What begins spans.
        registry: The name of the registry, an attribute of each span.
        look: Returns what is seen of a record; None if there is none.
        error_statuses: The final statuses that are errors.
        describe: Returns further attributes.
    """

    def __init__(
        self,
        tracer: Tracer,
        registry: str,
        look: Callable[[Hashable], Sight | None],
        error_statuses: Collection[str],
        describe: Describe | None,
    ) -> None:
        self._tracer = tracer
        self._registry = registry
        self._look = look
        self._error_statuses = frozenset(error_statuses)
        self._describe = describe
        # Reentrant, because what takes spans may call the registry.
        self._mutex = threading.RLock()
        self._live: dict[Hashable, _Live] = {}

    def begin(self, ids: Sequence[Hashable]) -> None:
        """Note that commands on some records begin, in the context of the caller's span."""
        context = trace.get_current_span().get_span_context()
        links = (Link(context),) if context.is_valid else ()
        # Without the mutex: this acquires the lock of the registry.
        ended = {id for id in ids if id not in self._live and self._has_ended(id)}
        with self._mutex:
            for id in ids:
                live = self._live.setdefault(id, _Live(links, id in ended))
                live.commands += 1

    def _has_ended(self, id: Hashable) -> bool:
        sight = self._look(id)
        return sight is not None and sight.is_ended

    def end(self, ids: Sequence[Hashable], acts: Sequence[Act]) -> list[tuple[str, int]]:
        """Note the end of commands: an event for each thing that they have done.

        Returns:
            The statuses of records that have ended, and how many milliseconds they existed.
        """
        with self._mutex:
            for act in acts:
                self._note(act)
            for id in ids:
                # Gone if the registry was closed meanwhile.
                if id in self._live:
                    self._live[id].commands -= 1
            touched = dict.fromkeys([*ids, *(each.id for each in acts)])
            return [each for id in touched if (each := self._finish(id)) is not None]

    def close(self) -> None:
        """End the spans of records that are still live: another process may finish them."""
        with self._mutex:
            for live in list(self._live.values()):
                if live.span is not None:
                    live.span.add_event("registry closed")
                    live.span.end()
            self._live.clear()

    def _note(self, act: Act) -> None:
        live, sight = self._live.setdefault(act.id, _Live()), act.sight
        if live.was_ended or (live.span is None and sight is None):
            return
        now_ms = SYSTEM_CLOCK.wall_ms()
        if live.span is None:
            assert sight is not None
            live.begun_ms = getattr(sight.record, "created_at_ms", now_ms)
            live.span = self._begun(act.id, sight, live)
        status = ERASED if sight is None else sight.status
        at_ns = max(now_ms, live.begun_ms) * _NS
        live.span.add_event(act.action, {STATUS: status}, at_ns)
        if (sight is None or sight.is_ended) and live.ended_ms is None:
            live.ended_ms, live.status = max(now_ms, live.begun_ms), status

    def _begun(self, id: Hashable, sight: Sight, live: _Live) -> Span:
        described = {} if self._describe is None else self._describe(sight.record)
        return self._tracer.start_span(
            type(sight.record).__name__.removesuffix("Record"),
            # A root: the operation outlives the span that registered it, to which it is linked.
            context=Context(),
            kind=SpanKind.INTERNAL,
            attributes={
                "opslifecycle.registry": self._registry,
                "opslifecycle.id": str(id),
                **described,
            },
            links=live.links,
            start_time=live.begun_ms * _NS,
        )

    def _finish(self, id: Hashable) -> tuple[str, int] | None:
        """End the span of a record that has ended, when no command on it is in progress."""
        live = self._live.get(id)
        if live is None or live.commands or (live.span is not None and live.ended_ms is None):
            return None
        del self._live[id]
        # Without a span, every command on it was rejected, or it had ended before.
        if live.span is None or live.ended_ms is None:
            return None
        live.span.set_attribute(STATUS, live.status)
        if {live.status} & self._error_statuses:
            live.span.set_status(Status(StatusCode.ERROR, live.status))
            live.span.set_attribute(ERROR_TYPE, live.status)
        live.span.end(live.ended_ms * _NS)
        return live.status, live.ended_ms - live.begun_ms
