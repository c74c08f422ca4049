"""What has changed in the log of a registry since an earlier look at it."""

from __future__ import annotations

from typing import TypeAlias

from opslifecycle.stores.postgres.link import Deadline, Link
from opslifecycle.stores.postgres.schema import POSITION_BITS

#: A row: the id of a record, the sequence number of its feed entry or None, whether it is the
#: current state of the record, and the body.
TailRow: TypeAlias = tuple[str, int | None, bool, str]


def rows_after(
    link: Link, schema: str, number: int, after: int, head: int, until: Deadline
) -> list[TailRow]:
    """Return the rows of a registry after a position, in the order of their commits.

    Args:
        link: A connection, in a transaction that has read the head.
        schema: The schema.
        number: The number of the registry.
        after: The position.
        head: The last position.
        until: When the call gives up.
    """
    first = number << POSITION_BITS
    rows = link.run(
        f"SELECT id, sequence, current, body FROM {schema}.log"
        " WHERE key > $1::bigint AND key <= $2::bigint ORDER BY key",
        first + after, first + head, deadline=until,
    )  # fmt: skip
    return [
        (str(id), None if sequence is None else int(sequence), current == "t", str(body))
        for id, sequence, current, body in rows
    ]


def current_ids(
    link: Link, schema: str, number: int, known: int, until: Deadline
) -> set[str] | None:
    """Return the ids of the records of a registry; None if there are as many as are known."""
    first, end = number << POSITION_BITS, (number + 1) << POSITION_BITS
    where = f"FROM {schema}.log WHERE key > $1::bigint AND key < $2::bigint AND current"
    ((count,),) = link.run(f"SELECT count(*) {where}", first, end, deadline=until)
    if int(count or 0) == known:
        return None
    rows = link.run(f"SELECT id {where}", first, end, deadline=until)
    return {str(id) for (id,) in rows}
