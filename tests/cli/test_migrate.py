"""`opslifecycle migrate`: what it would change, the backup before, and what it has changed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from opslifecycle_codegen.cli.main import main

from tests.support.codegen.projects import begin, edit
from tests.support.command_line import command_line

TURNSTILE = Path(__file__).parents[1] / "codegen/turnstile.yaml"
WRITE = """
from migrated_gates import GateId, GateRegistry
from opslifecycle import SqliteStore
for name in ("north", "south"):
    with GateRegistry(store=SqliteStore("gates.db", registry=name)) as gates:
        ids = [GateId.new() for _ in range(3)]
        for id in ids:
            gates.install(id, name)
        gates.coin(ids[0])
        gates.scrap(ids[1])
"""
READ = """
import sys
from collections import Counter
from migrated_gates.storage import CODEC
from opslifecycle.stores.sqlite.reader import StoreReader
from pathlib import Path
for each in StoreReader(Path(sys.argv[1]), CODEC.schema).all():
    gates = [CODEC.deserialize(id, body) for id, body in each.stored.records.items()]
    print(each.name, sorted((gate.status.value, gate.paid, gate.tier) for gate in gates))
"""
MIGRATION = """version: 2
migrations:
  2:
    reason: The words of our users.
    renames: {GateStatus: {scrapped: gone}, fields: {coins: paid}}
    adds: {fields: {tier: basic}}
"""
REPORT = """\
{store}: {name}: turnstile version 1 to 2
  records: 3, 3 changed: +paid in 1, +tier in 3, -coins in 1, status in 1, terminal_outcome in 1
  feed entries: 0, none changed
  outbox messages: 0, none changed
  state of the registry: 1, none changed
"""


def python(folder: Path, script: str, *words: str) -> str:
    run = [sys.executable, "-c", script, *words]
    environment = {"PYTHONPATH": str(folder / "src")}
    done = subprocess.run(
        run, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of version 2, and a store of version 1."""
    folder = tmp_path_factory.mktemp("gates")
    begin(folder, TURNSTILE)
    edit(folder / "pyproject.toml", "src/turnstile", "src/migrated_gates")
    machine = folder / "machine/turnstile.yaml"
    edit(machine, "errors:", "recovery: {persist_if: 'true'}\n\nerrors:")
    assert main(["--project", str(folder), "generate"]) == 0
    python(folder, WRITE)
    text = machine.read_text("utf-8").replace("scrapped", "gone").replace("coins", "paid")
    text = text.replace("version: 1\n", MIGRATION, 1)
    machine.write_text(text, "utf-8")
    edit(machine, "  place:", "  tier: {type: str, initial: \"'basic'\"}\n  place:")
    assert main(["--project", str(folder), "generate"]) == 0
    return folder


@pytest.fixture
def store(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(written)
    path = tmp_path / "gates.db"
    path.write_bytes((written / "gates.db").read_bytes())
    return path


def migrate(store: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return command_line("migrate", "--store", str(store), "--package", "migrated_gates", *words)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_dry_run_reports_and_writes_nothing(store: Path) -> None:
    before = digest(store)
    done = migrate(store, "--dry-run")
    assert done.stderr == ""
    reports = [REPORT.format(store=store, name=name) for name in ("north", "south")]
    assert done.stdout == "".join(reports) + "nothing was written\n"
    assert digest(store) == before
    assert [path.name for path in store.parent.iterdir()] == ["gates.db"]


def test_the_backup_has_the_older_version_and_the_store_the_newer(
    written: Path, store: Path
) -> None:
    done = migrate(store)
    backup = store.with_name("gates.db.version-1")
    reports = [REPORT.format(store=store, name=name) for name in ("north", "south")]
    assert done.stderr == ""
    assert done.stdout == f"backup: {backup}\n{''.join(reports)}migrated 2 of 2 registries\n"
    expected = "[('gone', 0, 'basic'), ('locked', 0, 'basic'), ('unlocked', 1, 'basic')]"
    assert python(written, READ, str(store)) == f"north {expected}\nsouth {expected}\n"
    assert (backup.stat().st_mode & 0o777) == 0o600
    again = migrate(store)
    assert (again.stdout, again.returncode) == ("every registry is up to date\n", 0)
    planned = migrate(backup, "--dry-run")
    assert "turnstile version 1 to 2" in planned.stdout


def test_without_a_backup_nothing_is_migrated(store: Path) -> None:
    taken = store.with_name("taken")
    taken.write_text("precious")
    before = digest(store)
    done = migrate(store, "--backup", str(taken))
    assert done.returncode == 2
    assert "the backup cannot be written: File exists; name another file" in done.stderr
    assert taken.read_text() == "precious"
    assert digest(store) == before
    assert migrate(store, "--backup", str(store.with_name("free"))).returncode == 0


def test_a_store_in_use_is_left_alone(written: Path, store: Path) -> None:
    from opslifecycle import SqliteStore
    from opslifecycle.stores.schema_version import SchemaVersion

    owner = SqliteStore(store, registry="north")
    owner.open(SchemaVersion("turnstile", 1, ""))
    try:
        done = migrate(store)
        assert done.returncode == 2
        assert "error:" in done.stderr
        assert not store.with_name("gates.db.version-1").exists()
        assert "3 changed" in migrate(store, "--dry-run").stdout
    finally:
        owner.close()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--package", "no_such_gates"], "name the generated package"),
        (["--package", "json"], "name the generated package"),
        (["--store", "postgresql://nowhere/db"], "make a backup with pg_dump"),
    ],
)
def test_what_cannot_be_migrated_is_refused(store: Path, words: list[str], expected: str) -> None:
    done = migrate(store, *words)
    assert done.returncode == 2
    assert expected in " ".join(done.stderr.split())
