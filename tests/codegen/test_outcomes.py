"""Outcomes: filled as they are if the registry has checked what they are made of, else checked."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.codegen.test_optional_features import SHIPPED, compiled, printed
from tests.support.codegen.projects import edit, project

_START = (
    "from ops_lifecycle import *\n"
    "from opslifecycle import OutOfRangeError\n"
    "registry, id = Registry(), OperationId.new()\n"
    "kind = OperationKind.BACKGROUND_TOOL_OP\n"
    "registry.register_operation(OperationSpec(id, kind, SessionId.new(), 'n', 'l'))\n"
)


@pytest.mark.nightly
def test_fields_may_be_called_like_what_fills_them(tmp_path: Path) -> None:
    folder = compiled(
        tmp_path,
        SHIPPED,
        ("an error., fields: {error: str}", "an error., fields: {made: str, outcome: str}"),
        ("outcome: Failed(error)", "outcome: Failed(error, error)"),
    )
    script = _START + (
        "registry.fail_operation(id, 'no')\n"
        "print(registry.snapshot(id).terminal_outcome)\n"
    )  # fmt: skip
    assert printed(folder, script) == ["Failed(made='no', outcome='no')"]


def test_what_is_computed_is_checked(tmp_path: Path) -> None:
    machine = tmp_path / SHIPPED.name
    shutil.copy(SHIPPED, machine)
    old = "on request., fields: {reason: str | None}"
    edit(machine, old, "on request., fields: {reports: int, reason: str | None}")
    computed = "Cancelled(operation.progress_count - 1, reason)"
    edit(machine, "outcome: Cancelled(reason)", f"outcome: {computed}")
    folder = project(tmp_path / "project", machine)
    script = _START + (
        "try: registry.cancel_operation(id)\n"
        "except OutOfRangeError as error: print(error)\n"
    )  # fmt: skip
    assert printed(folder, script) == ["Cancelled.reports would be -1, which is out of its range"]
