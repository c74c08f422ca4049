"""Stores that were altered on purpose, checksums and all: refused with their place."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from opslifecycle import (
    OperationId,
    OpsLifecycleError,
    Reader,
    Registry,
    SqliteStore,
    StoreDamagedError,
)
from opslifecycle.cli.group import cli
from opslifecycle.inspection.feed import entries_after
from opslifecycle.inspection.machines import OPERATIONS
from opslifecycle.stores.sqlite.reader import StoreReader
from opslifecycle.stores.sqlite.schema import (
    POSITION_BITS,
    POSITION_MASK,
    checksum_of,
    checksum_of_row,
)

from opslifecycle.operations.storage import CODEC
from tests.support.builders import completed, running

Edit = Callable[[sqlite3.Connection], object]
_FAR_MS = 9_999_999_999_999


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with two completed operations, a running one, and no owner."""
    path = tmp_path_factory.mktemp("sound") / "store.db"
    with Registry(store=SqliteStore(path)) as registry:
        completed(registry)
        completed(registry)
        running(registry)
    return path


def body(change: Callable[[dict[str, Any]], object], kind: str = "put") -> Edit:
    """Return an edit of the last text of a kind; what is no text becomes JSON."""

    def edit(database: sqlite3.Connection) -> None:
        where = "SELECT key, body FROM log WHERE kind = ? ORDER BY key DESC LIMIT 1"
        key, text = database.execute(where, (kind,)).fetchone()
        made = change(json.loads(text))
        new = made if isinstance(made, str | bytes) else json.dumps(made)
        database.execute("UPDATE log SET body = ? WHERE key = ?", (new, key))

    return edit


def put(*path: Any, kind: str = "put") -> Edit:
    """Return an edit that sets the value at a path, which stands last."""
    *places, last, value = path

    def change(data: dict[str, Any]) -> dict[str, Any]:
        inner: Any = data
        for place in places:
            inner = inner[place]
        inner[last] = value
        return data

    return body(change, kind)


def without(key: str, kind: str = "put") -> Edit:
    return body(lambda data: {name: each for name, each in data.items() if name != key}, kind)


def spelled(key: str, text: str, kind: str = "put") -> Edit:
    """Return an edit that writes a number that `json` would not write."""
    return body(lambda data: json.dumps({**data, key: "@"}).replace('"@"', text), kind)


def sql(statement: str, *values: object) -> Edit:
    return lambda database: database.execute(statement, values)


def script(statements: str) -> Edit:
    return lambda database: database.executescript(statements)


