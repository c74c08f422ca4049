"""The tables of a PostgreSQL store, in a schema of their own, and how they are brought up to date.

A row of the log has one integer as its key: the registry's number, and below it the position in the
registry. With two columns, PostgreSQL reads all rows of a registry to delete a few by position.
Bodies are text and not `jsonb`, which refuses U+0000 and halves the rate of inserts.
"""

from __future__ import annotations

import re
import zlib

from opslifecycle.errors import StoreVersionError
from opslifecycle.stores.postgres.link import Deadline, Link

#: The version of the tables that this program reads and writes.
LAYOUT = 3
POSITION_BITS = 40
#: Hosts that share the registries divide them by the last bits of their numbers.
SLOTS = 1 << 14
POSITION_MASK = (1 << POSITION_BITS) - 1

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
#: Distinguishes our advisory locks for migrations from those of other programs.
_MIGRATION_LOCK = 0x6F70736C << 31

#: The statements that lead from each layout to the next; {s} is the name of the schema.
_MIGRATIONS = (
    """
CREATE TABLE {s}.owners (
    owner bigint PRIMARY KEY,
    name text NOT NULL,
    session_lock boolean NOT NULL,
    lease_until timestamptz NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0);

CREATE TABLE {s}.registries (
    number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    machine text NOT NULL,
    version integer NOT NULL,
    digest text NOT NULL,
    fencing_token bigint NOT NULL,
    owner bigint,
    head bigint NOT NULL,
    dropped_through bigint NOT NULL,
    state text
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0);

CREATE INDEX registries_owner ON {s}.registries (owner);

CREATE TABLE {s}.log (
    key bigint PRIMARY KEY,
    id text COLLATE "C" NOT NULL,
    sequence bigint,
    current boolean NOT NULL,
    body text NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

CREATE TABLE {s}.inbox (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    registry text NOT NULL,
    id text NOT NULL,
    reason text NOT NULL
);

CREATE INDEX inbox_registry ON {s}.inbox (registry);

CREATE FUNCTION {s}.field(body text, name text) RETURNS text IMMUTABLE LANGUAGE sql
RETURN replace(body, '\\u0000', '\\ufffd')::json ->> name;

CREATE VIEW {s}.records AS
SELECT r.name AS registry, l.id, {s}.field(l.body, 'status') AS status, l.sequence, l.body
FROM {s}.log l JOIN {s}.registries r ON r.number = l.key >> 40
WHERE l.current AND l.id NOT LIKE 'effect-%';

CREATE VIEW {s}.feed AS
SELECT r.name AS registry, l.sequence, l.id, {s}.field(l.body, 'status') AS status,
       {s}.field(l.body, 'terminal_outcome') AS outcome
FROM {s}.log l JOIN {s}.registries r ON r.number = l.key >> 40
WHERE l.sequence > r.dropped_through;

CREATE VIEW {s}.cursors AS
SELECT r.name AS registry, c.key AS consumer, c.value AS cursor
FROM {s}.registries r, json_each_text({s}.field(r.state, 'cursors')::json) c;

CREATE VIEW {s}.leases AS
SELECT r.name AS registry, o.name AS owner, r.fencing_token, o.lease_until,
       coalesce(o.lease_until > clock_timestamp(), false) AS valid
FROM {s}.registries r LEFT JOIN {s}.owners o ON o.owner = r.owner;
""",
    # Commands of other hosts, until their senders have read the answers; and the hosts that share
    # the registries of the schema.
    """
CREATE TABLE {s}.requests (
    request uuid PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY,
    registry integer NOT NULL,
    sender bigint NOT NULL,
    owner bigint,
    command text NOT NULL,
    answer text,
    head bigint,
    sent_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);

CREATE INDEX requests_registry ON {s}.requests (registry) WHERE answer IS NULL;
CREATE INDEX requests_sender ON {s}.requests (sender) WHERE answer IS NOT NULL;

CREATE TABLE {s}.members (
    owner bigint REFERENCES {s}.owners ON DELETE CASCADE,
    machine text,
    PRIMARY KEY (owner, machine)
);
""",
    # What hosts that share all registries look for: the free ones of a slot.
    """
CREATE INDEX registries_free ON {s}.registries ((number & 16383)) WHERE owner IS NULL;
""",
)


def migration_lock(schema: str) -> int:
    """Return the advisory lock of those who change the tables of a schema."""
    return _MIGRATION_LOCK + zlib.crc32(schema.encode())


def check_schema_name(name: str) -> str | None:
    """Return what is wrong with the name of a schema; None if nothing is."""
    if _NAME.fullmatch(name) is None or name.startswith("pg_"):
        return f"expected lower-case letters, digits and underscores, got {name!r:.80}"
    return None


def layout_of(link: Link, schema: str, deadline: Deadline) -> int:
    """Return the layout of a schema; 0 if it has no tables of ours."""
    # A query sees what was committed before it. `to_regclass` may answer from what this session
    # has looked up earlier.
    statement = "SELECT 1 FROM pg_tables WHERE schemaname = $1 AND tablename = 'layout'"
    if not link.run(statement, schema, deadline=deadline):
        return 0
    ((version,),) = link.run(f"SELECT max(version) FROM {schema}.layout", deadline=deadline)
    return int(version or 0)


def refuse_other_layouts(link: Link, schema: str, deadline: Deadline) -> None:
    """Raise StoreVersionError unless the tables have the layout of this program."""
    found = layout_of(link, schema, deadline)
    if found == LAYOUT:
        return
    words = f"layout {LAYOUT} of the tables in schema {schema}"
    if found < LAYOUT:
        words += "; bring them up to date with `opslifecycle db migrate`"
    raise StoreVersionError(f"layout {found}" if found else "no program yet", words)


def migrate(link: Link, schema: str, deadline: Deadline) -> tuple[int, int]:
    """Create the tables, or bring them up to date, in one transaction.

    Processes that do this at the same time wait for each other.

    Returns:
        The layout before and after.

    Raises:
        StoreVersionError: The tables are of a newer program.
    """
    link.run("BEGIN", deadline=deadline)
    link.run("SELECT pg_advisory_xact_lock($1)", migration_lock(schema), deadline=deadline)
    before = layout_of(link, schema, deadline)
    if before > LAYOUT:
        refuse_other_layouts(link, schema, deadline)
    if before == 0:
        statement = "SELECT 1 FROM pg_namespace WHERE nspname = $1"
        if not link.run(statement, schema, deadline=deadline):
            link.run(f"CREATE SCHEMA {schema}", deadline=deadline)
        link.run(
            f"CREATE TABLE {schema}.layout (version integer NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT clock_timestamp())",
            deadline=deadline,
        )
    for version in range(before, LAYOUT):
        link.run_script(_MIGRATIONS[version].replace("{s}", schema), deadline)
        insert = f"INSERT INTO {schema}.layout (version) VALUES ($1)"
        link.run(insert, version + 1, deadline=deadline)
    link.run("COMMIT", deadline=deadline)
    return before, LAYOUT
