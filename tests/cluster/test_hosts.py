"""Hosts that come, go and die, and connections that end at the worst moment."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from opslifecycle import (
    AlreadyRegisteredError,
    AsyncRegistry,
    OperationId,
    OperationStatus,
)
from opslifecycle.cluster import NotAnsweredError
from opslifecycle.cluster.remote import RemoteExecutor
from opslifecycle.cluster.requests import Requests
from opslifecycle.cluster.shares import Shares, free_registries, looks_apart, scores
from opslifecycle.stores.postgres.link import Deadline, Link, within
from opslifecycle.stores.postgres.schema import SLOTS
from opslifecycle.stores.postgres.session import Target

from tests.cluster.test_handles import clusters, running
from tests.support.builders import spec
from tests.support.postgres import hosts
from tests.support.postgres.databases import Database
from tests.support.waiting import eventually, until

ROOT = Path(__file__).parents[2]
LEASES = (2.0, 2.1, 2.2)
END_CLUSTER_SESSIONS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE application_name LIKE 'opslifecycle cluster%%' AND pid <> pg_backend_pid()"
)


class HostProcess:
    """A process of the program, and what it has printed."""

    def __init__(self, database: Database) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.cluster.host_program",
             database.dsn, database.schema],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.lines: list[str] = []
        assert self.process.stdout is not None
        lines = iter(self.process.stdout.readline, "")
        self._reader = threading.Thread(target=self.lines.extend, args=(lines,), daemon=True)
        self._reader.start()

    def holds(self) -> set[str]:
        """The registries that the host has opened and not given back."""
        counts: Counter[str] = Counter()
        for line in list(self.lines):
            word, _, name = line.strip().partition(" ")
            counts[name] += {"opened": 1, "released": -1}.get(word, 0)
        return {name for name, count in counts.items() if count > 0}

    def end(self, with_signal: signal.Signals) -> int:
        """End the process, and return its exit status."""
        self.process.send_signal(with_signal)
        status = self.process.wait(timeout=hosts.DEADLINE_SECONDS)
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status


@contextmanager
def host_processes(database: Database, count: int) -> Iterator[list[HostProcess]]:
    started = [HostProcess(database) for _ in range(count)]
    try:
        yield started
    finally:
        for each in started:
            if each.process.poll() is None:
                each.end(signal.SIGKILL)


def make_registries(database: Database, names: Iterable[str]) -> None:
    async def main() -> None:
        async with clusters(database) as cluster:
            await asyncio.gather(*(cluster.open(name) for name in names))

    asyncio.run(main())


async def register_exactly(registry: AsyncRegistry, count: int) -> set[OperationId]:
    """Register operations at once; each of the calls must be applied once."""
    specs = [spec() for _ in range(count)]
    await asyncio.gather(*(registry.register_operation(each) for each in specs))
    return {each.id for each in specs}


def test_a_command_is_applied_once_though_connections_end_at_any_moment(postgres: Database) -> None:
    async def main() -> int:
        ended = 0
        async with clusters(postgres) as one, clusters(postgres) as other:
            owner, handle = await one.open("r"), await other.open("r")
            registering = asyncio.create_task(register_in_rounds(handle))
            async with asyncio.timeout(hosts.DEADLINE_SECONDS):
                while not registering.done():
                    ended += len(await asyncio.to_thread(postgres.query, END_CLUSTER_SESSIONS))
                    await asyncio.sleep(0.15)
            ids = await registering
            assert {each.id for each in owner.list_operations()} == ids
            assert {each.id for each in handle.list_operations()} == ids
        return ended

    assert asyncio.run(main()) >= 4


async def register_in_rounds(registry: AsyncRegistry) -> set[OperationId]:
    ids: set[OperationId] = set()
    for _ in range(15):
        ids |= await register_exactly(registry, 10)
        await asyncio.sleep(0.01)
    return ids


def test_requests_that_are_sent_again_under_other_ids_are_found(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check above fails for a cluster that cannot tell a repeated request from a new one."""
    real = Requests.send

    def twice(
        self: Requests, link: Link, given: Iterable[tuple[str, int, str]], at: Deadline
    ) -> None:
        requests = list(given)
        again = [(str(uuid4()), number, text) for _, number, text in requests]
        real(self, link, again, at)
        real(self, link, requests, at)

    monkeypatch.setattr(Requests, "send", twice)

    async def main() -> None:
        async with clusters(postgres) as one, clusters(postgres) as other:
            await one.open("r")
            await register_exactly(await other.open("r"), 3)

    with pytest.raises(AlreadyRegisteredError):
        asyncio.run(main())


