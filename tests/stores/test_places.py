"""What is at the path of a store: said as what it is, and nothing is created in its place."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opslifecycle import (
    InvalidValueError,
    PersistenceError,
    Registry,
    SqliteStore,
    StoreBusyError,
    StoreDamagedError,
    StoreLostError,
)
from opslifecycle.stores.sqlite import connection
from opslifecycle.stores.sqlite.reader import StoreReader

from opslifecycle.operations.storage import CODEC
from tests.support.builders import completed, running, spec
from tests.support.command_line import command_line
from tests.support.owners import as_nobody, owning, query

COMMANDS = [("ls",), ("doctor",), ("collect",), ("wait", "00000000"), ("show", "00000000")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def folder(path: Path) -> None:
    path.mkdir()


def socket_at(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(path.parent):
        server.bind(path.name)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    path.symlink_to(path.with_name("gone.db"))


def loop(path: Path) -> None:
    path.symlink_to(path)


def empty(path: Path) -> None:
    path.touch()


PLACES: list[tuple[Callable[[Path], None], str]] = [
    (folder, "it is a folder, and a store is a regular file"),
    (pipe, "it is a named pipe, and a store is a regular file"),
    (link, "it is a symbolic link to .*gone.db, which does not exist"),
    (loop, "its symbolic links form a loop"),
]


@pytest.mark.parametrize(
    ("make", "message"), PLACES, ids=lambda each: getattr(each, "__name__", "")
)
def test_each_kind_of_file_has_its_message(
    make: Callable[[Path], None], message: str, path: Path
) -> None:
    make(path)
    for attempt in (
        lambda: Registry(store=SqliteStore(path)),
        lambda: StoreReader(path, CODEC.schema).names(),
    ):
        with pytest.raises(PersistenceError, match=message) as caught:
            attempt()
        assert not isinstance(caught.value, StoreDamagedError)
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("make", [folder, pipe, link, loop, empty, None])
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: str(words[0]))
def test_the_command_line_says_it_in_one_line(
    make: Callable[[Path], None] | None, words: tuple[str, ...], path: Path
) -> None:
    if make is not None:
        make(path)
    done = command_line(*words, "--store", str(path))
    assert done.returncode != 0
    told = done.stderr.strip()
    assert len(told.splitlines()) == 1, told
    assert str(path) in told
    assert os.listdir(path.parent) == ([] if make is None else [path.name])


def test_memory_and_uris_are_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidValueError, match="use MemoryStore"):
        SqliteStore(":memory:")
    with pytest.raises(InvalidValueError, match="got the URI"):
        SqliteStore("file:x.db?mode=memory")
    assert os.listdir(tmp_path) == []


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user may use; the folders that pytest makes are its user's alone."""
    with tempfile.TemporaryDirectory(prefix="opslifecycle-shared-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder


class TestPermissions:
    def test_a_store_is_its_owners_alone(self, path: Path) -> None:
        with Registry(store=SqliteStore(path)) as registry:
            completed(registry)
            for each in path.parent.iterdir():
                assert each.stat().st_mode & 0o077 == 0, each

    def test_the_command_line_makes_a_folder_of_its_own(self, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "opslifecycle.cli.main", "run", "--", "true"]
        subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, timeout=60)
        made = tmp_path / ".opslifecycle"
        assert made.stat().st_mode & 0o777 == 0o700
        assert (made / "operations.db").stat().st_mode & 0o777 == 0o600

    @pytest.mark.parametrize(
        ("mode", "message"),
        [(0o000, "no permission to read it"), (0o444, r"no permission to write store\.db")],
    )
    def test_another_user_is_told_what_is_missing(
        self, mode: int, message: str, shared: Path
    ) -> None:
        path = shared / "store.db"
        Registry(store=SqliteStore(path)).close()
        path.with_name("store.db-lease").chmod(0o666)
        path.chmod(mode)

        def work() -> None:
            try:
                Registry(store=SqliteStore(path))
            except PersistenceError as error:
                print(type(error).__name__, error)

        told = as_nobody(work)
        assert told.startswith("PersistenceError")
        assert re.search(message, told), told

    def test_its_own_user_is_not_sent_to_itself(self, shared: Path) -> None:
        path = shared / "store.db"

        def work() -> None:
            Registry(store=SqliteStore(path)).close()
            path.chmod(0o444)
            try:
                Registry(store=SqliteStore(path))
            except PersistenceError as error:
                print(error)

        told = as_nobody(work)
        assert "change the mode or attributes of store.db" in told

    def test_another_users_look_does_not_lock_the_owner_out(self, shared: Path) -> None:
        path = shared / "store.db"
        with Registry(store=SqliteStore(path)) as registry:
            running(registry)
        path.chmod(0o666)
        before = sorted(os.listdir(path.parent))

        def look() -> None:
            (found,) = StoreReader(path, CODEC.schema).all()
            print(len(found.stored.records), "records")

        assert as_nobody(look) == "1 records\n"
        assert sorted(os.listdir(path.parent)) == before
        with Registry(store=SqliteStore(path)) as registry:
            completed(registry)
            assert "records" in as_nobody(look)
            completed(registry)


