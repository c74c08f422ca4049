"""Fields that a migration adds: older data gets a value of any scalar type."""

from __future__ import annotations

from pathlib import Path

import pytest
from opslifecycle_codegen.cli.main import main

from tests.support.codegen.projects import assert_clean, edit, project
from tests.support.warm import python

TURNSTILE = Path(__file__).parent / "turnstile.yaml"
ID = "01890a5d-ac96-774b-bcce-b302099a8057"

TYPES = """types:
  Money: {summary: In euros., type: Decimal, digits: 18, places: 2}
  Photo: {summary: Of a gate., type: bytes, max_length: 5}
  Lane: {summary: From the left., type: int, minimum: -3, maximum: 5}
  Code: {summary: On the door., type: str, pattern: '[a-z]{3}', example: abc}

values:
  Note: {summary: On a gate., fields: {text: str}}

ids:
  NumberId: {summary: Of a register., type: int}
  PlateId: {summary: On a gate., prefix: pl_}
"""

#: Every field: its type, the value in the migration, and what Python makes of it.
ADDED = {
    "a_flag": ("bool", "true", "True"),
    "a_lane": ("Lane", "-3", "-3"),
    "a_text": ("str", "'a \"text\" that is much longer than a line of generated code may be'",
               "'a \"text\" that is much longer than a line of generated code may be'"),
    "a_code": ("Code", "xyz", "'xyz'"),
    "a_share": ("float", "1e300", "1e300"),
    "a_price": ("Money", "1234567890123456.7", "Decimal('1234567890123456.70')"),
    "a_photo": ("Photo", "aGVsbG8=", "b'hello'"),
    "a_time": ("datetime", "'datetime(1, 1, 31, 23)'", "datetime(1, 1, 31, 23, tzinfo=UTC)"),
    "a_while": ("timedelta", "timedelta(minutes=-90)", "timedelta(minutes=-90)"),
    "a_number": ("NumberId", "7", "NumberId(7)"),
    "a_plate": ("PlateId", "pl_9", "PlateId('pl_9')"),
    "a_gate": ("GateId", ID, f"GateId('{ID}')"),
    "a_status": ("GateStatus", "locked", "GateStatus.LOCKED"),
    "a_note": ("Note | None", "null", "None"),
    "an_absence": ("int | None", "null", "None"),
}  # fmt: skip

WRITE = """
from opslifecycle import SqliteStore
from turnstile import *
with GateRegistry(store=SqliteStore("store.db")) as registry:
    registry.install(GateId.new(), "door")
"""

READ = f"""
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from opslifecycle import SqliteStore
from turnstile import *
for _ in range(2):
    with GateRegistry(store=SqliteStore("store.db")) as registry:
        for gate in registry._authority.records.values():
            found = {{name: getattr(gate, name) for name in {[*ADDED]}}}
            assert found == {{{", ".join(f"{n!r}: {v}" for n, (_, _, v) in ADDED.items())}}}, found
            registry.coin(gate.id) if registry.snapshot(gate.id).coins == 0 else None
            print("read")
"""


@pytest.fixture
def gates(tmp_path: Path) -> Path:
    """Return a project whose store has a gate of version 1."""
    source = tmp_path / "turnstile.yaml"
    text = TURNSTILE.read_text(encoding="utf-8").replace("ids:\n", TYPES, 1)
    waived = "\n".join(
        f"  - {{rule: unused-type, of: {name}, reason: Later.}}"
        for name in ("Money", "Photo", "Lane", "Code", "NumberId", "PlateId", "Note")
    )
    text = text.replace("watch:", f"recovery: {{persist_if: true}}\n\nwaivers:\n{waived}\n\nwatch:")
    source.write_text(text, encoding="utf-8")
    folder = project(tmp_path / "project", source)
    assert python("-c", WRITE, cwd=folder / "src").returncode == 0
    return folder


def changed(folder: Path, added: dict[str, tuple[str, str]]) -> int:
    """Add fields in version 2; return the status of `generate`."""
    machine = folder / "machine/turnstile.yaml"
    text = machine.read_text(encoding="utf-8")
    begin = text.index("waivers:")
    machine.write_text(text[:begin] + text[text.index("watch:") :], encoding="utf-8")
    fields = "".join(f"  {n}: {{type: {t}, initial: {n}}}\n" for n, (t, _) in added.items())
    edit(machine, "  coins:", f"{fields}  coins:")
    edit(machine, "[id, place]", f"[id, place, {', '.join(added)}]")
    params = ", ".join(f"{n}: {t}" for n, (t, _) in added.items())
    edit(machine, "place: str}", f"place: str, {params}}}")
    adds = ", ".join(f"{n}: {v}" for n, (_, v) in added.items())
    edit(
        machine,
        "version: 1\n",
        f"version: 2\nmigrations: {{2: {{reason: x, adds: {{fields: {{{adds}}}}}}}}}\n",
    )
    return main(["--project", str(folder), "generate"])


def test_older_data_gets_a_value_of_every_scalar_type(gates: Path) -> None:
    assert changed(gates, {name: (type, value) for name, (type, value, _) in ADDED.items()}) == 0
    assert_clean(gates)
    done = python("-c", READ, cwd=gates / "src")
    assert (done.returncode, done.stdout) == (0, "read\nread\n"), done.stdout


@pytest.mark.parametrize(
    ("type", "value", "told"),
    [
        ("Money", "1.555", "Decimal from 0.00 to 9999999999999999.99, found '1.555'"),
        ("Money", "-1", "found '-1'"),
        ("Lane", "6", "a value of type int from -3 to 5, found '6'"),
        ("Photo", "aGVsbG8h", "a value of type at most 5 bytes, found 'aGVsbG8h'"),
        ("Photo", "a", "found 'a'"),
        ("float", "nan", "a value of type float, found 'nan'"),
        ("float", "9007199254740993", "found '9007199254740993'"),
        ("datetime", "'2026-01-31'", "found '2026-01-31'"),
        ("timedelta", "90", "found '90'"),
        ("PlateId", "9", "found '9'"),
        ("GateId", "9", "found '9'"),
        ("NumberId", "-9", "found '-9'"),
        ("GateStatus", "lost", "found 'lost'"),
        ("Note", "x", "a migration cannot make a value of type Note"),
        ("bool", "1", "found '1'"),
        ("bool", "null", "found 'null'"),
        ("bool", "[true]", "a value of type bool"),
    ],
)  # fmt: skip
def test_what_is_no_value_of_the_type_is_one_error(
    gates: Path, type: str, value: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert changed(gates, {"added": (type, value)}) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if ": error: " in line]
    migration = [line for line in errors if "unused-type" not in line]
    assert len(migration) == 1, errors
    assert told in migration[0]
