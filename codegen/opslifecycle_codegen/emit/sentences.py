"""Sentences of docstrings about a command: where it leads, and what it raises."""

from __future__ import annotations

from collections.abc import Iterable

from opslifecycle_codegen.ir.program import Check, Choice, Command, leads_to


def raises(checks: Iterable[Check], *first: str) -> str:
    """Return what a docstring says of the errors of guards, behind some that come first."""
    errors = dict.fromkeys([*first, *(check.error for check in checks)])
    return f"Raises {', '.join(errors)}." if errors else ""


def moves(command: Command) -> str:
    """Return what a docstring says of the statuses of a command."""
    *others, last = command.from_statuses
    sources = f"{', '.join(others)} or {last}" if others else last
    done = command.idempotent_in
    again = f" Rejected as already done in {', '.join(done)}." if done else ""
    targets = leads_to(command)
    if not any(targets):
        return f"Legal in {sources}.{again}"
    return f"From {sources} to {' or '.join(targets)}.{again}"


def asks(choice: Choice) -> str:
    """Return what a docstring says of the actions of a method that chooses among several."""
    asked = [
        f"{action.name.replace('_', ' ')} in {' or '.join(statuses)}"
        for action, statuses in choice.actions
    ]
    return f"The action is {'; '.join(asked)}."
