"""What a PostgreSQL server and its hosts need, extrapolated from what is measured here.

    python -m benchmarks.sizing

Writes docs/explanation/sizing.md. Measured are costs: the server's processor time for a lifecycle,
a renewed lease and a look for free registries; bytes of log, disk and memory. The model multiplies
them, so it holds as far as nothing else becomes scarce.
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
from opslifecycle import AsyncRegistry, PostgresStore
from opslifecycle.cluster.shares import MEMBERS_LOOKING, free_registries
from opslifecycle.stores.postgres.link import Link, within
from opslifecycle.stores.postgres.schema import SLOTS
from opslifecycle.stores.postgres.statements import statements

from benchmarks.measuring import figure_text
from benchmarks.memory import specs
from benchmarks.server import lifecycles, run_statement, server

PAGE = Path(__file__).parents[1] / "docs/explanation/sizing.md"
_TEXT = Path(__file__).with_name("sizing.md")
_TICKS = os.sysconf("SC_CLK_TCK")
_SCHEMA = "sizing"
_COUNT, _OPENED, _CONNECTIONS, _REPEATED = 1_500, 300, 20, 400
_NUMBERED, _OWNERS = 20_000, (10, 210)
_LEASE_SECONDS, _RENEWALS, _POLL_SECONDS, _LINKS = 10.0, 3, 1.0, 4


@attrs.frozen(kw_only=True)
class Costs:
    """What was measured; seconds are of processor time."""

    lifecycle_server_seconds: float
    lifecycle_host_seconds: float
    lifecycle_log_bytes: float
    shared_server_seconds: float
    shared_host_seconds: float
    shared_log_bytes: float
    record_bytes: float
    registry_bytes: float
    renewal_seconds: float
    look_seconds: float
    look_seconds_per_host: float
    connection_bytes: float
    open_bytes: float
    open_seconds: float


@attrs.frozen
class Scale:
    """How much there is of everything."""

    hosts: int
    registries: int
    #: Lifecycles per hour in a registry, and the records that it retains.
    per_hour: float = 12.0
    records: int = 50


@attrs.frozen
class Need:
    """How much of one part is needed, and how much there is of it."""

    part: str
    amount: float
    available: float
    unit: str

    @property
    def share(self) -> float:
        """The part of what is available."""
        return self.amount / self.available


#: What a large server and a small host have. A process of Python computes on one core.
_SERVER = {"cores": 32, "memory": 128e9, "disk": 8e12, "log": 200e6}
_HOST = {"memory": 16e9, "threads": 30_000}
SCALES = (Scale(10, 10_000), Scale(100, 1_000_000), Scale(1_000, 10_000_000))


def needs(costs: Costs, scale: Scale) -> Iterator[Need]:
    """Yield what a scale needs of every part."""
    hosts, own = scale.hosts, scale.registries / scale.hosts
    rate = scale.registries * scale.per_hour / 3600
    looks = min(hosts, MEMBERS_LOOKING) / _POLL_SECONDS
    look = costs.look_seconds + costs.look_seconds_per_host * hosts
    cores = _SERVER["cores"]
    yield Need("server: commits", rate * costs.lifecycle_server_seconds, cores, "cores")
    renewals = hosts * _RENEWALS / _LEASE_SECONDS
    yield Need("server: leases", renewals * costs.renewal_seconds, cores, "cores")
    yield Need("server: looks", looks * look, cores, "cores")
    memory = hosts * _LINKS * costs.connection_bytes
    yield Need("server: connections", memory / 1e9, _SERVER["memory"] / 4e9, "GB")
    written = rate * costs.lifecycle_log_bytes
    yield Need("server: log", written / 1e6, _SERVER["log"] / 1e6, "MB/s")
    stored = scale.registries * (costs.registry_bytes + scale.records * costs.record_bytes)
    yield Need("server: disk", stored / 1e9, _SERVER["disk"] / 1e9, "GB")
    yield Need("each host: commands", rate / hosts * costs.lifecycle_host_seconds, 1, "cores")
    yield Need("each host: threads", own, _HOST["threads"], "threads")
    yield Need("each host: memory", own * costs.open_bytes / 1e9, _HOST["memory"] / 1e9, "GB")


def takeover_seconds(costs: Costs, scale: Scale) -> float:
    """Return how long the other hosts open the registries of one that has ended."""
    lost = scale.registries / scale.hosts
    return lost * costs.open_seconds / min(scale.hosts - 1, _SERVER["cores"])


def measured() -> Costs:
    """Measure all costs on a server of our own."""
    link = Link(server().dsn, "sizing", within(10))
    try:
        opened = asyncio.run(_opened())
        run_statement(f"DROP SCHEMA {_SCHEMA} CASCADE")
        found = asyncio.run(_lifecycles(link, "lifecycle", 1))
        found |= asyncio.run(_lifecycles(link, "shared", 100))
        link.run(f"VACUUM FULL {_SCHEMA}.log", deadline=within(60))
        _, records = _sizes(link)
        few, many = (_look(link, owners) for owners in _OWNERS)
        registries, _ = _sizes(link)
        slope = max(0.0, (many - few) / (_OWNERS[1] - _OWNERS[0]))
        return Costs(
            **found,
            **opened,
            renewal_seconds=_renewal(link),
            look_seconds=max(0.0, few - slope * _OWNERS[0]),
            look_seconds_per_host=slope,
            record_bytes=records / (2 * _COUNT),
            registry_bytes=registries / _NUMBERED,
            connection_bytes=_connection(),
        )
    finally:
        link.close()
        run_statement(f"DROP SCHEMA IF EXISTS {_SCHEMA} CASCADE")


async def _open(name: str, **settings: Any) -> AsyncRegistry:
    store = PostgresStore(server().dsn, registry=name, schema=_SCHEMA)
    return await AsyncRegistry.open(store=store, **settings)


async def _opened() -> dict[str, float]:
    first = await _open("first")
    memory, start = _memory(os.getpid()), time.perf_counter()
    opened = [await _open(f"r{number}") for number in range(_OPENED)]
    seconds = (time.perf_counter() - start) / _OPENED
    memory = (_memory(os.getpid()) - memory) / _OPENED
    await asyncio.gather(*(each.close() for each in (first, *opened)))
    return {"open_seconds": seconds, "open_bytes": memory}


async def _lifecycles(link: Link, what: str, in_flight: int) -> dict[str, float]:
    registry = await _open(what, max_completed=_COUNT)
    work = specs(_COUNT)
    log, server_seconds, host_seconds = _log(link), _server_seconds(), _own_seconds()
    await asyncio.gather(
        *(lifecycles(registry, work[number::in_flight]) for number in range(in_flight))
    )
    found = {
        f"{what}_server_seconds": (_server_seconds() - server_seconds) / _COUNT,
        f"{what}_host_seconds": (_own_seconds() - host_seconds) / _COUNT,
        f"{what}_log_bytes": (_log(link) - log) / _COUNT,
    }
    await registry.close()
    return found


def _sizes(link: Link) -> tuple[int, int]:
    """Return the bytes of the registries and of the records, with their indexes."""
    tables = ("registries", "log")
    statement = "SELECT pg_total_relation_size($1::regclass)"
    rows = [link.run(statement, f"{_SCHEMA}.{each}", deadline=within(10)) for each in tables]
    return int(rows[0][0][0] or 0), int(rows[1][0][0] or 0)


def _log(link: Link) -> int:
    statement = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
    return int(link.run(statement, deadline=within(10))[0][0] or 0)


def _look(link: Link, owners: int) -> float:
    """Return the server's seconds for a look when a number of hosts own all registries."""
    for statement in (
        f"TRUNCATE {_SCHEMA}.owners CASCADE", f"TRUNCATE {_SCHEMA}.registries",
        f"INSERT INTO {_SCHEMA}.owners SELECT number, '', false, now() + interval '1 h'"
        f" FROM generate_series(1, {owners}) number",
        f"INSERT INTO {_SCHEMA}.registries (name, machine, version, digest, fencing_token, owner,"
        " head, dropped_through) SELECT number, 'ops_lifecycle', 1, '', 1,"
        f" 1 + number % {owners}, 0, 0 FROM generate_series(1, {_NUMBERED}) number",
        f"VACUUM ANALYZE {_SCHEMA}.registries",
    ):  # fmt: skip
        link.run(statement, deadline=within(60))
    start = _server_seconds()
    for _ in range(_REPEATED):
        free_registries(link, _SCHEMA, "ops_lifecycle", range(0, SLOTS, owners), within(10))
    return (_server_seconds() - start) / _REPEATED


