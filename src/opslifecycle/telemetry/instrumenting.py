"""The observer that makes spans and measurements of what happens in a registry."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from functools import partial

import attrs
from opentelemetry import metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider
from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.errors import OpsLifecycleError, PersistenceError, RegistryClosedError
from opslifecycle.shell.engine import AnyEngine
from opslifecycle.shell.observer import Act, Observer
from opslifecycle.shell.observing import observe, sight_of
from opslifecycle.telemetry.measures import Measures
from opslifecycle.telemetry.spans import Describe, Spans

_SCOPE = "opslifecycle"
ACCEPTED, REJECTED, FAILED = "accepted", "rejected", "failed"


@attrs.frozen
class _Begun:
    action: str
    ids: tuple[Hashable, ...]
    since_ns: int


class Telemetry(Observer):
    """The spans and the measurements of one registry."""

    def __init__(self, spans: Spans, measures: Measures) -> None:
        self._spans = spans
        self._measures = measures

    def begin(self, action: str, ids: Sequence[Hashable]) -> _Begun:
        """See `Observer.begin`."""
        unique = tuple(dict.fromkeys(ids))
        self._spans.begin(unique)
        return _Begun(action, unique, SYSTEM_CLOCK.monotonic_ns())

    def end(self, begun: object, acts: Sequence[Act], error: BaseException | None) -> None:
        """See `Observer.end`."""
        assert isinstance(begun, _Begun)
        duration_ns = SYSTEM_CLOCK.monotonic_ns() - begun.since_ns
        ended = self._spans.end(begun.ids, acts)
        self._measures.command(begun.action, _result_of(error), duration_ns)
        for status, duration_ms in ended:
            self._measures.ended(status, duration_ms)

    def batch(self, waits_ns: Sequence[int]) -> None:
        """See `Observer.batch`."""
        self._measures.batch(waits_ns)

    def commit(self, duration_ns: int) -> None:
        """See `Observer.commit`."""
        self._measures.commit(duration_ns)

    def close(self) -> None:
        """See `Observer.close`."""
        self._spans.close()


def _result_of(error: BaseException | None) -> str:
    if error is None:
        return ACCEPTED
    is_rejection = isinstance(error, OpsLifecycleError)
    is_failure = isinstance(error, PersistenceError | RegistryClosedError)
    return REJECTED if is_rejection and not is_failure else FAILED


def instrument(
    registry: object,
    *,
    name: str | None = None,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    error_statuses: Collection[str] = ("failed",),
    describe: Describe | None = None,
) -> None:
    """Make spans and measurements of what happens in a registry from now on.

    Args:
        registry: An open registry of any machine, which this process owns.
        name: Its name in spans and measurements; by default that of its class.
        tracer_provider: Where spans go; by default the global provider.
        meter_provider: Where measurements go; by default the global provider.
        error_statuses: The final statuses that are errors.
        describe: Returns further attributes of a record, for its span. It must only read the
            record, and not raise.

    Raises:
        InvalidValueError: It is no such registry, or it is instrumented already.
    """
    called = type(registry).__name__ if name is None else name
    tracer = trace.get_tracer(_SCOPE, tracer_provider=tracer_provider)
    meter = metrics.get_meter(_SCOPE, meter_provider=meter_provider)

    def telemetry(engine: AnyEngine) -> Telemetry:
        look = partial(engine.view, view_of=sight_of)
        spans = Spans(tracer, called, look, error_statuses, describe)
        return Telemetry(spans, Measures(meter, engine, called))

    observe(registry, telemetry)
