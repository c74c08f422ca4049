"""Hosts of a cluster under real faults: a share of `make chaos-postgres`, and defects it finds."""

from __future__ import annotations

import signal

import pytest

from tests.support.postgres.databases import Database
from tests.support.postgres.history import Entry, Event, wrong
from tests.support.postgres.hosts import hosts
from tests.support.waiting import until

NAMES = ("a", "b", "c")
PROGRAM = "cluster_program"


@pytest.fixture
def database(postgres: Database) -> Database:
    if postgres.server is None:
        pytest.skip("SKIPPED: no PostgreSQL server that these tests may restart")
    return postgres


@pytest.mark.nightly
def test_commands_of_other_hosts_are_applied_once_while_owners_die(database: Database) -> None:
    with hosts(database, NAMES, 1.5, PROGRAM) as all_of_them:
        first = all_of_them.start()
        first.goes_on(5)
        second = all_of_them.start()
        until(lambda: second.count("followed") > 10)
        second.proxy.cut()
        until(lambda: second.count("followed") > 20)
        # Its commands wait for the takeover, which is its own.
        first.signal(signal.SIGSTOP)
        until(lambda: second.count("read") > 5)
        first.signal(signal.SIGCONT)
        until(lambda: first.count("followed") > 5)
        all_of_them.end(second)
        first.goes_on(5)
        assert all_of_them.wrong() == []
        counts = all_of_them.counts()
        assert counts["followed"] > 25
        assert counts["completed"] > 25


def test_commands_that_are_sent_twice_are_found(database: Database) -> None:
    with hosts(database, ("a",), 1.5, PROGRAM) as all_of_them:
        all_of_them.start().goes_on(1)
        planted = all_of_them.start(planted=True)
        until(lambda: planted.count("repeated"))
        all_of_them.kill_all()
        found = all_of_them.found()
    assert any("was applied twice" in each for each in found), found


ENDS = [Event(1, "completed", "r", "x", 10, 20), Event(2, "completed", "r", "y", 30, 40)]
FEED = [Entry(1, "x", "completed"), Entry(2, "y", "completed")]


@pytest.mark.parametrize(
    "event",
    [
        # Less than the host has done itself, and more than there was.
        Event(2, "followed", "r", 1, 50, 60),
        Event(1, "followed", "r", 2, 22, 24),
        Event(1, "not registered", "r", "y", 1, 2),
        Event(1, "not completed", "r", "y", 1, 2),
        Event(1, "repeated", "r", "x", 10, 20),
    ],
    ids=lambda event: f"{event.kind} {event.value}",
)
def test_each_contradiction_of_a_handle_is_found(event: Event) -> None:
    right = Event(1, "followed", "r", 1, 50, 60)
    assert wrong([*ENDS, right], {"r": FEED}, {}) == []
    assert wrong([*ENDS, event], {"r": FEED}, {}) != []


def test_reads_of_a_handle_that_go_back_are_found() -> None:
    seen = [Event(3, "followed", "r", 2, 50, 60), Event(3, "followed", "r", 1, 61, 62)]
    assert wrong([*ENDS, seen[0]], {"r": FEED}, {}) == []
    assert wrong([*ENDS, *seen], {"r": FEED}, {}) == ["r: host 3 read 1 after it had seen 2"]
