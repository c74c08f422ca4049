"""The layout of a SQLite store: tables, views for people, and the checksums of its rows."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

#: Marks a file as ours ("opsl"), and says how its tables are laid out.
APPLICATION_ID = 0x6F70736C
LAYOUT = 1

SCHEMA = """
CREATE TABLE registries (
    name TEXT PRIMARY KEY,
    machine TEXT NOT NULL,
    version INTEGER NOT NULL,
    digest TEXT NOT NULL,
    state TEXT,
    base INTEGER NOT NULL,
    base_checksum TEXT NOT NULL,
    head INTEGER NOT NULL,
    head_checksum TEXT NOT NULL,
    checksum TEXT NOT NULL,
    fence INTEGER NOT NULL,
    owner TEXT,
    expires_ms INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE transitions (
    registry TEXT NOT NULL,
    position INTEGER NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    sequence INTEGER,
    body TEXT,
    checksum TEXT NOT NULL,
    PRIMARY KEY (registry, position)
) WITHOUT ROWID;

CREATE TABLE inbox (
    number INTEGER PRIMARY KEY,
    registry TEXT NOT NULL,
    id TEXT NOT NULL,
    reason TEXT NOT NULL
);

CREATE VIEW records AS
SELECT t.registry, t.id, t.body ->> '$.status' AS status, t.sequence, t.body
FROM transitions t
WHERE t.kind = 'put' AND t.position = (
    SELECT max(l.position) FROM transitions l
    WHERE l.registry = t.registry AND l.id = t.id AND l.kind IN ('put', 'erase')
);

CREATE VIEW feed AS
SELECT t.registry, t.sequence, t.id, t.body ->> '$.status' AS status,
       t.body -> '$.terminal_outcome' AS outcome, max(t.position) AS position
FROM transitions t JOIN registries r ON r.name = t.registry
WHERE t.sequence > coalesce(r.state ->> '$.dropped_through', 0)
GROUP BY t.registry, t.sequence;

CREATE VIEW cursors AS
SELECT r.name AS registry, c.key AS consumer, c.value AS cursor
FROM registries r, json_each(r.state, '$.cursors') c;
"""


def create(path: Path) -> None:
    """Make an empty store, unless somebody else makes it first.

    It is made beside its place and linked into it whole, so that nobody ever finds half of it.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        database = sqlite3.connect(name, isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.executescript(SCHEMA)
            database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            database.execute(f"PRAGMA user_version = {LAYOUT}")
        finally:
            database.close()
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
        _sync(path.parent)
    finally:
        os.unlink(name)


def _sync(folder: Path) -> None:
    """Have the folder's entries on the disk, where the system can do that."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def encode(data: Any) -> str:
    """Data as compact JSON text."""
    return _encode(data)


def checksum_of(*values: object) -> str:
    """The checksum of a row, over its values in order.

    Each value is preceded by its length, so that no two lists of values read the same.
    """
    texts = ["-" if value is None else str(value) for value in values]
    text = "".join(f"{len(each)}:{each}" for each in texts)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
