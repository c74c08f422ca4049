"""Failover to a replica: what it loses is told, and a synchronous one loses nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from opslifecycle import OwnershipLostError, PersistenceError, Registry, StoreRolledBackError

from tests.builders import completed
from tests.postgres.databases import Database, new_database
from tests.postgres.hosts import until
from tests.postgres.proxy import Proxy
from tests.postgres.server import NoServerError, PostgresServer, running_server

#: Two servers of their own each, which is slow on a busy machine.
pytestmark = pytest.mark.nightly


@pytest.fixture
def primary() -> Iterator[PostgresServer]:
    try:
        with running_server() as server:
            yield server
    except NoServerError as error:
        pytest.skip(f"SKIPPED: no PostgreSQL server ({error})")


@pytest.fixture
def replica(primary: PostgresServer) -> Iterator[PostgresServer]:
    with running_server(primary) as server:
        yield server


@pytest.fixture
def proxy(primary: PostgresServer) -> Iterator[Proxy]:
    proxy = Proxy(primary.port)
    yield proxy
    proxy.close()


def behind(proxy: Proxy, primary: PostgresServer) -> Database:
    """Return a schema that is reached by an address which may change its server."""
    dsn = primary.dsn.replace(str(primary.port), str(proxy.port))
    return new_database(dsn, primary)


def fail_over(proxy: Proxy, primary: PostgresServer, replica: PostgresServer) -> None:
    """Have the replica take the place of the primary, which is gone at once."""
    primary.stop(signal.SIGQUIT)
    proxy.server_port = replica.port
    Database(replica.dsn, "public", replica).query("SELECT pg_promote()")
    proxy.cut()


def receiver(replica: PostgresServer) -> int:
    """Return the process id of what receives the primary's changes."""
    found: list[int] = []

    def is_there() -> bool:
        rows = Database(replica.dsn, "public", replica).query(
            "SELECT pid FROM pg_stat_wal_receiver"
        )
        found[:] = [pid for (pid,) in rows]
        return bool(found)

    until(is_there)
    return found[0]


def caught_up(primary: PostgresServer) -> bool:
    rows = Database(primary.dsn, "public", primary).query(
        "SELECT replay_lsn = pg_current_wal_lsn() FROM pg_stat_replication"
    )
    return rows == [(True,)]


def test_what_an_asynchronous_replica_has_not_received_is_told(
    primary: PostgresServer, replica: PostgresServer, proxy: Proxy
) -> None:
    database = behind(proxy, primary)
    registry = Registry(store=database.store(lease_seconds=60.0))
    completed(registry)
    until(lambda: caught_up(primary))
    pid = receiver(replica)
    os.kill(pid, signal.SIGSTOP)
    lost = completed(registry)
    primary.stop(signal.SIGQUIT)
    os.kill(pid, signal.SIGCONT)
    fail_over(proxy, primary, replica)
    with pytest.raises(StoreRolledBackError) as raised:
        completed(registry)
    assert raised.value.found < raised.value.acknowledged
    with pytest.raises(OwnershipLostError):
        completed(registry)
    registry.close()
    with Registry(store=database.store()) as after:
        assert after.snapshot(lost) is None
        assert after.completion_feed().watermark == 1
        completed(after)
        assert after.broken_invariants() == []


def test_a_synchronous_replica_has_everything(
    primary: PostgresServer, replica: PostgresServer, proxy: Proxy
) -> None:
    admin = Database(primary.dsn, "public", primary)
    admin.query("ALTER SYSTEM SET synchronous_standby_names = '*'")
    admin.query("SELECT pg_reload_conf()")
    until(lambda: admin.query("SHOW synchronous_standby_names") == [("*",)])
    with Registry(store=behind(proxy, primary).store(lease_seconds=60.0)) as registry:
        for _ in range(20):
            completed(registry)
        # The replica becomes a primary that has no replica of its own.
        fail_over(proxy, primary, replica)
        for _ in range(20):
            completed(registry)
        assert registry.completion_feed().watermark == 40
        assert registry.broken_invariants() == []


def test_a_replica_is_no_place_for_an_owner(
    primary: PostgresServer, replica: PostgresServer
) -> None:
    with pytest.raises(PersistenceError, match="replica"):
        Registry(store=Database(replica.dsn, "mine", replica).store())
