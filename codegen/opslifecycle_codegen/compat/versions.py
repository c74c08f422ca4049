"""Two versions of a machine side by side: what changed, whom it breaks, what was accepted."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from attrs import frozen

from opslifecycle_codegen.base.config import InvalidConfigError
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat import compare
from opslifecycle_codegen.compat.behaviour import behaviour_changes
from opslifecycle_codegen.compat.compare import Change
from opslifecycle_codegen.compat.lock import lock_of
from opslifecycle_codegen.ir.program import Program


@frozen
class Verdict:
    """Every change, with the reason for which a break was accepted; empty if it was not."""

    changes: list[tuple[Change, str]]

    @property
    def broken(self) -> bool:
        """Whether something breaks that nobody has accepted."""
        return any(change.breaking and not reason for change, reason in self.changes)

    def tell(self, format: str) -> None:
        """Print the changes, the worst first."""
        order = [compare.PERSISTED, compare.SOURCE, compare.BEHAVIOUR, compare.COMPATIBLE]
        ordered = sorted(self.changes, key=lambda each: order.index(each[0].kind))
        if format == "json":
            data = [
                {"kind": c.kind, "rule": c.rule, "text": c.text, "accepted": reason or None}
                for c, reason in ordered
            ]
            print(json.dumps(data, indent=2, ensure_ascii=False))
            return
        for change, reason in ordered:
            accepted = f" (accepted: {reason})" if reason else ""
            if format == "github" and change.breaking and not reason:
                print(f"::error title={change.rule}::{change.kind}: {change.text}")
            else:
                print(f"{change}{accepted}")
        breaking = [reason for change, reason in ordered if change.breaking]
        accepted_count = sum(map(bool, breaking))
        print(
            f"{len(ordered)} changes, {len(breaking)} of them breaking, {accepted_count} accepted"
        )


def machine_at(project: Path, place: str) -> Program:
    """The machine in a file, or in a file of a git revision written as REVISION:PATH.

    Raises InvalidConfigError if there is none, InvalidMachineError for mistakes in it.
    """
    path = project / place
    if path.is_file():
        return program_of(path.read_bytes(), place)
    revision, colon, _ = place.partition(":")
    if not colon or not revision:
        raise InvalidConfigError(f"there is no file {place}; a git revision is REVISION:PATH")
    try:
        shown = subprocess.run(
            ["git", "show", "--end-of-options", place],
            cwd=project,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise InvalidConfigError(f"{place}: git is not installed") from None
    if shown.returncode != 0:
        reason = shown.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise InvalidConfigError(f"{place}: {''.join(reason)}")
    return program_of(shown.stdout, place)


def compared(old: Program, new: Program) -> Verdict:
    """What changed between two machines."""
    before, after = lock_of(old, ""), lock_of(new, "")
    steps = [s for s in new.migrations.steps if s.version > before["version"]]
    persisted = compare.changes(before, after)
    left = {str(c) for c in compare.changes(new.migrations.applied(before, after), after)}
    explained = "; ".join(step.because for step in steps)
    accepts = {rule: reason for step in steps for rule, reason in step.accepts.items()}
    changes = []
    for change in [*persisted, *behaviour_changes(old, new)]:
        reason = accepts.get(change.rule, "") if change.breaking else ""
        if change.kind == compare.PERSISTED and str(change) not in left:
            # A migration says what becomes of it.
            reason = reason or explained
        changes.append((change, reason))
    return Verdict(changes)
