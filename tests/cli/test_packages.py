"""Commands on the stores of a machine of one's own: `--package` names what was generated for it."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest
from opslifecycle import SqliteStore

from tests.support.codegen.projects import package
from tests.support.command_line import command_line

ERRAND = Path(__file__).parents[1] / "codegen/errand.yaml"
#: A machine whose store holds messages and an archive, and whose action has a built-in's name.
EDITS = (
    ("errors:\n", "effects: {tell: {summary: Tell the office.}}\n\nerrors:\n"),
    (
        "  finish: {summary: Bring it home., methods: [finish], from: [taken], to: done}",
        "  close: {summary: Bring it home., methods: [close], from: [taken], to: done,"
        " effects: [tell]}",
    ),
    (
        "max_entries: registry.changes_max}",
        "max_entries: registry.changes_max, beyond_cursors: true,"
        " archive: {summary: Those that have ended., get: past, since: pasts}}",
    ),
    (
        "snapshot:\n",
        "invariants:\n  noted: {summary: Few notes., expr: all(each.notes < 3 for each in errands)}"
        "\n\nsnapshot:\n",
    ),
)


@pytest.fixture
def errands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [*sys.path])
    return package(tmp_path, ERRAND, "own_errands", *EDITS)


@pytest.fixture
def store(errands: ModuleType, tmp_path: Path) -> Path:
    """A store with a live record and a finished one, a message and an archived record."""
    path = tmp_path / "errands.db"
    with errands.ErrandRegistry._open(store=SqliteStore(path), changes_max=4) as registry:
        for _ in range(3):
            id = errands.ErrandId.new()
            registry.ask(id, "milk")
            registry.take(id, "Ada")
            registry.close(id)
        registry.ask(errands.ErrandId.new(), "bread")
    return path


def test_a_store_in_use_is_checked_and_copied(
    errands: ModuleType, store: Path, tmp_path: Path
) -> None:
    own = ("--store", str(store), "--package", "own_errands")
    with errands.ErrandRegistry._open(store=SqliteStore(store)) as registry:
        done = command_line("doctor", *own, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        held = len(registry._authority.records)
        assert done.stdout.splitlines() == [
            f"default: sound, {held} records, {len(registry.pasts())} in the archive",
            "1 registry, 1 invariants each, 0 broken",
        ]  # fmt: skip
        done = command_line("backup", *own, str(tmp_path / "copy.db"), cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        archived = [each.sequence for each in registry.pasts()]
        waiting = [each.number for each in registry.pending_effects()]
    assert archived
    assert waiting
    with errands.ErrandRegistry._open(store=SqliteStore(tmp_path / "copy.db")) as registry:
        assert [each.sequence for each in registry.pasts()] == archived
        assert [each.number for each in registry.pending_effects()] == waiting


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("UPDATE archive SET body = body || ' '", "archived record with the sequence number"),
        ("DELETE FROM archive", "records of the archive are missing"),
    ],
)
def test_a_damaged_archive_is_found(
    errands: ModuleType, store: Path, tmp_path: Path, statement: str, rule: str
) -> None:
    with closing(sqlite3.connect(store)) as database, database:
        database.execute(statement)
    own = ("--store", str(store), "--package", "own_errands")
    done = command_line("doctor", *own)
    assert (done.returncode != 0, rule in done.stderr) == (True, True)
    done = command_line("backup", *own, str(tmp_path / "copy.db"))
    assert (done.returncode != 0, rule in done.stderr) == (True, True)
    assert not (tmp_path / "copy.db").exists()


def test_a_broken_invariant_is_named_and_no_backup_written(
    errands: ModuleType, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(errands.INVARIANTS, "noted", lambda *state: False)
    own = ("--store", str(store), "--package", "own_errands")
    done = command_line("doctor", *own)
    assert (done.returncode, "default: broken: noted" in done.stdout) == (1, True)
    done = command_line("backup", *own, str(tmp_path / "copy.db"))
    assert (done.returncode, "is not sound" in done.stderr) == (2, True)
    assert not (tmp_path / "copy.db").exists()


@pytest.mark.parametrize("command", [("doctor",), ("backup", "copy.db"), ("migrate", "--dry-run")])
def test_the_machine_must_be_that_of_the_store(command: tuple[str, ...], store: Path) -> None:
    done = command_line(*command, "--store", str(store))
    assert (done.returncode, "was written by own_errands version 1" in done.stderr) == (2, True)
    assert f"({store}), this is ops_lifecycle version 1; pass --package with" in done.stderr
    for name in ("json", "no_such_errands"):
        done = command_line(*command, "--store", str(store), "--package", name)
        assert (done.returncode, "name the generated package" in done.stderr) == (2, True)


def test_a_damaged_record_is_found(store: Path) -> None:
    with closing(sqlite3.connect(store)) as database, database:
        database.execute("UPDATE log SET body = replace(body, 'bread', 'brood')")
    done = command_line("doctor", "--store", str(store), "--package", "own_errands")
    assert (done.returncode, "is damaged at row" in done.stderr) == (2, True)
