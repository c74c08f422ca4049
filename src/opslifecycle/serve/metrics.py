"""The state of a store as metrics of Prometheus."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import TypeAlias

from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.inspection.locations import FileLocation, Location
from opslifecycle.inspection.logs import folder_of
from opslifecycle.inspection.machines import Machine
from opslifecycle.inspection.records import Found, stored_operations
from opslifecycle.serve.parameters import Parameters
from opslifecycle.serve.source import Source
from opslifecycle.stores.reading import StoredRegistry
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

#: The upper limits of durations in seconds, from a moment to a day.
BUCKETS = (0.01, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 14400.0, 86400.0)
_LIMITS = (*(str(each) for each in BUCKETS), "+Inf")
#: Each run of the command line has a registry of its own; together they are one time series.
_RUN_PREFIX, _RUNS = "run ", "run"

#: Values by the labels of their time series.
_Values: TypeAlias = dict[tuple[str, ...], float]


class Durations:
    """How long operations took, counted when they are seen first.

    A histogram of Prometheus only grows, while records leave the store.
    """

    def __init__(self) -> None:
        self._counts: defaultdict[str, list[int]] = defaultdict(lambda: [0] * len(_LIMITS))
        self._sums: defaultdict[str, float] = defaultdict(float)

    def add(self, label: str, milliseconds: int) -> None:
        """Count a duration."""
        seconds = max(0, milliseconds) / 1000
        self._counts[label][bisect_left(BUCKETS, seconds)] += 1
        self._sums[label] += seconds

    def family(self, name: str, text: str, label: str) -> Metric:
        """Return the histogram."""
        family = HistogramMetricFamily(name, text, labels=(label,))
        for value, counts in sorted(self._counts.items()):
            buckets = list(zip(_LIMITS, accumulate(counts), strict=True))
            family.add_metric((value,), buckets, self._sums[value])
        return family


class Metrics(ABC):
    """The metrics of a store.

    Args:
        source: The store.
    """

    def __init__(self, source: Source) -> None:
        self._source = source

    async def metrics(self, request: Request) -> Response:
        """Return the metrics."""
        Parameters(request, ())
        text = await self._source.read(self._text)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    def _text(self, found: list[StoredRegistry]) -> bytes:
        families = [
            *self._of_records(found),
            *of_registries(found, self._source.machine),
            _of_files(self._source.location),
        ]
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Families(families))
        return generate_latest(registry)

    @abstractmethod
    def _of_records(self, found: list[StoredRegistry]) -> Iterable[Metric]:
        """Return the metrics of records."""


class RecordMetrics(Metrics):
    """The metrics of a store of any machine."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._lasted = Durations()
        #: The records whose durations are counted: those that the store still has.
        self._ended: set[tuple[str, str]] = set()

    def _of_records(self, found: list[StoredRegistry]) -> Iterable[Metric]:
        machine, now_ms = self._source.machine, SYSTEM_CLOCK.wall_ms()
        counts: Counter[tuple[str, ...]] = Counter()
        oldest: _Values = {}
        ended = set()
        for registry in found:
            for id, body in machine.records(registry).items():
                seen = registry.decode(machine.see, id, body)
                counts[registry.name, machine.shown_status(seen, registry)] += 1
                if seen.created_at_ms is None:
                    continue
                if not seen.ended:
                    age = max(0, now_ms - seen.created_at_ms) / 1000
                    oldest[registry.name,] = max(age, oldest.get((registry.name,), 0.0))
                elif seen.ended_at_ms is not None:
                    ended.add((registry.name, id))
                    if (registry.name, id) not in self._ended:
                        self._lasted.add(seen.status, seen.ended_at_ms - seen.created_at_ms)
        self._ended = ended
        yield _gauge(
            "opslifecycle_records", "Records in the store", ("registry", "status"), {**counts}
        )
        yield _gauge(
            "opslifecycle_oldest_live_record_seconds", "Age of the oldest record that is live",
            ("registry",), oldest,
        )  # fmt: skip
        yield self._lasted.family(
            "opslifecycle_record_seconds",
            "From the creation of a record to its end, by its status",
            "status",
        )


