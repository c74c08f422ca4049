"""Stage 3, analyze: waivers of findings."""

from __future__ import annotations

from opslifecycle_codegen.base.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.base.rule_catalogue import WAIVABLE
from opslifecycle_codegen.source import model


def waive(machine: model.Machine, diagnostics: Diagnostics) -> None:
    """Remove waived findings, and report waivers without a finding."""
    for waiver in machine.waivers:
        if waiver.rule not in WAIVABLE:
            hint = nearest(waiver.rule, WAIVABLE)
            message = f"{waiver.rule} is no rule that can be waived"
            diagnostics.add(waiver.rule.mark, "unknown-rule", message, hint)
            continue
        meant = [f for f in diagnostics.findings if (f.rule, f.of) == (waiver.rule, waiver.of)]
        for finding in meant:
            diagnostics.findings.remove(finding)
        if not meant:
            message = f"{waiver.rule} is not reported for {waiver.of}"
            diagnostics.add(waiver.mark, "unused-waiver", message)