def test_a_handle_goes_on_when_the_owner_was_killed(postgres: Database) -> None:
    make_registries(postgres, ["r"])

    async def main(host: HostProcess) -> None:
        async with clusters(postgres, lease_seconds=2.5) as cluster:
            await eventually(lambda: host.holds() == {"r"})
            handle = await cluster.open("r")
            stays = await running(handle, "stay")
            ended = await running(handle)
            watch = handle.register_watcher(ended)
            async with asyncio.timeout(hosts.DEADLINE_SECONDS):
                await watch
            interrupted = handle.register_watcher(stays)
            await asyncio.to_thread(host.end, signal.SIGKILL)
            async with asyncio.timeout(hosts.DEADLINE_SECONDS):
                # The command waits for the takeover, and the watch ends with the recovery.
                await handle.register_operation(spec())
                await interrupted
            found = {each.id: each.status for each in handle.list_operations()}
            assert found[ended] is OperationStatus.COMPLETED
            assert found[stays] is OperationStatus.TERMINATED
            here = await cluster.open("r")
            assert here is not handle
            assert here.list_operations() == handle.list_operations()

    with host_processes(postgres, 1) as (host,):
        asyncio.run(main(host))


def test_hosts_share_all_registries_and_take_over_those_of_the_dead(postgres: Database) -> None:
    names = {f"r{number}" for number in range(12)}
    make_registries(postgres, names)
    with host_processes(postgres, 2) as (first, second):
        until(lambda: first.holds() | second.holds() == names)
        until(lambda: first.holds() and second.holds())
        until(lambda: not first.holds() & second.holds())
        third = HostProcess(postgres)
        try:
            until(lambda: third.holds())
            until(lambda: first.holds() | second.holds() | third.holds() == names)
            first.end(signal.SIGKILL)
            until(lambda: second.holds() | third.holds() == names)
            assert second.end(signal.SIGTERM) == 0
            assert second.lines[-1] == "drained\n"
            assert second.holds() == set()
            until(lambda: third.holds() == names)
        finally:
            if third.process.poll() is None:
                assert third.end(signal.SIGTERM) == 0
    assert postgres.query("SELECT count(*) FROM registries WHERE owner IS NOT NULL") == [(0,)]


def test_a_host_that_leaves_moves_only_its_own_share() -> None:
    hosts = {member: Shares(member) for member in (1, 2, 3)}
    before = {member: hosts[member].update(frozenset(hosts)) for member in hosts}
    after = {member: hosts[member].update(frozenset({1, 3})) for member in hosts}
    assert after[2] == frozenset()
    assert after[1] >= before[1]
    assert after[3] >= before[3]
    assert sorted([*after[1], *after[3]]) == list(range(SLOTS))
    assert all(SLOTS / 4 < len(share) < SLOTS / 2.5 for share in before.values())


@pytest.mark.parametrize(
    ("members", "apart"), [(0, 1.0), (3, 1.0), (100, 1.0), (150, 1.5), (1_000, 10.0)]
)
def test_many_hosts_look_less_often(members: int, apart: float) -> None:
    assert looks_apart(members) == apart


def test_every_host_computes_the_same_shares_whatever_it_has_seen_before() -> None:
    chance = random.Random(5)
    old = Shares(3)
    for _ in range(6):
        members = frozenset(chance.sample(range(1, 9), chance.randrange(9)))
        share = old.update(members)
        assert share == Shares(3).update(members)
        given = {member: scores(member) for member in members}
        best = [
            max(members, key=lambda each: given[each][slot], default=0) for slot in range(SLOTS)
        ]
        assert share == {slot for slot in range(SLOTS) if best[slot] == 3}


def test_the_index_of_free_registries_is_by_slot(postgres: Database) -> None:
    make_registries(postgres, ["r"])
    ((index,),) = postgres.query(
        "SELECT indexdef FROM pg_indexes WHERE indexname = 'registries_free' AND schemaname = %s",
        postgres.schema,
    )
    assert f"number & {SLOTS - 1}" in index


