"""A store that was put back from a copy: its feed begins a new epoch, so consumers are told."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve
from opslifecycle import (
    EpochChangedError,
    PersistenceError,
    Registry,
    RegistryOwnedError,
    RuntimeEpochId,
    SqliteStore,
    StoreDamagedError,
)
from opslifecycle.stores.base import Commit, StoreContents
from opslifecycle.stores.migration import migrated
from opslifecycle.stores.sqlite.admin import mark_restored
from opslifecycle.stores.sqlite.files import StoreFile
from opslifecycle.stores.sqlite.reader import StoreReader

from opslifecycle.operations.storage import CODEC
from tests.support.builders import completed, running
from tests.support.owners import needs, owning, query

#: A version of the machine whose migration changes nothing.
_NEXT = evolve(
    CODEC.schema, version=2, digest="next", migrate=lambda _, stored: migrated(stored, None, None)
)
#: Prints what an owner and a reader find at each path.
LOOK = """
import pathlib, sys
from opslifecycle import PersistenceError, Registry, RegistryOwnedError, SqliteStore
from opslifecycle.operations.storage import CODEC
from opslifecycle.stores.sqlite.reader import StoreReader
for path in sys.argv[1:]:
    for attempt in (
        lambda: Registry(store=SqliteStore(path)), StoreReader(pathlib.Path(path), CODEC.schema).all
    ):
        try:
            print(len(attempt()), "registry")
        except RegistryOwnedError:
            print("RegistryOwnedError")
        except PersistenceError as error:
            print("PersistenceError:", error.cause)
