"""The metrics of a store, as the parser of the library reads them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sse_starlette", reason="SKIPPED: the extra `serve` is not installed")
pytest.importorskip("httpx", reason="SKIPPED: httpx is not installed")

import httpx
import yaml
from attrs import evolve
from opslifecycle import CompletionCursorConsumer, Registry, RunId, SqliteStore
from opslifecycle.inspection.locations import location_of
from opslifecycle.inspection.machines import OPERATIONS
from opslifecycle.inspection.records import reader
from opslifecycle.serve.metrics import of_registries
from prometheus_client.parser import text_string_to_metric_families

from opslifecycle.operations.base import DEFAULT_MAX_COMPLETED
from tests.support.builders import completed, registered, running
from tests.support.serve.serving import TOKEN, served

ROOT = Path(__file__).parents[2]
HOSTILE = 'a "quoted"\\ name\nopslifecycle_operations{x="y"} 7'


@pytest.fixture
def max_completed() -> int:
    return 3


def families_of(client: httpx.Client) -> dict[str, Any]:
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {each.name: each for each in text_string_to_metric_families(answer.text)}


#: The order in which the values of labels are compared here; the text has that of the alphabet.
LABELS = ("registry", "file", "status", "owner", "consumer", "le")


def values_of(client: httpx.Client, name: str, suffix: str = "") -> dict[tuple[str, ...], float]:
    """The samples of a metric, by the values of their labels."""
    return {
        tuple(each.labels[label] for label in LABELS if label in each.labels): each.value
        for each in families_of(client)[name].samples
        if each.name == name + suffix
    }


def test_operations_are_counted_by_registry_and_status(store: Path, registry: Registry) -> None:
    running(registry)
    registered(registry)
    completed(registry)
    with Registry(store=SqliteStore(store, registry=HOSTILE)) as other:
        completed(other)
        with served(store) as client:
            assert values_of(client, "opslifecycle_operations") == {
                (HOSTILE, "completed"): 1,
                ("default", "completed"): 1,
                ("default", "provisioning"): 1,
                ("default", "running"): 1,
            }
            oldest = values_of(client, "opslifecycle_oldest_live_seconds")
            assert set(oldest) == {("default",)}
            assert 0 <= oldest["default",] < 60


def test_a_feed_has_a_lag_for_each_consumer(store: Path, registry: Registry) -> None:
    for _ in range(5):
        completed(registry)
    registry.advance_completion_cursor(CompletionCursorConsumer.RUNTIME_OBSERVED, 4)
    completed(registry)
    with served(store) as client:
        assert values_of(client, "opslifecycle_feed_watermark") == {("default",): 6}
        assert values_of(client, "opslifecycle_feed_evicted") == {("default",): 3}
        assert values_of(client, "opslifecycle_feed_lag") == {
            ("default", "agent_applied"): 6,
            ("default", "runtime_injected"): 6,
            ("default", "runtime_observed"): 2,
        }


def test_an_owner_is_live_or_gone(store: Path, registry: Registry) -> None:
    with served(store) as client:
        assert values_of(client, "opslifecycle_registries") == {("default", "live"): 1}
        registry.close()
        assert values_of(client, "opslifecycle_registries") == {("default", "none"): 1}


def test_an_owner_that_renews_no_lease_is_silent(store: Path, registry: Registry) -> None:
    (found,) = reader(location_of(str(store))).all()
    (families, *_) = of_registries([evolve(found, responds=False)], OPERATIONS)
    assert [(each.labels["owner"], each.value) for each in families.samples] == [("silent", 1)]


def test_runs_of_the_command_line_are_one_series(store: Path) -> None:
    for count in (1, 2):
        with Registry(store=SqliteStore(store, registry=f"run {RunId.new()}")) as registry:
            for _ in range(count):
                completed(registry)
    with served(store) as client:
        assert values_of(client, "opslifecycle_operations") == {("run", "completed"): 3}
        assert values_of(client, "opslifecycle_registries") == {("run", "none"): 2}
        assert values_of(client, "opslifecycle_feed_watermark") == {("run",): 3}
        # The largest: a sum would show the lag of no consumer.
        assert set(values_of(client, "opslifecycle_feed_lag").values()) == {2}


def test_durations_are_counted_once_and_never_fall(store: Path, registry: Registry) -> None:
    live = running(registry)
    for _ in range(3):
        completed(registry)
    with served(store) as client:

        def counts() -> tuple[float, float]:
            ran = values_of(client, "opslifecycle_operation_run_seconds", "_count")
            waited = values_of(client, "opslifecycle_operation_wait_seconds", "_count")
            return ran["completed",], waited["default",]

        assert counts() == (3, 4)
        assert counts() == (3, 4)
        # Retention evicts one for each that ends.
        for number in range(4, 8):
            completed(registry)
            assert counts() == (number, number + 1)
        registry.fail_operation(live, "why")
        ran = values_of(client, "opslifecycle_operation_run_seconds", "_count")
        assert ran == {("completed",): 7, ("failed",): 1}
        buckets = values_of(client, "opslifecycle_operation_run_seconds", "_bucket")
        assert buckets["completed", "+Inf"] == 7
        ordered = [count for (status, _), count in buckets.items() if status == "completed"]
        assert ordered == sorted(ordered)
        sums = values_of(client, "opslifecycle_operation_run_seconds", "_sum")
        assert 0 <= sums["completed",] < 60


def test_sizes_are_those_of_the_files(store: Path, registry: Registry) -> None:
    completed(registry)
    (store.parent / "a.db.logs").mkdir()
    (store.parent / "a.db.logs/x.stdout.0").write_bytes(b"x" * 100)
    with served(store) as client:
        sizes = values_of(client, "opslifecycle_file_bytes")
        assert sizes["logs",] == 100
        assert sizes["store",] == store.stat().st_size
        assert sizes["wal",] == store.with_name("a.db-wal").stat().st_size > 0


def test_an_unreadable_store_has_no_metrics(store: Path, registry: Registry) -> None:
    with served(store, token=TOKEN) as client:
        assert client.get("/metrics").status_code == 401
        client.headers["Authorization"] = f"Bearer {TOKEN}"
        assert client.get("/metrics").status_code == 200
        store.rename(store.with_name("b.db"))
        assert client.get("/metrics").status_code == 503
        assert client.get("/metrics?x=1").status_code == 400
        store.with_name("b.db").rename(store)


def test_the_documentation_lists_them(store: Path, registry: Registry) -> None:
    completed(registry)
    running(registry)
    page = (ROOT / "docs/howto/operations.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(opslifecycle_\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|$", page, re.M)
    with served(store) as client:
        found = families_of(client)
    shown = {
        (name, each.type, frozenset(set(each.samples[0].labels) - {"le"}))
        for name, each in found.items()
    }
    assert shown == {
        (name, kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels, _ in listed
    }


def test_the_alerts_are_of_metrics_that_exist(store: Path, registry: Registry) -> None:
    completed(registry)
    running(registry)
    page = (ROOT / "docs/howto/operations.md").read_text(encoding="utf-8")
    block = re.search(r"^```yaml\n(groups:.*?)^```", page, re.M | re.S)
    assert block is not None
    assert f"`max_completed` ({DEFAULT_MAX_COMPLETED} by default)" in page
    (group,) = yaml.safe_load(block[1])["groups"]
    rules = {each["alert"]: each["expr"] for each in group["rules"]}
    assert len(rules) >= 6
    with served(store) as client:
        samples: dict[str, set[str]] = {}
        for family in families_of(client).values():
            for each in family.samples:
                samples.setdefault(each.name, set()).update(each.labels)
    samples["up"] = {"job"}
    for alert, expression in rules.items():
        (name, labels) = re.search(r"(up|opslifecycle_\w+)(?:\{(.*?)\})?", expression).groups()  # type: ignore[union-attr]
        used = set(re.findall(r"(\w+)!?=", labels or "")) | set(
            re.findall(r"by \((\w+)\)", expression)
        )
        assert used <= samples[name], alert
        assert expression.count("(") == expression.count(")"), alert
