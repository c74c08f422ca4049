"""`diff`: load two versions of a machine, and print what changed between them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from opslifecycle_codegen.base.config import InvalidConfigError
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat import compare
from opslifecycle_codegen.compat.versions import Verdict
from opslifecycle_codegen.ir.program import Program


def machine_at(project: Path, place: str) -> Program:
    """Return the machine in a file, or in a file of a git revision given as REVISION:PATH.

    Raises InvalidConfigError if the file does not exist, InvalidMachineError for errors in it.
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


def report(verdict: Verdict, style: str) -> None:
    """Print the changes, the most severe first."""
    order = [compare.PERSISTED, compare.SOURCE, compare.BEHAVIOUR, compare.COMPATIBLE]
    ordered = sorted(verdict.changes, key=lambda each: order.index(each[0].kind))
    if style == "json":
        data = [
            {"kind": c.kind, "rule": c.rule, "text": c.text, "accepted": reason or None}
            for c, reason in ordered
        ]
        print(json.dumps(data, indent=2, ensure_ascii=False))
        return
    for change, reason in ordered:
        accepted = f" (accepted: {reason})" if reason else ""
        if style == "github" and change.breaking and not reason:
            print(f"::error title={change.rule}::{change.kind}: {change.text}")
        else:
            print(f"{change}{accepted}")
    breaking = [reason for change, reason in ordered if change.breaking]
    accepted_count = sum(map(bool, breaking))
    print(f"{len(ordered)} changes, {len(breaking)} of them breaking, {accepted_count} accepted")
