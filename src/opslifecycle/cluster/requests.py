"""The requests of a schema: commands that hosts send to the owners of registries, and the answers.

The sender inserts a row, and the owner claims it. The statement that commits the command answers
it, and the sender deletes it once it has read the answer. So a request is applied at most once,
however often it is sent: while its row exists, a second insert changes nothing. It has an answer
exactly if its command was committed.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import attrs
from opslifecycle.stores.postgres.link import Deadline, Link
from opslifecycle.stores.postgres.log_index import COLUMN, LINE
from opslifecycle.stores.postgres.statements import SPLIT

#: After so long an answer is deleted whose sender has not read it.
_UNREAD_HOURS = 1


@attrs.frozen
class Request:
    """A request to a registry that this host owns."""

    id: str
    registry: int
    sender: int
    command: str


@attrs.frozen
class Answer:
    """The answer to a request of this host, and the position of the commit that it came with."""

    id: str
    registry: int
    text: str
    head: int


@attrs.frozen
class Channels:
    """The notification channels of one schema."""

    prefix: str

    def registry(self, number: int) -> str:
        """Return the channel that notifies the followers of a registry of its commits."""
        return f"{self.registry_prefix}{number}"

    @property
    def registry_prefix(self) -> str:
        """The channel of a registry without its number."""
        return f"{self.prefix}_r"

    def host(self, id: int) -> str:
        """Return the channel that notifies a host of requests and answers."""
        return f"{self.host_prefix}{id}"

    @property
    def host_prefix(self) -> str:
        """The channel of a host without its id."""
        return f"{self.prefix}_h"


def channels(schema: str) -> Channels:
    """Return the channels of a schema; names of channels are short."""
    return Channels(f"opslifecycle_{zlib.crc32(schema.encode()):08x}")


class Requests:
    """The statements on the requests of one schema.

    Args:
        schema: The schema.
        host: The id under which this host sends.
    """

    def __init__(self, schema: str, host: int) -> None:
        self._schema = schema
        self._host = host
        self.channels = channels(schema)

    def send(self, link: Link, requests: Iterable[tuple[str, int, str]], until: Deadline) -> None:
        """Insert requests, which may be there already, and notify the owners of their registries.

        Args:
            link: A connection.
            requests: The id of each, the number of its registry, and its command.
            until: When the call gives up.
        """
        rows = LINE.join(f"{id}{COLUMN}{number}{COLUMN}{text}" for id, number, text in requests)
        link.run(
            "WITH sent AS ("
            f" INSERT INTO {self._schema}.requests (request, registry, sender, command)"
            f" SELECT v[1]::uuid, v[2]::integer, $2::bigint, v[3] FROM {SPLIT.format('$1')} each"
            " ON CONFLICT (request) DO NOTHING RETURNING registry)"
            " SELECT pg_notify($3 || owner, '') FROM ("
            f" SELECT DISTINCT owner FROM {self._schema}.registries"
            " WHERE number IN (SELECT registry FROM sent) AND owner IS NOT NULL) told",
            rows, self._host, self.channels.host_prefix, deadline=until,
        )  # fmt: skip

    def claim(self, link: Link, owner: int, busy: Iterable[str], until: Deadline) -> list[Request]:
        """Claim the requests to the registries of an owner, except those it is busy with.

        Returns:
            The requests, in the order of their arrival.
        """
        rows = link.run(
            f"UPDATE {self._schema}.requests q SET owner = $1::bigint"
            " WHERE answer IS NULL AND request <> ALL($2::uuid[]) AND EXISTS ("
            f"  SELECT 1 FROM {self._schema}.registries r"
            "  WHERE r.number = q.registry AND r.owner = $1::bigint)"
            " RETURNING number, request, registry, sender, command",
            owner, f"{{{','.join(busy)}}}", deadline=until,
        )  # fmt: skip
        rows.sort(key=lambda row: int(row[0] or 0))
        return [
            Request(str(id), int(registry or 0), int(sender or 0), str(command))
            for _, id, registry, sender, command in rows
        ]

    def answers(self, link: Link, until: Deadline) -> list[Answer]:
        """Return the answers to requests of this host, which stay until `forget`."""
        rows = link.run(
            f"SELECT request, registry, answer, head FROM {self._schema}.requests"
            " WHERE sender = $1::bigint AND answer IS NOT NULL ORDER BY head",
            self._host, deadline=until,
        )  # fmt: skip
        return [
            Answer(str(id), int(registry or 0), str(text), int(head or 0))
            for id, registry, text, head in rows
        ]

    def forget(self, link: Link, ids: Iterable[str], until: Deadline) -> None:
        """Delete answered requests."""
        link.run(
            f"DELETE FROM {self._schema}.requests"
            " WHERE request = ANY($1::uuid[]) AND answer IS NOT NULL",
            f"{{{','.join(ids)}}}", deadline=until,
        )  # fmt: skip

    def withdraw(self, link: Link, id: str, number: int, until: Deadline) -> bool:
        """Withdraw a request, unless it was answered or the registry's owner may be applying it.

        Returns:
            Whether it was withdrawn. Then nothing of it has happened, and nothing will.
        """
        link.run("BEGIN ISOLATION LEVEL READ COMMITTED", deadline=until)
        # The lock delays a process that takes the registry over, and could then claim the request.
        rows = link.run(
            f"SELECT owner FROM {self._schema}.registries WHERE number = $1::integer FOR SHARE",
            number, deadline=until,
        )  # fmt: skip
        owner = rows[0][0] if rows else None
        gone = link.run(
            f"DELETE FROM {self._schema}.requests WHERE request = $1::uuid AND answer IS NULL"
            " AND (owner IS NULL OR owner IS DISTINCT FROM $2::bigint) RETURNING 1",
            id, owner, deadline=until,
        )  # fmt: skip
        link.run("COMMIT", deadline=until)
        return bool(gone)

    def clean(self, link: Link, until: Deadline) -> None:
        """Delete answers whose senders have gone."""
        link.run(
            f"DELETE FROM {self._schema}.requests WHERE answer IS NOT NULL"
            f" AND sent_at < clock_timestamp() - interval '{_UNREAD_HOURS} hours'",
            deadline=until,
        )

    def tell(
        self, link: Link, numbers: Iterable[int], hosts: Iterable[int], until: Deadline
    ) -> None:
        """Notify the followers of registries, and other hosts of answers."""
        names = [*map(self.channels.registry, numbers), *map(self.channels.host, hosts)]
        if names:
            link.run(
                "SELECT pg_notify(name, '') FROM unnest($1::text[]) name",
                f"{{{','.join(names)}}}", deadline=until,
            )  # fmt: skip
