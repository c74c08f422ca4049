"""Owners behind PgBouncer in transaction mode, where no two statements share a session."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opslifecycle import OperationId, PostgresStore, Registry, RegistryOwnedError

from tests.support.builders import completed, running
from tests.support.ports import accepts, free_port
from tests.support.postgres.databases import Database
from tests.support.postgres.server import PostgresServer, demotion
from tests.support.waiting import until

_STARTED_SECONDS = 30
_CONFIGURATION = """
[databases]
postgres = host=127.0.0.1 port={server} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
"""


def _program() -> str:
    found = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("SKIPPED: no PgBouncer")
    return found


@pytest.fixture
def pooled(postgres: Database) -> Iterator[Database]:
    """The database, through a pooler with four connections to the server."""
    program = _program()
    if postgres.server is None:
        pytest.skip("SKIPPED: no PostgreSQL server that these tests have started")
    with _pooler(program, postgres.server) as port:
        dsn = postgres.dsn.replace(str(postgres.server.port), str(port))
        yield Database(dsn, postgres.schema, postgres.server)


@contextlib.contextmanager
def _pooler(program: str, server: PostgresServer) -> Iterator[int]:
    """Start a pooler, and return its port."""
    port = free_port()
    # Not a folder of pytest's: the pooler's user could not pass through it.
    folder = Path(tempfile.mkdtemp(prefix="opslifecycle-pgbouncer-"))
    folder.chmod(0o755)
    file = folder / "pgbouncer.ini"
    file.write_text(_CONFIGURATION.format(server=server.port, port=port))
    process = subprocess.Popen(
        [program, str(file)], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, **demotion(),
    )  # fmt: skip
    try:
        deadline = time.monotonic() + _STARTED_SECONDS
        while not accepts(port):
            assert process.poll() is None, "PgBouncer has not started"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def store(database: Database, name: str = "default", lease: float = 10.0) -> PostgresStore:
    return database.store(name, lease_seconds=lease, session_lock=False)


def test_registries_work_and_more_of_them_than_the_pooler_has_connections(
    pooled: Database, postgres: Database
) -> None:
    names = [f"r{number}" for number in range(8)]
    registries = [Registry(store=store(pooled, name)) for name in names]
    ids: list[OperationId] = []
    for _ in range(5):
        ids += [completed(each) for each in registries]
    live = [running(each) for each in registries]
    with pytest.raises(RegistryOwnedError):
        Registry(store=postgres.store("r0"))
    for each in registries:
        assert each.broken_invariants() == []
        each.close()
    rows = postgres.query("SELECT id FROM feed WHERE status = 'completed'")
    assert {str(id) for id in ids} == {id for (id,) in rows}
    with Registry(store=store(pooled, "r0")) as again:
        found = again.snapshot(live[0])
        assert found is not None
        assert found.status.terminal


def test_commits_of_unknown_outcome_are_found_out(pooled: Database, postgres: Database) -> None:
    with Registry(store=store(pooled)) as registry:
        ids = []
        for _ in range(10):
            ids.append(completed(registry))
            # The sessions that the pooler has at the server.
            postgres.query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        assert registry.broken_invariants() == []
    rows = postgres.query("SELECT id FROM feed ORDER BY sequence")
    assert [id for (id,) in rows] == [str(id) for id in ids]


def test_an_owner_that_ends_without_a_word_is_followed_when_its_lease_ends(
    pooled: Database, postgres: Database
) -> None:
    with Registry(store=store(pooled)) as registry:
        completed(registry)
    postgres.query("UPDATE registries SET owner = 7")
    postgres.query("INSERT INTO owners VALUES (7, 'x', false, clock_timestamp() + interval '1 s')")
    with pytest.raises(RegistryOwnedError):
        Registry(store=store(pooled))

    def is_free() -> bool:
        try:
            Registry(store=store(pooled)).close()
        except RegistryOwnedError:
            return False
        return True

    until(is_free)
