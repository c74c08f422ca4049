"""Compare two versions of a machine: the changes, whom each breaks, and which are accepted."""

from __future__ import annotations

from attrs import frozen

from opslifecycle_codegen.compat import compare, renames
from opslifecycle_codegen.compat.behaviour import behaviour_changes
from opslifecycle_codegen.compat.compare import Change
from opslifecycle_codegen.compat.lock import lock_of
from opslifecycle_codegen.compat.migrations import applied, renamed
from opslifecycle_codegen.ir.program import Program


@frozen
class Verdict:
    """All changes, each with the reason that accepts it; empty if no reason is declared."""

    changes: list[tuple[Change, str]]

    @property
    def broken(self) -> bool:
        """Whether a breaking change has no declared reason."""
        return any(change.breaking and not reason for change, reason in self.changes)


def compared(old: Program, new: Program) -> Verdict:
    """Return the changes between two machines."""
    before, after = lock_of(old, ""), lock_of(new, "")
    names = renames.between(old, new)
    steps = [s for s in new.migrations.steps if s.version > before["version"]]
    found = [
        *renames.of_program(old, names),
        *compare.changes(renamed(new.migrations, before, after), after),
        *behaviour_changes(old, new, names),
    ]
    left = {str(c) for c in compare.changes(applied(new.migrations, before, after), after)}
    explained = "; ".join(step.reason for step in steps)
    accepts = {rule: reason for step in steps for rule, reason in step.accepts.items()}
    changes = []
    for change in found:
        reason = accepts.get(change.rule, "") if change.breaking else ""
        covered = change.kind == compare.PERSISTED and str(change) not in left
        if covered or change.rule in compare.RENAMES:
            # A migration covers it.
            reason = reason or explained
        changes.append((change, reason))
    return Verdict(changes)
