"""Findings with their locations, collected so that one run reports all of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from attrs import field, frozen

from opslifecycle_codegen.base.rule_catalogue import RULES

#: The number of findings after which analysis of a file stops.
_FINDINGS_MAX = 500


@frozen(order=True)
class Location:
    """A location in a source file; line and column count from 1."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"

    def shifted(self, columns: int) -> Location:
        """Return the location some columns further on the same line."""
        return Location(self.path, self.line, self.column + columns)


@frozen(order=True)
class Finding:
    """One error in a machine: its location, the rule, the message and a hint with the fix."""

    mark: Location
    message: str
    rule: str
    hint: str = ""
    #: The subject, by the name that a waiver uses.
    of: str = ""

    def __str__(self) -> str:
        hint = f"\n    hint: {self.hint}" if self.hint else ""
        return f"{self.mark}: error: {self.message} [{self.rule}]{hint}"


class InvalidMachineError(Exception):
    """A machine with errors; `findings` has all of them, in the order of the file."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = sorted(set(findings))
        super().__init__("\n".join(str(finding) for finding in self.findings))


@frozen
class Diagnostics:
    """The findings so far."""

    findings: list[Finding] = field(factory=list)

    def add(self, mark: Location, rule: str, message: str, hint: str = "", of: str = "") -> None:
        """Add a finding; `of` names its subject if it may be waived.

        Raises InvalidMachineError at the maximum number of findings.
        """
        assert rule in RULES, rule
        self.findings.append(Finding(mark, message, rule, hint, of))
        if len(self.findings) >= _FINDINGS_MAX:
            raise InvalidMachineError(self.findings)

    def stop_if_any(self) -> None:
        """Raise InvalidMachineError if there are findings."""
        if self.findings:
            raise InvalidMachineError(self.findings)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint with the known word closest to `name`, or with all of them if none is close."""
    words = list(known)
    close = difflib.get_close_matches(name, words, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known here: {', '.join(sorted(words))}" if words else "none are known here"