"""
needs_inodes = pytest.mark.skipif(
    sys.platform == "win32", reason="SKIPPED: files have no numbers of their own here"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def work(path: Path, count: int, *, restored: bool = False) -> tuple[RuntimeEpochId, int]:
    """Complete so many operations; gives the epoch and the watermark."""
    with Registry(store=SqliteStore(path, restored=restored)) as registry:
        for _ in range(count):
            completed(registry)
        feed = registry.completion_feed()
        return feed.epoch_id, feed.watermark


def copied(path: Path) -> Path:
    backup = path.with_name("backup.db")
    shutil.copy(path, backup)
    return backup


def put_back(path: Path) -> None:
    shutil.copy(path.with_name("backup.db"), path)


def replace(path: Path) -> None:
    path.with_name("backup.db").replace(path)


@needs_inodes
@pytest.mark.parametrize("restore", [put_back, replace])
def test_a_consumer_of_the_original_is_told(restore: Callable[[Path], None], path: Path) -> None:
    work(path, 5)
    copied(path)
    epoch, position = work(path, 5)
    restore(path)
    after, watermark = work(path, 3)
    assert after != epoch
    assert (position, watermark) == (10, 8)
    with Registry(store=SqliteStore(path)) as registry:
        feed = registry.completion_feed()
        with pytest.raises(EpochChangedError):
            feed.list_since(position, epoch_id=epoch)
        # Nothing that was stored is lost, and the new epoch stays.
        assert len(feed.list_since(0, epoch_id=after).entries) == 8
        assert registry.broken_invariants() == []


def test_the_same_file_keeps_its_epoch(path: Path) -> None:
    epoch, _ = work(path, 2)
    assert work(path, 2) == (epoch, 4)
    moved = path.with_name("moved.db")
    path.rename(moved)
    path.with_name("store.db-lease").rename(moved.with_name("moved.db-lease"))
    assert work(moved, 0) == (epoch, 4)


def test_without_a_lease_file_the_store_may_be_a_copy(path: Path) -> None:
    """File systems use the inode of a removed file again, so it may be that of the original."""
    work(path, 2)
    copied(path)
    epoch, _ = work(path, 3)
    inode = path.stat().st_ino
    path.with_name("store.db-lease").unlink()
    # The same file again, as a removed one whose inode the copy has got.
    put_back(path)
    assert path.stat().st_ino == inode
    after, watermark = work(path, 0)
    assert (after != epoch, watermark) == (True, 2)
    assert work(path, 1) == (after, 3)


def test_an_owner_whose_lease_file_was_removed_is_not_dispossessed(path: Path) -> None:
    with owning(path) as owner:
        path.with_name("store.db-lease").unlink()
        with pytest.raises(RegistryOwnedError):
            Registry(store=SqliteStore(path))
        owner.work()
        assert owner.line() == "done"


@needs_inodes
def test_a_copy_opens_although_the_owner_of_the_source_lives(path: Path) -> None:
    with owning(path) as owner:
        copy = path.with_name("copy.db")
        query(path, f"VACUUM INTO '{copy}'")
        with Registry(store=SqliteStore(copy)) as registry:
            completed(registry)
        owner.work()
        assert owner.line() == "done"


def test_restored_begins_a_new_epoch(path: Path) -> None:
    """A volume that was put back whole looks as it did, lease file and all."""
    epoch, _ = work(path, 2)
    after, watermark = work(path, 0, restored=True)
    assert (after != epoch, watermark) == (True, 2)
    assert work(path, 0) == (after, 2)


def test_marking_a_store_has_every_registry_begin_anew(path: Path) -> None:
    epochs = {}
    for name in ("one", "two"):
        with Registry(store=SqliteStore(path, registry=name)) as registry:
            running(registry)
            epochs[name] = registry.completion_feed().epoch_id
            with pytest.raises(PersistenceError):
                mark_restored(path)
    mark_restored(path)
    for name, epoch in epochs.items():
        with Registry(store=SqliteStore(path, registry=name)) as registry:
            after = registry.completion_feed().epoch_id
            assert after != epoch
        with Registry(store=SqliteStore(path, registry=name)) as registry:
            assert registry.completion_feed().epoch_id == after


@needs_inodes
def test_an_owner_is_fenced_when_an_older_state_was_put_back(path: Path) -> None:
    """Its fencing token is never given out again, whatever the copy says."""
    work(path, 1)
    copied(path)
    for _ in range(3):
        work(path, 1)
    (before,) = query(path, "SELECT fence FROM registries")
    put_back(path)
    work(path, 0)
    assert query(path, "SELECT fence FROM registries") > [before]


class TestHardLinks:
    """SQLite finds the log of a database by its name, so two names have two logs."""

    def test_no_registry_and_no_reader_opens_one(self, path: Path) -> None:
        other = path.with_name("store.db.other")
        with Registry(store=SqliteStore(path)) as registry:
            completed(registry)
            other.hardlink_to(path)
            for attempt in (
                lambda: Registry(store=SqliteStore(other)),
                StoreReader(other, CODEC.schema).all,
                StoreReader(path, CODEC.schema).all,
            ):
                with pytest.raises(PersistenceError, match=r"2 names \(hard links\)") as caught:
                    attempt()
                assert not isinstance(caught.value, StoreDamagedError)
            completed(registry)
        with pytest.raises(PersistenceError, match="hard links"):
            Registry(store=SqliteStore(path))
        other.unlink()
        assert work(path, 1)[1] == 3

    @pytest.mark.parametrize("own", [".store.db.0123456789abcdef", "store.db.ab_cd012.part"])
    def test_what_a_killed_process_has_left_is_none(self, own: str, path: Path) -> None:
        epoch, _ = work(path, 1)
        path.with_name(own).hardlink_to(path)
        assert work(path, 1) == (epoch, 2)
        assert len(StoreReader(path, CODEC.schema).all()) == 1


@needs("unshare", "--mount", "--map-root-user")
@pytest.mark.parametrize("name", ["store.db", "a store.db"])
def test_a_file_that_is_mounted_alone_is_refused(name: str, path: Path) -> None:
    """Containers mount a file by itself with a volume for it; its log is then in another folder."""
    with Registry(store=SqliteStore(path)) as registry:
        completed(registry)
        for folder in ("alone", "whole"):
            (path.parent / folder).mkdir()
        (path.parent / "alone" / name).touch()
        script = (
            f"mount --bind {path} '{path.parent}/alone/{name}' &&"
            f" mount --bind {path.parent} {path.parent}/whole && exec {sys.executable} -c '{LOOK}'"
            f" '{path.parent}/alone/{name}' {path.parent}/whole/store.db"
        )
        run = subprocess.run(
            ["unshare", "--mount", "--map-root-user", "sh", "-c", script],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert run.returncode == 0, run.stderr
    alone = (
        "PersistenceError: it is mounted alone, and what is written by this mount is lost by others"
    )
    assert run.stdout.splitlines() == [
        f"{alone}; mount its folder", f"{alone}; mount its folder",
        "RegistryOwnedError", "1 registry",
    ]  # fmt: skip


def test_a_reader_looks_at_the_mounts_once_for_each_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Path] = []
    real = StoreFile.is_mounted_alone

    def looked(self: StoreFile) -> bool:
        looks.append(self.path)
        return real(self)

    with Registry(store=SqliteStore(path)) as registry:
        completed(registry)
    monkeypatch.setattr(StoreFile, "is_mounted_alone", looked)
    reader = StoreReader(path, CODEC.schema)
    for _ in range(3):
        assert len(reader.all()) == 1
    assert looks == [path]
    # Another file may be another mount.
    path.rename(path.with_name("old.db"))
    shutil.copy(path.with_name("old.db"), path)
    assert len(reader.all()) == 1
    assert looks == [path, path]


def test_a_registry_without_a_commit_opens_in_a_new_epoch_and_version(path: Path) -> None:
    """Its process was killed between the opening and the first commit."""
    for schema, restored in ((CODEC.schema, True), (_NEXT, False)):
        first = SqliteStore(path, registry=schema.digest)
        first.open(evolve(schema, version=1))
        first.close()
        again = SqliteStore(path, registry=schema.digest, restored=restored)
        assert again.open(schema) == StoreContents({}, {}, None)
        again.append(Commit((("a", None, "{}"),), (), 0, "{}"))
        again.close()
        last = SqliteStore(path, registry=schema.digest)
        assert last.open(schema) == StoreContents({"a": "{}"}, {}, "{}")
        last.close()