def test_what_no_living_process_owns_is_free(postgres: Database) -> None:
    names = [f"r{number}" for number in range(7)]
    make_registries(postgres, names)
    postgres.query(
        "INSERT INTO owners VALUES (1, 'lives', false, now() + interval '1 h'),"
        " (2, 'has ended', false, now() - interval '1 s'),"
        " (3, 'without its lock', true, now() + interval '1 h')"
    )
    # The last process has no row.
    owners = {"r0": None, "r1": 1, "r2": 2, "r3": 3, "r4": 4, "r5": None}
    for name, owner in owners.items():
        postgres.query("UPDATE registries SET owner = %s WHERE name = %s", owner, name)
    postgres.query("UPDATE registries SET machine = 'another' WHERE name IN ('r5', 'r6')")
    slots = {
        name: number % SLOTS
        for name, number in postgres.query("SELECT name, number FROM registries")
    }
    link = Link(postgres.dsn, "test", within(10))
    try:
        found = free_registries(link, postgres.schema, "ops_lifecycle", range(SLOTS), within(10))
        assert found == {name: slots[name] for name in ("r0", "r2", "r3", "r4")}
        some = {slots["r2"], slots["r1"]}
        found = free_registries(link, postgres.schema, "ops_lifecycle", some, within(10))
        assert found == {"r2": slots["r2"]}
        assert free_registries(link, postgres.schema, "ops_lifecycle", (), within(10)) == {}
        assert free_registries(link, postgres.schema, "no such", range(SLOTS), within(10)) == {}
    finally:
        link.close()


@pytest.mark.nightly
def test_a_host_that_shares_takes_over_before_one_that_has_a_handle(postgres: Database) -> None:
    def members() -> set[int]:
        return {owner for (owner,) in postgres.query("SELECT owner FROM members")}

    def is_placed() -> bool:
        ((owner, number),) = postgres.query("SELECT owner, number FROM registries")
        slot = number % SLOTS
        return bool(owner == max(members(), key=lambda each: scores(each)[slot], default=0))

    async def main(first: HostProcess, second: HostProcess) -> None:
        async with clusters(postgres, lease_seconds=2.5) as cluster:
            # Both have joined, and the one that has to has opened the registry.
            await eventually(lambda: len(members()) == 2)
            await eventually(is_placed)
            await eventually(lambda: len(first.holds()) + len(second.holds()) == 1)
            owner, other = (first, second) if first.holds() else (second, first)
            handle = await cluster.open("r")
            await asyncio.to_thread(owner.end, signal.SIGKILL)
            await eventually(lambda: other.holds() == {"r"})
            await handle.register_operation(spec())
            assert await cluster.open("r") is handle

    make_registries(postgres, ["r"])
    with host_processes(postgres, 2) as (first, second):
        asyncio.run(main(first, second))


def test_a_registry_that_moves_between_hosts_that_share_stays_theirs(postgres: Database) -> None:
    make_registries(postgres, ["r"])
    postgres.query("INSERT INTO owners VALUES (1, 'x', false, now() + interval '1 h')")
    postgres.query("INSERT INTO members VALUES (1, 'ops_lifecycle')")

    async def main() -> None:
        async with clusters(postgres) as cluster:
            moving, new = await cluster.open("r"), await cluster.open("new")
            assert isinstance(moving._executor, RemoteExecutor)
            await running(new)
            owners = postgres.query("SELECT name FROM registries WHERE owner IS NOT NULL")
            assert owners == [("new",)]

    asyncio.run(main())


def test_hosts_of_another_machine_have_no_share(postgres: Database) -> None:
    make_registries(postgres, ["r"])
    opened: list[str] = []

    async def handler(name: str, registry: AsyncRegistry) -> None:
        opened.append(name)

    async def main() -> None:
        async with clusters(postgres, poll_seconds=0.05) as cluster:
            # Living owners, of which one would win by its score.
            for owner in range(1, 9):
                postgres.query(
                    "INSERT INTO owners VALUES (%s, 'x', false, now() + interval '1 h')", owner
                )
                postgres.query("INSERT INTO members VALUES (%s, 'other')", owner)
            task = asyncio.create_task(cluster.run(handler))
            await eventually(lambda: opened == ["r"])
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())


