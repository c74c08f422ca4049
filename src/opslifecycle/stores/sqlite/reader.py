"""Reading a SQLite store: every row checked against its predecessor, owned or not."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import attrs
from opslifecycle.errors import PersistenceError, StoreDamagedError, StoreVersionError
from opslifecycle.stores.base import Identity, Stored
from opslifecycle.stores.sqlite import lease
from opslifecycle.stores.sqlite.chain import Chain, Row
from opslifecycle.stores.sqlite.schema import (
    APPLICATION_ID,
    LAYOUT,
    POSITION_BITS,
    POSITION_MASK,
    checksum_of,
    checksum_of_row,
)


class Replay:
    """What a registry's rows say, read from the first to the last and checked on the way.

    `advance` reads on from where it stands, so that following a registry costs what has come since.
    """

    def __init__(self, path: str, registry: str, identity: Identity) -> None:
        self._path = path
        self._registry = registry
        self._identity = identity
        self._written_by: tuple[int, str, int] | None = None
        self._begin(Chain())

    def _begin(self, chain: Chain) -> None:
        self.chain = chain
        self._records: dict[str, str] = {}
        self._rows: dict[int, tuple[str, str]] = {}
        self._state: str | None = None

    def advance(self, database: sqlite3.Connection) -> int:
        """Read the rows that came since, in one transaction of the caller's.

        Gives the version of the machine that wrote them. Raises StoreVersionError for one that we
        cannot read, StoreDamagedError for whatever contradicts itself.
        """
        number, *signed, checksum, head, head_checksum = database.execute(
            "SELECT number, machine, version, digest, base, base_checksum, checksum, head,"
            " head_checksum FROM registries WHERE name = ?",
            (self._registry,),
        ).fetchone()
        if checksum_of(self._registry, *signed) != checksum:
            raise StoreDamagedError(self._path, 0, "the registry's own row was altered")
        machine, version, _, base, base_checksum = signed
        self._identity.refuse_unreadable(machine, version, self._path)
        written_by = (number, machine, version)
        if base > self.chain.head or written_by != self._written_by:
            # Rows have left that were not read before; those that are left tell the whole story.
            self._begin(Chain(base, base_checksum, base, base_checksum))
            self._written_by = written_by
        for row in self._verified(database, number, head, head_checksum):
            self._take(*row)
        self.chain.base, self.chain.base_checksum = base, base_checksum
        return int(version)

    def stored(self) -> Stored:
        """What is held now."""
        dropped_through = self._dropped_through()
        kept = sorted(sequence for sequence in self._rows if sequence > dropped_through)
        self._rows = {sequence: self._rows[sequence] for sequence in kept}
        positions = self.chain.feed
        self.chain.feed = {sequence: positions[sequence] for sequence in kept}
        return Stored(dict(self._records), dict(self._rows), self._state)

    def _dropped_through(self) -> int:
        if self._state is None:
            return 0
        try:
            return int(json.loads(self._state).get("dropped_through", 0))
        except (ValueError, AttributeError) as error:
            rule = f"the registry's state is no JSON: {error}"
            raise StoreDamagedError(self._path, self.chain.head, rule) from None

    def _take(
        self,
        position: int,
        kind: str,
        id: str,
        sequence: int | None,
        body: str | None,
        checksum: int,
    ) -> None:
        chain = self.chain
        chain.head, chain.head_checksum = position, checksum
        if kind == "erase":
            self._records.pop(id, None)
            chain.latest.pop(id, None)
        elif body is None:
            raise StoreDamagedError(self._path, position, f"a {kind} row without a body")
        elif kind == "state":
            self._state = body
        else:
            if kind == "put":
                self._records[id] = body
                chain.latest[id] = position
            if sequence is not None:
                self._rows[sequence] = (id, body)
                chain.feed[sequence] = position

    def _verified(
        self, database: sqlite3.Connection, number: int, head: int, head_checksum: int
    ) -> Iterator[Row]:
        """The rows after where we stand, each checked against its predecessor."""
        position, checksum = self.chain.head, self.chain.head_checksum
        found = database.execute(
            "SELECT key, kind, id, sequence, body, checksum FROM log WHERE key > ? AND key <= ?"
            " ORDER BY key",
            ((number << POSITION_BITS) + position, (number << POSITION_BITS) | POSITION_MASK),
        )
        for key, kind, id, sequence, body, row_checksum in found:
            position += 1
            if key & POSITION_MASK != position:
                raise StoreDamagedError(self._path, position, "the row is missing")
            checksum = checksum_of_row(checksum, position, kind, id, sequence, body)
            if checksum != row_checksum:
                raise StoreDamagedError(self._path, position, "the row was altered")
            yield position, kind, id, sequence, body, checksum
        if position < head:
            raise StoreDamagedError(self._path, position + 1, "rows are missing at the end")
        if (position, checksum) != (head, head_checksum):
            raise StoreDamagedError(self._path, head, "the head does not fit the rows")


def refuse_other_layouts(database: sqlite3.Connection, path: str, *layouts: int) -> int:
    """The layout of a file, which is one of `layouts`; raises StoreVersionError if it is not."""
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (layout,) = database.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise StoreVersionError(f"another program ({path})", "opslifecycle")
    if layout not in layouts:
        raise StoreVersionError(f"layout {layout} ({path})", f"layout {LAYOUT}")
    return int(layout)


@attrs.frozen
class StoredRegistry:
    """A registry in a store, as somebody sees it who does not own it."""

    name: str
    #: Who owns it, in words; None if nobody does, or its owner is gone.
    holder: str | None
    stored: Stored


class StoreReader:
    """Reads a SQLite store without owning anything in it; its owners go on meanwhile.

    Reading the same registry again costs what has come since. Raises PersistenceError if there is
    no store, StoreDamagedError and StoreVersionError for one that cannot be read.
    """

    def __init__(self, path: Path, identity: Identity) -> None:
        self._path = path
        self._identity = identity
        self._replays: dict[str, Replay] = {}

    def names(self) -> list[str]:
        """The names of the registries, in their order."""
        with self._reading() as database:
            found = database.execute("SELECT name FROM registries ORDER BY name").fetchall()
        return [name for (name,) in found]

    def registry(self, name: str) -> StoredRegistry:
        """One registry as it is at one instant; raises PersistenceError if it is forgotten."""
        found = self._registry(name)
        if found is None:
            raise PersistenceError(str(self._path), f"there is no registry {name!r} any more")
        return found

    def all(self) -> list[StoredRegistry]:
        """Every registry, without those that are forgotten meanwhile."""
        found = [self._registry(name) for name in self.names()]
        return [each for each in found if each is not None]

    def _registry(self, name: str) -> StoredRegistry | None:
        replay = self._replays.setdefault(name, Replay(str(self._path), name, self._identity))
        with self._reading() as database:
            row = database.execute(
                "SELECT owner FROM registries WHERE name = ?", (name,)
            ).fetchone()
            if row is None:
                del self._replays[name]
                return None
            version = replay.advance(database)
        (owner,) = row
        stored = self._identity.adopt(version, replay.stored())
        alive = owner is not None and not lease.is_dead(owner)
        return StoredRegistry(name, lease.holder_of(owner) if alive else None, stored)

    def _reading(self) -> _Snapshot:
        return _Snapshot(self._path)


class _Snapshot:
    """One read transaction."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> sqlite3.Connection:
        if not self._path.exists():
            raise PersistenceError(str(self._path), "there is no such store")
        uri = f"{self._path.absolute().as_uri()}?mode=rw"
        try:
            self._database = sqlite3.connect(uri, uri=True, isolation_level=None)
        except sqlite3.Error as error:
            raise PersistenceError(str(self._path), str(error)) from error
        try:
            self._database.execute("PRAGMA query_only = ON")
            refuse_other_layouts(self._database, str(self._path), LAYOUT)
            self._database.execute("BEGIN")
        except sqlite3.Error as error:
            self._database.close()
            raise StoreDamagedError(str(self._path), 0, str(error)) from error
        except BaseException:
            self._database.close()
            raise
        return self._database

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._database.close()
        if isinstance(error, sqlite3.Error):
            raise StoreDamagedError(str(self._path), 0, str(error)) from error
