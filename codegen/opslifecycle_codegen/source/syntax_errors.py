"""What is wrong with a file that is not valid YAML, in words that name the fix."""

from __future__ import annotations

import yaml

from opslifecycle_codegen.base.diagnostics import Finding, Location

_QUOTE = "inside {} or [] quote a value that holds '[', ']', '{', '}', ',', ': ' or '? '"


def syntax_error(error: yaml.MarkedYAMLError, text: str, path: str) -> Finding:
    """Return the finding of a YAML error.

    Args:
        error: The error of PyYAML.
        text: The text of the file.
        path: Its path.
    """
    at, within = error.problem_mark or error.context_mark, error.context_mark
    mark = Location(path, at.line + 1, at.column + 1) if at else Location(path, 1, 1)
    lines = text.split("\n")
    line = lines[at.line] if at and at.line < len(lines) else ""
    message = " ".join(part for part in (error.context, error.problem) if part)
    context, hint = error.context or "", ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        message, hint = "a tab indents this line", "indent with spaces; YAML allows no tabs here"
    elif "mapping values are not allowed" in message:
        hint = "quote a value that holds ': '"
    elif "flow" in context and within and at and within.line != at.line:
        opened = lines[within.line][within.column : within.column + 1]
        closing = "]" if opened == "[" else "}"
        message = f"the {opened} in line {within.line + 1} is not closed before this line"
        hint = f"add {closing} where it ends; {_QUOTE}"
    elif "flow" in message:
        hint = _QUOTE
    elif "block mapping" in context and within and at and within.column != at.column:
        first = f"the first key of its mapping (line {within.line + 1}) by {within.column}"
        message = f"this line is indented by {at.column} spaces, and {first}"
        before = next((each for each in reversed(lines[: at.line]) if each.strip()), "")
        widths = {within.column, len(before) - len(before.lstrip())}
        choice = " or ".join(map(str, sorted(widths)))
        hint = f"indent the keys of one mapping alike: this one by {choice} spaces"
    elif "block" in message:
        hint = f"a key is followed by ': ', an item of a list begins with '- '; {_QUOTE}"
    elif "quoted scalar" in message:
        hint = "close the quote; inside of '…' a quote is written twice"
    return Finding(mark, message, "yaml-syntax", hint)
