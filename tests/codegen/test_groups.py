"""Groups of statuses in expressions: `in` tests for the statuses of the group."""

from __future__ import annotations

from pathlib import Path

import pytest
from opslifecycle_codegen.base.diagnostics import InvalidMachineError
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.ir.notation import notation

MACHINE = Path(__file__).parents[2] / "examples/download/machine/download.yaml"


def with_classifier(returns: str) -> bytes:
    declared = (
        "\nclassifiers:\n  asked:\n    summary: Whether it is so.\n"
        f"    returns: download is not None and {returns}\n"
    )
    return MACHINE.read_bytes() + declared.encode()


def meaning(returns: str) -> str:
    program = program_of(with_classifier(returns), "m.yaml")
    return notation(program.classifiers[-1].tree)


@pytest.mark.parametrize(
    ("group", "listed"),
    [
        ("download.status in busy", "download.status in [fetching, paused]"),
        ("download.status not in busy", "download.status not in [fetching, paused]"),
        ("download.status in terminal", "download.status in [saved, broken, dropped]"),
    ],
)
def test_a_group_stands_for_its_statuses(group: str, listed: str) -> None:
    assert meaning(group) == meaning(listed)


def test_only_a_status_is_in_a_group() -> None:
    with pytest.raises(InvalidMachineError) as caught:
        program_of(with_classifier("download.address in busy"), "m.yaml")
    assert [each.rule for each in caught.value.findings] == ["unknown-name"]
