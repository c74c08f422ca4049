"""Dicts of values: the value of a key is read field by field, and stored as an object."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from opslifecycle import (
    FrozenDict,
    InvalidValueError,
    OutOfRangeError,
    SqliteStore,
    structure,
    unstructure,
)
from opslifecycle_codegen.cli.main import main
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.versions import compared
from opslifecycle_codegen.modelcheck.counterexample import source_of_test
from opslifecycle_codegen.modelcheck.scenarios import Scenario, scenarios
from opslifecycle_codegen.modelcheck.search import Search
from opslifecycle_codegen.modelcheck.symbolic.induction import induction
from opslifecycle_codegen.modelcheck.symbolic.relation import NotCoveredError, relation
from opslifecycle_codegen.modelcheck.symmetry import NOTHING_SWAPPED

from tests.support.codegen.projects import assert_clean, imported, project
from tests.support.edits import replaced
from tests.support.warm import python

CASE = Path(__file__).parent / "cases" / "dicts-of-values" / "machine.yaml"
TEXT = CASE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """Return a package of orders with a line for each article."""
    folder = tmp_path_factory.mktemp("dicts-of-values")
    source = folder / "orders_by_article.yaml"
    source.write_text(TEXT.replace("machine: order", "machine: orders_by_article"), "utf-8")
    made = project(folder / "project", source)
    assert_clean(made)
    return imported(made, "orders_by_article")


def changed(*edits: tuple[str, str]) -> str:
    return replaced(TEXT, edits)


def only(text: str) -> Scenario:
    """Return the scenario of a machine about lines."""
    scenario, _ = scenarios(program_of(text.encode(), "m.yaml"))
    return scenario


def test_rules_read_the_value_of_a_key(orders: ModuleType, tmp_path: Path) -> None:
    id, size = orders.OrderId.new(), orders.Size
    few, many = orders.Line(1, size.SMALL, False, None), orders.Line(3, size.LARGE, True, 'n"t')
    with orders.OrderRegistry(store=SqliteStore(tmp_path / "orders.db")) as registry:
        registry.begin(id)
        assert registry.put(id, "bolt", few) == 1
        with pytest.raises(orders.NoLineError):
            registry.ship(id, "bolt", few)
        assert not registry.is_large(id, "bolt", many)
        assert registry.put(id, "bolt", many) == 1
        with pytest.raises(orders.TooFewError, match="there are 3 bolt"):
            registry.put(id, "bolt", many)
        assert registry.is_large(id, "bolt", few)
        assert registry.is_large(id, "nut", many)
        assert registry.put(id, "nut", few) == 2
        with pytest.raises(OutOfRangeError, match=r"len\(order\.lines\)"):
            registry.put(id, "pin", few)
        registry.ship(id, "bolt", many)
        before = registry.snapshot(id)
    with orders.OrderRegistry(store=SqliteStore(tmp_path / "orders.db")) as registry:
        found = registry.snapshot(id)
        registry.lose(id, "nut")
        with pytest.raises(orders.NoLineError):
            registry.find(id, "bolt")
        registry.find(id, "nut")
        with pytest.raises(orders.NoLineError):
            registry.drop(id, "pin")
        registry.drop(id, "nut")
        assert registry.snapshot(id).lines == {"bolt": many}
    assert found == before
    assert found.lines == FrozenDict({"bolt": many, "nut": few})
    assert found.ends == {"bolt": orders.Sent(many)}
    data = unstructure(found)
    bolt = {"count": 3, "size": "large", "is_packed": True, "note": 'n"t'}
    assert data["lines"]["bolt"] == bolt
    assert data["ends"] == {"bolt": {"kind": "sent", "line": bolt}}
    assert structure(bolt, orders.Line) == many


def test_an_element_goes_on_to_its_next_variant(orders: ModuleType) -> None:
    with orders.OrderRegistry() as registry:
        registry.begin(id := orders.OrderId.new())
        registry.want(id, "bolt", 3)
        registry.want(id, "nut", 4)
        registry.want(id, "nut", 5)
        registry.pack(id, "nut", "A")
        with pytest.raises(orders.NoLineError):
            registry.pack(id, "nut", "B")
        with pytest.raises(orders.OrderNotFoundError):
            registry.send(id)
        registry.pack(id, "bolt", "A")
        assert registry.snapshot(id).states == {
            "bolt": orders.Packed(3, "A"),
            "nut": orders.Packed(5, "A"),
        }
        registry.send(id)


@pytest.mark.parametrize("value", [{}, FrozenDict({"bolt": "x"}), FrozenDict({"B": None}), None])
def test_only_a_frozen_dict_of_values_is_taken(orders: ModuleType, value: object) -> None:
    with orders.OrderRegistry() as registry, pytest.raises(InvalidValueError, match=r"^lines"):
        registry.replace(orders.OrderId.new(), value)


WRITE = """
from machine import *
from opslifecycle import FrozenDict, SqliteStore
with OrderRegistry(store=SqliteStore("orders.db")) as registry:
    id = OrderId.new()
    registry.begin(id)
    line = Line(3, Size.LARGE, True, None)
    registry.replace(id, FrozenDict({"bolt": line, "nut": line}))
    registry.ship(id, "nut", line)
    print(id)