class OperationMetrics(Metrics):
    """The metrics of a store of operations."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._waited, self._ran = Durations(), Durations()
        #: The operations whose durations are counted: those that the store still has.
        self._started: set[tuple[str, str]] = set()
        self._ended: set[tuple[str, str]] = set()

    def _of_records(self, found: list[StoredRegistry]) -> Iterable[Metric]:
        operations = [each.found() for each in stored_operations(found)]
        self._count_durations(operations)
        return [
            *_of_operations(operations),
            self._waited.family(
                "opslifecycle_operation_wait_seconds",
                "From the registration of an operation to its start",
                "registry",
            ),
            self._ran.family(
                "opslifecycle_operation_run_seconds",
                "From the start of an operation to its end, by its status",
                "status",
            ),
        ]

    def _count_durations(self, operations: Iterable[Found]) -> None:
        started, ended = set(), set()
        for each in operations:
            key, snapshot = (each.registry, each.id), each.snapshot
            if snapshot.started_at_ms is None:
                continue
            started.add(key)
            if key not in self._started:
                waited_ms = snapshot.started_at_ms - snapshot.created_at_ms
                self._waited.add(_label(each.registry), waited_ms)
            if snapshot.completed_at_ms is None:
                continue
            ended.add(key)
            if key not in self._ended:
                self._ran.add(each.status, snapshot.completed_at_ms - snapshot.started_at_ms)
        self._started, self._ended = started, ended


class _Families(Collector):
    """Metrics that are computed already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _label(registry: str) -> str:
    return _RUNS if registry.startswith(_RUN_PREFIX) else registry


def _gauge(name: str, text: str, labels: Iterable[str], values: _Values) -> Metric:
    family = GaugeMetricFamily(name, text, labels=tuple(labels))
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _of_operations(operations: Iterable[Found]) -> Iterator[Metric]:
    counts: Counter[tuple[str, ...]] = Counter()
    oldest: _Values = {}
    for each in operations:
        registry = _label(each.registry)
        counts[registry, each.status] += 1
        if not each.ended:
            age = each.age_ms() / 1000
            oldest[registry,] = max(age, oldest.get((registry,), 0.0))
    yield _gauge(
        "opslifecycle_operations", "Operations in the store", ("registry", "status"), {**counts}
    )
    yield _gauge(
        "opslifecycle_oldest_live_seconds", "Age of the oldest operation that has not ended",
        ("registry",), oldest,
    )  # fmt: skip


def of_registries(found: Iterable[StoredRegistry], machine: Machine) -> Iterator[Metric]:
    """Yield the metrics of registries; of feeds if the machine has one."""
    owners: Counter[tuple[str, ...]] = Counter()
    watermarks: Counter[tuple[str, ...]] = Counter()
    evicted: Counter[tuple[str, ...]] = Counter()
    lags: _Values = {}
    for each in found:
        registry, edges = _label(each.name), machine.feed_state(each)
        owner = "none" if each.holder is None else "live" if each.responds else "silent"
        owners[registry, owner] += 1
        watermarks[registry,] += edges.watermark
        evicted[registry,] += edges.dropped_through
        for consumer, position in edges.cursors.items():
            lag = edges.watermark - position
            lags[registry, consumer] = max(lag, lags.get((registry, consumer), 0))
    yield _gauge(
        "opslifecycle_registries", "Registries by what their lease shows of the owner",
        ("registry", "owner"), {**owners},
    )  # fmt: skip
    if machine.definition.feed is None:
        return
    yield _gauge(
        "opslifecycle_feed_watermark", "Sequence number of the last feed entry",
        ("registry",), {**watermarks},
    )  # fmt: skip
    yield _gauge(
        "opslifecycle_feed_evicted", "Sequence number of the last evicted feed entry",
        ("registry",), {**evicted},
    )  # fmt: skip
    yield _gauge(
        "opslifecycle_feed_lag", "Feed entries that the cursor of a consumer has not passed",
        ("registry", "consumer"), lags,
    )  # fmt: skip


def _of_files(location: Location) -> Metric:
    sizes: _Values = {}
    if isinstance(location, FileLocation):
        for name, suffix in (("store", ""), ("wal", "-wal")):
            sizes[name,] = _size(location.path.with_name(f"{location.path.name}{suffix}"))
    folder = folder_of(location.beside)
    sizes["logs",] = sum(map(_size, folder.iterdir())) if folder.is_dir() else 0
    return _gauge("opslifecycle_file_bytes", "Sizes of files on this host", ("file",), sizes)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
