"""Dicts: checked where they come in, changed key by key, stored as objects."""

from __future__ import annotations

import copy
import pickle
import re
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
from opslifecycle.values.dicts import dict_from
from opslifecycle_codegen.cli.main import main
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.versions import compared
from opslifecycle_codegen.modelcheck.counterexample import counterexample, source_of_test
from opslifecycle_codegen.modelcheck.scenarios import Scenario, scenarios
from opslifecycle_codegen.modelcheck.search import Search
from opslifecycle_codegen.modelcheck.symbolic.induction import induction
from opslifecycle_codegen.modelcheck.symbolic.relation import NotCoveredError, relation
from opslifecycle_codegen.modelcheck.symmetry import NOTHING_SWAPPED

from tests.support.codegen.projects import assert_clean, imported, project
from tests.support.edits import replaced
from tests.support.warm import python

CASE = Path(__file__).parent / "cases" / "dicts" / "machine.yaml"
TEXT = CASE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def baskets(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """Return a package of baskets with parts."""
    folder = tmp_path_factory.mktemp("dicts")
    source = folder / "baskets_of_parts.yaml"
    source.write_text(TEXT.replace("machine: basket", "machine: baskets_of_parts"), "utf-8")
    made = project(folder / "project", source)
    assert_clean(made)
    return imported(made, "baskets_of_parts")


def changed(*edits: tuple[str, str]) -> str:
    return replaced(TEXT, edits)


def only(text: str = TEXT) -> Scenario:
    """Return the one scenario of a machine."""
    (scenario,) = scenarios(program_of(text.encode(), "m.yaml"))
    return scenario


class TestValues:
    def test_a_frozen_dict_is_a_value(self) -> None:
        one = FrozenDict({"b": 2, "a": 1})
        assert list(one) == ["a", "b"]
        assert list(FrozenDict({"b": 1, "a": 2})) == ["a", "b"]
        assert one == {"a": 1, "b": 2} == one
        assert one != FrozenDict({"a": 1})
        assert hash(one) == hash(FrozenDict([("a", 1), ("b", 2)]))
        assert one | {"b": 3, "c": 4} == {"a": 1, "b": 3, "c": 4}
        assert one.without("a") == {"b": 2}
        assert one.without("z") == one
        assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one
        assert repr(one) == "FrozenDict({'a': 1, 'b': 2})"
        assert ("a" in one, one.get("z"), len(one)) == (True, None, 2)
        with pytest.raises(TypeError):
            one["a"] = 2  # type: ignore[index]
        one.__init__({"evil": 1})  # type: ignore[misc]
        assert one == {"a": 1, "b": 2}
        with pytest.raises(InvalidValueError, match="expected a text, got 3"):
            FrozenDict({3: 1})  # type: ignore[arg-type]

    def test_keys_change_and_are_stored(self, baskets: ModuleType, tmp_path: Path) -> None:
        one, place = baskets.BasketId.new(), baskets.Place
        with baskets.BasketRegistry(store=SqliteStore(tmp_path / "baskets.db")) as registry:
            registry.take(one, FrozenDict({"x": place.FLOOR}))
            assert registry.add(one, "bolt", 3) == 3
            assert registry.add(one, "nut", 90) == 90
            assert registry.add(one, "bolt", 4) == 4
            registry.use(one, "bolt", 3)
            with pytest.raises(baskets.TooFewError, match="there are 1 bolt"):
                registry.use(one, "bolt", 1)
            with pytest.raises(baskets.TooFewError, match="there are 0 pin"):
                registry.use(one, "pin", 1)
            before = registry.snapshot(one)
        with baskets.BasketRegistry(store=SqliteStore(tmp_path / "baskets.db")) as registry:
            assert registry.snapshot(one) == before
            assert before.parts == {"bolt": 1, "nut": 90}
            assert registry.is_on_the_floor(one, "x")
            assert not registry.is_on_the_floor(one, "y")
            with pytest.raises(baskets.TooFewError):
                registry.drop(one, "nut")
            registry.drop(one, "bolt")
            delivery = baskets.Delivery(FrozenDict({"bolt": 5}), None)
            registry.swap(one, delivery, None)
            found = registry.snapshot(one)
        assert found.parts == {"bolt": 5}
        data = unstructure(found)
        assert (data["parts"], data["places"]) == ({"bolt": 5}, None)
        assert structure(data["delivery"], baskets.Delivery) == delivery
        assert unstructure(before)["places"] == {"x": "floor"}

    def test_a_dict_that_would_be_too_long_is_rejected(self, baskets: ModuleType) -> None:
        with baskets.BasketRegistry() as registry:
            id = baskets.BasketId.new()
            registry.take(id, None)
            for part in ("a", "b", "c"):
                registry.add(id, part, 2)
            with pytest.raises(OutOfRangeError, match=r"len\(basket\.parts\)"):
                registry.add(id, "d", 2)
            # A key that is there already makes it no longer.
            registry.add(id, "c", 5)
            registry.drop(id, "a")
            registry.add(id, "d", 2)
            assert list(registry.snapshot(id).parts) == ["b", "c", "d"]

    @pytest.mark.parametrize(
        ("value", "where"),
        [
            ({"bolt": 1}, "parts: expected a FrozenDict"),
            ([("bolt", 1)], "parts: expected a FrozenDict"),
            (FrozenDict({"Bolt": 1}), "parts: the key 'Bolt': expected text that matches"),
            (FrozenDict({"bolt": 0}), r"parts\['bolt'\]: expected an integer of at least 1"),
            (FrozenDict({"bolt": True}), r"parts\['bolt'\]: expected an integer"),
            (FrozenDict(dict.fromkeys("abcd", 1)), "parts: expected at most 3 items, got 4"),
        ],
    )
    def test_only_a_dict_of_the_type_is_taken(
        self, baskets: ModuleType, value: object, where: str
    ) -> None:
        with pytest.raises(InvalidValueError, match=f"^{where}"):
            baskets.Delivery(value, None)

    @pytest.mark.parametrize(
        "data", [{"Bolt": 1}, {"bolt": 0}, {"bolt": "1"}, [["bolt", 1]], "bolt", None]
    )
    def test_stored_data_of_another_form_is_refused(
        self, baskets: ModuleType, data: object
    ) -> None:
        with pytest.raises(InvalidValueError):
            structure({"parts": data, "note": None}, baskets.Delivery)

    def test_a_stored_dict_is_no_longer_than_its_type(self) -> None:
        def read(data: object) -> FrozenDict[int]:
            return dict_from(data, 1, str, lambda each: int(str(each)))

        assert read({"a": 1}) == {"a": 1}
        wrong: list[object] = [{"a": 1, "b": 2}, [], None]
        for data in wrong:
            with pytest.raises(InvalidValueError, match="expected an object with at most 1 items"):
                read(data)


class TestChanges:
    def test_other_limits_break_what_is_stored_or_do_not(self) -> None:
        def rules(old: str, new: str) -> set[str]:
            texts = (TEXT, changed((old, new)))
            programs = (program_of(each.encode(), "m.yaml") for each in texts)
            return {change.rule for change, _ in compared(*programs).changes}

        longer = "Count]', max_length: 3", "Count]', max_length: 4"
        assert "field-widened" in rules(*longer)
        assert "field-type" in rules("Count]', max_length: 3", "Count]', max_length: 2")
        assert "field-widened" in rules("maximum: 90}", "maximum: 91}")
        assert "field-type" in rules("maximum: 90}", "maximum: 89}")
        assert "field-widened" in rules("max_length: 12,", "max_length: 13,")
        assert "field-type" in rules("'[a-z]+'", "'[a-z]*'")

    def test_a_migration_renames_members_and_adds_items(self, tmp_path: Path) -> None:
        folder = project(tmp_path, CASE)
        wrote = python("-c", WRITE, cwd=folder / "src")
        assert wrote.returncode == 0, wrote.stderr
        machine = folder / "machine" / "machine.yaml"
        text = machine.read_text(encoding="utf-8").replace("version: 1", "version: 2")
        text = re.sub(r"\bfloor\b", "ground", text)
        held = "  held: {type: Parts, initial: '{}'}\n  delivery: {type"
        text = text.replace("  delivery: {type", held)
        text = text.replace("{basket.parts: 'without", "{basket.held: '{}', basket.parts: 'without")
        text += (
            "\nmigrations:\n  2:\n    reason: It is the ground.\n"
            "    renames: {Place: {floor: ground}}\n"
            "    adds: {fields: {held: {nail: 7, screw: 1}}}\n"
        )
        machine.write_text(text, encoding="utf-8")
        assert main(["--project", str(folder), "generate"]) == 0
        read = python("-c", READ, wrote.stdout.strip(), cwd=folder / "src")
        assert read.returncode == 0, read.stderr


WRITE = """
from machine import *
from opslifecycle import FrozenDict, SqliteStore
with BasketRegistry(store=SqliteStore("baskets.db")) as registry:
    id = BasketId.new()
    registry.take(id, FrozenDict({"a": Place.FLOOR, "b": Place.SHELF}))
    print(id)
"""
READ = """
import sys
from machine import *
from opslifecycle import SqliteStore
with BasketRegistry(store=SqliteStore("baskets.db")) as registry:
    found = registry._authority.records[BasketId(sys.argv[1])]
    assert found.places == {"a": Place.GROUND, "b": Place.SHELF}, found.places
    assert found.held == {"nail": 7, "screw": 1}, found.held
"""


class TestVerification:
    def test_every_state_is_searched(self) -> None:
        found = Search(only(), NOTHING_SWAPPED).run()
        assert found.closed
        assert found.states > 100

    def test_a_counterexample_is_a_test(self) -> None:
        broken = changed(("len(each.parts) <= 3", "each.parts.get('nut', 1) == 1"))
        found = Search(only(broken), NOTHING_SWAPPED).run()
        assert found.violation is not None
        assert "a.parts: {} → {nut: 2}" in counterexample(found.violation)
        delivered = changed(
            ("len(each.parts) <= 3", "each.parts.get('bolt', 1) < 89"),
            (", delivery: [none]}", "}"),
        )
        found = Search(only(delivered), NOTHING_SWAPPED).run()
        assert found.violation is not None
        source = source_of_test(found.violation, "baskets_of_parts")
        assert source is not None
        assert "from opslifecycle import FrozenDict" in source
        assert "Delivery(parts=FrozenDict({'bolt': 89})" in source

    def test_it_is_proved_for_any_dict(self) -> None:
        proof = induction(program_of(TEXT.encode(), "m.yaml"))
        assert (proof.failed, proof.outside) == ([], {})
        assert {"no_more_than_three"} <= {*proof.properties}
        assert {"add", "use", "drop", "swap"} <= {*proof.possible}

    @pytest.mark.parametrize(
        ("invariant", "holds"),
        [
            ("each.parts.get('nut', 1) <= 90", True),
            ("'nut' not in each.parts or each.parts.get('nut') is not None", True),
            ("each.parts.get('nut', 1) <= 89", False),
            ("'pin' not in each.parts", False),
            ("len(each.parts) <= 2", False),
        ],
    )
    def test_a_proof_knows_what_is_behind_a_key(self, invariant: str, holds: bool) -> None:
        text = changed(("len(each.parts) <= 3", invariant))
        failed = induction(program_of(text.encode(), "m.yaml")).failed
        assert bool(failed) is not holds

    def test_other_checkers_say_that_they_do_not_cover_it(self) -> None:
        with pytest.raises(NotCoveredError, match="lists or dicts"):
            relation(only())
