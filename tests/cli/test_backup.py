"""`opslifecycle backup`: one consistent state of a store in use, complete or not there at all."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import opslifecycle
import pytest
from opslifecycle import EpochChangedError, PersistenceError, Registry, SqliteStore
from opslifecycle.stores.sqlite.backup import back_up

from tests.support.builders import completed
from tests.support.command_line import command_line
from tests.support.waiting import until

CLI = [sys.executable, "-m", "opslifecycle.cli.main"]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@pytest.fixture
def registry(store: Path) -> Iterator[Registry]:
    with Registry(store=SqliteStore(store)) as registry:
        completed(registry, name="first")
        yield registry


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "backups").mkdir()
    return tmp_path / "backups"


def back_up_by_command(store: Path, target: Path) -> subprocess.CompletedProcess[str]:
    return command_line("backup", "--store", str(store), str(target))


def test_a_store_in_use_is_copied_and_checked(store: Path, registry: Registry, place: Path) -> None:
    done = back_up_by_command(store, place / "b.db")
    assert (done.returncode, done.stderr) == (0, "")
    size = (place / "b.db").stat().st_size
    assert done.stdout.splitlines() == [
        "default: sound, 1 operation",
        f"1 registry, {len(opslifecycle.operations.INVARIANTS)} invariants each, 0 broken",
        f"backup: {place / 'b.db'}, {size} bytes",
    ]
    # Nothing is beside it, and only its owner can read it.
    assert [each.name for each in place.iterdir()] == ["b.db"]
    assert (place / "b.db").stat().st_mode & 0o777 == 0o600
    completed(registry, name="second")
    assert len(Registry(store=SqliteStore(place / "b.db")).list_operations()) == 1


def test_a_backup_can_be_read_where_nothing_can_be_written(
    store: Path, registry: Registry, place: Path
) -> None:
    back_up_by_command(store, place / "b.db")
    uri = f"file:{place / 'b.db'}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert database.execute("SELECT COUNT(*) FROM records").fetchone() == (1,)


def test_each_backup_of_a_busy_store_is_a_state_that_was(
    store: Path, registry: Registry, place: Path
) -> None:
    ending = threading.Event()

    def work() -> None:
        while not ending.is_set():
            completed(registry)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for number in range(5):
            # Fast backups of a busy machine may all come before the next end.
            before = registry.completion_feed().watermark
            until(lambda before=before: registry.completion_feed().watermark > before)  # type: ignore[misc]
            back_up(store, place / f"{number}.db")
    finally:
        ending.set()
        worker.join()
    counts = []
    for number in range(5):
        assert command_line("doctor", "--store", str(place / f"{number}.db")).returncode == 0
        with Registry(store=SqliteStore(place / f"{number}.db")) as copy:
            counts.append(copy.completion_feed().watermark)
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_nothing_is_overwritten(store: Path, registry: Registry, place: Path) -> None:
    (place / "b.db").write_text("precious")
    (place / "link.db").symlink_to("nowhere")
    for name in ("b.db", "link.db"):
        done = back_up_by_command(store, place / name)
        assert done.returncode == 2
        assert "the backup cannot be written: File exists; name another file" in done.stderr
    assert (place / "b.db").read_text() == "precious"
    assert sorted(each.name for each in place.iterdir()) == ["b.db", "link.db"]


def test_a_file_that_comes_meanwhile_is_not_overwritten(
    store: Path, registry: Registry, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(part: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    for has_links in (True, False):
        target = place / f"{has_links}.db"

        def take_its_name(part: Path, target: Path = target) -> None:
            target.write_text("precious")

        if not has_links:
            monkeypatch.setattr("os.link", link)
        with pytest.raises(PersistenceError, match="File exists"):
            back_up(store, target, take_its_name)
        assert target.read_text() == "precious"
        back_up(store, place / f"{has_links}-free.db")
    assert len(list(place.iterdir())) == 4


def test_an_unsound_store_gets_no_backup(store: Path, registry: Registry, place: Path) -> None:
    registry.close()
    with closing(sqlite3.connect(store)) as database, database:
        database.execute("UPDATE log SET body = '{}'")
    done = back_up_by_command(store, place / "b.db")
    assert done.returncode == 2
    assert f"error: {store} is not sound, and no backup was written: its copy" in done.stderr
    assert list(place.iterdir()) == []


def test_a_process_that_is_killed_leaves_no_file_of_that_name(
    store: Path, registry: Registry, place: Path
) -> None:
    hanging = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from opslifecycle.stores.sqlite.backup import back_up\n"
        "back_up(Path(sys.argv[1]), Path(sys.argv[2]), lambda part: time.sleep(60))\n"
    )
    words = [sys.executable, "-c", hanging, str(store), str(place / "b.db")]
    with subprocess.Popen(words) as process:
        until(lambda: any(each.stat().st_size > 0 for each in place.iterdir()), "the copy")
        assert not (place / "b.db").exists()
        process.send_signal(signal.SIGKILL)
    assert all(each.name.startswith("b.db.") for each in place.iterdir())
    assert not (place / "b.db").exists()
    # Another one is not hindered.
    assert back_up_by_command(store, place / "b.db").returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_a_full_disk_leaves_nothing(store: Path, registry: Registry, place: Path) -> None:
    limited = (
        "import resource, runpy, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n"
        "runpy.run_module('opslifecycle.cli.main', run_name='__main__')\n"
    )
    words = ["backup", "--store", str(store), str(place / "b.db")]
    done = subprocess.run(
        [sys.executable, "-c", limited, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {store}, copied to {place / 'b.db'}: the disk")
    assert "8192 bytes a file (ulimit -f)" in done.stderr
    assert list(place.iterdir()) == []


def test_what_cannot_be_copied_is_refused(store: Path, registry: Registry, place: Path) -> None:
    assert "no such store" in back_up_by_command(place / "x.db", place / "b.db").stderr
    missing = back_up_by_command(store, place / "no/b.db").stderr
    assert "the backup cannot be written: No such file or directory" in missing
    server = command_line("backup", "--store", "postgresql://nowhere/db", str(place / "b.db"))
    assert "use pg_dump" in server.stderr
    if os.geteuid() != 0:
        place.chmod(0o500)
        assert "Permission denied" in back_up_by_command(store, place / "b.db").stderr
        place.chmod(0o700)
    assert list(place.iterdir()) == []


def test_a_restored_backup_begins_a_new_epoch(store: Path, registry: Registry, place: Path) -> None:
    epoch = registry.completion_feed().epoch_id
    back_up_by_command(store, place / "b.db")
    completed(registry, name="after")
    registry.close()
    digest = hashlib.sha256((place / "b.db").read_bytes()).hexdigest()
    for suffix in ("-wal", "-shm"):
        Path(f"{store}{suffix}").unlink(missing_ok=True)
    store.write_bytes((place / "b.db").read_bytes())
    with Registry(store=SqliteStore(store)) as again:
        assert len(again.list_operations()) == 1
        with pytest.raises(EpochChangedError):
            again.completion_feed().list_since(1, epoch_id=epoch)
    assert hashlib.sha256((place / "b.db").read_bytes()).hexdigest() == digest
