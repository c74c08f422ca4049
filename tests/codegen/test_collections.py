"""Lists and sets: checked where they come in, joined, stored as arrays."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import attrs
import pytest
from opslifecycle import InvalidValueError, OutOfRangeError, SqliteStore, structure, unstructure
from opslifecycle_codegen.base.diagnostics import InvalidMachineError
from opslifecycle_codegen.cli.main import main
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.versions import compared
from opslifecycle_codegen.ir.types import INT, STR, Limits, Type, join, optional
from opslifecycle_codegen.modelcheck import verification
from opslifecycle_codegen.modelcheck.counterexample import counterexample, source_of_test
from opslifecycle_codegen.modelcheck.scenarios import Scenario, scenarios
from opslifecycle_codegen.modelcheck.search import STATES_MAX, Search
from opslifecycle_codegen.modelcheck.symbolic.induction import induction
from opslifecycle_codegen.modelcheck.symbolic.relation import NotCoveredError, relation

from tests.support.codegen.projects import assert_clean, imported, project
from tests.support.scale import whole_or
from tests.support.warm import python

CASE = Path(__file__).parent / "cases" / "collections" / "machine.yaml"
TEXT = CASE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tours(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """Return a package of tours with doors and skills."""
    folder = tmp_path_factory.mktemp("collections")
    source = folder / "tours_of_doors.yaml"
    source.write_text(TEXT.replace("machine: courier", "machine: tours_of_doors"), "utf-8")
    made = project(folder / "project", source)
    assert_clean(made)
    return imported(made, "tours_of_doors")


def only(text: str = TEXT) -> Scenario:
    """Return the one scenario of a machine."""
    (scenario,) = scenarios(program_of(text.encode(), "m.yaml"))
    return scenario


def test_collections_are_joined_and_stored(tours: ModuleType, tmp_path: Path) -> None:
    one, skill = tours.TourId.new(), tours.Skill
    with tours.TourRegistry(store=SqliteStore(tmp_path / "tours.db")) as registry:
        registry.plan(one, frozenset({skill.FROST, skill.STAIRS}))
        for number in (7, 3, 5):
            registry.visit(one, tours.DoorId(number))
        with pytest.raises(tours.VisitedError, match="goes to 3 already"):
            registry.visit(one, tours.DoorId(3))
        with pytest.raises(tours.NoDoorsError):
            registry.ride(one, tours.Load((1,), frozenset()), None)
        load = tours.Load((1, 900), frozenset({skill.FROST, skill.CASH}))
        registry.ride(one, load, ("ring twice", ""))
        before = registry.snapshot(one)
    with tours.TourRegistry(store=SqliteStore(tmp_path / "tours.db")) as registry:
        found = registry.snapshot(one)
        assert found == before
        assert found.doors == (tours.DoorId(7), tours.DoorId(3), tours.DoorId(5))
        assert (found.needs, found.used) == ({skill.STAIRS, skill.FROST}, {skill.FROST})
        assert found.notes == ("ring twice", "")
        data = unstructure(found)
        assert data["needs"] == ["stairs", "frost"]
        assert data["doors"] == [7, 3, 5]
        assert data["load"] == {"weights": [1, 900], "skills": ["frost", "cash"]}
        assert structure(data["load"], tours.Load) == load


def test_a_list_that_would_be_too_long_is_rejected(tours: ModuleType) -> None:
    with tours.TourRegistry() as registry:
        id = tours.TourId.new()
        registry.plan(id, frozenset())
        for number in range(4):
            registry.visit(id, tours.DoorId(number))
        with pytest.raises(OutOfRangeError, match=r"len\(tour\.doors\)"):
            registry.visit(id, tours.DoorId(4))
        assert len(registry.snapshot(id).doors) == 4
        registry.skip(id)
        assert registry.snapshot(id).doors == ()


def test_a_list_that_may_be_none_is_measured_only_if_it_is_there(tours: ModuleType) -> None:
    with tours.TourRegistry() as registry:
        id = tours.TourId.new()
        registry.plan(id, frozenset())
        registry.visit(id, tours.DoorId(1))
        registry.ride(id, tours.Load((1,), frozenset()), ("ring",))
        with pytest.raises(OutOfRangeError, match=r"len\(tour\.notes\)"):
            registry.remark(id, ("a", "b", "c"))
        registry.remark(id, ("a", "b"))
        assert registry.snapshot(id).notes == ("a", "b")
        registry.remark(id, None)
        assert registry.snapshot(id).notes is None


def test_two_lists_have_a_common_type_without_a_length() -> None:
    short, long = (
        Type("list", name, INT, Limits(max_length=most)) for name, most in (("S", 2), ("L", 9))
    )
    assert join(short, long) == join(long, short) == Type("list", inner=INT)
    assert join(optional(short), long) == optional(Type("list", inner=INT))
    assert join(short, Type("list", "T", STR, Limits(max_length=2))) is None
    assert join(short, short) == short


def test_a_set_of_actions_has_as_many_members_as_there_are() -> None:
    text = TEXT.replace(
        "\n\nvalues:", "\n  Done: {summary: D., type: 'frozenset[TourAction]'}\n\nvalues:"
    )
    text = text.replace(
        "  notes: {type", "  done: {type: Done, initial: frozenset()}\n  notes: {type"
    )
    history = "history: {summary: H., method: history, last: 2}\n"
    program = program_of((text + history).encode(), "m.yaml")
    limits = program.symbols.refined["Done"].limits
    assert limits is not None
    assert limits.max_length == len(program.symbols.enums["TourAction"].members) > 3


def test_sets_of_a_program_are_converted_as_before(tours: ModuleType) -> None:
    both = frozenset({tours.Skill.FROST, tours.Skill.STAIRS})
    assert unstructure(both) == ["stairs", "frost"]
    assert unstructure(frozenset({"b"})) == frozenset({"b"})
    assert unstructure(Basket(frozenset({3}))) == {"inside": frozenset({3})}
    assert structure({"inside": [3]}, Basket) == Basket(frozenset({3}))


@attrs.frozen
class Basket:
    """A class of a program."""

    inside: frozenset[int]


@pytest.mark.parametrize("value", [[], {"frost"}, "frost", None, 5, frozenset({"frost"})])
def test_only_a_frozenset_of_members_is_taken(tours: ModuleType, value: object) -> None:
    with tours.TourRegistry() as registry, pytest.raises(InvalidValueError, match=r"^needs: "):
        registry.plan(tours.TourId.new(), value)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ([1], "weights: expected a tuple"),
        ("12", "weights: expected a tuple"),
        ((1, 0), r"weights\[1\]: expected an integer of at least 1"),
        ((True,), r"weights\[0\]: expected an integer"),
        ((1, 2, 3, 4), "weights: expected at most 3 elements"),
    ],
)
def test_only_a_tuple_of_elements_is_taken(tours: ModuleType, value: object, where: str) -> None:
    with pytest.raises(InvalidValueError, match=f"^{where}"):
        tours.Load(value, frozenset())


@pytest.mark.parametrize(
    "data",
    [
        {"weights": [1], "skills": ["frost", "frost"]},
        {"weights": [1], "skills": ["ice"]},
        {"weights": [1], "skills": "frost"},
        {"weights": [1], "skills": [["frost"]]},
        {"weights": [0], "skills": []},
        {"weights": 1, "skills": []},
    ],
)
def test_stored_data_of_another_form_is_refused(tours: ModuleType, data: object) -> None:
    with pytest.raises(InvalidValueError):
        structure(data, tours.Load)


def test_a_shorter_list_and_other_elements_break_what_is_stored() -> None:
    def rules(old: str, new: str) -> set[str]:
        programs = (program_of(each.encode(), "m.yaml") for each in (TEXT, TEXT.replace(old, new)))
        return {change.rule for change, _ in compared(*programs).changes}

    assert "field-widened" in rules("max_length: 4", "max_length: 5")
    assert "field-type" in rules("max_length: 4", "max_length: 3")
    assert "field-widened" in rules("maximum: 900", "maximum: 901")
    assert "field-type" in rules("maximum: 900", "maximum: 899")
    assert "field-type" in rules("list[str]", "list[bool]")


def with_spare(text: str) -> str:
    """Return the machine with one more set, which an action changes."""
    field = "  spare: {type: Skills, initial: frozenset()}\n  notes: {type"
    return text.replace("  notes: {type", field).replace(
        "{tour.doors: '[]'}", "{tour.doors: '[]', tour.spare: tour.needs}"
    )


WRITE = """
from machine import *
from opslifecycle import SqliteStore
with TourRegistry(store=SqliteStore("tours.db")) as registry:
    id = TourId.new()
    registry.plan(id, frozenset({Skill.FROST, Skill.STAIRS}))
    registry.visit(id, DoorId(1))
    registry.ride(id, Load((5,), frozenset({Skill.FROST})), ())
    print(id)
