"""What the search of the machines' states finds is what was committed."""

from __future__ import annotations

from pathlib import Path

import pytest
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.modelcheck import baseline
from opslifecycle_codegen.modelcheck.scenarios import scenarios
from opslifecycle_codegen.modelcheck.search import Search

MACHINES = Path(__file__).parents[2] / "machine"


@pytest.mark.parametrize(
    "machine",
    ["a2a_push_config", pytest.param("a2a_task", marks=pytest.mark.nightly), "mcp_task"],
)
def test_no_property_is_broken_in_any_state(machine: str) -> None:
    source = MACHINES / f"{machine}.yaml"
    program = program_of(source.read_bytes(), source.name)
    found = [Search(scenario).run() for scenario in scenarios(program)]
    assert found
    assert all(each.violation is None and each.closed for each in found)
    assert baseline.differences(baseline.load(MACHINES / f"{machine}.baseline.json"), found) == []
