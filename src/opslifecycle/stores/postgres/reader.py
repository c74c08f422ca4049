"""Reading a schema without owning anything in it.

Each look is one transaction that reads only, on a snapshot: an owner is never held up. A registry
whose head has not moved since the last look is not read again, and of another one only the rows
after that head, unless it has a new owner, who may have written it anew.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial

import attrs
from opslifecycle.errors import PersistenceError, StoreDamagedError
from opslifecycle.stores.base import ArchivedRow, StoreContents
from opslifecycle.stores.postgres import archive
from opslifecycle.stores.postgres.claims import RegistryRow, read, registry_row
from opslifecycle.stores.postgres.failures import failure_of
from opslifecycle.stores.postgres.link import Deadline, Link, LinkLostError, RefusedError, within
from opslifecycle.stores.postgres.log_index import LogIndex
from opslifecycle.stores.postgres.log_tail import current_ids, rows_after
from opslifecycle.stores.postgres.schema import refuse_other_layouts
from opslifecycle.stores.postgres.session import PATIENCE_SECONDS, Target
from opslifecycle.stores.reading import UNREADABLE, Known, Reader, StoredRegistry
from opslifecycle.stores.schema_version import SchemaVersion


@attrs.frozen
class _Look:
    """What the last look at a registry has found."""

    #: The head and the fencing token: what moves with every change.
    head: int
    fencing_token: int
    version: int
    #: As the server has it.
    found: StoreContents
    #: In the form of this version of the machine.
    stored: StoreContents


class PostgresReader(Reader):
    """Reads the registries of one machine in a schema, on a connection of its own."""

    def __init__(self, target: Target, schema: SchemaVersion) -> None:
        self._target = target
        self._tables = target.schema
        self._schema = schema
        self._link: Link | None = None
        self._looks: dict[str, _Look] = {}
        self._known: dict[str, Known] = {}

    def close(self) -> None:
        """See `Reader.close`."""
        self._give_up()

    def names(self) -> list[str]:
        """See `Reader.names`."""
        with self._snapshot() as (link, deadline):
            return self._names(link, deadline)

    def _names(self, link: Link, deadline: Deadline) -> list[str]:
        rows = self._rows(link, deadline)
        own = [name for name, machine, _ in rows if machine == self._schema.machine]
        for _, machine, version in [] if own else rows:
            self._schema.refuse_unreadable(machine, version, self._target.name)
        return own

    def others(self) -> list[str]:
        """See `Reader.others`."""
        with self._snapshot() as (link, deadline):
            rows = self._rows(link, deadline)
        return [name for name, machine, _ in rows if machine != self._schema.machine]

    def _rows(self, link: Link, deadline: Deadline) -> list[tuple[str, str, int]]:
        statement = f"SELECT name, machine, version FROM {self._tables}.registries ORDER BY number"
        rows = link.run(statement, deadline=deadline)
        return [(str(name), str(machine), int(version or 0)) for name, machine, version in rows]

    def registry(self, name: str) -> StoredRegistry:
        """See `Reader.registry`."""
        with self._snapshot() as (link, deadline):
            found = self._registry(link, name, deadline)
        if found is None:
            raise self._gone(name)
        return found

    def all(self) -> list[StoredRegistry]:
        """See `Reader.all`; all registries are of the same instant."""
        with self._snapshot() as (link, deadline):
            names = self._names(link, deadline)
            found = [self._registry(link, name, deadline) for name in names]
        return [each for each in found if each is not None]

    def archived(self, name: str, id: str) -> ArchivedRow | None:
        """See `Reader.archived`."""
        with self._snapshot() as (link, deadline):
            place = self._archive(link, name, deadline)
            return None if place is None else archive.latest(link, *place, id, deadline)

    def archived_after(self, name: str, sequence: int, limit: int) -> list[ArchivedRow]:
        """See `Reader.archived_after`."""
        with self._snapshot() as (link, deadline):
            place = self._archive(link, name, deadline)
            return [] if place is None else archive.after(link, *place, sequence, limit, deadline)

    def archived_before(self, name: str, sequence: int | None, limit: int) -> list[ArchivedRow]:
        """See `Reader.archived_before`."""
        with self._snapshot() as (link, deadline):
            place = self._archive(link, name, deadline)
            return [] if place is None else archive.before(link, *place, sequence, limit, deadline)

    def check_archive(self, name: str) -> int:
        """See `Reader.check_archive`."""
        return archive.check(partial(self.archived_after, name))

    def _archive(self, link: Link, name: str, deadline: Deadline) -> tuple[str, str, int] | None:
        """Return where the archive of a registry is; None if the schema has none."""
        row = registry_row(link, self._tables, name, deadline)
        if row is None:
            raise self._gone(name)
        where = f"registry {name!r} in {self._target.name}"
        self._schema.refuse_unreadable(row.machine, row.version, where)
        if not archive.has_archive(link, self._tables, deadline):
            return None
        return self._tables, where, row.number

    def _gone(self, name: str) -> PersistenceError:
        reason = f"there is no registry {name!r} any more; list them again"
        return PersistenceError(self._target.name, reason)

    def _registry(self, link: Link, name: str, deadline: Deadline) -> StoredRegistry | None:
        row = registry_row(link, self._tables, name, deadline)
        if row is None:
            self._looks.pop(name, None)
            self._known.pop(name, None)
            return None
        where = f"registry {name!r} in {self._target.name}"
        self._schema.refuse_unreadable(row.machine, row.version, where)
        look = self._look(link, name, row, where, deadline)
        live = row.is_owned and not row.lock_gone
        holder = (row.holder or "another process") if live else None
        known = self._known.setdefault(name, {})
        return StoredRegistry(name, row.version, holder, True, look.stored, where, {}, known)

    def _look(
        self, link: Link, name: str, row: RegistryRow, where: str, deadline: Deadline
    ) -> _Look:
        """Return the contents of a registry; only what is new since the last look is read."""
        ((text, dropped, state),) = link.run(
            f"SELECT head, dropped_through, state FROM {self._tables}.registries"
            " WHERE number = $1::integer",
            row.number, deadline=deadline,
        )  # fmt: skip
        head, before = int(text or 0), self._looks.get(name)
        if before is not None and (
            (before.fencing_token, before.version) != (row.fencing_token, row.version)
            or head < before.head
        ):
            before = None
        if before is not None and head == before.head:
            return before
        index = LogIndex(head, int(dropped or 0))
        if before is not None:
            found = self._advanced(link, before, row.number, index, state, deadline)
        else:
            found = read(link, self._tables, where, row.number, index, state, deadline)
        try:
            stored = self._schema.adopt(row.version, found)
        except UNREADABLE as error:
            raise StoreDamagedError(where, head, str(error)) from None
        look = _Look(head, row.fencing_token, row.version, found, stored)
        self._looks[name] = look
        return look

    def _advanced(
        self,
        link: Link,
        before: _Look,
        number: int,
        edges: LogIndex,
        state: str | None,
        until: Deadline,
    ) -> StoreContents:
        """Return the contents with what has changed since a look."""
        records, feed = dict(before.found.records), dict(before.found.rows)
        new = rows_after(link, self._tables, number, before.head, edges.head, until)
        for id, sequence, is_current, body in new:
            if is_current:
                records[id] = body
            if sequence is not None:
                feed[sequence] = (id, body)
        ids = current_ids(link, self._tables, number, len(records), until)
        if ids is not None:
            records = {id: body for id, body in records.items() if id in ids}
        retained = {each: feed[each] for each in sorted(feed) if each > edges.dropped_through}
        return StoreContents(records, retained, state)

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[tuple[Link, Deadline]]:
        """Read in one transaction; a connection that was lost is opened again."""
        deadline = within(PATIENCE_SECONDS)
        try:
            link = self._link
            if link is None or not link.is_open:
                link = self._link = self._target.connect("reader", deadline)
                refuse_other_layouts(link, self._tables, deadline)
            link.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", deadline=deadline)
            yield link, deadline
            link.run("COMMIT", deadline=deadline)
        except (LinkLostError, RefusedError) as error:
            self._give_up()
            raise failure_of(self._target.name, error) from error
        except BaseException:
            self._give_up()
            raise

    def _give_up(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