#: Edits after which every checksum is made right again.
SIGNED: dict[str, Edit] = {
    "deep record": body(lambda data: '{"status":' + "[" * 200_000 + "]" * 200_000 + "}"),
    "deep state": body(lambda data: "[" * 200_000, "state"),
    "a record with a surrogate": body(
        lambda data: json.dumps({**data, "spec": {**data["spec"], "display_name": "\ud800"}})
    ),
    "a name that is a number": put("spec", "display_name", 5),
    "5,000 digits": spelled("progress_count", "9" * 5000),
    "a time below zero": put("created_at_ms", -(10**30)),
    "a time too far": put("created_at_ms", 10**30),
    "a time with a fraction": put("created_at_ms", 1.5),
    "progress that is no number": put("latest_progress", {"message": "x", "percent": float("nan")}),
    "progress without end": put("latest_progress", {"message": "x", "percent": float("inf")}),
    "a status that is none": put("status", "nonsense"),
    "a pseudo status": put("status", "absent"),
    "a status that is a list": put("status", []),
    "no status": without("status"),
    "no spec": without("spec"),
    "a spec that is a list": put("spec", []),
    "a spec of another kind": put("spec", "kind", "zzz"),
    "a record that is null": body(lambda data: "null"),
    "a record that is a list": body(lambda data: "[]"),
    "an empty record": body(lambda data: ""),
    "a record that is no JSON": body(lambda data: "{]"),
    "a record of bytes": body(lambda data: b"\xff\xfe"),
    "an outcome that is a number": put("terminal_outcome", 5),
    "an outcome of no kind": put("terminal_outcome", {"outcome_type": []}),
    "an end without an outcome": put("status", "completed"),
    "cursors that are a list": put("cursors", [], kind="state"),
    "an epoch that is a number": put("epoch_id", 5, kind="state"),
    "no epoch": without("epoch_id", "state"),
    "a state that is a list": body(lambda data: [], "state"),
    "a state that is no JSON": body(lambda data: "{", "state"),
    "a limit that is a text": put("max_completed", "x", kind="state"),
    "a limit below zero": put("max_completed", -1, kind="state"),
    "a spec of another record": put("spec", "id", str(OperationId.new())),
    "an epoch that is no UUID": put("epoch_id", "zzz", kind="state"),
    "an epoch that is empty": put("epoch_id", "", kind="state"),
    "a watermark that is a text": put("watermark", "x", kind="state"),
    "no watermark": without("watermark", "state"),
    "a watermark before an entry": put("watermark", 1, kind="state"),
    "a watermark that was not given": put("watermark", 3, kind="state"),
    "a gap past the watermark": put("dropped_through", 3, kind="state"),
    "a counter before the watermark": put("next_completion_seq", 1, kind="state"),
    "a cursor past the watermark": put("cursors", "agent_applied", 3, kind="state"),
    "a cursor that is a text": put("cursors", "agent_applied", "x", kind="state"),
    "a counter that is a text": put("dropped_through", "x", kind="state"),
    "a counter without end": spelled("dropped_through", "1e999", "state"),
    "a counter too large": put("dropped_through", 10**30, kind="state"),
    "a counter below zero": put("next_completion_seq", -5, kind="state"),
    "an empty id": sql("UPDATE log SET id = '' WHERE kind = 'put'"),
    "an id that is none": sql("UPDATE log SET id = 'zzz' WHERE kind = 'put'"),
    "an id of a message": sql("UPDATE log SET id = 'effect-x' WHERE kind = 'put'"),
    "an id of bytes": sql("UPDATE log SET id = x'ff' WHERE kind = 'put'"),
    "a row of no kind": sql("UPDATE log SET kind = 'zzz' WHERE kind = 'put'"),
    "a sequence that is a text": sql("UPDATE log SET sequence = 'a' WHERE sequence = 1"),
    "a sequence with a fraction": sql("UPDATE log SET sequence = 1.5 WHERE sequence = 1"),
    "a sequence below zero": sql("UPDATE log SET sequence = -1 WHERE sequence = 1"),
    "a sequence twice": sql("UPDATE log SET sequence = 1 WHERE sequence = 2"),
    "no body": sql("UPDATE log SET body = NULL WHERE kind = 'put'"),
    "a body that is no UTF-8": sql("UPDATE log SET body = CAST(x'7bff7d' AS TEXT)"),
    "a registry's name of bytes": sql("UPDATE registries SET name = x'ff'"),
    "a registry's name that is no UTF-8": sql("UPDATE registries SET name = CAST(x'ff' AS TEXT)"),
    "a fence that is a text": sql("UPDATE registries SET fence = 'zzz'"),
    "the last fence": sql("UPDATE registries SET fence = 9223372036854775807"),
    "an end of the lease that is a text": sql("UPDATE registries SET expires_ms = 'zzz'"),
    "an owner of bytes": sql("UPDATE registries SET owner = x'00', expires_ms = ?", _FAR_MS),
    "a version that is a text": sql("UPDATE registries SET version = 'x'"),
    "a version of tomorrow": sql("UPDATE registries SET version = 99"),
    "a version below zero": sql("UPDATE registries SET version = -1"),
    "another machine": sql("UPDATE registries SET machine = 'zzz'"),
    "a base that is a text": sql("UPDATE registries SET base = 'x'"),
    "a base too large": sql("UPDATE registries SET base = 9223372036854775807"),
    "a base's checksum that is a text": sql("UPDATE registries SET base_checksum = 'x'"),
}

#: Edits of the positions of the feed.
FEEDS = [
    name
    for name in SIGNED
    if name.split()[1] in ("epoch", "watermark", "gap", "cursor") and "list" not in name
]
#: What an error names beside the store.
PLACES = {
    "a spec of another record": "the record '",
    "no spec": "the record '",
    **dict.fromkeys(FEEDS, "the registry's state: "),
}

#: Edits of what no checksum covers.
UNSIGNED: dict[str, Edit] = {
    "a head that is a text": sql("UPDATE registries SET head = 'x'"),
    "a head too large": sql("UPDATE registries SET head = 9223372036854775807"),
    "a head of zero": sql("UPDATE registries SET head = 0"),
    "no log": sql("DROP TABLE log"),
    "no registries": sql("DROP TABLE registries"),
    "no view": sql("DROP VIEW records"),
    "no trigger": sql("DROP TRIGGER head"),
    "a view without an end": script(
        "ALTER TABLE log RENAME TO log2; CREATE VIEW log AS WITH RECURSIVE r(n) AS (SELECT 1 UNION"
        " ALL SELECT n + 1 FROM r) SELECT key, kind, id, sequence, body, checksum FROM log2, r;"
    ),
    "another view": script(
        "DROP VIEW records; CREATE VIEW records AS SELECT 'x' AS id, 'y' AS status;"
    ),
    "a trigger that ignores": sql(
        "CREATE TRIGGER t BEFORE INSERT ON log BEGIN SELECT RAISE(IGNORE); END"
    ),
    "a trigger that deletes": sql(
        "CREATE TRIGGER t AFTER INSERT ON log BEGIN DELETE FROM log WHERE key < new.key; END"
    ),
    "another column": sql("ALTER TABLE log ADD COLUMN z"),
    "another program": sql("PRAGMA application_id = 5"),
    "layout 1": sql("PRAGMA user_version = 1"),
    "layout 99": sql("PRAGMA user_version = 99"),
    "a row that is missing": sql("DELETE FROM log WHERE key = (SELECT min(key) + 1 FROM log)"),
}


