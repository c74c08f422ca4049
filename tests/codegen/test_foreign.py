"""Value types of the program's own: known to the machine by name, made JSON by their program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from opslifecycle_codegen.cli.main import main

from tests.codegen.projects import assert_clean, edit, project

TURNSTILE = Path(__file__).parent / "turnstile.yaml"
PRICES = '''"""Prices, as a shop has them."""

from __future__ import annotations

from decimal import Decimal

from attrs import frozen
from opslifecycle import register_type


@frozen
class Price:
    """So much of a currency."""

    amount: Decimal
    currency: str


register_type(Decimal, str, Decimal)
'''
SCRIPT = """
from decimal import Decimal
from opslifecycle import InvalidValueError, SqliteStore
from prices import Price
from turnstile import GateId, GateRegistry
id = GateId.new()
with GateRegistry(store=SqliteStore("gates.db")) as gates:
    gates.install(id, "north", Price(Decimal("1.50"), "EUR"), Decimal("0.1"))
    try:
        gates.install(GateId.new(), "south", "cheap", Decimal(1))
    except InvalidValueError as error:
        print(error)
with GateRegistry(store=SqliteStore("gates.db")) as gates:
    print(gates.snapshot(id).price, gates.snapshot(id).tax)
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = project(tmp_path, TURNSTILE)
    machine = folder / "machine/turnstile.yaml"
    for old, new in (
        ("\nfields:\n", "\nvalues:\n  Price: {summary: What it costs., python: prices.Price}\n"
         "  Decimal: {summary: A number., python: decimal.Decimal}\n\nfields:\n"
         "  price: {type: Price, starts: price}\n  tax: {type: Decimal, starts: tax}\n"),
        ("[id, place]", "[id, place, price, tax]"),
        ("place: text}", "place: text, price: Price, tax: Decimal}"),
        ("\nsnapshot:", "\nrecovery: {keeps: 'true'}\n\nsnapshot:"),
        ("place: gate.place,", "place: gate.place, price: gate.price, tax: gate.tax,"),
    ):  # fmt: skip
        edit(machine, old, new)
    (folder / "src/prices.py").write_text(PRICES, encoding="utf-8")
    # A field is gained that every old record would lack: it is another machine.
    (folder / "machine/turnstile.lock.json").unlink()
    assert main(["--project", str(folder), "generate"]) == 0
    return folder


def test_they_are_checked_kept_and_given_back(shop: Path) -> None:
    assert_clean(shop)
    run = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(run, cwd=shop / "src", capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "price: expected Price, got str",
        "Price(amount=Decimal('1.50'), currency='EUR') 0.1",
    ]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("prices.Cost", "does not say where the class Price is"),
        ("Price", "does not say where the class Price is"),
        ("os; import os.Price", "does not say where the class Price is"),
        ("prices.Price, fields: {a: text}", "it declares nothing here"),
    ],
)
def test_mistakes(shop: Path, path: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    edit(shop / "machine/turnstile.yaml", "python: prices.Price", f"python: {path}")
    assert main(["--project", str(shop), "generate"]) == 2
    assert told in capsys.readouterr().err