def _renewal(link: Link) -> float:
    renew = statements(_SCHEMA).renew
    start = _server_seconds()
    for _ in range(_REPEATED):
        link.run(renew, 1, 3_600_000, deadline=within(10))
    return (_server_seconds() - start) / _REPEATED


def _connection() -> float:
    """Return the bytes of a connection that has run a statement."""
    before = {pid for pid, _ in _processes()}
    links = [Link(server().dsn, "idle", within(10)) for _ in range(_CONNECTIONS)]
    for each in links:
        each.run(f"SELECT count(*) FROM {_SCHEMA}.registries", deadline=within(10))
    added = [pid for pid, _ in _processes() if pid not in before]
    memory = sum(map(_memory, added)) / len(added)
    for each in links:
        each.close()
    return memory


def _memory(process: int) -> float:
    """Return the bytes of a process, what it shares counted in proportion."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024.0 for line in text.splitlines() if line[:4] == "Pss:")


def _own_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _processes() -> Iterator[tuple[int, float]]:
    """Yield the server's processes, each with the seconds of it and of those that have ended."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "stat").read_text(encoding="ascii").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if server().pid in (int(folder.name), int(words[1])):
            yield int(folder.name), sum(map(int, words[11:15])) / _TICKS


def _server_seconds() -> float:
    return sum(seconds for _, seconds in _processes())


