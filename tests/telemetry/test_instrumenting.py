"""Spans and measurements of registries, as the SDK of OpenTelemetry gets them."""

from __future__ import annotations

import asyncio
import gc
import re
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk", reason="SKIPPED: the extra `otel` is not installed")

from opentelemetry.trace import StatusCode
from opslifecycle import (
    AsyncRegistry,
    CompletionCursorConsumer,
    MemoryStore,
    OpsLifecycleError,
    PersistenceError,
    Registry,
    SqliteStore,
    Store,
)
from opslifecycle.errors import InvalidValueError
from opslifecycle.shell.observer import Act, Sight
from opslifecycle.stores.base import Commit
from opslifecycle.telemetry.spans import Spans

from tests.support.builders import SLOT, UPDATE, completed, registered, result, running, spec
from tests.support.codegen.projects import package
from tests.support.telemetry.collecting import Collected, events_of, labels
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def collected() -> Collected:
    return Collected()


@pytest.fixture(params=["none", "memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store | None:
    stores = {"none": None, "memory": MemoryStore(), "sqlite": SqliteStore(tmp_path / "a.db")}
    return stores[request.param]


def test_an_operation_is_a_span_with_an_event_for_each_action(
    store: Store | None, collected: Collected
) -> None:
    with Registry(store=store) as registry:
        collected.instrument(
            registry, name="jobs", describe=lambda each: {"job": each.spec.display_name}
        )
        with collected.tracers.get_tracer("test").start_as_current_span("request") as request:
            id = registered(registry, name="resize")
        registry.provisioning_succeeded(id)
        registry.report_progress(id, UPDATE)
        assert [each.name for each in collected.spans()] == ["request"]
        registry.complete_operation(id, result())
        _, span = collected.spans()
    assert span.name == "Operation"
    assert dict(span.attributes) == {
        "opslifecycle.registry": "jobs",
        "opslifecycle.id": str(id),
        "opslifecycle.status": "completed",
        "job": "resize",
    }
    assert events_of(span) == [
        ("create", "provisioning"),
        ("start", "running"),
        ("progress_reported", "running"),
        ("complete", "completed"),
    ]
    # A trace of its own, linked to the one that registered it.
    assert span.parent is None
    assert [each.context for each in span.links] == [request.get_span_context()]
    assert span.context.trace_id != request.get_span_context().trace_id
    assert span.status.status_code is StatusCode.UNSET
    assert "error.type" not in (span.attributes or {})
    times = [span.start_time, *(each.timestamp for each in span.events), span.end_time]
    assert times == sorted(times)


def test_an_error_is_an_error_and_a_rejection_is_no_event(
    store: Store | None, collected: Collected
) -> None:
    with Registry(store=store) as registry:
        collected.instrument(registry)
        id = running(registry)
        with pytest.raises(OpsLifecycleError):
            registry.abort_provisioning(id)
        with pytest.raises(OpsLifecycleError):
            registry.provisioning_succeeded(spec().id)
        registry.fail_operation(id, "why")
        registry.collect_completed()
        (span,) = collected.spans()
    assert [name for name, _ in events_of(span)] == ["create", "start", "fail"]
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "failed")
    assert span.attributes is not None
    assert span.attributes["error.type"] == "failed"
    results = {key: point.count for key, point in collected.points("command.duration").items()}
    assert results[labels(action="abort", result="rejected")] == 1
    assert results[labels(action="start", result="rejected")] == 1
    assert results[labels(action="fail", result="accepted")] == 1
    assert results[labels(action="collect_completed", result="accepted")] == 1


def test_an_action_on_what_had_ended_begins_no_span(collected: Collected) -> None:
    seen = Sight(object(), "done", True)
    spans = Spans(collected.tracers.get_tracer("test"), "jobs", lambda id: seen, (), None)
    spans.begin(["x"])
    assert spans.end(["x"], [Act("x", "finish_again", seen)]) == []
    spans.close()
    assert collected.spans() == []


def test_an_end_of_all_ends_each_span(store: Store | None, collected: Collected) -> None:
    with Registry(store=store) as registry:
        before = running(registry)
        collected.instrument(registry)
        ids = {before, *(running(registry) for _ in range(3))}
        registry.terminate_owner("the end")
        spans = collected.spans()
    assert {each.attributes["opslifecycle.id"] for each in spans} == {str(id) for id in ids}
    assert {events_of(each)[-1] for each in spans} == {("terminate_owner", "terminated")}
    # One began before it was observed.
    (unseen,) = (each for each in spans if each.attributes["opslifecycle.id"] == str(before))
    assert len(unseen.events) == 1
    assert unseen.start_time <= unseen.events[0].timestamp


def test_what_is_erased_with_its_end_has_a_span(store: Store | None, collected: Collected) -> None:
    with Registry(store=store) as registry:
        collected.instrument(registry)
        completed(registry, SLOT)
        registry.rollback_unreturned_operation(registered(registry))
        first, second = collected.spans()
    assert events_of(first)[-1] == ("complete", "erased")
    assert events_of(second) == [
        ("create", "provisioning"),
        ("rollback_unreturned_operation", "erased"),
    ]


def test_a_transaction_is_one_command_with_an_event_for_each_action(
    store: Store | None, collected: Collected
) -> None:
    with Registry(store=store) as registry:
        collected.instrument(registry)
        live, other = running(registry), spec()
        with registry.transaction() as transaction:
            transaction.complete_operation(live, result())
            transaction.register_operation(other)
            transaction.terminate_owner("all")
        spans = {each.attributes["opslifecycle.id"]: each for each in collected.spans()}
        # The end of the block raises.
        with pytest.raises(OpsLifecycleError), registry.transaction() as transaction:  # noqa: PT012
            transaction.register_operation(spec())
            transaction.complete_operation(live, result())
        assert len(collected.spans()) == 2
    assert [name for name, _ in events_of(spans[str(live)])] == ["create", "start", "complete"]
    assert [name for name, _ in events_of(spans[str(other.id)])] == ["create", "terminate_owner"]
    counts = {key: point.count for key, point in collected.points("command.duration").items()}
    assert counts[labels(action="transaction", result="accepted")] == 1
    assert counts[labels(action="transaction", result="rejected")] == 1


def test_tasks_are_observed_like_threads(store: Store | None, collected: Collected) -> None:
    async def work() -> None:
        async with await AsyncRegistry.open(store=store) as registry:
            collected.instrument(registry)
            specs = [spec() for _ in range(20)]
            await asyncio.gather(*(registry.register_operation(each) for each in specs))
            await asyncio.gather(*(registry.provisioning_succeeded(each.id) for each in specs))
            with pytest.raises(OpsLifecycleError):
                await registry.register_operation(specs[0])
            ends = (registry.complete_operation(each.id, result()) for each in specs)
            await asyncio.gather(*ends)
            # A callback of each future, in the loop.
            await asyncio.sleep(0)

    asyncio.run(work())
    spans = collected.spans()
    assert len(spans) == 20
    for each in spans:
        assert [name for name, _ in events_of(each)] == ["create", "start", "complete"]


def test_threads_on_one_operation_lose_no_event(store: Store | None, collected: Collected) -> None:
    with Registry(store=store) as registry:
        collected.instrument(registry)
        for _ in range(20):
            id = running(registry)
            accepted: list[None] = []

            def report(id: Any = id, accepted: list[None] = accepted) -> None:
                try:
                    while True:
                        registry.report_progress(id, UPDATE)
                        accepted.append(None)
                except OpsLifecycleError:
                    return

            threads = [threading.Thread(target=report) for _ in range(3)]
            for thread in threads:
                thread.start()
            until(lambda accepted=accepted: len(accepted) > 5, "reports")  # type: ignore[misc]
            registry.complete_operation(id, result())
            for thread in threads:
                thread.join()
            names = [name for name, _ in events_of(collected.spans()[-1])]
            # The SDK keeps the last 128 events.
            expected = min(len(accepted), 128 - names.count("complete"))
            assert names.count("complete") == 1
            assert names.count("progress_reported") >= min(expected, 126) - 2
    assert len(collected.spans()) == 20


def test_an_action_has_its_name_also_if_the_authority_uses_it_itself(
    tmp_path: Path, collected: Collected
) -> None:
    gates: ModuleType = package(
        tmp_path, Path(__file__).parents[1] / "codegen/turnstile.yaml", "seen_turnstile",
        ("  coin: {", "  register: {"),
    )  # fmt: skip
    with gates.GateRegistry() as registry:
        collected.instrument(registry)
        id = gates.GateId.new()
        registry.install(id, "north")
        registry.coin(id)
        registry.scrap(id)
    (span,) = collected.spans()
    assert [name for name, _ in events_of(span)] == ["create", "register", "scrap"]


def test_a_timer_is_observed(tmp_path: Path, collected: Collected) -> None:
    kettles: ModuleType = package(
        tmp_path, Path(__file__).parents[1] / "codegen/kettle.yaml", "seen_kettle",
        ("{minutes: 3, do: keep_warm}", "{milliseconds: 20, do: keep_warm}"),
    )  # fmt: skip
    with kettles.KettleRegistry() as registry:
        collected.instrument(registry)
        id = kettles.KettleId.new()
        registry.buy(id)
        registry.heat(id)
        kept_warm = labels(action="keep_warm", result="accepted")
        until(lambda: kept_warm in collected.points("command.duration"), "the timer")
        registry.wear(id)
    (span,) = collected.spans()
    names = [name for name, _ in events_of(span)]
    assert span.name == "Kettle"
    assert names[1:3] == ["heat", "keep_warm"]
    assert (names[-1], span.attributes["opslifecycle.status"]) == ("wear", "worn")


def test_a_closed_registry_ends_the_spans_of_what_is_live(
    store: Store | None, collected: Collected
) -> None:
    registry = Registry(store=store)
    collected.instrument(registry)
    running(registry)
    registry.close()
    (span,) = collected.spans()
    assert events_of(span)[-1] == ("registry closed", None)
    assert "opslifecycle.status" not in span.attributes


def test_counts_lags_and_ownership_are_those_of_the_instant(
    store: Store | None, collected: Collected
) -> None:
    registry = Registry(store=store, max_completed=2)
    collected.instrument(registry)
    for _ in range(4):
        completed(registry)
    running(registry)
    registry.advance_completion_cursor(CompletionCursorConsumer.RUNTIME_OBSERVED, 3)
    counts = {key: point.value for key, point in collected.points("operations").items()}
    assert counts == {labels(status="completed"): 2, labels(status="running"): 1}
    lags = {key: point.value for key, point in collected.points("feed.lag").items()}
    assert lags[labels(consumer="runtime_observed")] == 1
    assert lags[labels(consumer="agent_applied")] == 4
    assert [point.value for point in collected.points("registry.owned").values()] == [1]
    registry.close()
    assert [point.value for point in collected.points("registry.owned").values()] == [0]
    durations = collected.points("operation.duration")[labels(status="completed")]
    assert durations.count == 4
    assert 0 <= durations.sum < 60


class _SlowStore(MemoryStore):
    def append(self, commit: Commit) -> None:
        time.sleep(0.05)
        super().append(commit)


def test_the_queue_and_the_commits_of_a_store_are_measured(collected: Collected) -> None:
    with Registry(store=_SlowStore()) as registry:
        collected.instrument(registry)
        threads = [threading.Thread(target=registered, args=(registry,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (batch,) = collected.points("batch.size").values()
        (queue,) = collected.points("queue.duration").values()
        (commit,) = collected.points("commit.duration").values()
    # The first goes alone, and those that come meanwhile go together.
    assert batch.sum == queue.count == 8
    assert 2 <= batch.count == commit.count < 8
    assert batch.max >= 2
    assert commit.min >= 0.05
    assert queue.max >= 0.03


class _FailingStore(MemoryStore):
    is_full = False

    def append(self, commit: Commit) -> None:
        if self.is_full:
            raise PersistenceError("store", "the disk is full")
        super().append(commit)


def test_a_command_that_the_store_refuses_has_failed(collected: Collected) -> None:
    store = _FailingStore()
    with Registry(store=store) as registry:
        collected.instrument(registry)
        store.is_full = True
        with pytest.raises(PersistenceError):
            registered(registry)
        store.is_full = False
    assert collected.spans() == []
    assert labels(action="create", result="failed") in collected.points("command.duration")


def test_what_cannot_be_instrumented_is_refused(collected: Collected) -> None:
    with Registry() as registry:
        collected.instrument(registry)
        with pytest.raises(InvalidValueError, match="instrument it once"):
            collected.instrument(registry)
    with pytest.raises(InvalidValueError, match="expected an open registry"):
        collected.instrument(object())


def test_a_dropped_registry_is_freed_and_measured_no_more(collected: Collected) -> None:
    registry = Registry()
    collected.instrument(registry)
    running(registry)
    alive = weakref.ref(registry)
    assert len(collected.points("operations")) == 1
    del registry
    gc.collect()
    assert alive() is None
    assert collected.points("operations") == {}


def test_the_documentation_lists_the_metrics(collected: Collected) -> None:
    page = (ROOT / "docs/howto/telemetry.md").read_text(encoding="utf-8")
    listed = re.findall(
        r"^\| `opslifecycle\.([\w.]+)` \| (histogram|gauge) \| (\S+) \|", page, re.M
    )
    with Registry(store=MemoryStore()) as registry:
        collected.instrument(registry)
        completed(registry)
        sent = collected.metrics()
    assert {(name, kind, unit) for name, kind, unit in listed} == sent


def test_without_it_nothing_is_imported() -> None:
    program = (
        "import sys\n"
        "from opslifecycle import MemoryStore, Registry\n"
        "with Registry(store=MemoryStore()) as registry:\n"
        "    pass\n"
        "found = [m for m in sys.modules if 'opentelemetry' in m or 'observ' in m]\n"
        "assert found == [], found\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
