"""Machines that change under what is stored: declared, then read; undeclared, then refused."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from opslifecycle_codegen.cli.main import main

from tests.support.codegen.projects import assert_clean, edit, generated, project
from tests.support.warm import python

MACHINE = Path(__file__).parents[2] / "machine/ops_lifecycle.yaml"

WRITE = """
from ops_lifecycle import *
from opslifecycle import SqliteStore
def spec(kind, source=None):
    return OperationSpec(OperationId.new(), kind, SessionId.new(), "work", "test", source)
with Registry(store=SqliteStore("store.db"), max_completed=9) as r:
    child = spec(OperationKind.MOB_MEMBER_CHILD, SessionChild(SessionId.new()))
    tool = spec(OperationKind.BACKGROUND_TOOL_OP)
    gone = spec(OperationKind.BACKGROUND_TOOL_OP)
    for s in (gone, child, tool):
        r.register_operation(s)
        r.provisioning_succeeded(s.id)
    r.complete_operation(gone.id, OperationResult(gone.id, "gone", False, 1, 2))
    r.collect_completed()
    r.peer_ready(child.id, OperationPeerHandle("p", TrustedPeerDescriptor("p", "i", "a")))
    r.report_progress(child.id, OperationProgressUpdate("half", 50.0))
    r.request_retire(child.id)
    r.complete_operation(tool.id, OperationResult(tool.id, "done", False, 1, 2))
    r.advance_completion_cursor(CompletionCursorConsumer.AGENT_APPLIED, 2)
"""

#: Everything that can be renamed, removed or added, in one version.
RENAMED = """version: 2
migrations:
  2:
    reason: The words of our users.
    renames:
      OperationStatus: {retiring: winding_down, completed: finished}
      OperationKind: {background_tool_op: tool_call}
      OperationResult: {content: body}
      OperationTerminalOutcome: {completed: finished}
      SessionChild: {session_id: session}
      CompletionCursorConsumer: {agent_applied: applied}
      fields: {progress_count: reports}
    removes:
      OperationProgressUpdate: [percent]
    adds:
      OperationSpec: {tier: basic}
"""

EDITS = [
    ("background_tool_op:", "tool_call:"),
    ("content: str", "body: str"),
    ("      Completed: {summary: It gave a result.", "      Finished: {summary: It gave a result."),
    ("outcome: Completed(result)", "outcome: Finished(result)"),
    ("fields: {session_id: SessionId}}", "fields: {session: SessionId}}"),
    ("operation_source.session_id if", "operation_source.session if"),
    ("      agent_applied:\n", "      applied:\n"),
    ("fields: {message: str, percent: float | None}", "fields: {message: str}"),
    ("display_name: str", "display_name: str\n      tier: str"),
    # How work is recorded names the same parameters.
    ("result.content: content", "result.body: content"),
    (", update.percent: percent}", "}"),
    (
        "    spec.source_label: source\n",
        "    spec.source_label: source\n    spec.tier: \"'basic'\"\n",
    ),
]

READ = """
from ops_lifecycle import *
from opslifecycle import SqliteStore
for _ in range(2):
    with Registry(store=SqliteStore("store.db")) as r:
        rows = r.completion_feed().list_since(0)
        for row in rows.entries:
            print(row.seq, row.kind.value, type(row.terminal_outcome).__name__)
        for s in r.list_operations():
            print(s.status.value, s.kind.value, s.reports, s.latest_progress, s.peer_ready)
        print(rows.entries[0].terminal_outcome.result.body, rows.entries[1].operation_id == s.id,
              r.completion_cursor(CompletionCursorConsumer.APPLIED), r.broken_invariants())
