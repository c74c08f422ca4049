"""The server ends a session at each statement of an owner: before it is sent, or while it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opslifecycle import (
    OperationId,
    OwnershipLostError,
    PersistenceError,
    PostgresStore,
    Registry,
    RegistryOwnedError,
)
from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.stores.postgres.link import Link

from tests.support.builders import completed, result, running, spec
from tests.support.postgres.databases import Database
from tests.support.scale import whole_or
from tests.support.waiting import until

#: More than opening, three commands and closing need.
STATEMENTS_MAX = 40
HOUR_NS = 3_600 * 10**9


class Terminating:
    """Ends the session of one statement, counted from the first one of a process."""

    def __init__(self, database: Database, at: int, *, sent: bool) -> None:
        self._database = database
        self._at = at
        self._sent = sent
        self._real = Link._exchange
        self.count = 0

    def __call__(self, link: Link, send: Callable[[], None], deadline: Any) -> Any:
        self.count += 1
        if self.count != self._at:
            return self._real(link, send, deadline)
        pid = link._connection.backend_pid

        def end() -> None:
            self._database.query("SELECT pg_terminate_backend(%s, 5000)", pid)

        if not self._sent:
            end()
            return self._real(link, send, deadline)

        def send_and_end() -> None:
            send()
            link._connection.flush()
            end()

        return self._real(link, send_and_end, deadline)


def acknowledged(database: Database) -> list[OperationId]:
    """Register and end operations, and return those whose end was acknowledged."""
    ended: list[OperationId] = []
    try:
        with Registry(store=database.store()) as registry:
            for _ in range(2):
                new = spec()
                registry.register_operation(new)
                registry.provisioning_succeeded(new.id)
                registry.complete_operation(new.id, result())
                ended.append(new.id)
    except (PersistenceError, OwnershipLostError):
        # What was acknowledged before stays.
        return ended
    return ended


def kept(database: Database) -> dict[str, str]:
    """Open the registry without faults, and return the statuses of what it holds."""
    found: dict[str, str] = {}

    def opened() -> bool:
        try:
            with Registry(store=database.store()) as registry:
                assert registry.broken_invariants() == []
                rows = registry.list_operations()
                found.update({str(each.id): each.status.value for each in rows})
        except RegistryOwnedError:
            return False
        return True

    until(opened)
    return found


@pytest.mark.parametrize("sent", [False, True], ids=["before", "while it runs"])
def test_at_each_statement(postgres: Database, sent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    first = 1 if sent else 2
    for at in range(first, STATEMENTS_MAX, whole_or(1, 3)):
        terminating = Terminating(postgres, at, sent=sent)
        with monkeypatch.context() as patch:
            patch.setattr(Link, "_exchange", lambda *given, use=terminating: use(*given))
            ended = acknowledged(postgres)
        after = kept(postgres)
        assert [after.get(str(id)) for id in ended] == ["completed"] * len(ended), at
        if terminating.count < at:
            # There are no more statements.
            return
    pytest.fail(f"an owner sends more than {STATEMENTS_MAX} statements")


def test_an_owner_needs_three_connections_and_says_what_is_missing(postgres: Database) -> None:
    Registry(store=postgres.store("made")).close()
    role = f"{postgres.schema}_limited"
    postgres.query(
        f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 3;"
        f" GRANT ALL ON SCHEMA {postgres.schema} TO {role};"
        f" GRANT ALL ON ALL TABLES IN SCHEMA {postgres.schema} TO {role}"
    )
    try:
        dsn = postgres.dsn.replace("postgres@", f"{role}@")
        limited = Database(dsn, postgres.schema, postgres.server)
        with Registry(store=limited.store("one")) as one, Registry(store=limited.store("two")):
            running(one)
            with pytest.raises(PersistenceError, match="too many connections"):
                Registry(store=limited.store("three", lease_seconds=9.0))
            completed(one)
    finally:
        postgres.query(f"DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.mark.parametrize("by_ns", [-5 * HOUR_NS, 5 * HOUR_NS])
def test_a_clock_that_is_hours_away_takes_nothing_from_anybody(
    postgres: Database, by_ns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Registry(store=postgres.store(lease_seconds=5.0)) as registry:
        id = running(registry)
        wall_ns = SYSTEM_CLOCK.wall_ns
        monkeypatch.setattr(SYSTEM_CLOCK, "wall_ns", lambda: wall_ns() + by_ns)
        with pytest.raises(RegistryOwnedError):
            Registry(store=postgres.store(lease_seconds=9.0))
        registry.complete_operation(id, result())
        ((valid,),) = postgres.query("SELECT valid FROM leases")
        assert valid


def test_a_store_is_made_without_a_connection() -> None:
    assert not PostgresStore("postgresql://nowhere.invalid/app").is_open
