"""Every file operation of a store that can fail, one after another until no fault fires."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opslifecycle import (
    OperationId,
    PersistenceError,
    Registry,
    Retired,
    SqliteStore,
    Terminated,
)
from opslifecycle.stores.sqlite import log_index
from opslifecycle.stores.sqlite import store as sqlite_store

from tests.support.builders import completed, running, spec
from tests.support.files import Fault, Files, Operation
from tests.support.scale import whole_or

#: What fails, how, and after how many bytes.
FAULTS = {
    "disk full": ("write", sqlite3.SQLITE_FULL, 0),
    "write error": ("write", sqlite3.SQLITE_IOERR_WRITE, 0),
    "short write": ("write", sqlite3.SQLITE_IOERR_WRITE, 100),
    "failed fsync": ("sync", sqlite3.SQLITE_IOERR_FSYNC, 0),
    "failed truncate": ("truncate", sqlite3.SQLITE_IOERR_TRUNCATE, 0),
    "failed open": ("open", sqlite3.SQLITE_CANTOPEN, 0),
    "failed delete": ("delete", sqlite3.SQLITE_IOERR_DELETE, 0),
}


@pytest.fixture
def files() -> Iterator[Files]:
    with Files().installed() as files:
        yield files


class Once:
    """Fails the n-th operation of a kind."""

    def __init__(self, number: int, kind: str, code: int, written: int) -> None:
        self._left = number
        self._kind = kind
        self._fault = (code, written)
        self.fired = ""

    def __call__(self, operation: Operation) -> Fault:
        if operation.kind != self._kind or self.fired:
            return None
        self._left -= 1
        if self._left > 0:
            return None
        self.fired = operation.path
        return self._fault


class Story:
    """What a registry was asked for, and what it has acknowledged."""

    def __init__(self) -> None:
        self.registered: list[OperationId] = []
        self.retired: list[OperationId] = []
        self.refused = 0

    def live_through(self, path: Path) -> None:
        """Open a store, work with it and close it; whatever fails has not happened."""
        try:
            registry = Registry(store=SqliteStore(path))
        except PersistenceError:
            self.refused += 1
            return
        for _ in range(5):
            self._work(registry)
        registry.close()

    def _work(self, registry: Registry) -> None:
        made = spec()
        steps: list[tuple[Callable[[], None], list[OperationId]]] = [
            (lambda: registry.register_operation(made), self.registered),
            (lambda: registry.provisioning_succeeded(made.id), []),
            (lambda: registry.mark_retired(made.id), self.retired),
        ]
        for do, acknowledged in steps:
            seen = registry.list_operations(), registry.completion_feed().list_since(0)
            try:
                do()
            except PersistenceError:
                self.refused += 1
                now = registry.list_operations(), registry.completion_feed().list_since(0)
                assert now == seen
                return
            acknowledged.append(made.id)

    def verify(self, path: Path) -> None:
        """Nothing acknowledged is lost or told otherwise."""
        if path.exists():
            # A lease that could not be given up runs out by itself; there is no need to wait.
            database = sqlite3.connect(path, isolation_level=None)
            database.execute("UPDATE registries SET owner = NULL")
            database.close()
        with Registry(store=SqliteStore(path)) as registry:
            rows = registry.completion_feed().list_since(0).entries
            assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
            outcomes = {row.operation_id: row.terminal_outcome for row in rows}
            assert all(outcomes[id] == Retired() for id in self.retired)
            assert all(isinstance(outcomes[id], Retired | Terminated) for id in self.registered)
            assert registry.broken_invariants() == []
            completed(registry)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_anywhere_is_told_and_loses_nothing(
    name: str, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Compaction and its transaction of several statements take part from the start.
    monkeypatch.setattr(log_index, "_SPARE_ROWS", 3)
    monkeypatch.setattr(sqlite_store, "_COMPACTED_ROWS", 4)
    fired = refused = 0
    for number in range(1, 400, whole_or(1, 3)):
        path = tmp_path / f"{number}.db"
        story, fault = Story(), Once(number, *FAULTS[name])
        files.fault = fault
        story.live_through(path)
        files.fault = lambda operation: None
        story.verify(path)
        fired += bool(fault.fired)
        refused += story.refused
        if not fault.fired:
            break
    else:
        pytest.fail("a fault fired every time")
    # A fault while closing is told to nobody: what was acknowledged is in the log already.
    assert fired >= whole_or(2, 1)
    assert refused > 0 or name in ("failed delete", "failed truncate")


def test_after_a_failed_fsync_the_store_never_acknowledges(files: Files, tmp_path: Path) -> None:
    registry = Registry(store=SqliteStore(tmp_path / "store.db"))
    first, second = running(registry), running(registry)
    files.fault = Once(1, "sync", sqlite3.SQLITE_IOERR_FSYNC, 0)
    with pytest.raises(PersistenceError):
        registry.mark_retired(first)
    for _ in range(2):
        with pytest.raises(PersistenceError, match="failed"):
            registry.mark_retired(second)
    registry.close()


def test_a_full_disk_is_no_end(files: Files, tmp_path: Path) -> None:
    with Registry(store=SqliteStore(tmp_path / "store.db")) as registry:
        id = running(registry)
        files.fault = lambda o: (sqlite3.SQLITE_FULL, 0) if o.kind == "write" else None
        for _ in range(3):
            with pytest.raises(PersistenceError, match="full"):
                registry.mark_retired(id)
        files.fault = lambda operation: None
        registry.mark_retired(id)
        assert registry.completion_feed().watermark == 1


def test_a_locked_database_is_told_and_waited_for_again(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with Registry(store=SqliteStore(path, lock_timeout=0.05)) as registry:
        id = running(registry)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(PersistenceError, match="locked"):
            registry.mark_retired(id)
        other.execute("COMMIT")
        other.close()
        registry.mark_retired(id)