"""


def ran(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    return python("-c", script, cwd=folder / "src")


@pytest.fixture
def operations(tmp_path: Path) -> Path:
    folder = project(tmp_path, MACHINE)
    assert ran(folder, WRITE).returncode == 0
    return folder


def renamed(folder: Path, *, declared: bool = True) -> Path:
    machine = folder / "machine/ops_lifecycle.yaml"
    for old, new in EDITS:
        edit(machine, old, new)
    text = machine.read_text(encoding="utf-8")
    for old, new in (
        ("retiring", "winding_down"),
        ("progress_count", "reports"),
        # An invariant says that the outcome is called as its status.
        ("    completed: {summary: Ended with", "    finished: {summary: Ended with"),
        ("to: completed\n", "to: finished\n"),
    ):
        assert old in text
        text = text.replace(old, new)
    if declared:
        text = text.replace("version: 1\n", RENAMED, 1)
    machine.write_text(text, encoding="utf-8")
    return machine


def test_what_was_renamed_removed_and_added_is_read_again(operations: Path) -> None:
    renamed(operations)
    assert main(["--project", str(operations), "generate"]) == 0
    done = ran(operations, READ)
    lines = done.stdout.splitlines()
    assert lines[: len(lines) // 2] == lines[len(lines) // 2 :]
    assert lines[: len(lines) // 2] == [
        "1 tool_call Finished",
        "2 tool_call Finished",
        "3 mob_member_child Terminated",
        "terminated mob_member_child 1 OperationProgressUpdate(message='half') True",
        "finished tool_call 0 None False",
        "gone True 2 []",
    ]
    assert_clean(operations)


def test_without_a_declaration_nothing_is_generated(
    operations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    renamed(operations, declared=False)
    before = {path: path.read_bytes() for path in generated(operations)}
    assert main(["--project", str(operations), "generate"]) == 2
    printed = capsys.readouterr().err
    for loss in ("loses retiring", "loses background_tool_op", "field content", "field percent"):
        assert loss in printed
    assert before == {path: path.read_bytes() for path in generated(operations)}


def test_a_declaration_that_leaves_something_out_is_refused(
    operations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = renamed(operations)
    edit(machine, "      OperationResult: {content: body}\n", "")
    assert main(["--project", str(operations), "generate"]) == 2
    printed = capsys.readouterr().err
    assert "OperationResult loses the field content" in printed
    assert "say so in the migration to version 2" in printed
    assert "loses retiring" not in printed


@pytest.mark.nightly
def test_an_older_program_and_a_refusing_one_say_what_was_found(operations: Path) -> None:
    machine = operations / "machine/ops_lifecycle.yaml"
    note = "version: 2\nmigrations: {2: {reason: It means something else now., refuses: true}}\n"
    edit(machine, "version: 1\n", note)
    edit(machine, "content: str", "body: str")
    edit(machine, "result.content: content", "result.body: content")
    assert main(["--project", str(operations), "generate"]) == 0
    done = ran(operations, READ)
    assert "StoreVersionError" in done.stdout
    assert "ops_lifecycle version 1" in done.stdout
    assert "It means something else now." in done.stdout
    done = ran(operations, WRITE.replace("store.db", "new.db"))
    assert done.returncode == 0, done.stdout
    edit(machine, note, "version: 1\n")
    edit(machine, "body: str", "content: str")
    edit(machine, "result.body: content", "result.content: content")
    (operations / "machine/ops_lifecycle.lock.json").unlink()
    assert main(["--project", str(operations), "generate"]) == 0
    done = ran(operations, WRITE.replace("store.db", "new.db"))
    assert "ops_lifecycle version 2" in done.stdout
    assert "this is ops_lifecycle version 1" in done.stdout


def test_a_compatible_change_opens_what_was_stored(operations: Path) -> None:
    machine = operations / "machine/ops_lifecycle.yaml"
    note = "      note: str | None\n      expect_peer_channel:"
    edit(machine, "      expect_peer_channel:", note)
    visits = "  visits: {type: int, initial: '0'}\n  peer_ready: {type: bool"
    edit(machine, "  peer_ready: {type: bool", visits)
    assert main(["--project", str(operations), "generate"]) == 0
    script = READ.replace("s.reports", "s.progress_count").replace(".APPLIED", ".AGENT_APPLIED")
    done = ran(operations, script.replace(".body", ".content"))
    assert "terminated mob_member_child 1" in done.stdout


@pytest.mark.parametrize(
    ("note", "expected"),
    [
        ("{2: {reason: x, renames: {OperationKinds: {a: b}}}}", "5:39: error: OperationKinds is"),
        ("{2: {reason: x, renames: {OperationKind: {a: b}}}}", "no b in version 2"),
        ("{2: {reason: x, removes: {OperationKind: [background_tool_op]}}}", "still has"),
        ("{2: {reason: x, adds: {OperationSpec: {display_name: [a]}}}}", "expected a value"),
        ("{2: {reason: x, adds: {OperationSpec: {tier: a}}}}", "has no tier"),
        ("{3: {reason: x}}", "3 is no version of this machine"),
        ("{2: {reason: x, accepts: {target-change: why}}}", "did you mean 'target-changed'?"),
        *(
            (f"{{2: {{reason: x, accepts: {{{rule}: why}}}}}}", f"after a change of {rule}")
            for rule in ("terminal-lost", "milestone-lost", "field-type", "uncounted-records")
        ),
        ("{2: Convert what is stored.}", "2: expected a mapping"),
    ],
)
def test_mistakes_in_a_migration(
    operations: Path, note: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = operations / "machine/ops_lifecycle.yaml"
    edit(machine, "version: 1\n", f"version: 2\nmigrations: {note}\n")
    assert main(["--project", str(operations), "generate"]) == 2
    assert expected in capsys.readouterr().err


def test_the_lock_is_json(operations: Path) -> None:
    lock = json.loads((operations / "machine/ops_lifecycle.lock.json").read_text())
    assert lock["stored"]["fields"]["terminal_outcome"] == "OperationTerminalOutcome | None"
    assert lock["stored"]["registry"]["watermark"] == "int | absent"


def test_another_counter_of_the_feed_does_not_begin_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would: stores have no value of it, so that new ends had numbers of older ones."""
    approval = Path(__file__).parents[2] / "examples/approval/machine/approval.yaml"
    folder = project(tmp_path / "project", approval)
    machine = folder / "machine/approval.yaml"
    edit(machine, "  counter: decisions\n", "")
    assert main(["--project", str(folder), "generate"]) == 2
    message = "was numbered by decisions, and last_sequence does not go on from there"
    assert message in capsys.readouterr().err
    text = machine.read_text(encoding="utf-8").replace("  decisions: {", "  last_sequence: {")
    text = re.sub(r"(registry|after|before)\.decisions\b", r"\1.last_sequence", text)
    machine.write_text(text, encoding="utf-8")
    assert main(["--project", str(folder), "generate"]) == 2
    steps = "migrations: {2: {reason: As others., renames: {registry: {decisions: last_sequence}}}}"
    edit(machine, "version: 1\n", f"version: 2\n{steps}\n")
    assert main(["--project", str(folder), "generate"]) == 0