"""
READ = """
import sys
from machine import *
from opslifecycle import SqliteStore
with OrderRegistry(store=SqliteStore("orders.db")) as registry:
    found = registry.snapshot(OrderId(sys.argv[1]))
    line = Line(3, Size.BIG, True, None)
    assert found.lines == {"bolt": line, "nut": line}, found.lines
    assert found.ends == {"nut": Sent(line)}, found.ends
"""


def test_a_migration_reaches_the_values_in_a_dict(tmp_path: Path) -> None:
    folder = project(tmp_path, CASE)
    wrote = python("-c", WRITE, cwd=folder / "src")
    assert wrote.returncode == 0, wrote.stderr
    migration = "version: 2\nmigrations:\n  2: {reason: R., renames: {Size: {large: big}}}\n"
    text = changed(
        ("version: 1\n", migration), ("large: {summary: L.}", "big: {summary: L.}"),
        (").size is large", ").size is big"),
    )  # fmt: skip
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


def test_a_search_reads_the_fields_of_values() -> None:
    found = Search(only(TEXT), NOTHING_SWAPPED).run()
    assert found.violation is None
    assert found.closed
    assert {"put", "ship", "find", "drop"} <= {*found.fired}
    text = changed(("each.lines.get('bolt').count >= 1", "each.lines.get('bolt').count < 2"))
    found = Search(only(text), NOTHING_SWAPPED).run()
    assert found.violation is not None
    assert [call.method for call in found.violation.calls] == ["begin", "put"]
    test = source_of_test(found.violation, "orders_by_article")
    assert test is not None
    assert "Line(count=2," in test


IS_PACKED = "{when: line.is_packed, error: {no_line: {article: article}}}"
NO_LINES = "{when: 'lines == {}', error: {unknown: {id: id}}}"


class TestProofs:
    def test_a_proof_takes_any_dict(self) -> None:
        proof = induction(program_of(TEXT.encode(), "m.yaml"))
        assert (proof.failed, proof.outside) == ([], {})
        assert {"put", "ship", "find", "drop", "replace"} <= {*proof.possible}

    def test_what_was_put_is_found_field_by_field(self) -> None:
        """A proof that needs the fields: only lines that were packed are sent."""
        packed = "each.lines.get('bolt') is None or each.lines.get('bolt').is_packed"
        text = changed(
            ("each.lines.get('bolt') is None or each.lines.get('bolt').count >= 1", packed),
            ("guards: [known, more]", "guards: [known, more, is_packed]"),
            ("  was_lost:", f"  is_packed: {IS_PACKED}\n  was_lost:"),
            ("params: {lines: Lines}\n", "params: {lines: Lines}\n    guards: [known, none]\n"),
            ("  packed:\n", f"  none: {NO_LINES}\n  packed:\n"),
        )  # fmt: skip
        proof = induction(program_of(text.encode(), "m.yaml"))
        assert (proof.failed, proof.outside) == ([], {})
        # Without the guard, an unpacked line is put.
        text = text.replace("[known, more, is_packed]", "[known, more]").replace(
            f"  is_packed: {IS_PACKED}\n", ""
        )
        assert induction(program_of(text.encode(), "m.yaml")).failed

    def test_other_checkers_say_that_they_do_not_cover_it(self) -> None:
        with pytest.raises(NotCoveredError, match="lists or dicts"):
            relation(only(TEXT))
