"""What enters the feed of a machine."""

from __future__ import annotations

from opslifecycle_codegen.source import model

COMPLETIONS, TRANSITIONS, CREATE = "completions", "transitions", "create"


def feeds_transitions(machine: model.Machine) -> bool:
    """Return whether a feed has entries of other commands than those that finish a record."""
    return machine.feed is not None and list(machine.feed.of) != [COMPLETIONS]


def fed_commands(machine: model.Machine) -> frozenset[str]:
    """Return `create` and the actions that enter a feed of transitions."""
    if machine.feed is None or not feeds_transitions(machine):
        return frozenset()
    if list(machine.feed.of) == [TRANSITIONS]:
        leading = (str(name) for name, each in machine.actions.items() if each.to)
        return frozenset({CREATE, *leading})
    return frozenset(map(str, machine.feed.of))
