"""Who owns a stored registry, as its lease and its lock say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from opslifecycle import PersistenceError
from opslifecycle.stores.sqlite.files import locate
from opslifecycle.stores.sqlite.lease import (
    LEASE_MS,
    Lease,
    Lock,
    Ownership,
    lock_name,
    ownership,
    this_owner,
)
from opslifecycle.stores.sqlite.lease_file import LeaseFile, Note

NOW_MS = 1_000_000
NONE = Lease(None, None, 0)
VALID = Lease("process 1 on a", "boot 1", NOW_MS + 1)
EXPIRED = Lease("process 1 on a", "boot 1", NOW_MS)
TOO_LONG = Lease("process 1 on a", "boot 1", NOW_MS + LEASE_MS + 1)
needs_locks = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="SKIPPED: this system has no such locks"
)


@pytest.mark.parametrize(
    ("lock", "lease", "owned"),
    [
        (Lock.HELD, NONE, Ownership.HELD),
        (Lock.HELD, VALID, Ownership.HELD),
        (Lock.HELD, EXPIRED, Ownership.UNRESPONSIVE),
        (Lock.HELD, TOO_LONG, Ownership.HELD),
        (Lock.FREE, NONE, Ownership.FREE),
        (Lock.FREE, VALID, Ownership.FREE),
        (Lock.FREE, EXPIRED, Ownership.FREE),
        (Lock.FREE, TOO_LONG, Ownership.FREE),
        (Lock.UNKNOWN, NONE, Ownership.FREE),
        (Lock.UNKNOWN, VALID, Ownership.HELD),
        (Lock.UNKNOWN, EXPIRED, Ownership.FREE),
        (Lock.UNKNOWN, TOO_LONG, Ownership.UNDECIDED),
    ],
    ids=str,
)
def test_lock_and_lease_say_who_owns_a_store(lock: Lock, lease: Lease, owned: Ownership) -> None:
    assert ownership(lease, lock, NOW_MS) is owned


def test_an_owner_is_named_for_people() -> None:
    assert this_owner().startswith(f"process {os.getpid()} on ")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"
    path.touch(mode=0o640)
    return path


@needs_locks
class TestLeaseFile:
    def test_a_lock_is_taken_once_and_freed_when_it_is_closed(self, store: Path) -> None:
        one, other = (LeaseFile.of_owner(locate(store)) for _ in range(2))
        assert one.take(1, None) is Lock.UNKNOWN
        assert other.take(1, one.lock_name) is Lock.HELD
        assert other.take(2, None) is Lock.UNKNOWN
        one.close()
        assert other.take(1, one.lock_name) is Lock.FREE
        other.close()

    def test_a_reader_sees_a_lock_and_takes_none(self, store: Path) -> None:
        assert LeaseFile.of_reader(locate(store)) is None
        owner = LeaseFile.of_owner(locate(store))
        owner.take(3, None)
        reader = LeaseFile.of_reader(locate(store))
        assert reader is not None
        assert reader.probe(3, owner.lock_name) is Lock.HELD
        name = owner.lock_name
        owner.close()
        assert reader.probe(3, name) is Lock.FREE
        assert reader.probe(3, "another kernel") is Lock.UNKNOWN
        assert reader.probe(3, None) is Lock.UNKNOWN
        reader.close()
        assert reader.probe(3, name) is Lock.UNKNOWN

    def test_a_killed_process_frees_its_lock(self, store: Path) -> None:
        script = (
            "import sys, time; from pathlib import Path\n"
            "from opslifecycle.stores.sqlite.files import locate\n"
            "from opslifecycle.stores.sqlite.lease_file import LeaseFile\n"
            "held = LeaseFile.of_owner(locate(Path(sys.argv[1])))\n"
            "held.take(1, None); print(held.lock_name, flush=True); time.sleep(60)\n"
        )
        command = [sys.executable, "-c", script, str(store)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            name = process.stdout.readline().strip()
            mine = LeaseFile.of_owner(locate(store))
            assert mine.take(1, name) is Lock.HELD
            process.kill()
            process.wait()
            assert mine.take(1, name) is Lock.FREE
            mine.close()

    def test_a_forked_child_neither_keeps_nor_frees_the_lock(self, store: Path) -> None:
        owner = LeaseFile.of_owner(locate(store))
        owner.take(1, None)
        child = os.fork()
        if child == 0:
            # The copy was closed at the fork; closing it again must not free the parent's lock.
            owner.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        reader = LeaseFile.of_reader(locate(store))
        assert reader is not None
        assert reader.probe(1, owner.lock_name) is Lock.HELD
        reader.close()
        owner.close()

    def test_notes_stand_in_slots_and_are_shared_as_the_store_is(self, store: Path) -> None:
        file = LeaseFile.of_owner(locate(store))
        assert file.note_of(1) is None
        note = Note(b"t" * 16, 3, 9)
        file.write(1, note)
        assert (file.note_of(1), file.note_of(0), file.note_of(2)) == (note, None, None)
        assert file.path.stat().st_mode & 0o777 == 0o640
        assert file.is_in_place()
        file.path.unlink()
        assert not file.is_in_place()
        file.close()

    @pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
    def test_what_is_no_file_is_refused(self, store: Path, kind: str) -> None:
        place = store.with_name("store.db-lease")
        if kind == "folder":
            place.mkdir()
        elif kind == "pipe":
            os.mkfifo(place)
        else:
            place.symlink_to(store)
        with pytest.raises(PersistenceError, match=r"store\.db-lease"):
            LeaseFile.of_owner(locate(store)).close()


@needs_locks
def test_a_lock_is_named_by_the_running_kernel_and_the_file() -> None:
    one, other = lock_name(1), lock_name(2)
    assert one is not None
    assert other is not None
    assert one != other
    assert one.rpartition(" ")[0] == other.rpartition(" ")[0]
