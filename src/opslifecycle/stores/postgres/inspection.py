"""What administrators ask of a schema: its layout, its owners, and what is wrong with it."""

from __future__ import annotations

import attrs
from opslifecycle.errors import StoreDamagedError
from opslifecycle.stores.postgres.admin import connected
from opslifecycle.stores.postgres.claims import read
from opslifecycle.stores.postgres.link import Deadline, Link
from opslifecycle.stores.postgres.log_index import LogIndex
from opslifecycle.stores.postgres.schema import LAYOUT, layout_of, refuse_other_layouts
from opslifecycle.stores.postgres.schema import migrate as migrate_tables
from opslifecycle.stores.postgres.session import Target

_VERSION_MIN = 150_000
#: A transaction that is idle for so long keeps rows from being vacuumed.
_IDLE_SECONDS = 60
_DEAD_ROWS = 100_000


@attrs.frozen
class Status:
    """A schema and its server right now."""

    server: str
    layout: int
    registries: int
    #: Each owner in words, the seconds until its lease ends, and how many registries it owns.
    owners: tuple[tuple[str, float, int], ...]

    @property
    def is_current(self) -> bool:
        """Whether the tables have the layout of this program."""
        return self.layout == LAYOUT


def migrate(target: Target) -> tuple[int, int]:
    """Create the tables of a schema or bring them up to date; returns the layouts."""
    with connected(target) as (link, deadline):
        return migrate_tables(link, target.schema, deadline)


def status(target: Target) -> Status:
    """Return the state of a schema.

    Raises:
        PersistenceError: The server cannot be reached, or refuses.
    """
    schema = target.schema
    with connected(target) as (link, deadline):
        ((server,),) = link.run("SHOW server_version", deadline=deadline)
        layout = layout_of(link, schema, deadline)
        if layout != LAYOUT:
            return Status(str(server), layout, 0, ())
        count = f"SELECT count(*) FROM {schema}.registries"
        ((registries,),) = link.run(count, deadline=deadline)
        owners = link.run(
            "SELECT o.name, extract(epoch FROM o.lease_until - clock_timestamp()),"
            f" (SELECT count(*) FROM {schema}.registries r WHERE r.owner = o.owner)"
            f" FROM {schema}.owners o ORDER BY o.name",
            deadline=deadline,
        )
    found = tuple((str(name), float(left or 0), int(own or 0)) for name, left, own in owners)
    return Status(str(server), layout, int(registries or 0), found)


def problems(target: Target) -> list[str]:
    """Return in words what is wrong with a server and with what a schema holds.

    Raises:
        PersistenceError: The server cannot be reached, or refuses.
        StoreVersionError: The tables are of another program.
    """
    with connected(target) as (link, deadline):
        refuse_other_layouts(link, target.schema, deadline)
        link.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", deadline=deadline)
        found = [*_of_server(link, deadline), *_of_tables(link, target.schema, deadline)]
        rows = link.run(
            f"SELECT name, number, head, dropped_through, state FROM {target.schema}.registries",
            deadline=deadline,
        )
        for name, number, head, dropped, state in rows:
            where = f"registry {name!r} in {target.name}"
            index = LogIndex(int(head or 0), int(dropped or 0))
            try:
                read(link, target.schema, where, int(number or 0), index, state, deadline)
            except StoreDamagedError as error:
                found.append(str(error))
        link.run("COMMIT", deadline=deadline)
    return found


def _of_server(link: Link, deadline: Deadline) -> list[str]:
    names = ("server_version_num", "fsync", "full_page_writes", "synchronous_commit",
             "data_checksums")  # fmt: skip
    columns = ", ".join(f"current_setting('{name}')" for name in names)
    ((version, fsync, full_pages, synchronous, checksums),) = link.run(
        f"SELECT {columns}", deadline=deadline
    )
    found = []
    if int(version or 0) < _VERSION_MIN:
        found.append(f"the server is of version {version}; expected 15 or later")
    if fsync != "on":
        found.append("fsync is off: a crash of the server's machine damages everything in it")
    if full_pages != "on":
        found.append("full_page_writes is off: a crash of the server's machine can damage pages")
    if synchronous == "off":
        found.append("synchronous_commit is off: a crash of the server loses commits")
    if checksums != "on":
        found.append("data_checksums is off: the server does not notice damaged pages")
    return found


def _of_tables(link: Link, schema: str, deadline: Deadline) -> list[str]:
    found = [
        f"the session {pid} of {user} has been idle in a transaction for {float(age or 0):.0f}"
        " seconds, which keeps rows from being vacuumed"
        for pid, user, age in link.run(
            "SELECT pid, usename, extract(epoch FROM clock_timestamp() - xact_start)"
            " FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
            " AND clock_timestamp() - xact_start > $1::integer * interval '1 second'",
            _IDLE_SECONDS, deadline=deadline,
        )
    ]  # fmt: skip
    rows = link.run(
        "SELECT relname, n_dead_tup FROM pg_stat_user_tables WHERE schemaname = $1"
        " AND n_dead_tup > greatest($2::bigint, 10 * n_live_tup)",
        schema, _DEAD_ROWS, deadline=deadline,
    )  # fmt: skip
    return found + [f"{dead} dead rows in {schema}.{table}: vacuum it" for table, dead in rows]
