"""The upgrade of stores with older layouts.

Layout 2 had no place and no lock in the row of a registry. Layout 1 had a registry's state in its
own row, checksums with blake2b over whole rows, and the id inside each body. Both were written
before the first release, and can still be opened.
"""

from __future__ import annotations

import sqlite3

from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.errors import RegistryOwnedError, StoreDamagedError
from opslifecycle.stores.sqlite.lease import Lease, Lock, Ownership, ownership
from opslifecycle.stores.sqlite.log_index import LogIndex, Writer
from opslifecycle.stores.sqlite.place import UNKNOWN
from opslifecycle.stores.sqlite.schema import LAYOUT, SCHEMA, checksum_of
from opslifecycle.stores.sqlite.statements import append_rows
from opslifecycle.values.plain import json_of, text_of

OLD_LAYOUTS = (1, 2)

_NO_OWNER = (UNKNOWN, None, None, 0)


def upgrade(database: sqlite3.Connection, path: str, layout: int) -> None:
    """Convert a store of an older layout, inside the caller's transaction.

    Args:
        database: The connection.
        path: The path of the store, for errors.
        layout: The layout of the store.

    Raises:
        RegistryOwnedError: The lease of an owner has not expired.
        StoreDamagedError: The contents contradict each other.
    """
    try:
        if layout == 1:
            _upgrade_1(database, path)
        else:
            _upgrade_2(database, path)
    except (ValueError, TypeError, AttributeError) as error:
        raise StoreDamagedError(path, 0, f"its layout {layout} cannot be read: {error}") from error
    database.execute(f"PRAGMA user_version = {LAYOUT}")


def _upgrade_2(database: sqlite3.Connection, path: str) -> None:
    """Convert the registries. The log does not change, and is checked when it is read."""
    registries = database.execute("SELECT * FROM registries ORDER BY number").fetchall()
    for *_, owner, expires_ms in registries:
        _refuse_owned(path, owner, expires_ms)
    for kind, name in database.execute(
        "SELECT type, name FROM sqlite_master WHERE type IN ('view', 'trigger')"
    ).fetchall():
        database.execute(f'DROP {kind} "{name}"')
    database.execute("ALTER TABLE registries RENAME TO old_registries")
    for statement in _statements():
        if not statement.strip().startswith(("CREATE TABLE log", "CREATE TABLE inbox")):
            database.execute(statement)
    for *kept, _, _ in registries:
        database.execute(
            f"INSERT INTO registries VALUES ({', '.join('?' * (len(kept) + len(_NO_OWNER)))})",
            (*kept, *_NO_OWNER),
        )
    database.execute("DROP TABLE old_registries")


def _refuse_owned(path: str, owner: str | None, expires_ms: object) -> None:
    """Raise RegistryOwnedError if a lease has not expired, because older layouts had no lock."""
    words = None
    if owner is not None:
        host, pid, _ = owner.split(" ")
        words = f"process {int(pid)} on {host}"
    lease = Lease(words, None, int(str(expires_ms)))
    if ownership(lease, Lock.UNKNOWN, SYSTEM_CLOCK.wall_ms()) is Ownership.HELD:
        raise RegistryOwnedError(path, str(words))


def _upgrade_1(database: sqlite3.Connection, path: str) -> None:
    registries = database.execute("SELECT * FROM registries ORDER BY name").fetchall()
    logs = [_read(database, path, number, each) for number, each in enumerate(registries, 1)]
    for kind, name in database.execute(
        "SELECT type, name FROM sqlite_master WHERE type IN ('view', 'table') ORDER BY type DESC"
        " , name"
    ).fetchall():
        database.execute(f"ALTER TABLE {name} RENAME TO old_{name}" if kind == "table"
                         else f"DROP VIEW {name}")  # fmt: skip
    for statement in _statements():
        database.execute(statement)
    for number, (registry, writer) in enumerate(zip(registries, logs, strict=True), 1):
        name, machine, version, digest, *_, fencing_token, _, _ = registry
        signed = (name, machine, version, digest, 0, 0)
        database.execute(
            "INSERT INTO registries VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?, ?, ?)",
            (number, *signed, checksum_of(*signed), fencing_token, *_NO_OWNER),
        )
        append_rows(database, number, fencing_token, writer.values)
    database.execute("INSERT INTO inbox SELECT * FROM old_inbox")
    for table in ("registries", "transitions", "inbox"):
        database.execute(f"DROP TABLE old_{table}")


def _statements() -> list[str]:
    """Return the statements of the schema; a trigger contains semicolons of its own."""
    found, part = [], ""
    for line in SCHEMA.splitlines(keepends=True):
        part += line
        if sqlite3.complete_statement(part):
            found.append(part)
            part = ""
    return found


def _read(
    database: sqlite3.Connection, path: str, number: int, registry: tuple[str, ...]
) -> Writer:
    """Yield the rows of one registry, each checked against its predecessor."""
    (name, machine, version, digest, state, base, base_checksum, head, head_checksum, signature,
     _, owner, expires_ms) = registry  # fmt: skip
    _refuse_owned(path, owner, expires_ms)
    signed = (name, machine, version, digest, state, base, base_checksum, head, head_checksum)
    if checksum_of(*signed) != signature:
        raise StoreDamagedError(path, 0, "the registry's own row was altered")
    writer = Writer(number, LogIndex())
    position, checksum = int(base), base_checksum
    for at, kind, id, sequence, body, row_checksum in database.execute(
        "SELECT position, kind, id, sequence, body, checksum FROM transitions"
        " WHERE registry = ? ORDER BY position",
        (name,),
    ):
        position += 1
        if at != position:
            raise StoreDamagedError(path, position, "the row is missing")
        checksum = checksum_of(checksum, position, kind, id, sequence, body)
        if checksum != row_checksum:
            raise StoreDamagedError(path, position, "the row was altered")
        if kind == "erase":
            writer.erase(id)
        elif kind == "put":
            writer.put([(id, sequence, _body(body))])
        else:
            writer.row(id, sequence, _body(body))
    if (position, checksum) != (int(head), head_checksum):
        raise StoreDamagedError(path, position + 1, "rows are missing at the end")
    if state is not None:
        writer.state(state)
    return writer


def _body(body: str) -> str:
    """Return a body without the id, which has a column of its own."""
    data = json_of(body)
    data.pop("id", None)
    return text_of(data)