def sign(database: sqlite3.Connection) -> None:
    """Make every checksum right."""
    columns = "number, name, machine, version, digest, base, base_checksum"
    for number, *signed in database.execute(f"SELECT {columns} FROM registries").fetchall():
        *_, base, checksum = signed
        row = "UPDATE registries SET checksum = ? WHERE number = ?"
        database.execute(row, (checksum_of(*signed), number))
        head = base
        rows = database.execute(
            f"SELECT key, kind, id, sequence, body FROM log WHERE key >> {POSITION_BITS} = ?"
            " ORDER BY key",
            (number,),
        ).fetchall()
        for key, *values in rows:
            head = key & POSITION_MASK
            checksum = checksum_of_row(checksum, head, *values)
            database.execute("UPDATE log SET checksum = ? WHERE key = ?", (checksum, key))
        ends = "UPDATE registries SET head = ?, head_checksum = ? WHERE number = ?"
        database.execute(ends, (head, checksum, number))


@pytest.fixture
def crafted(sound: Path, tmp_path: Path) -> Callable[[str], Path]:
    def make(name: str) -> Path:
        path = tmp_path / "store.db"
        shutil.copy(sound, path)
        database = sqlite3.connect(path, isolation_level=None)
        # A copy would begin a new epoch, which hides an epoch that is wrong.
        database.execute("UPDATE registries SET place = ''")
        database.text_factory = bytes if "UTF-8" in name else str
        try:
            {**SIGNED, **UNSIGNED}[name](database)
            if name in SIGNED and "UTF-8" not in name and "bytes" not in name:
                sign(database)
        except (TypeError, sqlite3.Error):
            # What the checksum cannot be made of is refused by it.
            pass
        finally:
            database.close()
        return path

    return make


#: Stores in which the registry of a name is gone, so that one is made; `doctor` and `ls` say more.
ANOTHER_NAME = {"a registry's name of bytes", "a registry's name that is no UTF-8"}


@pytest.mark.parametrize("name", [n for n in (*SIGNED, *UNSIGNED) if n not in ANOTHER_NAME])
def test_it_is_refused_with_its_place(crafted: Callable[[str], Path], name: str) -> None:
    path = crafted(name)

    def look() -> None:
        with Reader(Registry, SqliteStore(path)):
            pass

    for attempt in (look, lambda: Registry(store=SqliteStore(path)).close()):
        with pytest.raises(OpsLifecycleError) as caught:
            attempt()
        told = str(caught.value)
        assert type(caught.value).__name__ in {"StoreDamagedError", "StoreVersionError"}, told
        assert str(path) in told
        assert len(told) < 1000
        place = PLACES.get(name)
        assert place is None or place in told


@pytest.mark.parametrize("name", [*FEEDS])
def test_views_of_the_feed_refuse_it(crafted: Callable[[str], Path], name: str) -> None:
    registry = StoreReader(crafted(name), CODEC.schema).registry("default")
    for look in (OPERATIONS.feed_state, lambda found: entries_after(found, None, 10, OPERATIONS)):
        with pytest.raises(StoreDamagedError, match="the registry's state: "):
            look(registry)


@pytest.mark.parametrize("name", [*SIGNED, *UNSIGNED])
def test_no_command_prints_a_traceback(crafted: Callable[[str], Path], name: str) -> None:
    path = crafted(name)
    for words in (["doctor"], ["ls"], ["ls", "--json"], ["show", "0"], ["collect"]):
        done = CliRunner().invoke(cli, [*words, "--store", str(path)])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
        if words == ["doctor"]:
            assert done.exit_code != 0, done.output
        assert "Traceback" not in done.output


def test_the_store_itself_is_sound(sound: Path) -> None:
    done = CliRunner().invoke(cli, ["doctor", "--store", str(sound)])
    assert done.exit_code == 0, done.output
    assert "sound, 3 operations" in done.output
