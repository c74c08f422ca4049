"""Lists of values: stored as arrays of objects, compared whole."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from opslifecycle import InvalidValueError, OutOfRangeError, SqliteStore, structure, unstructure
from opslifecycle_codegen.cli.main import main
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.versions import compared
from opslifecycle_codegen.modelcheck.scenarios import Scenario, scenarios
from opslifecycle_codegen.modelcheck.search import Search
from opslifecycle_codegen.modelcheck.symbolic.induction import induction
from opslifecycle_codegen.modelcheck.symmetry import NOTHING_SWAPPED

from tests.support.codegen.projects import assert_clean, imported, project
from tests.support.edits import replaced
from tests.support.warm import python

CASE = Path(__file__).parent / "cases" / "lists-of-values" / "machine.yaml"
TEXT = CASE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """Return a package of orders with lines."""
    folder = tmp_path_factory.mktemp("lists-of-values")
    source = folder / "orders_with_lines.yaml"
    source.write_text(TEXT.replace("machine: order", "machine: orders_with_lines"), "utf-8")
    made = project(folder / "project", source)
    assert_clean(made)
    return imported(made, "orders_with_lines")


def changed(*edits: tuple[str, str]) -> str:
    return replaced(TEXT, edits)


def only(text: str) -> Scenario:
    """Return the one scenario of a machine."""
    (scenario,) = scenarios(program_of(text.encode(), "m.yaml"))
    return scenario


def test_values_are_stored_and_found_again(orders: ModuleType, tmp_path: Path) -> None:
    id, size = orders.OrderId.new(), orders.Size
    bolt, nut = orders.Line("bolt", 3, size.LARGE, None), orders.Line('n"t', 1, size.SMALL, "m4")
    with orders.OrderRegistry(store=SqliteStore(tmp_path / "orders.db")) as registry:
        registry.begin(id)
        assert registry.add(id, bolt) == 1
        with pytest.raises(orders.LineTwiceError, match="it has bolt already"):
            registry.add(id, orders.Line("bolt", 3, size.LARGE, None))
        assert registry.add(id, nut) == 2
        with pytest.raises(OutOfRangeError, match=r"len\(order\.lines\)"):
            registry.add(id, orders.Line("pin", 3, size.LARGE, None))
        registry.replace(id, (nut, bolt), (orders.Packed(nut), orders.Lost()))
        before = registry.snapshot(id)
    with orders.OrderRegistry(store=SqliteStore(tmp_path / "orders.db")) as registry:
        found = registry.snapshot(id)
    assert found == before
    assert (found.lines, found.events) == ((nut, bolt), (orders.Packed(nut), orders.Lost()))
    data = unstructure(found)
    assert data["lines"][0] == {"thing": 'n"t', "count": 1, "size": "small", "note": "m4"}
    assert data["events"][1] == {"kind": "lost"}
    assert structure(data["lines"][1], orders.Line) == bolt


@pytest.mark.parametrize("value", [[], ("bolt",), (None,), "bolt"])
def test_only_a_tuple_of_values_is_taken(orders: ModuleType, value: object) -> None:
    with orders.OrderRegistry() as registry, pytest.raises(InvalidValueError, match=r"^lines"):
        registry.replace(orders.OrderId.new(), value, None)


WRITE = """
from machine import *
from opslifecycle import SqliteStore
with OrderRegistry(store=SqliteStore("orders.db")) as registry:
    id = OrderId.new()
    registry.begin(id)
    line = Line("bolt", 3, Size.LARGE, None)
    registry.replace(id, (line, line), (Lost(), Packed(line)))
    print(id)
"""
READ = """
import sys
from machine import *
from opslifecycle import SqliteStore
with OrderRegistry(store=SqliteStore("orders.db")) as registry:
    found = registry.snapshot(OrderId(sys.argv[1]))
    line = Line("bolt", 3, Size.BIG, None)
    assert found.lines == (line, line), found.lines
    assert found.events == (Lost(), Packed(line)), found.events
"""


def test_a_migration_reaches_the_values_in_a_list(tmp_path: Path) -> None:
    folder = project(tmp_path, CASE)
    wrote = python("-c", WRITE, cwd=folder / "src")
    assert wrote.returncode == 0, wrote.stderr
    migration = "version: 2\nmigrations:\n  2: {reason: R., renames: {Size: {large: big}}}\n"
    text = changed(("version: 1\n", migration), ("large: {summary: L.}", "big: {summary: L.}"))
    (folder / "machine" / "machine.yaml").write_text(text, encoding="utf-8")
    assert main(["--project", str(folder), "generate"]) == 0
    read = python("-c", READ, wrote.stdout.strip(), cwd=folder / "src")
    assert read.returncode == 0, read.stderr


def test_a_field_more_in_each_value_is_a_change_of_what_is_stored() -> None:
    def rules(old: str, new: str) -> set[str]:
        programs = (program_of(each.encode(), "m.yaml") for each in (TEXT, changed((old, new))))
        return {change.rule for change, _ in compared(*programs).changes}

    assert "field-required" in rules("note: str | None}", "weight: int, note: str | None}")
    assert "field-widened" in rules("max_length: 9", "max_length: 10")
    assert "field-type" in rules("max_length: 9", "max_length: 8")


def test_a_search_tells_values_apart_that_rules_compare_whole() -> None:
    scenario = only(TEXT)
    lines = {dict(each.arguments)["line"] for each in scenario.calls if each.method == "add"}
    assert len({line[0] for line in lines}) > 1
    # The guard refuses a line that is there, so a second one is another.
    text = changed(
        ("len(each.lines) <= 2", "len(each.lines) < 2"),
        (
            "summary: One order., entities: 1",
            "summary: One order., entities: 1, exclude: [replace]",
        ),
    )
    found = Search(only(text), NOTHING_SWAPPED).run()
    assert found.violation is not None
    assert [call.method for call in found.violation.calls] == ["begin", "add", "add"]


def test_a_proof_takes_any_value() -> None:
    proof = induction(program_of(TEXT.encode(), "m.yaml"))
    assert (proof.failed, proof.outside) == ([], {})
    assert {"add", "replace", "lose"} <= {*proof.possible}