def test_a_host_that_has_lost_its_lease_shares_again_with_a_new_one(postgres: Database) -> None:
    make_registries(postgres, ["r"])
    opened: list[AsyncRegistry] = []

    async def handler(name: str, registry: AsyncRegistry) -> None:
        opened.append(registry)

    async def main() -> None:
        async with clusters(postgres, poll_seconds=0.05, lease_seconds=1) as cluster:
            task = asyncio.create_task(cluster.run(handler))
            await eventually(lambda: len(opened) == 1)
            postgres.query("UPDATE owners SET lease_until = clock_timestamp()")
            await eventually(lambda: len(opened) == 2)
            assert opened[0]._engine.closed is not None
            await running(opened[1])
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())


def test_a_failing_handler_is_called_again(postgres: Database) -> None:
    make_registries(postgres, ["r"])
    calls: list[str] = []

    async def handler(name: str, registry: AsyncRegistry) -> None:
        calls.append(name)
        if len(calls) == 1:
            raise ValueError("a mistake of the handler")

    async def main() -> None:
        async with clusters(postgres, poll_seconds=0.05) as cluster:
            task = asyncio.create_task(cluster.run(handler))
            await eventually(lambda: len(calls) == 2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert postgres.query("SELECT count(*) FROM members") == [(0,)]

    asyncio.run(main())


class TestWithdrawing:
    """A request is withdrawn only if no owner can have begun to apply it."""

    def setup_request(self, database: Database) -> tuple[Requests, Link, str, int]:
        make_registries(database, ["r"])
        link = Target(database.dsn, database.schema).connect("test", within(10))
        requests, id = Requests(database.schema, 1), str(uuid4())
        ((number,),) = database.query("SELECT number FROM registries")
        requests.send(link, [(id, number, "{}")], within(10))
        return requests, link, id, number

    def test_one_that_was_not_claimed_is_withdrawn(self, postgres: Database) -> None:
        requests, link, id, number = self.setup_request(postgres)
        assert requests.withdraw(link, id, number, within(10))
        assert not requests.withdraw(link, id, number, within(10))
        link.close()

    @pytest.mark.parametrize(("owner", "is_withdrawn"), [(7, False), (8, True), (None, True)])
    def test_one_that_was_claimed_is_withdrawn_after_its_owner(
        self, postgres: Database, owner: int | None, is_withdrawn: bool
    ) -> None:
        requests, link, id, number = self.setup_request(postgres)
        postgres.query("UPDATE registries SET owner = 7")
        assert [each.id for each in requests.claim(link, 7, [], within(10))] == [id]
        postgres.query("UPDATE registries SET owner = %s", owner)
        assert requests.withdraw(link, id, number, within(10)) is is_withdrawn
        link.close()

    def test_one_that_was_answered_is_not_withdrawn(self, postgres: Database) -> None:
        requests, link, id, number = self.setup_request(postgres)
        postgres.query("UPDATE requests SET answer = '{}', head = 1")
        assert not requests.withdraw(link, id, number, within(10))
        assert [each.id for each in requests.answers(link, within(10))] == [id]
        requests.forget(link, [id], within(10))
        assert postgres.query("SELECT count(*) FROM requests") == [(0,)]
        link.close()


def test_a_command_that_never_reached_the_server_has_not_happened(postgres: Database) -> None:
    async def main() -> None:
        async with clusters(postgres) as one, clusters(postgres, patience_seconds=0.3) as other:
            await one.open("r")
            handle = await other.open("r")
            worker = other._the_worker
            real = worker._target.connect

            def refuse(purpose: str, deadline: Deadline) -> Link:
                return real(purpose, within(0))

            object.__setattr__(worker, "_target", _Unreachable(worker._target, refuse))
            assert worker._link is not None
            worker.do(worker._link.close)
            with pytest.raises(NotAnsweredError):
                await handle.register_operation(spec())

    asyncio.run(main())


class _Unreachable:
    """A schema whose server accepts no connection any more."""

    def __init__(self, target: Target, connect: object) -> None:
        self.name, self.schema, self.connect = target.name, target.schema, connect
