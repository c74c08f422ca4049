"""The layout of a SQLite store: tables, views for SQL users, and the checksums of rows."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import sqlite3
import zlib
from pathlib import Path

#: The application id of the files ("opsl"), and the version of their layout.
APPLICATION_ID = 0x6F70736C
LAYOUT = 3

#: The low bits of a row's key are the position in the registry's chain, the others the registry's
#: number. With one integer as its key, the log is an ordinary table that grows at its end.
POSITION_BITS = 40
POSITION_MASK = (1 << POSITION_BITS) - 1
REGISTRIES_MAX = (1 << 63 - POSITION_BITS) - 1

SCHEMA = f"""
CREATE TABLE registries (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    machine TEXT NOT NULL,
    version INTEGER NOT NULL,
    digest TEXT NOT NULL,
    base INTEGER NOT NULL,
    base_checksum INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    head INTEGER NOT NULL,
    head_checksum INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    place TEXT NOT NULL,
    owner TEXT,
    lock TEXT,
    expires_ms INTEGER NOT NULL
);

CREATE TABLE log (
    key INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    sequence INTEGER,
    body TEXT,
    checksum INTEGER NOT NULL
);

CREATE TABLE inbox (
    number INTEGER PRIMARY KEY,
    registry TEXT NOT NULL,
    id TEXT NOT NULL,
    reason TEXT NOT NULL
);

CREATE TRIGGER head AFTER INSERT ON log WHEN new.kind = 'state' BEGIN
    UPDATE registries SET head = new.key & {POSITION_MASK}, head_checksum = new.checksum
    WHERE number = new.key >> {POSITION_BITS};
END;

CREATE VIEW transitions AS
SELECT r.name AS registry, l.key & {POSITION_MASK} AS position, l.kind, l.id, l.sequence,
       json_extract(l.body, '$.status') AS status, l.body
FROM log l JOIN registries r ON r.number = l.key >> {POSITION_BITS};

CREATE VIEW records AS
SELECT registry, id, status, sequence, body, max(position) AS position
FROM transitions WHERE kind IN ('put', 'erase') AND id NOT LIKE 'effect-%'
GROUP BY registry, id HAVING kind = 'put';

CREATE VIEW states AS
SELECT r.name AS registry, l.body AS state
FROM registries r JOIN log l ON l.key = (r.number << {POSITION_BITS}) + r.head;

CREATE VIEW feed AS
SELECT t.registry, t.sequence, t.id, t.status,
       json_extract(t.body, '$.terminal_outcome') AS outcome, max(t.position) AS position
FROM transitions t JOIN states s ON s.registry = t.registry
WHERE t.sequence > coalesce(json_extract(s.state, '$.dropped_through'), 0)
GROUP BY t.registry, t.sequence;

CREATE VIEW cursors AS
SELECT s.registry, c.key AS consumer, c.value AS cursor
FROM states s, json_each(s.state, '$.cursors') c;
"""


def create(path: Path) -> None:
    """Create an empty store, unless another process creates it first.

    The file is created under another name and then linked to its path, so that no process finds an
    incomplete one.
    """
    name = str(path.with_name(f".{path.name}.{secrets.token_hex(8)}"))
    try:
        # Readable by its owner only, because records contain data of users, such as command lines.
        os.close(os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        database = sqlite3.connect(name, isolation_level=None)
        try:
            database.executescript(
                f"BEGIN; {SCHEMA} PRAGMA application_id = {APPLICATION_ID};"
                f" PRAGMA user_version = {LAYOUT}; COMMIT;"
            )
            database.execute("PRAGMA journal_mode = WAL")
        finally:
            database.close()
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
        _sync(path.parent)
    finally:
        for rest in (name, f"{name}-wal", f"{name}-shm", f"{name}-journal"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(rest)


def _sync(folder: Path) -> None:
    """Flush the entries of the folder to the disk, if the system supports it."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def checksum_of_row(
    previous: int, position: int, kind: str, id: str, sequence: int | None, body: str | None
) -> int:
    """Return the checksum of a row, which covers its predecessor's.

    Kinds and ids hold no spaces, so no two rows have the same text.
    """
    return zlib.crc32(f"{position} {kind} {id} {sequence} {body}".encode(), previous)


def checksum_of(*values: object) -> str:
    """Return the checksum of a registry's own row, over its values in order.

    Each value is preceded by its length, so that no two lists of values have the same text.
    """
    texts = ["-" if value is None else str(value) for value in values]
    text = "".join(f"{len(each)}:{each}" for each in texts)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
