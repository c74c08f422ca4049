"""The metrics of a registry that only its owner knows."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence

from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation
from opslifecycle.shell.authority import Authority
from opslifecycle.shell.engine import AnyEngine
from opslifecycle.shell.observing import Seen, status_text

#: Seconds, from those of a commit in memory to those of a disk that hangs.
_SECONDS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)
_LONG_SECONDS = (0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3600.0, 86400.0)
_COMMANDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Measures:
    """The instruments of one registry.

    Args:
        meter: What makes instruments.
        engine: The engine of the registry.
        registry: The name of the registry, an attribute of each measurement.
    """

    def __init__(self, meter: Meter, engine: AnyEngine, registry: str) -> None:
        self._attributes = {"opslifecycle.registry": registry}
        self._engine = weakref.ref(engine)

        def histogram(name: str, unit: str, text: str, limits: Sequence[float]) -> Histogram:
            return meter.create_histogram(
                f"opslifecycle.{name}", unit, text, explicit_bucket_boundaries_advisory=limits
            )

        self._command = histogram("command.duration", "s", "From call to result", _SECONDS)
        self._queue = histogram("queue.duration", "s", "Of a command in the queue", _SECONDS)
        self._commit = histogram("commit.duration", "s", "Of a commit in the store", _SECONDS)
        self._batch = histogram(
            "batch.size", "{command}", "Commands that were decided together", _COMMANDS
        )
        self._operation = histogram(
            "operation.duration", "s", "From registration to end", _LONG_SECONDS
        )
        for name, unit, text, callback in (
            ("operations", "{operation}", "Records by status", self._counts),
            ("feed.lag", "{entry}", "Entries a cursor has not passed", self._lags),
            ("registry.owned", "1", "1 while the registry is open and owned, else 0", self._owned),
        ):
            observed = self._observing(callback)
            meter.create_observable_gauge(f"opslifecycle.{name}", [observed], unit, text)

    def command(self, action: str, result: str, duration_ns: int) -> None:
        """Measure a command."""
        attributes = {"opslifecycle.action": action, "opslifecycle.result": result}
        self._command.record(duration_ns / 1e9, {**self._attributes, **attributes})

    def ended(self, status: str, duration_ms: int) -> None:
        """Measure an operation that has ended."""
        attributes = {**self._attributes, "opslifecycle.status": status}
        self._operation.record(duration_ms / 1e3, attributes)

    def batch(self, waits_ns: Sequence[int]) -> None:
        """Measure commands that are decided together."""
        self._batch.record(len(waits_ns), self._attributes)
        for each in waits_ns:
            self._queue.record(each / 1e9, self._attributes)

    def commit(self, duration_ns: int) -> None:
        """Measure a commit."""
        self._commit.record(duration_ns / 1e9, self._attributes)

    def _observing(
        self, callback: Callable[[AnyEngine], Iterable[Observation]]
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observed(options: CallbackOptions) -> Iterable[Observation]:
            engine = self._engine()
            # An instrument lives as long as its provider, a registry that was dropped does not.
            return () if engine is None else callback(engine)

        return observed

    def _counts(self, engine: AnyEngine) -> Iterable[Observation]:
        for status, count in engine.ask(_counts).items():
            yield Observation(
                count, {**self._attributes, "opslifecycle.status": status_text(status)}
            )

    def _lags(self, engine: AnyEngine) -> Iterable[Observation]:
        if engine.effects.feed is None:
            return
        for consumer, lag in engine.ask(_lags).items():
            yield Observation(lag, {**self._attributes, "opslifecycle.consumer": consumer})

    def _owned(self, engine: AnyEngine) -> Iterable[Observation]:
        yield Observation(int(engine.closed is None), self._attributes)


def _counts(authority: Authority[Hashable, Seen]) -> Counter[object]:
    # Under the lock of the registry: a look at each record, and nothing else.
    return Counter(each.status for each in authority.records.values())


def _lags(authority: Authority[Hashable, Seen]) -> dict[str, int]:
    # A machine can have a feed and no cursors.
    cursors = getattr(authority, "cursors", {})
    return {str(each.value): authority.watermark - at for each, at in cursors.items()}