def page(costs: Costs) -> str:
    """Return the text of the page."""
    shown = attrs.asdict(costs)
    return _TEXT.read_text(encoding="utf-8").format(
        costs="\n".join(
            f"| {text} | {figure_text(shown[name], in_bytes=name.endswith('_bytes'))} |"
            for name, text in _SHOWN.items()
        ),
        needs="\n".join(_table(costs)),
        first=_first(costs),
        per_hour=SCALES[0].per_hour,
        records=SCALES[0].records,
        host_memory=_HOST["memory"] / 1e9,
        threads=_HOST["threads"],
        cores=_SERVER["cores"],
        memory=_SERVER["memory"] / 1e9,
        disk=_SERVER["disk"] / 1e9,
        log=_SERVER["log"] / 1e6,
    )


def _table(costs: Costs) -> Iterator[str]:
    names = [f"{each.hosts:,} hosts, {each.registries:,} registries" for each in SCALES]
    yield f"| | {' | '.join(names)} |"
    yield "|---" * (len(SCALES) + 1) + "|"
    for row in zip(*(needs(costs, each) for each in SCALES), strict=True):
        amounts = [f"{_figure(need.amount)} {need.unit}, {need.share:.1%}" for need in row]
        yield f"| {row[0].part} | {' | '.join(amounts)} |"
    seconds = [f"{takeover_seconds(costs, each):.1f} s" for each in SCALES]
    yield f"| takeover from a host that has ended | {' | '.join(seconds)} |"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _first(costs: Costs) -> str:
    scarce = sorted(needs(costs, SCALES[-1]), key=lambda need: -need.share)[:3]
    parts = [f"{need.part} ({need.share:.0%})" for need in scarce]
    size = f"{SCALES[-1].hosts:,} hosts and {SCALES[-1].registries:,} registries"
    return f"With {size}, these come next to their limits: {', '.join(parts)}."


_SHOWN = {
    "lifecycle_server_seconds": "lifecycle alone, processor of the server",
    "lifecycle_host_seconds": "lifecycle alone, processor of the host",
    "lifecycle_log_bytes": "lifecycle alone, log of the server",
    "shared_server_seconds": "lifecycle among a hundred, processor of the server",
    "shared_host_seconds": "lifecycle among a hundred, processor of the host",
    "shared_log_bytes": "lifecycle among a hundred, log of the server",
    "record_bytes": "retained record, disk",
    "registry_bytes": "registry, disk",
    "open_bytes": "open registry, memory of the host",
    "open_seconds": "opening a registry, one after another",
    "connection_bytes": "connection, memory of the server",
    "renewal_seconds": "renewal of a lease, processor of the server",
    "look_seconds": "look, processor of the server",
    "look_seconds_per_host": "look, for each host in addition",
}


if __name__ == "__main__":
    PAGE.write_text(page(measured()), encoding="utf-8")
    print(f"wrote {PAGE}")
