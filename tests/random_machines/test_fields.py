"""Machines of five fields, which use together what the language has, examined as random ones are.

By day one of them is, at night all of them for longer.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.modelcheck.scenarios import scenarios
from opslifecycle_codegen.modelcheck.search import Search
from opslifecycle_codegen.modelcheck.symbolic.induction import induction

from tests.support.random_machines.examining import Examination
from tests.support.scale import WHOLE, share, whole_or

FIELDS = sorted((Path(__file__).parent / "fields").glob("*.yaml"))
BY_DAY = "sample"
ONE_BY_DAY = [
    pytest.param(path, id=path.stem, marks=[pytest.mark.nightly] * (path.stem != BY_DAY))
    for path in FIELDS
]


@pytest.mark.parametrize("path", ONE_BY_DAY)
def test_a_machine_does_what_it_says(path: Path) -> None:
    examination = Examination(thorough=WHOLE)
    assert examination.of(yaml.safe_load(path.read_text(encoding="utf-8")))
    assert examination.tally.states > 10


@pytest.mark.parametrize("path", ONE_BY_DAY)
def test_no_property_is_violated_in_the_first_states(path: Path) -> None:
    (scenario,) = scenarios(program_of(path.read_bytes(), path.name))
    found = Search(scenario, states_max=whole_or(50_000, 300)).run()
    assert found.violation is None


@pytest.mark.parametrize(
    ("name", "failed"),
    share(
        [
            ("elevator", []),
            ("subscription", []),
            # It follows from others: no lot that is listed has a leader.
            ("auction", ["leaders_have_bid is not preserved by call:"]),
        ],
        1,
    ),
)
def test_properties_are_proved_for_any_number_of_records(name: str, failed: list[str]) -> None:
    pytest.importorskip("z3")
    path = FIELDS[0].with_name(f"{name}.yaml")
    found = induction(program_of(path.read_bytes(), path.name))
    assert [each.splitlines()[0] for each in found.failed] == failed
    assert found.proved > 50


def test_the_length_of_a_list_says_nothing_of_its_texts() -> None:
    """A text more multiplies the states of a machine that collects texts and looks into none."""
    path = FIELDS[0].with_name("auction.yaml")
    (scenario,) = scenarios(program_of(path.read_bytes(), path.name))
    words = {dict(each.arguments)["word"] for each in scenario.calls if each.method == "annotate"}
    assert words == {"x"}
    assert {each.name: each.most for each in scenario.bounds}["lot.tags"] == 3
    # The length of `registry.rooms` is compared with 2.
    assert {each.name: each.most for each in scenario.bounds}["registry.rooms"] == 3