"""
READ = """
import sys
from machine import *
from opslifecycle import SqliteStore
with TourRegistry(store=SqliteStore("tours.db")) as registry:
    found = registry.snapshot(TourId(sys.argv[1]))
    assert found.needs == {Skill.COLD, Skill.STAIRS}, found
    assert found.load == Load((5,), frozenset({Skill.COLD})), found
    assert registry._authority.records[found.id].spare == {Skill.COLD, Skill.CASH}
"""


def test_a_migration_renames_members_inside_collections_and_adds_some(tmp_path: Path) -> None:
    folder = project(tmp_path, CASE)
    wrote = python("-c", WRITE, cwd=folder / "src")
    assert wrote.returncode == 0, wrote.stderr
    renames = """version: 2
migrations:
  2: {reason: R., renames: {Skill: {frost: cold}}, adds: {fields: {spare: [cold, cash]}}}
"""
    text = TEXT.replace("version: 1\n", renames).replace("Skill.frost", "Skill.cold")
    text = text.replace("      frost: {summary", "      cold: {summary")
    text = with_spare(text)
    (folder / "machine/machine.yaml").write_text(text, encoding="utf-8")
    assert main(["--project", str(folder), "generate"]) == 0
    read = python("-c", READ, wrote.stdout.strip(), cwd=folder / "src")
    assert read.returncode == 0, read.stderr


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ("cash", "expected a value of type frozenset[Skill], found 'cash'"),
        ("[cash, cash]", "a member occurs twice"),
        ("[ice]", "expected a value of type Skill, found 'ice'"),
        ("[[cash]]", "expected a value of type Skill, found several values"),
    ],
)
def test_a_migration_adds_only_members(value: str, wrong: str) -> None:
    adds = f"version: 2\nmigrations: {{2: {{reason: R., adds: {{fields: {{spare: {value}}}}}}}}}\n"
    with pytest.raises(InvalidMachineError, match=re.escape(wrong)):
        program_of(with_spare(TEXT).replace("version: 1\n", adds).encode(), "m.yaml")


def test_a_search_tries_sets_and_lists_that_rules_tell_apart() -> None:
    scenario = only()
    needs = {dict(each.arguments)["needs"] for each in scenario.calls if each.method == "plan"}
    assert len(needs) == 8
    found = Search(scenario, states_max=whole_or(STATES_MAX, 400)).run()
    assert found.violation is None
    assert found.refusals.keys() >= {"elsewhere", "some", "skilled"}


@pytest.mark.parametrize(
    ("old", "new", "broken"),
    [
        ("load.skills - {cash}", "load.skills", "no_cash"),
        ("guards: [known, some, skilled]", "guards: [known, skilled]", "riding_somewhere"),
    ],
)
def test_a_search_and_a_proof_find_what_a_collection_breaks(
    old: str, new: str, broken: str
) -> None:
    text = TEXT.replace(old, new)
    if "some" in old:
        text = text.replace(next(x for x in text.split("\n") if x.startswith("  some:")) + "\n", "")
    found, _ = verification.searched(only(text))
    assert found.violation is not None
    assert found.violation.property == broken
    assert "load: " in counterexample(found.violation)
    test = source_of_test(found.violation, "tours")
    assert test is not None
    assert "Load(weights=(" in test
    failed = induction(program_of(text.encode(), "m.yaml")).failed
    assert {each.split(" ")[0] for each in failed} == {broken}


def test_induction_proves_rules_over_any_list_and_set() -> None:
    result = induction(program_of(TEXT.encode(), "m.yaml"))
    assert (result.failed, result.outside) == ([], {})
    assert {"doors_are_few", "riding_somewhere", "no_cash"} <= {*result.properties}


def test_other_checkers_cover_sets_and_refuse_lists() -> None:
    with pytest.raises(NotCoveredError, match="lists"):
        relation(only())
    found = relation(only(SETS))
    assert {"a_ways_left", "a_ways_right"} <= {term.name for term, _ in found.variables}
    assert {name for name, _ in found.properties} >= {"few"}


SETS = """\
machine: fork
version: 1
entity: fork
summary: A road that forks.
ids:
  ForkId: {summary: Names one.}
