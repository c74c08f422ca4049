"""Declared renames in comparisons: each is named as such, and nothing else is left of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from opslifecycle_codegen.cli.main import main
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.compare import RENAMES
from opslifecycle_codegen.compat.versions import Verdict, compared
from opslifecycle_codegen.ir.program import Program

from tests.support.codegen.projects import edit, project

MACHINE = Path(__file__).parents[2] / "machine/ops_lifecycle.yaml"
SOURCE = MACHINE.read_text(encoding="utf-8")
TIMED = Path(__file__).parents[2] / "examples/deadlines/machine/order.yaml"


def renamed(source: str, declared: str, *words: str) -> str:
    """A later version in which words are others, and the migration that declares it."""
    for pair in words:
        old, new = pair.split(">")
        source = re.sub(rf"\b{old}\b", new, source)
    migration = f"migrations: {{2: {{reason: Better words., renames: {{{declared}}}}}}}\n"
    return source.replace("version: 1\n", f"version: 2\n{migration}", 1)


def program(source: str) -> Program:
    return program_of(source.encode(), "m.yaml")


def told(verdict: Verdict) -> list[str]:
    return [f"{change.text} ({reason})" for change, reason in verdict.changes]


CASES = {
    "status": (
        "OperationStatus: {retiring: winding_down}",
        ["retiring>winding_down"],
        ["OperationStatus's retiring is now winding_down"],
    ),
    "field, which views follow": (
        "fields: {progress_count: reports}",
        ["progress_count>reports"],
        ["the field progress_count is now reports", "the snapshot's progress_count is now reports"],
    ),
    "action, which the closed set of actions follows": (
        "actions: {retire_requested: wind_down}",
        ["retire_requested>wind_down"],
        [
            "OperationLifecycleAction's retire_requested is now wind_down",
            "the action retire_requested is now wind_down",
        ],
    ),
    "property of a closed set": (
        "properties.OperationKind: {completion_wake_class: wakes}",
        ["completion_wake_class>wakes"],
        ["OperationKind's completion_wake_class is now wakes"],
    ),
    "member": (
        "OperationKind: {background_tool_op: tool_call}",
        ["background_tool_op>tool_call"],
        ["OperationKind's background_tool_op is now tool_call"],
    ),
    "closed set": (
        "types: {OperationKind: Kind}",
        ["OperationKind>Kind"],
        ["the type OperationKind is now Kind"],
    ),
    "field of a value": (
        "OperationResult: {content: body}",
        ["content: str>body: str", "result.content>result.body"],
        ["OperationResult's content is now body"],
    ),
    "property, guard": (
        "invariants: {active_count_is_the_live_ones: count_is_right},"
        " guards: {not_yet_peer_ready: peer_is_new}",
        ["active_count_is_the_live_ones>count_is_right", "not_yet_peer_ready>peer_is_new"],
        [
            "the guard not_yet_peer_ready is now peer_is_new",
            "the property active_count_is_the_live_ones is now count_is_right",
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_declared_rename_is_the_only_change(name: str) -> None:
    declared, words, expected = CASES[name]
    verdict = compared(program(SOURCE), program(renamed(SOURCE, declared, *words)))
    assert sorted(told(verdict)) == [f"{each} (Better words.)" for each in sorted(expected)]
    assert {change.rule for change, _ in verdict.changes} <= RENAMES
    assert not verdict.broken


def test_timers_parameters_and_effects_follow() -> None:
    source = TIMED.read_text(encoding="utf-8")
    after = renamed(
        source,
        "OrderStatus: {placed: taken}, actions: {expire: lapse}, effects: {send_reminder: urge},"
        " arguments.create: {pay_within_ms: due_ms}, fields: {reminders: urged}",
        "placed>taken", "expire>lapse", "send_reminder>urge", "pay_within_ms>due_ms",
        "reminders>urged",
    )  # fmt: skip
    verdict = compared(program(source), program(after))
    assert "create's pay_within_ms is now due_ms (Better words.)" in told(verdict)
    assert {change.rule for change, _ in verdict.changes} <= RENAMES
    assert not verdict.broken


def test_the_same_rename_is_breaking_where_it_is_not_declared() -> None:
    after = renamed(SOURCE, "", "retiring>winding_down")
    verdict = compared(program(SOURCE), program(after))
    assert verdict.broken
    assert "OperationStatus loses retiring (removed or renamed) ()" in told(verdict)


def test_another_change_behind_a_rename_is_seen() -> None:
    after = renamed(SOURCE, "OperationStatus: {retiring: winding_down}", "retiring>winding_down")
    assert "idempotent_in: [winding_down, terminal]" in after
    after = after.replace("idempotent_in: [winding_down, terminal]", "idempotent_in: [terminal]", 1)
    verdict = compared(program(SOURCE), program(after))
    assert "the action retire_requested in winding_down as done already is gone ()" in told(verdict)
    assert verdict.broken


def test_renames_of_several_versions_follow_each_other() -> None:
    after = renamed(SOURCE, "OperationStatus: {retiring: leaving}", "retiring>winding_down")
    step = "{reason: Again., renames: {OperationStatus: {leaving: winding_down}}}"
    after = after.replace("version: 2\n", "version: 3\n", 1).replace(
        "}}}\n", f"}}}}, 3: {step}}}\n", 1
    )
    (found,) = compared(program(SOURCE), program(after)).changes
    assert str(found[0]).startswith(
        "breaking-persisted: OperationStatus's retiring is now winding_down"
    )


def test_generate_and_diff_print_renames(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project(tmp_path, MACHINE.parents[1] / "tests/codegen/turnstile.yaml")
    machine = folder / "machine/turnstile.yaml"
    (folder / "old.yaml").write_bytes(machine.read_bytes())
    text = renamed(
        machine.read_text("utf-8"),
        "GateStatus: {scrapped: gone}, fields: {coins: paid}, actions: {scrap: remove}",
        "scrapped>gone", "coins>paid", "scrap>remove",
    )  # fmt: skip
    machine.write_text(text, "utf-8")
    capsys.readouterr()
    assert main(["--project", str(folder), "generate"]) == 0
    printed = capsys.readouterr().out
    assert "GateStatus's scrapped is now gone [stored-name-renamed]" in printed
    assert "loses" not in printed
    assert main(["--project", str(folder), "diff", "old.yaml", "machine/turnstile.yaml"]) == 0
    printed = capsys.readouterr().out
    assert (
        "the action scrap is now remove [public-name-renamed] (accepted: Better words.)" in printed
    )
    assert (
        "the method scrap is now remove [public-name-renamed] (accepted: Better words.)" in printed
    )
    edit(machine, "actions: {scrap: remove}", "actions: {scrap: renove}")
    assert main(["--project", str(folder), "generate"]) == 2
    assert "actions has no renove in version 2" in capsys.readouterr().err
