"""Value types of the program's own: known to the machine by name, made JSON by their program."""

from __future__ import annotations

from pathlib import Path

import pytest
from opslifecycle_codegen.cli.main import main

from tests.support.codegen.projects import assert_clean, edit, project
from tests.support.warm import python

TURNSTILE = Path(__file__).parent / "turnstile.yaml"
PRICES = '''"""Prices, as a shop has them."""

from __future__ import annotations

from fractions import Fraction

from attrs import frozen
from opslifecycle import register_type


@frozen
class Price:
    """So much of a currency."""

    amount: Fraction
    currency: str


register_type(Fraction, str, Fraction)
'''
SCRIPT = """
from fractions import Fraction
from opslifecycle import InvalidValueError, SqliteStore
from prices import Price
from turnstile import GateId, GateRegistry
id = GateId.new()
with GateRegistry(store=SqliteStore("gates.db")) as gates:
    gates.install(id, "north", Price(Fraction("1.50"), "EUR"), Fraction("0.1"))
    try:
        gates.install(GateId.new(), "south", "cheap", Fraction(1))
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
         "  Fraction: {summary: A number., python: fractions.Fraction}\n\nfields:\n"
         "  price: {type: Price, initial: price}\n  tax: {type: Fraction, initial: tax}\n"),
        ("[id, place]", "[id, place, price, tax]"),
        ("place: str}", "place: str, price: Price, tax: Fraction}"),
        ("\nsnapshot:", "\nrecovery: {persist_if: 'true'}\n\nsnapshot:"),
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
    done = python("-c", SCRIPT, cwd=shop / "src")
    assert done.stdout.splitlines() == [
        "price: expected Price, got 'cheap'",
        "Price(amount=Fraction(3, 2), currency='EUR') 1/10",
    ]


#: Numbers whose conversions are wrong in one way or another, and values that they cannot convert.
REFUSING = """
import sys
from fractions import Fraction
from opslifecycle import InvalidValueError, MemoryStore, SqliteStore, register_type
from prices import Price
from turnstile import GateId, GateRegistry

def nested(depth):
    return [nested(depth - 1)] if depth else []

def failing(data):
    raise ZeroDivisionError("no")

def kept(to_data, from_data=Fraction):
    register_type(Fraction, to_data, from_data)

conversions = [
    ("as it is", lambda value: value, Fraction),
    ("not a number", lambda value: float("nan"), Fraction),
    ("a surrogate", lambda value: "\\ud800", Fraction),
    ("long", lambda value: 10**5000, Fraction),
    ("deep", lambda value: nested(200), Fraction),
    ("deeper", lambda value: nested(900), Fraction),
    ("there", failing, Fraction),
    ("back", str, failing),
]
stores = {"none": None, "memory": MemoryStore(), "sqlite": SqliteStore("refused.db")}
price = Price(Fraction("1.50"), "EUR")
with GateRegistry(store=stores[sys.argv[1]]) as gates:
    for name, to_data, from_data in conversions:
        kept(to_data, from_data)
        id = GateId.new()
        try:
            gates.install(id, "north", price, Fraction(1))
        except InvalidValueError as error:
            print(error.field, name, gates.snapshot(id), len(str(error)) < 400)
    kept(str)
    id = GateId.new()
    gates.install(id, "south", price, Fraction(2))
    gates.coin(id)
    print(gates.snapshot(id).tax, gates.snapshot(id).status.value)
"""


@pytest.mark.parametrize("store", ["none", "memory", "sqlite"])
def test_what_cannot_be_stored_fails_its_own_call(shop: Path, store: str) -> None:
    done = python("-c", REFUSING, store, cwd=shop / "src")
    *refused, last = done.stdout.splitlines()
    assert last == "2 unlocked"
    named = ["as it is", "not a number", "a surrogate", "long", "deep", "deeper", "there", "back"]
    assert refused == [f"price {name} None True" for name in named]


def test_a_class_without_a_conversion_is_refused_by_its_field(shop: Path) -> None:
    prices = shop / "src/prices.py"
    text = prices.read_text(encoding="utf-8").replace(
        "register_type(Fraction, str, Fraction)\n", ""
    )
    prices.write_text(text.replace("amount: Fraction", "amount: int"), encoding="utf-8")
    script = (
        "from fractions import Fraction\n"
        "from opslifecycle import InvalidValueError, MemoryStore\n"
        "from prices import Price\n"
        "from turnstile import GateId, GateRegistry\n"
        "for store in (None, MemoryStore()):\n"
        "    with GateRegistry(store=store) as gates:\n"
        "        try: gates.install(GateId.new(), 'north', Price(1, 'EUR'), Fraction(1))\n"
        "        except InvalidValueError as error: print(error)\n"
        "        print(gates.broken_invariants() if hasattr(gates, 'broken_invariants') else [])\n"
    )
    done = python("-c", script, cwd=shop / "src")
    first, _, second, _ = done.stdout.splitlines()
    assert first == second
    assert first.startswith("tax: this Fraction cannot be stored as JSON and read back: ")
    assert first.endswith("; register the conversions of its class with opslifecycle.register_type")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("prices.Cost", "names no module of the class Price"),
        ("Price", "names no module of the class Price"),
        ("os; import os.Price", "names no module of the class Price"),
        ("prices.Price, fields: {a: str}", "it declares nothing here"),
    ],
)
def test_a_mistake_is_reported_by_its_rule(
    shop: Path, path: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(shop / "machine/turnstile.yaml", "python: prices.Price", f"python: {path}")
    assert main(["--project", str(shop), "generate"]) == 2
    assert told in capsys.readouterr().err
