"""Real faults on real processes: nothing acknowledged is lost, and no registry has two owners."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from opslifecycle import (
    CommitInDoubtError,
    OwnershipLostError,
    PersistenceError,
    Registry,
    RegistryOwnedError,
    StoreBusyError,
)

from tests.support.builders import completed, result, running
from tests.support.postgres.databases import Database
from tests.support.postgres.history import Entry, Event, Written, wrong
from tests.support.postgres.hosts import hosts
from tests.support.postgres.proxy import Flow, Proxy
from tests.support.postgres.transitions import Step, illegal
from tests.support.scale import whole_or
from tests.support.waiting import until

NAMES = ("a", "b", "c")


@pytest.fixture
def database(postgres: Database) -> Database:
    if postgres.server is None:
        pytest.skip("SKIPPED: no PostgreSQL server that these tests may restart")
    return postgres


@pytest.fixture
def proxy(database: Database) -> Iterator[Proxy]:
    assert database.server is not None
    proxy = Proxy(database.server.port)
    yield proxy
    proxy.close()


def through(proxy: Proxy, database: Database, lease: float = 60.0) -> Registry:
    """Open a registry whose connections go through a proxy."""
    assert database.server is not None
    dsn = database.dsn.replace(str(database.server.port), str(proxy.port))
    behind = Database(dsn, database.schema, database.server)
    return Registry(store=behind.store(lease_seconds=lease))


class TestConnections:
    def test_an_answer_that_is_lost_is_found_out(self, database: Database, proxy: Proxy) -> None:
        """The server has written the commit, and the owner has not been told."""
        with through(proxy, database) as registry:
            for _ in range(5):
                id = running(registry)
                seen = proxy.eaten
                proxy.to_client = Flow.EAT
                watch = registry.register_watcher(id)
                ending = _in_thread(lambda: completed(registry))
                until(partial(_has_eaten, proxy, seen))
                proxy.pass_all()
                proxy.cut()
                ending.join(60)
                registry.mark_retired(id)
                assert watch.done()
            assert registry.completion_feed().watermark == 10
            assert registry.broken_invariants() == []
        ((token,),) = database.query("SELECT fencing_token FROM registries")
        assert token > 1
        rows = database.query("SELECT count(*), count(DISTINCT id), max(sequence) FROM feed")
        assert rows == [(10, 10, 10)]

    def test_a_commit_that_did_not_arrive_is_sent_again(
        self, database: Database, proxy: Proxy
    ) -> None:
        with through(proxy, database) as registry:
            completed(registry)
            for _ in range(5):
                proxy.to_server = Flow.EAT
                ending = _in_thread(lambda: completed(registry))
                ending.join(0.1)
                proxy.pass_all()
                proxy.cut()
                ending.join(60)
            assert registry.completion_feed().watermark == 6
        assert database.query("SELECT count(*), max(sequence) FROM feed") == [(6, 6)]

    def test_a_silent_network_ends_the_owner(self, database: Database, proxy: Proxy) -> None:
        registry = through(proxy, database, lease=1.0)
        watch = registry.register_watcher(running(registry))
        proxy.to_server = proxy.to_client = Flow.HOLD
        until(watch.done)
        with pytest.raises(OwnershipLostError):
            registry.terminate_owner("x")
        registry.close()
        until(lambda: _is_free(database))

    def test_a_commit_in_doubt_at_the_deadline_is_told_so(
        self, database: Database, proxy: Proxy
    ) -> None:
        registry = through(proxy, database, lease=1.0)
        id = running(registry)
        proxy.to_client = Flow.EAT
        with pytest.raises(CommitInDoubtError):
            registry.complete_operation(id, result())
        registry.close()
        until(lambda: _is_free(database))
        # The server has written it, and nobody could be told.
        assert database.query("SELECT sequence, status FROM feed") == [(1, "completed")]

    @pytest.mark.nightly
    def test_terminated_backends_lose_nothing(self, database: Database) -> None:
        with hosts(database, NAMES, lease=30.0) as all_of_them:
            host = all_of_them.start()
            for _ in range(whole_or(20, 3)):
                host.goes_on()
                all_of_them.terminate_backends()
            until(lambda: host.count("opened") >= len(NAMES))
            assert host.events("failed") == []
            assert all_of_them.wrong() == []

    @pytest.mark.parametrize(
        "how", [signal.SIGQUIT, pytest.param(signal.SIGINT, marks=pytest.mark.nightly)]
    )
    def test_a_restart_of_the_server_loses_nothing(
        self, database: Database, how: signal.Signals
    ) -> None:
        with hosts(database, NAMES, lease=30.0) as all_of_them:
            host = all_of_them.start()
            host.goes_on()
            all_of_them.server.restart(how)
            host.goes_on()
            assert all_of_them.wrong() == []


def test_what_passes_is_told_apart_from_what_does_not() -> None:
    """A run that begins waits for what passes."""
    from opslifecycle.stores.postgres.failures import failure_of
    from opslifecycle.stores.postgres.link import LinkLostError, NotConnectedError, RefusedError

    passing = [RefusedError(state, "") for state in ("53100", "53300", "55P03", "57P03", "40P01")]
    for refused in passing:
        assert type(failure_of("a", refused)) is StoreBusyError
    assert type(failure_of("a", LinkLostError("no answer"))) is StoreBusyError
    lasting = [RefusedError(state, "") for state in ("25006", "42501", "3F000", "XX000")]
    for refused in lasting:
        assert type(failure_of("a", refused)) is PersistenceError
    assert type(failure_of("a", NotConnectedError("refused"))) is PersistenceError


class TestTakeover:
    def test_a_killed_owner_is_followed_before_its_lease_ends(self, database: Database) -> None:
        with hosts(database, NAMES, lease=3000.0) as all_of_them:
            first = all_of_them.start()
            first.goes_on()
            second = all_of_them.start()
            first.signal(signal.SIGSTOP)
            first.signal(signal.SIGKILL)
            seen = second.count("opened")
            until(lambda: second.count("opened") >= seen + 1)
            all_of_them.end(first)
            assert all_of_them.wrong() == []

    @pytest.mark.nightly
    def test_one_that_was_suspended_past_its_lease_writes_nothing_more(
        self, database: Database
    ) -> None:
        with hosts(database, NAMES, lease=1.0) as all_of_them:
            first = all_of_them.start()
            first.goes_on()
            first.signal(signal.SIGSTOP)
            second = all_of_them.start()
            until(lambda: second.count("opened") >= len(NAMES))
            first.signal(signal.SIGCONT)
            until(lambda: first.count("failed") >= 1)
            assert all_of_them.wrong() == []

    @pytest.mark.nightly
    def test_a_host_behind_a_dead_network_is_followed(self, database: Database) -> None:
        with hosts(database, NAMES, lease=1.0) as all_of_them:
            first = all_of_them.start()
            first.goes_on()
            first.proxy.to_client = Flow.HOLD
            second = all_of_them.start()
            second.goes_on()
            until(lambda: first.count("failed") >= len(NAMES))
            first.proxy.pass_all()
            assert all_of_them.wrong() == []


class TestChecker:
    def test_it_finds_a_host_that_ignores_its_fence(self, database: Database) -> None:
        with hosts(database, ("a",), lease=1.0) as all_of_them:
            first = all_of_them.start(planted=True)
            first.goes_on()
            first.signal(signal.SIGSTOP)
            second = all_of_them.start()
            second.goes_on()
            seen = first.count("read")
            first.signal(signal.SIGCONT)
            until(lambda: first.count("read") > seen + 20)
            all_of_them.kill_all()
            found = all_of_them.found()
        assert any("two owners" in each for each in found)

    def test_it_refuses_two_processes_of_one_number(self) -> None:
        """A read of one and an end of the other would be a contradiction of neither."""
        read, end = Event(1, "read", "r", 0, 10, 30), Event(1, "completed", "r", "x", 20, 40)
        with pytest.raises(ValueError, match="the calls of host 1 overlap"):
            wrong([read, end], {}, {})

    def test_a_number_names_one_process(self, database: Database) -> None:
        with hosts(database, ("a",)) as all_of_them:
            first, second = all_of_them.start(), all_of_them.start()
            all_of_them.end(first)
            third = all_of_them.start()
            assert len({each.number for each in (first, second, third)}) == 3

    def test_it_finds_transitions_that_the_machine_does_not_have(self) -> None:
        def steps(*statuses: str) -> list[Step]:
            return [Step("r", "x", each) for each in statuses]

        legal = steps("provisioning", "running", "running", "completed")
        assert illegal(legal) == []
        assert illegal([*legal, Step("r", "y", "terminated")]) == []
        for later in ("running", "terminated", "failed"):
            assert illegal([*legal, *steps(later)]) == [f"r: x went from completed to {later}"]

    def test_it_finds_each_kind_of_fault(self) -> None:
        ends = [Event(1, "completed", "r", "x", 10, 20), Event(2, "completed", "r", "y", 30, 40)]
        feed = [Entry(1, "x", "completed"), Entry(2, "y", "completed")]
        commits = [Written(1, 1), Written(1, 2)]
        assert wrong(ends, {"r": feed}, {"r": commits}) == []
        read = Event(1, "read", "r", 1, 32, 38)
        assert wrong([*ends, read], {"r": feed}, {"r": commits}) == []
        stale = [Event(1, "read", "r", 1, 50, 60), Event(1, "completed", "r", "y", 61, 70)]
        unnoticed = [stale[0], Event(1, "failed", "r", "OwnershipLostError()", 0, 70)]
        assert wrong([*ends, *unnoticed], {"r": feed}, {"r": commits}) == []
        early = Event(1, "read", "r", 2, 22, 24)
        registered = Event(1, "registered", "r", "z", 1, 2)
        for history, entries, written in (
            (ends, feed[:1], commits),
            (ends, feed[1:], commits),
            (ends, [*feed, Entry(3, "x", "completed")], commits),
            (ends, [Entry(1, "y", "completed"), Entry(2, "x", "completed")], commits),
            (ends, [feed[0], Entry(2, "y", "terminated")], commits),
            ([*ends, *stale], feed, commits),
            ([*ends, early], feed, commits),
            ([*ends, registered], feed, commits),
            (ends, feed, [Written(2, 1), Written(1, 2)]),
            (ends, feed, [Written(1, 1), Written(2, 1)]),
        ):
            assert wrong(history, {"r": entries}, {"r": written}) != []


def _has_eaten(proxy: Proxy, before: int) -> bool:
    return proxy.eaten > before


def _in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def _is_free(database: Database) -> bool:
    try:
        Registry(store=database.store()).close()
    except RegistryOwnedError:
        return False
    return True
