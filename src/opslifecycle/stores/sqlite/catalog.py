"""The parts of a store's file, checked before they are read: layout, tables and registries."""

from __future__ import annotations

import sqlite3
from functools import cache
from typing import TypeAlias

import attrs
from opslifecycle.errors import StoreDamagedError, StoreVersionError
from opslifecycle.stores.sqlite.lease import Lease
from opslifecycle.stores.sqlite.schema import (
    APPLICATION_ID,
    LAYOUT,
    POSITION_MASK,
    REGISTRIES_MAX,
    SCHEMA,
    checksum_of,
)

#: The limit of counters: higher than any can rise, and far below the largest integer of SQLite.
_COUNT_MAX = 1 << 62

#: The kind, name, table and text of one object of a schema.
_Object: TypeAlias = tuple[str, str, str, str | None]


def refuse_other_layouts(database: sqlite3.Connection, path: str, *layouts: int) -> int:
    """Return the layout of a file.

    Raises:
        StoreVersionError: The layout is none of `layouts`, or the file is of another program.
    """
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (layout,) = database.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise StoreVersionError(f"another program ({path})", "opslifecycle")
    if layout not in layouts:
        raise StoreVersionError(f"layout {layout} ({path})", f"layout {LAYOUT}")
    return int(layout)


def check_schema(database: sqlite3.Connection, path: str) -> None:
    """Check the tables, views and triggers of a file.

    A view instead of a table could make readers compute forever, and a foreign trigger could undo
    writes. Additional tables and views are allowed.

    Raises:
        StoreDamagedError: One is missing or altered, or a trigger is foreign.
    """
    ours = _schema()
    found = {name: (kind, name, table, text) for kind, name, table, text in _objects(database)}
    for kind, name, table, text in ours.values():
        if name not in found:
            raise StoreDamagedError(path, 0, f"the {kind} {name} is missing")
        if found[name] != (kind, name, table, text):
            raise StoreDamagedError(path, 0, f"the {kind} {name} was altered")
    for kind, name, table, _ in found.values():
        if name not in ours and table in ours:
            raise StoreDamagedError(path, 0, f"the {kind} {name} on {table} is foreign; drop it")


def _objects(database: sqlite3.Connection) -> list[_Object]:
    return database.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%'"
        " ESCAPE '\\'"
    ).fetchall()


@cache
def _schema() -> dict[str, _Object]:
    """Return the objects of a file of this layout, as SQLite describes them."""
    database = sqlite3.connect(":memory:")
    try:
        database.executescript(SCHEMA)
        return {each[1]: each for each in _objects(database)}
    finally:
        database.close()


@attrs.frozen
class RegistryRow:
    """The row of a registry, every column of the right type and in range."""

    number: int
    name: str
    machine: str
    version: int
    digest: str
    base: int
    base_checksum: int
    checksum: str
    head: int
    head_checksum: int
    fencing_token: int
    place: str
    owner: str | None
    lock: str | None
    expires_ms: int

    @property
    def lease(self) -> Lease:
        """The lease of the registry's owner."""
        return Lease(self.owner, self.lock, self.expires_ms)

    @property
    def signed(self) -> tuple[str | int, ...]:
        """The columns that the checksum covers, in its order."""
        return (
            self.name, self.machine, self.version, self.digest, self.base, self.base_checksum
        )  # fmt: skip


#: Attributes whose column has another name.
_COLUMN_NAMES = {"fencing_token": "fence"}
_COLUMNS = tuple(_COLUMN_NAMES.get(each.name, each.name) for each in attrs.fields(RegistryRow))
_OPTIONAL = {"owner", "lock"}
_TEXTS = {"name", "machine", "digest", "checksum", "place", *_OPTIONAL}
_MAXIMA = {"number": REGISTRIES_MAX, "base": POSITION_MASK, "head": POSITION_MASK}
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM registries WHERE name = ?"


def registry_row(database: sqlite3.Connection, path: str, name: str) -> RegistryRow | None:
    """Return the row of a registry, None if there is no such registry.

    Raises:
        StoreDamagedError: No store has written such a value to a column.
    """
    values = database.execute(_SELECT, (name,)).fetchone()
    if values is None:
        return None
    for column, value in zip(_COLUMNS, values, strict=True):
        if value is None and column in _OPTIONAL:
            continue
        if column in _TEXTS:
            sound = type(value) is str
        else:
            sound = type(value) is int and 0 <= value <= _MAXIMA.get(column, _COUNT_MAX)
        if not sound:
            kind = "text" if column in _TEXTS else "an integer in range"
            rule = f"{column} of the registry {name!r}: expected {kind}, got {value!r:.80}"
            raise StoreDamagedError(path, 0, rule)
    row = RegistryRow(*values)
    if checksum_of(*row.signed) != row.checksum:
        raise StoreDamagedError(path, 0, "the registry's own row was altered")
    return row


def registry_names(database: sqlite3.Connection, path: str) -> list[str]:
    """Return the names of the registries, in the order of their creation."""
    names = [name for (name,) in database.execute("SELECT name FROM registries ORDER BY number")]
    for name in names:
        if type(name) is not str:
            rule = f"name of a registry: expected text, got {name!r:.80}"
            raise StoreDamagedError(path, 0, rule)
    return names
