"""A registry as one document, and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from opslifecycle import (
    InvalidValueError,
    MemoryStore,
    Registry,
    StoreDamagedError,
    StoreVersionError,
    Terminated,
)
from opslifecycle.shell import export
from opslifecycle.stores.base import Commit

from tests.support.builders import CHILD, HANDLE, SLOT, UPDATE, completed, running, spec
from tests.support.gate import AGENT, REASON, MakeStore, snapshot


class TestCapture:
    def test_from_the_first_restore_on_it_is_a_fixed_point(self) -> None:
        registry = Registry(max_completed=4, max_concurrent=7)
        for _ in range(4):
            completed(registry)
        registry.collect_completed()
        completed(registry)
        child = running(registry, CHILD)
        registry.peer_ready(child, HANDLE)
        registry.report_progress(child, UPDATE)
        running(registry, SLOT)
        registry.advance_completion_cursor(AGENT, 3)
        first = Registry.restore(json.loads(json.dumps(registry.capture())))
        assert snapshot(first, child).terminal_outcome == Terminated(REASON)
        assert first.broken_invariants() == []
        assert first.completion_feed().epoch_id != registry.completion_feed().epoch_id
        once = first.capture()
        twice = Registry.restore(json.loads(json.dumps(once))).capture()
        for document in (once, twice):
            del document["state"]["epoch_id"], document["checksum"]
        assert once == twice
        assert once["state"]["max_concurrent"] == 7

    def test_it_can_be_restored_into_a_new_store(self, make_store: MakeStore) -> None:
        registry = Registry(max_completed=5)
        reused = completed(registry)
        registry.collect_completed()
        registry.register_operation(spec(id=reused, name="again"))
        gone = completed(registry)
        live = running(registry)
        document = json.loads(json.dumps(registry.capture()))
        with Registry.restore(document, store=make_store()) as restored:
            batch = restored.completion_feed().list_since(0)
            assert [row.seq for row in batch.entries] == [1, 2, 3, 4]
            assert batch.entries[:2] == registry.completion_feed().list_since(0).entries
            listed = restored.list_operations()
            assert {each.id for each in listed} == {reused, gone, live}
        with Registry(store=make_store()) as again:
            assert again.list_operations() == listed
            assert again.completion_feed().list_since(0) == batch
            assert again.broken_invariants() == []
        with pytest.raises(InvalidValueError, match="holds a registry already"):
            Registry.restore(document, store=make_store())
        with Registry(store=make_store()) as again:
            assert again.list_operations() == listed

    def test_what_a_store_never_holds_is_not_written_by_a_restore(self) -> None:
        written: list[str] = []

        class Recording(MemoryStore):
            def append(self, commit: Commit) -> None:
                written.extend(id for id, _, _ in commit.writes)
                super().append(commit)

        registry = Registry()
        live, slot = running(registry), running(registry, SLOT)
        with Registry.restore(registry.capture(), store=Recording()):
            assert str(live) in written
            assert str(slot) not in written

    def test_what_was_altered_is_refused(self) -> None:
        registry = Registry()
        completed(registry)
        whole = registry.capture()
        for change in ("machine", "version", "format"):
            with pytest.raises(StoreVersionError):
                Registry.restore({**whole, change: "x"})
        for change in ("state", "records", "rows", "digest", "checksum"):
            with pytest.raises(StoreDamagedError):
                Registry.restore({**whole, change: []})
        with pytest.raises(StoreVersionError):
            Registry.restore([])

    def test_all_of_the_state_is_restored_into_a_store(self, make_store: MakeStore) -> None:
        registry = Registry(max_completed=2, max_concurrent=6)
        for _ in range(3):
            completed(registry)
        registry.collect_completed()
        completed(registry)
        registry.collect_completed()
        registry.advance_completion_cursor(AGENT, 3)
        batch = registry.completion_feed().list_since(0)
        with Registry.restore(registry.capture(), store=make_store()):
            pass
        with Registry(store=make_store()) as again:
            assert again.completion_feed().list_since(0) == batch
            assert again.completion_cursor(AGENT) == 3
            assert again.list_operations() == []
            assert (again._authority.max_completed, again._authority.max_concurrent) == (2, 6)
        # Nothing is held, and yet it is no new store.
        with pytest.raises(InvalidValueError, match="holds a registry already"):
            Registry.restore(Registry().capture(), store=make_store())

    def test_damage_is_told_with_its_place(self) -> None:
        registry = Registry()
        completed(registry)
        whole = registry.capture()
        for change in ("records", "checksum"):
            with pytest.raises(StoreDamagedError, match="checksum") as found:
                Registry.restore({**whole, change: []})
            assert (found.value.path, found.value.row) == ("the capture", 0)
        del whole["checksum"], whole["rows"]
        with pytest.raises(StoreDamagedError, match="shape") as found:
            Registry.restore({**whole, "checksum": export._checksum(whole)})
        assert (found.value.path, found.value.row) == ("the capture", 0)

    def test_what_no_registry_is_made_of_is_told_with_its_place(self) -> None:
        registry = Registry()
        completed(registry)
        document = registry.capture()
        document["records"][0]["status"] = "nowhere"
        del document["checksum"]
        document["checksum"] = export._checksum(document)
        with pytest.raises(StoreDamagedError, match="nowhere") as found:
            Registry.restore(document)
        assert (found.value.path, found.value.row) == ("the capture", 0)

    def test_a_store_that_holds_nonsense_is_given_up(self) -> None:
        store = MemoryStore()
        with Registry(store=store) as registry:
            id = completed(registry)
        whole = store._records[str(id)]
        store._records[str(id)] = "{}"
        for _ in range(2):
            with pytest.raises(StoreDamagedError) as found:
                Registry(store=store)
            assert (found.value.path, found.value.row) == ("MemoryStore", 0)
        store._records[str(id)] = whole
        with Registry(store=store) as registry:
            assert registry.snapshot(id) is not None


GOLDEN = Path(__file__).parents[1] / "golden/capture_2.json"


def test_what_earlier_versions_captured_is_read_for_ever() -> None:
    document = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert document["format"] == export._FORMAT
    registry = Registry.restore(document)
    batch = registry.completion_feed().list_since(0)
    assert [row.display_name for row in batch.entries] == ["collected", "Zoë", "live"]
    assert batch.dropped_through == 1
    assert registry.completion_cursor(AGENT) == 2
    assert [each.display_name for each in registry.list_operations()] == ["Zoë", "live"]
