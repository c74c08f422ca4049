"""The section `work`: what is printed for it, and which changes of it are reported."""

from __future__ import annotations

from pathlib import Path

import pytest
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.behaviour import behaviour_changes

from tests.support.codegen.projects import assert_clean, edit, project

ROOT = Path(__file__).parents[2]
MACHINE = ROOT / "examples/download/machine/download.yaml"
TEXT = MACHINE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "rules"),
    [
        ("place: content", "place: content if content != '' else 'none'", {"work-changed"}),
        ("  progress: {do: note, with: {percent: percent}}\n", "", {"work-removed"}),
        ("given: {address: str}", "given: {address: str, extra: int}", {"work-given"}),
    ],
)
def test_changes_of_work_are_reported(old: str, new: str, rules: set[str]) -> None:
    assert old in TEXT
    one = program_of(TEXT.encode(), "m.yaml")
    other = program_of(TEXT.replace(old, new).encode(), "m.yaml")
    assert {change.rule for change in behaviour_changes(one, other)} == rules
    if rules == {"work-removed"}:
        back = {change.rule for change in behaviour_changes(other, one)}
        assert back == {"work-added"}


def test_its_module_is_clean_with_long_and_awkward_names(tmp_path: Path) -> None:
    machine = tmp_path / "download.yaml"
    machine.write_text(TEXT, encoding="utf-8")
    edit(
        machine,
        "given: {address: str}\n  register: {id: id, address: address, label: name}",
        "given: {address: str, the_name_of_another_parameter: int, list: int, tuple: int}\n"
        "  register: {id: id, address: address, label: name}",
    )
    assert_clean(project(tmp_path / "project", machine))