enums:
  Way: {summary: A way., members: {left: {summary: L.}, right: {summary: R.}}}
types:
  Ways: {summary: Those that are open., type: 'frozenset[Way]'}
statuses:
  members:
    there: {summary: It is there.}
    gone: {summary: It is closed., terminal: true}
fields:
  ways: {type: Ways, initial: '{left, right}'}
errors:
  not_now: {class: NotNowError, fields: {id: ForkId}, message: 'fork {id} cannot'}
guards:
  new: {when: fork is None, error: {not_now: {id: id}}}
  known: {when: fork is not None, error: {not_now: {id: id}}}
illegal_transition: {not_now: {id: id}}
default_guards: [known]
create:
  summary: Build it.
  methods: {build: [id]}
  params: {id: ForkId}
  id: id
  guards: [new]
  to: there
actions:
  block:
    summary: Close some ways.
    methods: [block]
    params: {ways: Ways}
    from: [there]
    update: {fork.ways: fork.ways - ways}
  close: {summary: Close it., methods: [close], from: [there], to: gone}
invariants:
  few: {summary: There are two., expr: all(len(f.ways) <= 2 for f in forks)}
snapshot:
  summary: One fork as it was at one instant.
  method: snapshot
  fields: {id: fork.id, status: fork.status, ways: fork.ways}
"""
