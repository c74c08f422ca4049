"""Print findings and changes: as text, as JSON, or as annotations for GitHub."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from opslifecycle_codegen.base.diagnostics import Finding


def report_findings(
    findings: Sequence[Finding], root: Path, style: str, out: TextIO | None = None
) -> None:
    """Print findings in one format; their paths are relative to `root`."""
    out = out or sys.stderr
    if style == "json":
        print(json.dumps([_data(each) for each in findings], indent=2), file=sys.stdout)
    elif style == "github":
        for each in findings:
            print(_annotation(each), file=sys.stdout)
    else:
        line_of = _lines(root)
        for each in findings:
            print(_text(each, line_of), file=out)


def _data(finding: Finding) -> dict[str, str | int]:
    return {
        "path": finding.mark.path,
        "line": finding.mark.line,
        "column": finding.mark.column,
        "rule": finding.rule,
        "message": finding.message,
        "hint": finding.hint,
    }


def _annotation(finding: Finding) -> str:
    """Return a workflow command of GitHub, with its special characters escaped."""
    mark, hint = finding.mark, f" ({finding.hint})" if finding.hint else ""
    message = f"{finding.message}{hint}"
    for raw, escaped in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        message = message.replace(raw, escaped)
    path = mark.path.replace("%", "%25").replace(",", "%2C").replace(":", "%3A")
    where = f"file={path},line={mark.line},col={mark.column}"
    return f"::error {where},title={finding.rule}::{message}"


def _text(finding: Finding, line_of: Callable[[str, int], str]) -> str:
    """Return the finding, its source line, and a caret under its location."""
    mark = finding.mark
    parts = [f"{mark}: error: {finding.message} [{finding.rule}]"]
    line = line_of(mark.path, mark.line)
    if line.strip():
        margin = " " * len(str(mark.line))
        # Tabs are kept, so that the caret is aligned for any tab width.
        before = "".join(c if c == "\t" else " " for c in line[: mark.column - 1])
        parts += [f"  {mark.line} | {line}", f"  {margin} | {before}^"]
    if finding.hint:
        parts.append(f"    hint: {finding.hint}")
    return "\n".join(parts)


def _lines(root: Path) -> Callable[[str, int], str]:
    """Return a line of a file without its line ending; empty if the file has no such line."""
    files: dict[str, list[str]] = {}

    def line_of(path: str, line: int) -> str:
        if path not in files:
            text, file = "", root / path
            # A pipe may never end.
            if file.is_file():
                with suppress(OSError):
                    text = file.read_text(encoding="utf-8", errors="replace")
            files[path] = text.splitlines()
        lines = files[path]
        return lines[line - 1].rstrip()[:200] if 0 < line <= len(lines) else ""

    return line_of
