"""The archive of a schema: finished records that no owner holds in memory, by sequence number.

Its table exists only in schemas with a machine that archives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opslifecycle.errors import StoreDamagedError
from opslifecycle.stores.base import ArchivedRow
from opslifecycle.stores.postgres.link import Deadline, Link, Row
from opslifecycle.stores.postgres.log_index import COLUMN, LINE
from opslifecycle.stores.postgres.schema import POSITION_BITS, POSITION_MASK, migration_lock
from opslifecycle.stores.postgres.statements import SPLIT

#: How many rows a check of an archive reads at once.
_ROWS_OF_A_READ = 1000


def create_archive(link: Link, schema: str, deadline: Deadline) -> None:
    """Create the table, unless there is one; processes that do this at once wait for each other."""
    if has_archive(link, schema, deadline):
        return
    link.run("BEGIN", deadline=deadline)
    link.run("SELECT pg_advisory_xact_lock($1)", migration_lock(schema), deadline=deadline)
    if not has_archive(link, schema, deadline):
        # The high bits of a key are the registry's number, the others the sequence number.
        link.run(
            f"CREATE TABLE {schema}.archive (key bigint PRIMARY KEY,"
            ' id text COLLATE "C" NOT NULL, version integer NOT NULL, body text NOT NULL)',
            deadline=deadline,
        )
        link.run(f"CREATE INDEX archive_ids ON {schema}.archive (id, key)", deadline=deadline)
    link.run("COMMIT", deadline=deadline)


def has_archive(link: Link, schema: str, deadline: Deadline) -> bool:
    """Return whether a schema has the table."""
    statement = "SELECT 1 FROM pg_tables WHERE schemaname = $1 AND tablename = 'archive'"
    return bool(link.run(statement, schema, deadline=deadline))


def encoded(number: int, rows: Iterable[ArchivedRow]) -> str:
    """Return rows of a registry as one text, which the server splits."""
    first = number << POSITION_BITS
    return LINE.join(
        f"{first + sequence}{COLUMN}{id}{COLUMN}{version}{COLUMN}{body}"
        for sequence, id, version, body in rows
    )


def copy_rows(link: Link, schema: str, rows: str, deadline: Deadline) -> None:
    """Insert encoded rows, except those that are there already."""
    link.run(
        f"INSERT INTO {schema}.archive (key, id, version, body)"
        f" SELECT v[1]::bigint, v[2], v[3]::integer, v[4] FROM {SPLIT.format('$1')} each"
        " ON CONFLICT (key) DO NOTHING",
        rows, deadline=deadline,
    )  # fmt: skip


def latest(
    link: Link, schema: str, name: str, number: int, id: str, deadline: Deadline
) -> ArchivedRow | None:
    """Return the record with an id that was archived last."""
    first = number << POSITION_BITS
    rows = link.run(
        f"SELECT key, id, version, body FROM {schema}.archive WHERE id = $1"
        " AND key BETWEEN $2::bigint AND $3::bigint ORDER BY key DESC LIMIT 1",
        id, first, first | POSITION_MASK, deadline=deadline,
    )  # fmt: skip
    return _row(name, rows[0]) if rows else None


def after(
    link: Link, schema: str, name: str, number: int, sequence: int, limit: int, deadline: Deadline
) -> list[ArchivedRow]:
    """Return records after a sequence number, in their order."""
    first = number << POSITION_BITS
    since = first + min(sequence, POSITION_MASK)
    rows = link.run(
        f"SELECT key, id, version, body FROM {schema}.archive"
        " WHERE key > $1::bigint AND key <= $2::bigint ORDER BY key LIMIT $3::bigint",
        since, first | POSITION_MASK, limit, deadline=deadline,
    )  # fmt: skip
    return [_row(name, row) for row in rows]


def before(
    link: Link, schema: str, name: str, number: int, sequence: int | None, limit: int,
    deadline: Deadline,
) -> list[ArchivedRow]:  # fmt: skip
    """Return records before a sequence number, the latest first."""
    first = number << POSITION_BITS
    until = POSITION_MASK if sequence is None else min(sequence - 1, POSITION_MASK)
    rows = link.run(
        f"SELECT key, id, version, body FROM {schema}.archive"
        " WHERE key > $1::bigint AND key <= $2::bigint ORDER BY key DESC LIMIT $3::bigint",
        first, first + until, limit, deadline=deadline,
    )  # fmt: skip
    return [_row(name, row) for row in rows]


def remove_archive(link: Link, schema: str, number: int, deadline: Deadline) -> None:
    """Delete the archive of a registry."""
    if has_archive(link, schema, deadline):
        first = number << POSITION_BITS
        link.run(
            f"DELETE FROM {schema}.archive WHERE key BETWEEN $1::bigint AND $2::bigint",
            first, first | POSITION_MASK, deadline=deadline,
        )  # fmt: skip


def _row(name: str, row: Row) -> ArchivedRow:
    key, id, version, body = row
    if key is None or id is None or version is None or body is None:
        raise StoreDamagedError(name, 0, "an archived record lacks a value")
    return int(key) & POSITION_MASK, id, int(version), body


def check(after: Callable[[int, int], list[ArchivedRow]]) -> int:
    """Read a whole archive page by page, and return how many records it has.

    Args:
        after: Returns the records after a sequence number, up to a number of them, and checks each.
    """
    count = last = 0
    while rows := after(last, _ROWS_OF_A_READ):
        count += len(rows)
        last = rows[-1][0]
    return count
