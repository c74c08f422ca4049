"""Reading a SQLite store: every row checked against its predecessor, owned or not."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import attrs
from opslifecycle import lease
from opslifecycle.errors import PersistenceError, StoreDamagedError, StoreVersionError
from opslifecycle.sqlite_chain import Chain, Row
from opslifecycle.sqlite_layout import APPLICATION_ID, LAYOUT, checksum_of
from opslifecycle.store import Data, Identity, Stored


def read_registry(
    database: sqlite3.Connection, path: str, registry: str, identity: Identity
) -> tuple[Stored, Chain]:
    """What a registry holds, and where its rows stand.

    Raises StoreDamagedError for whatever contradicts itself, StoreVersionError for another machine.
    """
    *signed, checksum = database.execute(
        "SELECT machine, version, digest, state, base, base_checksum, head, head_checksum, checksum"
        " FROM registries WHERE name = ?",
        (registry,),
    ).fetchone()
    if checksum_of(registry, *signed) != checksum:
        raise StoreDamagedError(path, 0, "the registry's own row was altered")
    machine, version, digest, state, *chain_values = signed
    if (machine, version) != (identity.machine, identity.version):
        found = Identity(machine, version, digest)
        raise StoreVersionError(f"{found} ({path})", str(identity))
    chain = Chain(*chain_values)
    return _replayed(database, path, registry, chain, json.loads(state) if state else None), chain


def _replayed(
    database: sqlite3.Connection, path: str, registry: str, chain: Chain, state: Data | None
) -> Stored:
    records: dict[str, Data] = {}
    rows: dict[int, Data] = {}
    dropped_through = int((state or {}).get("dropped_through", 0))
    for row in _verified(database, path, registry, chain):
        data = json.loads(row.body) if row.body is not None else {}
        if row.kind == "put":
            records[row.id] = data
            chain.latest[row.id] = row.position
        elif row.kind == "erase":
            records.pop(row.id, None)
            chain.latest.pop(row.id, None)
        if row.sequence is not None and row.sequence > dropped_through:
            rows[row.sequence] = data
            chain.feed[row.sequence] = row.position
    chain.feed = dict(sorted(chain.feed.items()))
    return Stored(records, dict(sorted(rows.items())), state)


def _verified(
    database: sqlite3.Connection, path: str, registry: str, chain: Chain
) -> Iterator[Row]:
    """The rows of the chain, each checked against its predecessor."""
    position, checksum = chain.base, chain.base_checksum
    found = database.execute(
        "SELECT position, kind, id, sequence, body, checksum FROM transitions"
        " WHERE registry = ? ORDER BY position",
        (registry,),
    )
    for row in (Row(*values) for values in found):
        position += 1
        if row.position != position:
            raise StoreDamagedError(path, position, "the row is missing")
        checksum = checksum_of(checksum, position, row.kind, row.id, row.sequence, row.body)
        if checksum != row.checksum:
            raise StoreDamagedError(path, position, "the row was altered")
        yield row
    if (position, checksum) != (chain.head, chain.head_checksum):
        raise StoreDamagedError(path, position + 1, "rows are missing at the end")


@attrs.frozen
class StoredRegistry:
    """A registry in a store, as somebody sees it who does not own it."""

    name: str
    #: Who owns it, in words; None if nobody does, or its owner is gone.
    holder: str | None
    stored: Stored


class StoreReader:
    """Reads a SQLite store without owning anything in it; its owners go on meanwhile.

    Raises PersistenceError if there is no store, and what `read_registry` raises.
    """

    def __init__(self, path: Path, identity: Identity) -> None:
        self._path = path
        self._identity = identity

    def names(self) -> list[str]:
        """The names of the registries, in their order."""
        with self._reading() as database:
            found = database.execute("SELECT name FROM registries ORDER BY name").fetchall()
        return [name for (name,) in found]

    def registry(self, name: str) -> StoredRegistry:
        """One registry as it is at one instant."""
        with self._reading() as database:
            (owner,) = database.execute(
                "SELECT owner FROM registries WHERE name = ?", (name,)
            ).fetchone()
            stored, _ = read_registry(database, str(self._path), name, self._identity)
        alive = owner is not None and not lease.is_dead(owner)
        return StoredRegistry(name, lease.holder_of(owner) if alive else None, stored)

    def all(self) -> list[StoredRegistry]:
        """Every registry."""
        return [self.registry(name) for name in self.names()]

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
            (application,) = self._database.execute("PRAGMA application_id").fetchone()
            (layout,) = self._database.execute("PRAGMA user_version").fetchone()
            self._database.execute("BEGIN")
        except sqlite3.Error as error:
            self._database.close()
            raise StoreDamagedError(str(self._path), 0, str(error)) from error
        if (application, layout) != (APPLICATION_ID, LAYOUT):
            self._database.close()
            raise StoreVersionError(f"something else ({self._path})", f"layout {LAYOUT}")
        return self._database

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._database.close()
        if isinstance(error, sqlite3.Error):
            raise StoreDamagedError(str(self._path), 0, str(error)) from error


class Inbox:
    """Requests to the owner of a registry, left in its store by other processes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(self, registry: str, id: str, reason: str) -> None:
        """Ask for one record to be cancelled; asking again is fine."""
        with self._writing() as database:
            database.execute(
                "INSERT INTO inbox (registry, id, reason) VALUES (?, ?, ?)", (registry, id, reason)
            )

    def take(self, registry: str) -> list[tuple[str, str]]:
        """The requests that came, each once."""
        with self._writing() as database:
            if not database.execute(
                "SELECT 1 FROM inbox WHERE registry = ? LIMIT 1", (registry,)
            ).fetchone():
                return []
            found = database.execute(
                "DELETE FROM inbox WHERE registry = ? RETURNING id, reason", (registry,)
            )
            return [(id, reason) for id, reason in found.fetchall()]

    def _writing(self) -> _Connection:
        return _Connection(self._path)


class _Connection:
    """A connection that is closed when it is left, and whose errors are PersistenceErrors."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> sqlite3.Connection:
        self._database = sqlite3.connect(self._path, isolation_level=None)
        return self._database

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._database.close()
        if isinstance(error, sqlite3.Error):
            raise PersistenceError(str(self._path), str(error)) from error
