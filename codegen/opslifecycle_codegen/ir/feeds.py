"""What enters the feed of a machine."""

from __future__ import annotations

from opslifecycle_codegen.ir.regions import FlatTarget, begins_milestone
from opslifecycle_codegen.source import command_model, model

COMPLETIONS, TRANSITIONS, CREATE = "completions", "transitions", "create"


def milestones(machine: model.Machine) -> frozenset[str]:
    """Return the statuses that announce themselves and are not terminal."""
    members = machine.statuses.members.items()
    return frozenset(str(name) for name, status in members if status.milestone)


def feeds_announcements(machine: model.Machine) -> bool:
    """Return whether the entries of a feed are of terminal statuses and of milestones."""
    return machine.feed is not None and list(machine.feed.of) == [COMPLETIONS]


def feeds_transitions(machine: model.Machine) -> bool:
    """Return whether a feed has entries of other commands than those that finish a record."""
    if feeds_announcements(machine):
        return bool(milestones(machine))
    return machine.feed is not None


def _announces(machine: model.Machine, target: command_model.Target) -> bool:
    """Return whether a target leads to a terminal status or begins a milestone."""
    moves = target.moves if isinstance(target, FlatTarget) else None
    declared = machine.statuses.members.get(target.status)
    ends = declared is not None and declared.terminal
    return ends or begins_milestone(machine, target.status, moves)


def fed_commands(machine: model.Machine) -> frozenset[str]:
    """Return `create` and the actions that may enter a feed of transitions."""
    if machine.feed is None or not feeds_transitions(machine):
        return frozenset()
    if feeds_announcements(machine):
        return frozenset(
            str(name)
            for name, each in machine.actions.items()
            if any(_announces(machine, target) for target in each.to)
        )
    if list(machine.feed.of) == [TRANSITIONS]:
        leading = (str(name) for name, each in machine.actions.items() if each.to)
        return frozenset({CREATE, *leading})
    return frozenset(map(str, machine.feed.of))
