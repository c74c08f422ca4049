"""What commands do in a schema without owning a registry: requests and administration."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from opslifecycle.errors import RegistryOwnedError, StoreDamagedError
from opslifecycle.stores.epochs import with_new_epoch
from opslifecycle.stores.postgres.archive import remove_archive
from opslifecycle.stores.postgres.claims import RegistryRow, begin, registry_row
from opslifecycle.stores.postgres.failures import failure_of
from opslifecycle.stores.postgres.link import Deadline, Link, LinkLostError, RefusedError, within
from opslifecycle.stores.postgres.schema import POSITION_BITS
from opslifecycle.stores.postgres.session import PATIENCE_SECONDS, Target, existing


@contextlib.contextmanager
def connected(target: Target) -> Iterator[tuple[Link, Deadline]]:
    """Use a connection for a while: that of this process's session, or one of its own.

    Raises:
        PersistenceError: The server cannot be reached, or refuses.
    """
    deadline = within(PATIENCE_SECONDS)
    try:
        session = existing(target)
        if session is not None:
            with session.side() as link:
                yield link, deadline
            return
        link = target.connect("command", deadline)
        try:
            yield link, deadline
        finally:
            link.close()
    except (LinkLostError, RefusedError) as error:
        raise failure_of(target.name, error) from error


def ask(target: Target, registry: str, id: str, reason: str) -> None:
    """Request the cancellation of one record; repeating it is harmless."""
    with connected(target) as (link, deadline):
        link.run(
            f"INSERT INTO {target.schema}.inbox (registry, id, reason) VALUES ($1, $2, $3)",
            registry, id, reason, deadline=deadline,
        )  # fmt: skip


def take(target: Target, registry: str) -> list[tuple[str, str]]:
    """Return the requests to the owner of a registry that came, each once."""
    with connected(target) as (link, deadline):
        rows = link.run(
            f"DELETE FROM {target.schema}.inbox WHERE registry = $1 RETURNING id, reason",
            registry, deadline=deadline,
        )  # fmt: skip
    return [(str(id), str(reason)) for id, reason in rows]


def forget(target: Target, registry: str) -> None:
    """Remove a registry that has no owner, with everything that is stored of it.

    Raises:
        RegistryOwnedError: A process works with it.
    """
    with connected(target) as (link, deadline):
        begin(link, deadline)
        row = _locked(link, target, registry, deadline)
        if row is not None:
            first, end = row.number << POSITION_BITS, (row.number + 1) << POSITION_BITS
            link.run(
                f"DELETE FROM {target.schema}.log WHERE key >= $1::bigint AND key < $2::bigint",
                first, end, deadline=deadline,
            )  # fmt: skip
            remove_archive(link, target.schema, row.number, deadline)
            for table, column, value in (
                ("inbox", "registry", registry), ("registries", "name", registry)
            ):  # fmt: skip
                statement = f"DELETE FROM {target.schema}.{table} WHERE {column} = $1"
                link.run(statement, value, deadline=deadline)
        link.run("COMMIT", deadline=deadline)


def mark_restored(target: Target) -> None:
    """Have every feed begin a new epoch, because the database was put back from a backup.

    Raises:
        RegistryOwnedError: A process works with one of the registries.
        StoreDamagedError: The state of one is no JSON.
    """
    with connected(target) as (link, deadline):
        names = link.run(f"SELECT name FROM {target.schema}.registries", deadline=deadline)
        begin(link, deadline)
        for (name,) in names:
            row = _locked(link, target, str(name), deadline)
            if row is not None:
                _renumber(link, target, row.number, deadline)
        link.run("COMMIT", deadline=deadline)


def _renumber(link: Link, target: Target, number: int, deadline: Deadline) -> None:
    table = f"{target.schema}.registries"
    statement = f"SELECT state FROM {table} WHERE number = $1::integer"
    ((state,),) = link.run(statement, number, deadline=deadline)
    try:
        renumbered = with_new_epoch(state)
    except ValueError as error:
        rule = f"the state of a registry is no JSON: {error}"
        raise StoreDamagedError(target.name, number, rule) from None
    update = f"UPDATE {table} SET state = $2 WHERE number = $1::integer"
    link.run(update, number, renumbered, deadline=deadline)


def _locked(link: Link, target: Target, registry: str, deadline: Deadline) -> RegistryRow | None:
    """Return the row of a registry without an owner; no process can take it meanwhile."""
    statement = f"SELECT 1 FROM {target.schema}.registries WHERE name = $1 FOR UPDATE"
    link.run(statement, registry, deadline=deadline)
    row = registry_row(link, target.schema, registry, deadline)
    if row is not None and row.is_owned and not row.lock_gone:
        name = f"registry {registry!r} in {target.name}"
        raise RegistryOwnedError(name, row.holder or "another process")
    return row