class TestLost:
    @pytest.mark.parametrize("how", ["deleted", "replaced", "folder"])
    def test_it_is_noticed_at_the_next_commit(self, how: str, path: Path) -> None:
        registry = Registry(store=SqliteStore(path))
        completed(registry)
        path.unlink()
        if how == "replaced":
            path.write_bytes(b"another file")
        elif how == "folder":
            path.mkdir()
        with pytest.raises(StoreLostError, match="was deleted or replaced while it was open"):
            registry.register_operation(spec())
        with pytest.raises(StoreLostError):
            registry.register_operation(spec())
        registry.close()
        if how == "deleted":
            assert not path.exists()
        if how == "replaced":
            assert path.read_bytes() == b"another file"

    def test_a_file_moved_back_in_time_goes_on(self, path: Path) -> None:
        with Registry(store=SqliteStore(path)) as registry:
            completed(registry)
            path.rename(path.with_name("aside.db"))
            path.with_name("aside.db").rename(path)
            completed(registry)

    def test_an_owner_elsewhere_ends_with_the_cause(self, path: Path) -> None:
        with owning(path) as owner:
            path.unlink()
            owner.work()
            assert owner.line() == ""
            assert "StoreLostError" in owner.errors()
        assert not path.exists()


def test_a_full_disk_and_a_foreign_lock_are_named(path: Path) -> None:
    with Registry(store=SqliteStore(path, lock_timeout=0.1)) as registry:
        completed(registry)
        database = sqlite3.connect(path, isolation_level=None)
        database.execute("BEGIN IMMEDIATE")
        try:
            with pytest.raises(PersistenceError, match="it is locked by another program"):
                registry.register_operation(spec())
        finally:
            database.close()
        completed(registry)


def test_the_opening_waits_for_a_lock_as_long_as_it_is_said(path: Path) -> None:
    with Registry(store=SqliteStore(path)):
        pass
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(StoreBusyError, match="it is locked by another program"):
            Registry(store=SqliteStore(path, lock_timeout=0.05))
        # By default it would wait for five seconds.
        assert time.monotonic() - began < 4


@pytest.fixture
def no_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/dev/fd"))) + 20, before[1])
    )
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        for each in taken:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_process_without_descriptors_is_told_so(path: Path, no_descriptors: None) -> None:
    with pytest.raises(PersistenceError, match=r"too many files open; close some, or raise"):
        Registry(store=SqliteStore(path))
    assert not path.exists()


def test_a_process_without_descriptors_cannot_open_what_exists(
    path: Path, request: pytest.FixtureRequest
) -> None:
    Registry(store=SqliteStore(path)).close()
    request.getfixturevalue("no_descriptors")
    for use in (lambda: Registry(store=SqliteStore(path)), StoreReader(path, CODEC.schema).all):
        with pytest.raises(PersistenceError, match=r"too many files open; close some, or raise"):
            use()


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        ("-wal", folder), ("-wal", socket_at),
        ("-lease", folder), ("-lease", socket_at), ("-lease", link),
    ],
)  # fmt: skip
def test_what_is_no_file_beside_a_store_is_named(
    path: Path, suffix: str, kind: Callable[[Path], None]
) -> None:
    kind(path.with_name(f"{path.name}{suffix}"))
    with pytest.raises(PersistenceError, match=rf"{suffix}:? (it )?is no regular file; remove it"):
        Registry(store=SqliteStore(path))


def test_a_limit_on_the_size_of_files_is_named(path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Registry(store=SqliteStore(path)) as registry:
        completed(registry)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        try:
            with pytest.raises(PersistenceError, match=r"the limit of 4096 bytes a file"):
                completed(registry)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with Registry(store=SqliteStore(path)) as registry:
        assert len(registry.list_operations()) == 1


def test_a_store_that_cannot_be_read_for_a_lock_is_not_called_damaged(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.1)
    with Registry(store=SqliteStore(path)) as registry:
        completed(registry)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("INSERT INTO inbox (registry, id, reason) VALUES ('x', 'y', 'z')")
        with pytest.raises(PersistenceError, match="it is locked by another program") as told:
            StoreReader(path, CODEC.schema).all()
        assert not isinstance(told.value, StoreDamagedError)
        with pytest.raises(PersistenceError, match="it is locked by another program"):
            Registry(store=SqliteStore(path))
    assert len(StoreReader(path, CODEC.schema).all()) == 1


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf"), 1e9, "5", True])
def test_a_wait_for_locks_is_a_number_of_seconds(path: Path, seconds: float) -> None:
    with pytest.raises(InvalidValueError, match="lock_timeout"):
        SqliteStore(path, lock_timeout=seconds)
    assert not path.exists()


def fill(path: Path) -> None:
    """Write until the file system is full."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(file, b"x" * 4096)
    os.close(file)


def complete_many(registry: Registry) -> None:
    for _ in range(1000):
        completed(registry)


@pytest.mark.skipif(os.geteuid() != 0, reason="SKIPPED: only root can mount a file system")
def test_a_full_file_system_passes(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("SKIPPED: no file system can be mounted here")
    try:
        path = place / "store.db"
        with Registry(store=SqliteStore(path)) as registry:
            completed(registry)
            filler = place / "filler"
            fill(filler)
            with pytest.raises(PersistenceError, match="the disk is full"):
                complete_many(registry)
            filler.unlink()
            count = len(registry.list_operations())
            completed(registry)
            assert len(registry.list_operations()) == count + 1
        assert query(path, "PRAGMA integrity_check") == [("ok",)]
    finally:
        subprocess.run(["umount", str(place)], check=True)
