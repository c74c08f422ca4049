"""What grows with what: the write-ahead log under a long reader, and the work of reading."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from opslifecycle import Registry, SqliteStore
from opslifecycle.stores.sqlite import checkpoints
from opslifecycle.stores.sqlite.reader import StoreReader

from opslifecycle.operations.storage import CODEC, deserialize
from tests.support.builders import completed, running
from tests.support.command_line import command_line
from tests.support.waiting import until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def log_bytes(path: Path) -> int:
    log = path.with_name(f"{path.name}-wal")
    return log.stat().st_size if log.exists() else 0


def test_the_log_shrinks_when_a_long_reader_has_ended(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(checkpoints, "_PAGES_OF_CHECKPOINT", 50)
    monkeypatch.setattr(checkpoints, "_PAGES_OF_WARNING", 200)
    monkeypatch.setattr(checkpoints, "_LOG_BYTES_MAX", 100_000)
    with Registry(store=SqliteStore(path, durability="process")) as registry:
        completed(registry)
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM log").fetchone()
        with caplog.at_level(logging.WARNING, logger="opslifecycle"):
            while log_bytes(path) < 1_500_000:
                completed(registry)
            until(lambda: caplog.records or completed(registry))
        assert len(caplog.records) == 1
        assert "because a program reads without an end" in caplog.text
        reader.execute("COMMIT")
        reader.close()

        def shrunk() -> bool:
            for _ in range(20):
                completed(registry)
            return log_bytes(path) <= 300_000

        until(shrunk)


def test_looking_again_reads_what_has_come_since(path: Path) -> None:
    """Rows that were verified are not read again, and records that are as they were not decoded."""
    decoded: list[str] = []

    def decode(id: str, body: str) -> Any:
        decoded.append(id)
        return deserialize(id, body)

    reader = StoreReader(path, CODEC.schema)

    def look() -> int:
        registry = reader.registry("default")
        for id, body in registry.stored.records.items():
            registry.decode(decode, id, body)
        return len(registry.stored.records)

    with Registry(store=SqliteStore(path, durability="process")) as registry:
        for _ in range(300):
            completed(registry)
        assert (look(), len(decoded)) == (256, 256)
        decoded.clear()
        assert (look(), decoded) == (256, [])
        last = str(running(registry))
        until(lambda: look() == 257)
        assert set(decoded) == {last}


def test_registries_come_in_the_order_in_which_they_were_made(path: Path) -> None:
    """A name that is made of the wall clock comes before an older one if the clock was set back."""
    for name in ("run 2", "run 1"):
        with Registry(store=SqliteStore(path, registry=name)) as registry:
            completed(registry, name=name)
    assert StoreReader(path, CODEC.schema).names() == ["run 2", "run 1"]
    latest = command_line("tail", "--store", str(path)).stdout
    assert '"display_name": "run 1"' in latest or '"display_name":"run 1"' in latest


def test_reading_many_is_linear(path: Path) -> None:
    """So many virtual-machine steps for each row, however many rows there are."""
    steps = {}
    for count in (500, 2_000):
        place = path.with_name(f"{count}.db")
        store = SqliteStore(place, durability="process")
        with Registry(store=store, max_completed=5_000) as registry:
            for _ in range(count):
                running(registry)
            steps[count] = _steps_of_reading(place)
    assert steps[2_000] < 5 * steps[500], steps


def _steps_of_reading(path: Path) -> int:
    """Return how many steps of SQLite's a look takes, in hundreds."""
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    original = sqlite3.connect

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        database: sqlite3.Connection = original(*arguments, **options)
        database.set_progress_handler(count, 100)
        return database

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("opslifecycle.stores.sqlite.connection.sqlite3.connect", connect)
        StoreReader(path, CODEC.schema).registry("default")
    assert counted
    return counted
