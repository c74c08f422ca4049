"""The machine and the registry in memory."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from opslifecycle import (
    OperationId,
    OperationKind,
    OperationProgressUpdate,
    OperationResult,
    OperationSpec,
    Registry,
    RunId,
    SessionId,
)

from benchmarks.handwritten import Handwritten, Record
from benchmarks.measuring import Contest, Named, Ratio
from benchmarks.plain import Plain
from opslifecycle.operations import OperationAuthority

OWNER = SessionId.new()
KIND = OperationKind.BACKGROUND_TOOL_OP
UPDATE = OperationProgressUpdate("half way", 50.0)
RESULT = OperationResult(OperationId.new(), "done", False, 1, 1)
OPERATIONS = 2_000
FEW, MANY = 100, 1_000_000
SMALL, LARGE = 10, 100_000


def specs(count: int) -> list[OperationSpec]:
    """Specs of operations that are not there yet."""
    return [OperationSpec(OperationId.new(), KIND, OWNER, "n", "l") for _ in range(count)]


def handwritten() -> float:
    machine, work = Handwritten(), specs(OPERATIONS)
    start = time.perf_counter()
    for spec in work:
        id = spec.id
        machine.register(spec)
        machine.start(id)
        machine.progress(id, UPDATE)
        machine.complete(id, RESULT)
    return (time.perf_counter() - start) / (4 * OPERATIONS)


def authority() -> float:
    machine, work = OperationAuthority(max_completed=256, max_concurrent=None), specs(OPERATIONS)
    start = time.perf_counter()
    for spec in work:
        id = spec.id
        machine.register(spec, None, None)
        machine.start(id)
        machine.progress_reported(id, UPDATE)
        machine.complete(id, RESULT)
    return (time.perf_counter() - start) / (4 * OPERATIONS)


def handwritten_refusing() -> float:
    machine, work = Handwritten(), specs(OPERATIONS)
    for spec in work:
        machine.register(spec)
    start = time.perf_counter()
    for spec in work:
        machine.complete(spec.id, RESULT)
    return (time.perf_counter() - start) / OPERATIONS


def authority_refusing() -> float:
    machine, work = OperationAuthority(max_completed=256, max_concurrent=None), specs(OPERATIONS)
    for spec in work:
        machine.register(spec, None, None)
    start = time.perf_counter()
    for spec in work:
        machine.complete(spec.id, RESULT)
    return (time.perf_counter() - start) / OPERATIONS


# Full lifecycles ---------------------------------------------------------------------------------


def plain_lifecycles() -> float:
    work = specs(OPERATIONS)

    async def run() -> float:
        registry = Plain()
        start = time.perf_counter()
        for spec in work:
            id = spec.id
            registry.register(id, spec)
            registry.start(id)
            watch = registry.watch(id)
            registry.complete(id, RESULT)
            await watch
        for _ in registry.feed:
            pass
        return (time.perf_counter() - start) / OPERATIONS

    return asyncio.run(run())


def lifecycles() -> float:
    work = specs(OPERATIONS)

    async def run() -> float:
        with Registry(max_completed=OPERATIONS) as registry:
            start = time.perf_counter()
            for spec in work:
                id = spec.id
                registry.register_operation(spec)
                registry.provisioning_succeeded(id)
                watch = registry.register_watcher(id)
                registry.complete_operation(id, RESULT)
                await watch
            for _ in registry.completion_feed().list_since(0).entries:
                pass
            return (time.perf_counter() - start) / OPERATIONS

    return asyncio.run(run())


# What is held ------------------------------------------------------------------------------------


def transitions(registry: Registry) -> float:
    """Seconds for a transition, of the same four as above."""
    work = specs(OPERATIONS)
    start = time.perf_counter()
    for spec in work:
        id = spec.id
        registry.register_operation(spec)
        registry.provisioning_succeeded(id)
        registry.report_progress(id, UPDATE)
        registry.complete_operation(id, RESULT)
    return (time.perf_counter() - start) / (4 * OPERATIONS)


def holding(count: int) -> Callable[[], float]:
    """The registry while it holds so many live operations besides."""
    registry = Registry(max_completed=256)
    for spec in specs(count):
        registry.register_operation(spec)
        registry.provisioning_succeeded(spec.id)
    return lambda: transitions(registry)


def dict_holding(count: int) -> Callable[[], float]:
    """A bare dict of records, found by equal ids as often as the registry finds them."""
    records = {spec.id: Record(spec, 0, 0) for spec in specs(count)}

    def run() -> float:
        work = specs(OPERATIONS)
        start = time.perf_counter()
        for spec in work:
            id = spec.id
            records[id] = Record(spec, 0, 0)
            for status in ("running", "progress", "completed"):
                records[id].progress_count += len(status)
            del records[id]
        return (time.perf_counter() - start) / (4 * OPERATIONS)

    return run


def in_barrier(size: int) -> Callable[[], float]:
    """The end of operations that are members of barriers of a size."""

    def run() -> float:
        registry = Registry(max_completed=256)
        work = specs(max(size, OPERATIONS))
        for spec in work:
            registry.register_operation(spec)
        ids = [spec.id for spec in work]
        waits = [
            registry.wait_all(RunId.new(), ids[at : at + size]) for at in range(0, len(ids), size)
        ]
        start = time.perf_counter()
        for id in ids:
            registry.fail_operation(id, "no")
        taken = (time.perf_counter() - start) / len(ids)
        assert all(wait.done() for wait in waits)
        return taken

    return run


def dict_of_members(size: int) -> Callable[[], float]:
    """Counting down in a bare dict from member to barrier."""

    def run() -> float:
        ids = [spec.id for spec in specs(max(size, OPERATIONS))]
        barriers = {id: [size] for id in ids}
        for at in range(0, len(ids), size):
            shared = [size]
            barriers.update(dict.fromkeys(ids[at : at + size], shared))
        start = time.perf_counter()
        for id in ids:
            barriers.pop(id)[0] -= 1
        return (time.perf_counter() - start) / len(ids)

    return run


def watched(count: int) -> Callable[[], float]:
    """Telling so many watches of one operation that it has ended."""

    def run() -> float:
        total = max(count, OPERATIONS)
        work = specs(total // count)
        registry = Registry(max_completed=256)
        for spec in work:
            registry.register_operation(spec)
        watches = [registry.register_watcher(spec.id) for spec in work for _ in range(count)]
        start = time.perf_counter()
        for spec in work:
            registry.fail_operation(spec.id, "no")
        taken = (time.perf_counter() - start) / len(watches)
        assert all(watch.done() for watch in watches)
        return taken

    return run


def retaining(rows: int) -> Callable[[], float]:
    """An end while so many rows are retained, each of which drops the oldest."""
    registry = _fed(rows)

    def run() -> float:
        work = specs(OPERATIONS)
        for spec in work:
            registry.register_operation(spec)
        start = time.perf_counter()
        for spec in work:
            registry.fail_operation(spec.id, "no")
        return (time.perf_counter() - start) / OPERATIONS

    return run


def _fed(rows: int) -> Registry:
    registry = Registry(max_completed=rows)
    for spec in specs(rows):
        registry.register_operation(spec)
        registry.fail_operation(spec.id, "no")
    return registry


def reading_the_feed() -> dict[str, Callable[[], float]]:
    """Pages of a thousand entries, read for the first time and again; a list, walked through."""
    page, pages = 1_000, 20
    registry = _fed(page)
    entries = list(registry.completion_feed().list_since(0).entries)

    def walk() -> float:
        start = time.perf_counter()
        for _ in range(pages):
            for entry in entries:
                entry.seq  # noqa: B018
        return (time.perf_counter() - start) / (page * pages)

    def read(registries: list[Registry]) -> float:
        feeds = [each.completion_feed() for each in registries]
        start = time.perf_counter()
        for feed in feeds:
            for entry in feed.list_since(0).entries:
                entry.seq  # noqa: B018
        return (time.perf_counter() - start) / (page * len(feeds))

    return {
        "list": walk,
        "read again": lambda: read([registry] * pages),
        "read first": lambda: read([_fed(page) for _ in range(pages // 4)]),
    }


# Bytes -------------------------------------------------------------------------------------------


def _bytes(make: Callable[[list[OperationSpec]], Any]) -> float:
    work = specs(10_000)
    tracemalloc.start()
    kept = make(work)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept is not None
    return used / len(work)


def bytes_of_dict() -> float:
    return _bytes(lambda work: {spec.id: Record(spec, 0, 0) for spec in work})


def bytes_live() -> float:
    def make(work: list[OperationSpec]) -> Registry:
        registry = Registry()
        for spec in work:
            registry.register_operation(spec)
            registry.provisioning_succeeded(spec.id)
        return registry

    return _bytes(make)


def _machine() -> Contest:
    contestants = {"hand-written class": handwritten, "authority": authority}
    return Contest("machine", "transition", contestants)


def _refusing() -> Contest:
    contestants = {"hand-written class": handwritten_refusing, "authority": authority_refusing}
    return Contest("refusing", "refusal", contestants)


def _lifecycle() -> Contest:
    contestants = {"plain registry": plain_lifecycles, "registry": lifecycles}
    return Contest("lifecycle", "lifecycle", contestants)


def _held() -> Contest:
    counts = (FEW, 10_000, MANY)
    dicts = {f"dict of {count:,}": dict_holding(count) for count in counts}
    ours = {f"holding {count:,}": holding(count) for count in counts}
    return Contest("held", "transition", {**dicts, **ours})


def _barrier() -> Contest:
    sizes = (SMALL, 1_000, LARGE)
    dicts = {f"dict by {size:,}": dict_of_members(size) for size in sizes}
    ours = {f"barriers of {size:,}": in_barrier(size) for size in sizes}
    return Contest("barrier", "end", {**dicts, **ours})


def _watchers() -> Contest:
    counts = (1, 1_000, 100_000)
    return Contest("watchers", "watch", {f"{count:,} watches": watched(count) for count in counts})


def _feed_length() -> Contest:
    lengths = (100, 10_000, 1_000_000)
    return Contest("feed length", "end", {f"{rows:,} rows": retaining(rows) for rows in lengths})


def _feed() -> Contest:
    return Contest("feed", "entry", reading_the_feed())


def _bytes_held() -> Contest:
    contestants = {"record and dict": bytes_of_dict, "registry": bytes_live}
    return Contest("bytes", "live operation", contestants, in_bytes=True)


contests: list[Named] = [
    ("machine", _machine), ("refusing", _refusing), ("lifecycle", _lifecycle), ("held", _held),
    ("barrier", _barrier), ("watchers", _watchers), ("feed length", _feed_length),
    ("feed", _feed), ("bytes", _bytes_held),
]  # fmt: skip

RATIOS = [
    Ratio("generated authority against the hand-written class", "machine",
          ("hand-written class",), ("authority",), 0.85, at_least=True),
    Ratio("the same, refusing", "refusing",
          ("hand-written class",), ("authority",), 0.85, at_least=True),
    Ratio("full lifecycle in memory, against a plain registry", "lifecycle",
          ("plain registry",), ("registry",), 0.5, at_least=True),
    Ratio("a transition at 1,000,000 held against 100, relative to a dict's", "held",
          ("holding 1,000,000", "dict of 100"), ("holding 100", "dict of 1,000,000"), 1.3,
          at_least=False),
    Ratio("an end in a barrier of 100,000 against 10, relative to a dict's", "barrier",
          ("barriers of 100,000", "dict by 10"), ("barriers of 10", "dict by 100,000"), 1.3,
          at_least=False),
    Ratio("feed entries in pages of 1,000, against a list of them", "feed",
          ("list",), ("read again",), 0.3, at_least=True),
    Ratio("bytes of a live operation, against record and dict", "bytes",
          ("registry",), ("record and dict",), 4.0, at_least=False),
]  # fmt: skip
