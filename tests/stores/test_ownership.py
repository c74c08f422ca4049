"""Who owns a store, with real processes: suspended, killed, in containers, under other clocks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from opslifecycle import OwnershipLostError, Registry, RegistryOwnedError, SqliteStore
from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.stores.sqlite import lease as leases

from tests.support.builders import UPDATE, completed, running, spec
from tests.support.command_line import command_line
from tests.support.owners import (
    OwnerProcess,
    needs,
    owning,
    query,
)
from tests.support.waiting import until

HOUR_MS = 3_600_000
CONTAINER = ("unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")
TIME = ("unshare", "--time", "--boottime", "86400", "--monotonic", "86400")
needs_locks = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="SKIPPED: this system has no such locks"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def status(path: Path) -> str:
    """Return the status of the first operation, as a reader sees it."""
    listed = command_line("ls", "--json", "--store", str(path)).stdout.splitlines()
    shown: str = json.loads(listed[0])["status"]
    return shown


def expire(path: Path) -> None:
    query(path, "UPDATE registries SET expires_ms = 0")


def suspend(owner: OwnerProcess, path: Path) -> None:
    """Stop a process where it holds no lock of SQLite's, which it would hold for ever."""
    owner.process.send_signal(signal.SIGSTOP)
    until(lambda: "T" in _state(owner.process.pid))
    query(path, "BEGIN IMMEDIATE")


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@needs_locks
class TestSuspended:
    def test_it_is_not_dispossessed_and_goes_on(self, path: Path) -> None:
        with owning(path) as owner:
            suspend(owner, path)
            expire(path)
            with pytest.raises(RegistryOwnedError, match="which does not respond"):
                Registry(store=SqliteStore(path))
            listed = command_line("ls", "--store", str(path))
            assert "unresponsive" in listed.stdout, listed
            owner.process.send_signal(signal.SIGCONT)
            owner.work()
            assert owner.line() == "done"
            assert owner.errors() == ""
        assert query(path, "SELECT owner FROM registries") == [(None,)]

    def test_one_that_was_fenced_cannot_write(self, path: Path) -> None:
        """The lock is not known where another host, or another file system, has it."""
        with owning(path) as owner:
            suspend(owner, path)
            path.with_name("store.db-lease").unlink()
            query(path, "UPDATE registries SET expires_ms = 0, lock = 'of another host'")
            with Registry(store=SqliteStore(path)) as registry:
                owner.process.send_signal(signal.SIGCONT)
                owner.work()
                assert "OwnershipLostError" in owner.errors()
                head = query(path, "SELECT head FROM registries")
                completed(registry)
                assert query(path, "SELECT head FROM registries") > head
                assert registry.broken_invariants() == []


class TestEnded:
    @needs_locks
    def test_a_killed_owner_is_followed_at_once(self, path: Path) -> None:
        with owning(path) as owner:
            owner.process.kill()
            owner.process.wait()
            ((expires_ms,),) = query(path, "SELECT expires_ms FROM registries")
            assert expires_ms > SYSTEM_CLOCK.wall_ms()
            with Registry(store=SqliteStore(path)) as registry:
                assert [each.display_name for each in registry.list_operations()] == ["owned"]

    def test_readers_show_what_it_left_as_interrupted(self, path: Path) -> None:
        with owning(path) as owner:
            until(lambda: status(path) == "running")
            owner.process.kill()
            owner.process.wait()
            until(lambda: status(path) == "interrupted")

    def test_a_failed_store_gives_its_lock_up(self, path: Path) -> None:
        registry = Registry(store=SqliteStore(path))
        query(path, "UPDATE registries SET fence = fence + 1")
        with pytest.raises(OwnershipLostError):
            registry.register_operation(spec())
        query(path, "UPDATE registries SET fence = fence - 1")
        with Registry(store=SqliteStore(path)) as again:
            completed(again)


@needs_locks
@needs(*CONTAINER)
class TestContainers:
    def test_two_with_one_host_name_do_not_dispossess_each_other(self, path: Path) -> None:
        same = (*CONTAINER, "sh", "-c", 'hostname box && exec "$@"', "-")
        with owning(path, *same) as owner:
            expire(path)
            second = [*same, sys.executable, "-c"]
            script = (
                "import sys; from opslifecycle import *\n"
                "try: Registry(store=SqliteStore(sys.argv[1]))\n"
                "except RegistryOwnedError as error: print(error)\n"
            )
            done = subprocess.run(
                [*second, script, str(path)], capture_output=True, text=True, check=True, timeout=60
            )
            assert "on box" in done.stdout
            owner.work()
            assert owner.line() == "done"

    def test_what_a_replaced_one_ran_is_interrupted_in_every_reader(self, path: Path) -> None:
        with owning(path, *CONTAINER) as owner:
            owner.process.kill()
            owner.process.wait()

            until(lambda: status(path) == "interrupted")
            with Registry(store=SqliteStore(path)) as registry:
                assert registry.broken_invariants() == []


class TestClocks:
    @pytest.mark.parametrize("by_ms", [-5 * HOUR_MS, 5 * HOUR_MS])
    @needs_locks
    def test_a_live_owner_survives_a_jump_of_the_clock(
        self, path: Path, by_ms: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with owning(path) as owner:
            wall_ms = SYSTEM_CLOCK.wall_ms
            monkeypatch.setattr(type(SYSTEM_CLOCK), "wall_ms", lambda self: wall_ms() + by_ms)
            with pytest.raises(RegistryOwnedError):
                Registry(store=SqliteStore(path))
            owner.work()
            assert owner.line() == "done"

    def test_a_lease_from_a_clock_ahead_is_shortened_and_then_free(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An owner on another host, whose clock is hours ahead, or was."""
        with Registry(store=SqliteStore(path)) as registry:
            running(registry)
        far = SYSTEM_CLOCK.wall_ms() + 5 * HOUR_MS
        query(path, "UPDATE registries SET owner = 'x', lock = 'y', expires_ms = ?", far)
        with pytest.raises(RegistryOwnedError):
            Registry(store=SqliteStore(path))
        ((expires_ms,),) = query(path, "SELECT expires_ms FROM registries")
        assert expires_ms <= SYSTEM_CLOCK.wall_ms() + leases.LEASE_MS
        wall_ms = SYSTEM_CLOCK.wall_ms
        later = leases.LEASE_MS + 1
        monkeypatch.setattr(type(SYSTEM_CLOCK), "wall_ms", lambda self: wall_ms() + later)
        Registry(store=SqliteStore(path)).close()

    @needs_locks
    @needs(*TIME)
    def test_a_time_namespace_changes_nothing(self, path: Path) -> None:
        with owning(path, *TIME) as owner:
            with pytest.raises(RegistryOwnedError):
                Registry(store=SqliteStore(path))
            owner.process.kill()
            owner.process.wait()
            Registry(store=SqliteStore(path)).close()


def test_a_busy_owner_keeps_its_lease(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deferred writes renew it as well as commits do."""
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.05)
    with Registry(store=SqliteStore(path)) as registry:
        id = running(registry)
        expire(path)

        def renewed() -> bool:
            registry.report_progress(id, UPDATE)
            ((expires_ms,),) = query(path, "SELECT expires_ms FROM registries")
            return bool(expires_ms > SYSTEM_CLOCK.wall_ms())

        until(renewed)


def test_a_forked_child_does_not_take_the_lock_along(path: Path) -> None:
    with Registry(store=SqliteStore(path)) as registry:
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        with pytest.raises(RegistryOwnedError):
            Registry(store=SqliteStore(path))
        completed(registry)
