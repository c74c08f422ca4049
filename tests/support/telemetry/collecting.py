"""Providers of OpenTelemetry whose spans and measurements stay in memory."""

from __future__ import annotations

from typing import Any

import attrs
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opslifecycle.telemetry import instrument

Labels = frozenset[tuple[str, Any]]


@attrs.define
class Collected:
    """What an instrumented registry has sent."""

    exporter: Any = attrs.Factory(InMemorySpanExporter)
    reader: Any = attrs.Factory(InMemoryMetricReader)
    tracers: Any = attrs.field(init=False)
    meters: Any = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.tracers, self.meters = TracerProvider(), MeterProvider([self.reader])
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))

    def instrument(self, registry: Any, **options: Any) -> None:
        instrument(registry, tracer_provider=self.tracers, meter_provider=self.meters, **options)

    def spans(self) -> list[Any]:
        """The spans that have ended."""
        return list(self.exporter.get_finished_spans())

    def points(self, name: str) -> dict[Labels, Any]:
        """The points of a metric, by their attributes besides that of the registry."""
        return {
            labels(
                **{
                    key.rpartition(".")[2]: value
                    for key, value in point.attributes.items()
                    if key != "opslifecycle.registry"
                }
            ): point
            for metric in self._all()
            if metric.name == f"opslifecycle.{name}"
            for point in metric.data.data_points
        }

    def metrics(self) -> set[tuple[str, str, str]]:
        """Name, kind and unit of each metric that was sent."""
        return {
            (
                each.name.removeprefix("opslifecycle."),
                type(each.data).__name__.lower(),
                each.unit,
            )
            for each in self._all()
        }

    def _all(self) -> list[Any]:
        data = self.reader.get_metrics_data()
        return [
            metric
            for resource in ([] if data is None else data.resource_metrics)
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]


def labels(**values: Any) -> Labels:
    return frozenset(values.items())


def events_of(span: Any) -> list[tuple[str, Any]]:
    """The names of the events of a span, with the status after each."""
    return [(each.name, each.attributes.get("opslifecycle.status")) for each in span.events]
