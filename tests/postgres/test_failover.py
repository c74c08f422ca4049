"""Failover to a replica: what it loses is told, and a synchronous one loses nothing."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from opslifecycle import OperationId, PersistenceError, Registry, RegistryOwnedError

from tests.support.builders import completed
from tests.support.postgres.databases import Database, new_database
from tests.support.postgres.proxy import Flow, Proxy
from tests.support.postgres.server import NoServerError, PostgresServer, running_server
from tests.support.waiting import until

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
def feeding(primary: PostgresServer) -> Iterator[Proxy]:
    """Between the primary and its replica."""
    proxy = Proxy(primary.port)
    yield proxy
    proxy.close()


@pytest.fixture
def replica(primary: PostgresServer, feeding: Proxy) -> Iterator[PostgresServer]:
    fed_by = f"host=127.0.0.1 port={feeding.port} user=postgres"
    with running_server(primary.dsn, primary_conninfo=fed_by) as server:
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


def caught_up(primary: PostgresServer) -> bool:
    rows = Database(primary.dsn, "public", primary).query(
        "SELECT replay_lsn = pg_current_wal_lsn() FROM pg_stat_replication"
    )
    return rows == [(True,)]


def behind_by_one(
    primary: PostgresServer, replica: PostgresServer, feeding: Proxy, registry: Registry
) -> OperationId:
    """End an operation of which the replica does not hear, and return it; the primary ends."""
    until(lambda: caught_up(primary))
    feeding.to_client = Flow.HOLD
    lost = completed(registry)
    primary.stop(signal.SIGQUIT)
    feeding.cut()
    return lost


def test_an_owner_that_lives_puts_back_what_a_failover_has_lost(
    primary: PostgresServer,
    replica: PostgresServer,
    feeding: Proxy,
    proxy: Proxy,
    caplog: pytest.LogCaptureFixture,
) -> None:
    database = behind(proxy, primary)
    with Registry(store=database.store(lease_seconds=60.0)) as registry:
        completed(registry)
        lost = behind_by_one(primary, replica, feeding, registry)
        fail_over(proxy, primary, replica)
        completed(registry)
        assert "the server has lost commits" in caplog.text
        assert "wrote 2 record(s) again" in caplog.text
    with Registry(store=database.store()) as after:
        assert after.snapshot(lost) is not None
        assert [entry.seq for entry in after.completion_feed().list_since(0).entries] == [1, 2, 3]
        assert after.broken_invariants() == []


def test_what_a_failover_has_lost_of_a_dead_owner_is_gone(
    primary: PostgresServer, replica: PostgresServer, feeding: Proxy, proxy: Proxy
) -> None:
    """An asynchronous replica cannot have it, and no process knows it any more."""
    database = behind(proxy, primary)
    registry = Registry(store=database.store())
    completed(registry)
    lost = behind_by_one(primary, replica, feeding, registry)
    registry.close()
    fail_over(proxy, primary, replica)

    def opened() -> bool:
        try:
            with Registry(store=database.store()) as after:
                assert after.snapshot(lost) is None
                assert after.completion_feed().watermark == 1
                completed(after)
                return after.broken_invariants() == []
        except RegistryOwnedError:
            return False

    until(opened)


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
