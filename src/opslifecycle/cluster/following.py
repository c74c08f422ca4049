"""Following registries that other hosts own: their contents once, and then what has changed."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import attrs
from opslifecycle.errors import OpsLifecycleError, PersistenceError, StoreDamagedError
from opslifecycle.logs import EventLog
from opslifecycle.shell.replica import StoredRow
from opslifecycle.stores.base import StoreContents
from opslifecycle.stores.postgres.claims import OWNER_LIVES, is_free, read, registry_row
from opslifecycle.stores.postgres.link import Deadline, Link
from opslifecycle.stores.postgres.log_index import LogIndex
from opslifecycle.stores.postgres.log_tail import current_ids, rows_after
from opslifecycle.stores.postgres.schema import (
    layout_of,
    migrate,
    refuse_other_layouts,
)
from opslifecycle.stores.postgres.session import Target
from opslifecycle.stores.postgres.statements import keys_text
from opslifecycle.stores.reading import UNREADABLE
from opslifecycle.stores.schema_version import SchemaVersion

_log = EventLog("cluster")


class Mirror(Protocol):
    """What a registry of another host is read through."""

    @property
    def is_open(self) -> bool:
        """Whether it was not closed."""

    def advance(
        self, rows: Iterable[StoredRow], current: Container[str] | None, state: str
    ) -> None:
        """See `Replica.advance`."""

    def end(self) -> None:
        """See `Replica.end`."""


@attrs.frozen
class Look:
    """The contents of a registry at one instant."""

    number: int
    head: int
    stored: StoreContents


@attrs.define(eq=False)
class Followed:
    """A registry of another host, as this host knows it."""

    name: str
    number: int
    head: int
    replica: Mirror
    #: The ids of the records, as they are stored.
    ids: set[str]

    @property
    def is_open(self) -> bool:
        """Whether anyone uses it."""
        return self.replica.is_open


@contextmanager
def _snapshot(link: Link, until: Deadline) -> Iterator[None]:
    """Read in one transaction."""
    link.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", deadline=until)
    try:
        yield
    except OpsLifecycleError:
        link.run("ROLLBACK", deadline=until)
        raise
    link.run("COMMIT", deadline=until)


class Following:
    """Reads the registries of one machine in one schema.

    Args:
        target: The schema.
        version: The machine.
    """

    def __init__(self, target: Target, version: SchemaVersion) -> None:
        self._target = target
        self._tables = target.schema
        self._version = version
        #: The condition that there are hosts that share all registries of a registry's machine.
        self._is_shared = (
            f"EXISTS (SELECT 1 FROM {target.schema}.members m"
            f" JOIN {target.schema}.owners o USING (owner)"
            f" WHERE m.machine = registries.machine AND {OWNER_LIVES})"
        )

    @property
    def machine(self) -> str:
        """The name of the machine."""
        return self._version.machine

    def prepare(self, link: Link, until: Deadline) -> None:
        """Create the tables if there are none.

        Raises:
            StoreVersionError: The tables are of another version of this program.
        """
        if layout_of(link, self._tables, until) == 0:
            migrate(link, self._tables, until)
        refuse_other_layouts(link, self._tables, until)

    def look(self, link: Link, name: str, until: Deadline) -> Look:
        """Return the contents of a registry.

        Raises:
            PersistenceError: There is no such registry.
            StoreVersionError: It is of another machine, or of a version without a migration.
            StoreDamagedError: Its rows contradict each other.
        """
        where = f"registry {name!r} in {self._target.name}"
        with _snapshot(link, until):
            row = registry_row(link, self._tables, name, until)
            if row is None:
                raise PersistenceError(self._target.name, f"there is no registry {name!r}")
            self._version.refuse_unreadable(row.machine, row.version, where)
            ((head, dropped, state),) = link.run(
                f"SELECT head, dropped_through, state FROM {self._tables}.registries"
                " WHERE number = $1::integer",
                row.number, deadline=until,
            )  # fmt: skip
            index = LogIndex(int(head or 0), int(dropped or 0))
            found = read(link, self._tables, where, row.number, index, state, until)
        try:
            return Look(row.number, index.head, self._version.adopt(row.version, found))
        except UNREADABLE as error:
            raise StoreDamagedError(where, index.head, str(error)) from None

    def refresh(self, link: Link, followed: Followed, until: Deadline) -> None:
        """Take up what has changed in a registry; ends its waits if it cannot be followed."""
        number = followed.number
        with _snapshot(link, until):
            rows = link.run(
                f"SELECT head, state, machine, version FROM {self._tables}.registries"
                " WHERE number = $1::integer",
                number, deadline=until,
            )  # fmt: skip
            own = [self._version.machine, str(self._version.version)]
            if not rows or list(rows[0][2:]) != own:
                self._end(followed, "it was removed, or is of another version")
                return
            head, state = int(rows[0][0] or 0), rows[0][1]
            if head == followed.head:
                return
            new = rows_after(link, self._tables, number, followed.head, head, until)
            followed.ids.update(id for id, _, is_current, _ in new if is_current)
            remaining = current_ids(link, self._tables, number, len(followed.ids), until)
        if head < followed.head:
            self._end(followed, f"the server went back from position {followed.head} to {head}")
            return
        followed.head = head
        if remaining is not None:
            followed.ids = remaining
        try:
            followed.replica.advance(new, remaining, str(state))
        except (*UNREADABLE, OpsLifecycleError) as error:
            self._end(followed, repr(error))

    def is_shared(self, link: Link, name: str, until: Deadline) -> bool:
        """Return whether a registry exists, and there are hosts that share all registries."""
        statement = f"SELECT 1 FROM {self._tables}.registries WHERE name = $1 AND {self._is_shared}"
        return bool(link.run(statement, name, deadline=until))

    def overview(
        self, link: Link, followed: Mapping[int, Followed], until: Deadline
    ) -> tuple[list[int], list[int]]:
        """Return which registries have changed, and which this host should open.

        A registry without an owner is opened by a host that follows it, unless there are hosts that
        share all registries.
        """
        if not followed:
            return [], []
        rows = link.run(
            f"SELECT number, head, {is_free(self._tables)} AND NOT {self._is_shared}"
            f" FROM {self._tables}.registries WHERE number = ANY($1::integer[])",
            keys_text(list(followed)), deadline=until,
        )  # fmt: skip
        heads = {int(number or 0): int(head or 0) for number, head, _ in rows}
        moved = [number for number, each in followed.items() if heads.get(number) != each.head]
        return moved, [int(number or 0) for number, _, free in rows if free == "t"]

    def _end(self, followed: Followed, cause: str) -> None:
        text = "%s: the registry %r is not followed: %s"
        _log.error("registry_not_followed", text, self._target.name, followed.name, cause)
        followed.replica.end()
