"""Feeds and changes as server-sent events, with every end of a connection."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("sse_starlette", reason="SKIPPED: the extra `serve` is not installed")
pytest.importorskip("httpx", reason="SKIPPED: httpx is not installed")

import httpx
from opslifecycle import Registry, SqliteStore
from opslifecycle.inspection.locations import location_of
from opslifecycle.inspection.machines import OPERATIONS
from opslifecycle.inspection.records import reader
from opslifecycle.serve import live
from opslifecycle.serve.live import LiveState
from opslifecycle.stores.sqlite.admin import forget

from tests.support.builders import UPDATE, completed, registered, running
from tests.support.serve.serving import Event, Program, client_of, served, streamed


@pytest.fixture
def max_completed() -> int:
    return 3


def next_of(events: Iterator[Event], *kinds: str) -> Event:
    return next(each for each in events if each.kind in kinds)


def test_a_feed_is_read_in_pages_from_a_position(store: Path, registry: Registry) -> None:
    ids = [str(completed(registry)) for _ in range(3)]
    with served(store) as client:
        page = client.get("/v1/feed?limit=2").json()
        assert [each["operation_id"] for each in page["entries"]] == ids[:2]
        assert (page["has_more"], page["gap"]) == (True, None)
        rest = client.get(f"/v1/feed?after={page['position']}").json()
        assert [each["operation_id"] for each in rest["entries"]] == ids[2:]
        assert rest["has_more"] is False
        assert rest["position"] == rest["watermark"]
        again = client.get(f"/v1/feed?registry=default&after={rest['position']}").json()
        assert again["entries"] == []
        assert client.get("/v1/feed?after=now").json()["position"] == rest["position"]
        assert client.get("/v1/feed?after=3").status_code == 400
        assert "lists them" in client.get("/v1/feed?registry=x").json()["detail"]


def test_a_feed_without_entries_has_a_position(store: Path, registry: Registry) -> None:
    with served(store) as client:
        page = client.get("/v1/feed").json()
        assert (page["entries"], page["gap"], page["has_more"]) == ([], None, False)
        done = str(completed(registry))
        after = client.get(f"/v1/feed?after={page['position']}").json()
        assert [each["operation_id"] for each in after["entries"]] == [done]


def test_a_gap_has_its_reason_and_where_the_reader_goes_on(store: Path, registry: Registry) -> None:
    for _ in range(5):
        completed(registry)
    with served(store) as client:
        first = client.get("/v1/feed").json()
        epoch = first["position"].partition(":")[0]
        at = f"{epoch}:2"
        assert first["gap"] == {"reason": "evicted", "after": None, "position": at}
        assert [each["seq"] for each in first["entries"]] == [3, 4, 5]
        for after, reason, position in (
            (f"{epoch}:1", "evicted", at),
            ("another-epoch:4", "epoch_changed", at),
            (f"{epoch}:9", "past_watermark", f"{epoch}:5"),
        ):
            gap = client.get(f"/v1/feed?after={after}").json()["gap"]
            assert gap == {"reason": reason, "after": after, "position": position}
            with streamed(client, "/v1/feed", after) as events:
                found = next_of(events, "gap", "entry")
            assert (found.kind, found.id, found.data) == ("gap", position, gap)


def test_entries_come_as_they_are_committed_and_a_client_resumes(
    store: Path, registry: Registry
) -> None:
    first = str(completed(registry))
    with served(store, heartbeat_seconds=0.1) as client:
        with streamed(client, "/v1/feed") as events:
            seen = next_of(events, "entry")
            assert seen.data["operation_id"] == first
            second = str(completed(registry))
            assert next_of(events, "entry").data["operation_id"] == second
            assert next_of(events, "comment", "entry").data.startswith("ping")
        with streamed(client, "/v1/feed?after=now", seen.id) as events:
            # The header is newer than what the address says.
            assert next_of(events, "entry").data["operation_id"] == second


def test_entries_are_cloudevents_on_request(store: Path, registry: Registry) -> None:
    for _ in range(4):
        completed(registry)
    id = str(completed(registry, name="last"))
    with served(store) as client:
        page = client.get("/v1/feed", headers={"Accept": "application/cloudevents-batch+json"})
        assert page.headers["content-type"] == "application/cloudevents-batch+json"
        gap, *events = page.json()
        assert gap["type"] == "opslifecycle.feed.gap"
        last = events[-1]
        assert last["type"] == "opslifecycle.operation.completed"
        assert (last["subject"], last["data"]["display_name"]) == (id, "last")
        assert last["source"] == "urn:opslifecycle:registry:default"
        assert last["time"].endswith("Z")
        assert len({each["id"] for each in [gap, *events]}) == 4
        for each in [gap, *events]:
            required = {"specversion", "id", "source", "type"}
            assert required <= set(each)
            # Names of attributes have lower-case letters and digits alone.
            assert all(name.isalnum() and name.islower() for name in each)
        with streamed(client, "/v1/feed?format=cloudevents", last["id"].replace(":5", ":4")) as got:
            assert next_of(got, "entry").data == last


def test_a_server_that_is_killed_and_started_again_loses_and_repeats_nothing(
    store: Path, registry: Registry
) -> None:
    ids, seen = [str(completed(registry))], list[str]()
    after, port = None, 0
    for _ in range(3):
        program = Program(store, port=port)
        port = program.port
        with client_of(program.url) as client, streamed(client, "/v1/feed", after) as events:
            ids.append(str(completed(registry)))
            while len(seen) < len(ids):
                found = next_of(events, "entry", "gap")
                seen.append(found.data["operation_id"])
                after = found.id
            program.kill()
            with pytest.raises((httpx.HTTPError, StopIteration)):
                next_of(events, "entry")
        # What ends while no server runs comes from the next one.
        ids.append(str(completed(registry)))
    with served(store) as client, streamed(client, "/v1/feed", after) as events:
        seen.append(next_of(events, "entry", "gap").data["operation_id"])
    assert seen == ids


def test_a_store_that_is_away_is_told_and_followed_again(tmp_path: Path, store: Path) -> None:
    with Registry(store=SqliteStore(store)) as registry:
        completed(registry)
    with (
        served(store) as client,
        streamed(client, "/v1/feed") as events,
        streamed(client, "/v1/changes") as changes,
    ):
        next_of(events, "entry")
        next_of(changes, "version")
        store.rename(tmp_path / "b.db")
        assert "no such store" in next_of(events, "unavailable").data["detail"]
        assert "no such store" in next_of(changes, "unavailable").data["detail"]
        (tmp_path / "b.db").rename(store)
        # The registries are sent again when the store is back.
        next_of(changes, "registries")
        forget(store, "default")
        assert next_of(events, "removed").data == {"registry": "default"}
        assert list(events) == []
        removed = next_of(changes, "removed").data
        assert [name for name, _ in removed] == ["default"]


def rows_until_version(events: Iterator[Event]) -> tuple[dict[str, str], list[str], str]:
    """Return the statuses in events up to the next version, their kinds, and the version."""
    statuses, kinds = {}, []
    for each in events:
        kinds.append(each.kind)
        if each.kind == "operations":
            statuses.update({row["id"]: row["status"] for row in each.data})
        if each.kind == "version":
            assert each.id is not None
            return statuses, kinds, each.id
    raise AssertionError("the stream ended")


def test_changes_begin_with_everything_and_go_on_with_what_changes(
    store: Path, registry: Registry
) -> None:
    done, live_id = str(completed(registry)), registered(registry)
    with served(store) as client:
        with streamed(client, "/v1/changes") as events:
            statuses, kinds, _ = rows_until_version(events)
            assert "reset" in kinds
            assert statuses == {done: "completed", str(live_id): "provisioning"}
            registry.provisioning_succeeded(live_id)
            registry.report_progress(live_id, UPDATE)
            while statuses.get(str(live_id)) != "running":
                statuses, _, seen = rows_until_version(events)
            assert set(statuses) == {str(live_id)}
        third = completed(registry)
        with streamed(client, "/v1/changes", seen) as events:
            statuses, kinds, _ = rows_until_version(events)
            assert "reset" not in kinds
            assert str(third) in statuses
            assert done not in statuses
    with served(store) as client, streamed(client, "/v1/changes", seen) as events:
        statuses, kinds, _ = rows_until_version(events)
        assert kinds.index("gap") < kinds.index("reset")
        assert len(statuses) == 3


def test_live_operations_of_an_owner_that_ends_are_interrupted(store: Path) -> None:
    with Registry(store=SqliteStore(store)) as registry:
        running(registry)
        with served(store) as client, streamed(client, "/v1/changes") as events:
            statuses, _, _ = rows_until_version(events)
            while set(statuses.values()) != {"running"}:
                statuses, _, _ = rows_until_version(events)
            registry.close()
            statuses, _, _ = rows_until_version(events)
            assert set(statuses.values()) == {"interrupted"}


def test_a_client_that_missed_forgotten_removals_reads_everything(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_REMOVED_MAX", 2)
    state, source = LiveState(OPERATIONS), reader(location_of(str(store)))
    with Registry(store=SqliteStore(store), max_completed=1) as registry:
        completed(registry)
        versions = []
        for _ in range(5):
            completed(registry)
            state.update(source.all())
            versions.append(state.since(state.instance, 0).version)
    assert versions == sorted(set(versions))
    old = state.since(state.instance, versions[0])
    assert (old.whole, old.removed, len(old.rows)) == (True, [], 1)
    recent = state.since(state.instance, versions[-2])
    assert (recent.whole, len(recent.removed), len(recent.rows)) == (False, 1, 1)
    assert state.since("another", versions[-1]).whole
    assert state.since(state.instance, versions[-1] + 1).whole
    before = state.since(state.instance, versions[-1])
    state.update(source.all())
    assert state.since(state.instance, versions[-1]).version >= before.version


def test_streams_end_with_the_server(store: Path, registry: Registry) -> None:
    program = Program(store)
    with client_of(program.url) as client, streamed(client, "/v1/changes") as events:
        next_of(events, "version")
        threading.Timer(0.2, program.process.send_signal, [signal.SIGTERM]).start()
        # The answer is complete: the client gets no error.
        assert all(
            each.kind in ("comment", "operations", "registries", "version") for each in events
        )
    _, errors = program.process.communicate(timeout=30)
    assert errors == ""


def test_a_position_that_is_none_is_refused_wherever_it_is(store: Path, registry: Registry) -> None:
    completed(registry)
    stream = {"Accept": "text/event-stream"}
    with served(store) as client:
        position = client.get("/v1/feed").json()["position"]
        for path in ("/v1/feed", "/v1/changes"):
            for wrong in ("x", "now", f"{position}:1"):
                answer = client.get(path, headers={**stream, "Last-Event-ID": wrong})
                assert answer.status_code == 400
                assert "header 'Last-Event-ID'" in answer.json()["detail"]
        for given in ({}, {"Last-Event-ID": position}):
            answer = client.get("/v1/feed?after=x", headers=given)
            assert answer.status_code == 400
            assert "or `now`, got 'x'" in answer.json()["detail"]


def test_an_empty_last_event_id_is_none(store: Path, registry: Registry) -> None:
    completed(registry)
    with served(store) as client:
        position = client.get("/v1/feed").json()["position"]
        for after, count in (("", 1), (f"?after={position}", 0), ("?after=now", 0)):
            page = client.get(f"/v1/feed{after}", headers={"Last-Event-ID": ""}).json()
            assert len(page["entries"]) == count
        with streamed(client, "/v1/changes", "") as events:
            _, kinds, _ = rows_until_version(events)
            assert "reset" in kinds
            assert "gap" not in kinds
