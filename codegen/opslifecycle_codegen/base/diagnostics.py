"""Findings with their locations, collected so that one run reports all of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from attrs import evolve, field, frozen

from opslifecycle_codegen.base.rule_catalogue import FIXES, RULES

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
        self.findings = _by_cause(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))


#: Rules whose findings have one cause if they say the same: a word that is not declared.
_OF_ONE_CAUSE = frozenset(rule for rule in RULES if rule.startswith("unknown-")) | {"yaml-guess"}


#: What a word that is none of the machine's, or that cannot stand in its place, makes of others:
#: what was meant by it seems unused.
_CONSEQUENCES = {
    "unreachable-status": {"unknown-status", "unknown-key", "wrong-shape", "terminal-start"},
    "endless-status": {"unknown-status", "unknown-key", "wrong-shape"},
    "empty-set": {"unknown-status"},
    "dead-action": {"unknown-action", "unknown-key"},
    "unused-guard": {"unknown-guard", "unknown-key"},
    "unused-error": {"unknown-error", "unknown-guard", "unknown-key"},
    "unused-effect": {"unknown-effect", "unknown-key"},
    "unused-type": {"unknown-type", "unknown-key"},
}


def _by_cause(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings in the order of the file, with one finding for each cause."""
    merged: dict[tuple[str, str, str], list[Finding]] = {}
    result: list[Finding] = []
    every = set(findings)
    rules = {each.rule for each in every}
    causes = {each for each in every if rules.isdisjoint(_CONSEQUENCES.get(each.rule, ()))}
    for each in sorted(causes):
        if each.rule not in _OF_ONE_CAUSE:
            result.append(each)
            continue
        same = merged.setdefault((each.mark.path, each.rule, each.message), [])
        same.append(each)
    for first, *others in merged.values():
        lines = list(dict.fromkeys(str(each.mark.line) for each in others))
        also = f"{first.message}, also in {_listed(lines)}" if others else first.message
        result.append(evolve(first, message=also))
    return sorted(result)


def _listed(lines: list[str]) -> str:
    if len(lines) == 1:
        return f"line {lines[0]}"
    return f"lines {', '.join(lines[:-1])} and {lines[-1]}"


@frozen
class Diagnostics:
    """The findings so far."""

    findings: list[Finding] = field(factory=list)

    def add(self, mark: Location, rule: str, message: str, hint: str = "", of: str = "") -> None:
        """Add a finding; `of` names its subject if it may be waived.

        Raises InvalidMachineError at the maximum number of findings.
        """
        assert rule in RULES, rule
        self.findings.append(Finding(mark, message, rule, hint or FIXES[rule], of))
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
