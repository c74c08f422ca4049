"""Records that are stored without a field keep its value when its initial value changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from opslifecycle_codegen.cli.main import main

from tests.support.codegen.projects import assert_clean, edit, project
from tests.support.warm import python

TURNSTILE = Path(__file__).parent / "turnstile.yaml"

WRITE = """
from opslifecycle import SqliteStore
from turnstile import *
with GateRegistry(store=SqliteStore("store.db")) as registry:
    registry.install(GateId.new(), "old")
"""
READ = """
from opslifecycle import SqliteStore
from turnstile import *
with GateRegistry(store=SqliteStore("store.db")) as registry:
    registry.install(GateId.new(), "new")
with GateRegistry(store=SqliteStore("store.db")) as registry:
    for gate in sorted(registry._authority.records.values(), key=lambda gate: gate.place):
        print(gate.place, gate.coins)
"""


@pytest.fixture
def gates(tmp_path: Path) -> Path:
    """Return a project whose store has a gate of version 1 without coins."""
    source = tmp_path / "turnstile.yaml"
    text = TURNSTILE.read_text(encoding="utf-8")
    source.write_text(text.replace("watch:", "recovery: {persist_if: 'true'}\n\nwatch:"), "utf-8")
    folder = project(tmp_path / "project", source)
    assert python("-c", WRITE, cwd=folder / "src").returncode == 0
    return folder


def generate(folder: Path) -> int:
    return main(["--project", str(folder), "generate"])


def test_another_beginning_needs_a_migration(
    gates: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = gates / "machine/turnstile.yaml"
    edit(machine, "initial: '0'", "initial: '5'")
    assert generate(gates) == 2
    error = capsys.readouterr().err
    assert "records whose coins is 0 are stored without it, and would have 5" in error
    assert "`adds: {fields: {coins: …}}` gives them what they had" in error
    steps = "version: 2\nmigrations: {2: {reason: A gift., adds: {fields: {coins: 0}}}}\n"
    edit(machine, "version: 1\n", steps)
    assert generate(gates) == 0
    assert_clean(gates)
    done = python("-c", READ, cwd=gates / "src")
    assert (done.returncode, done.stdout) == (0, "new 5\nold 0\n"), done.stdout
