"""What enters the feed of a machine."""

from __future__ import annotations

from opslifecycle_codegen.source import model

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


def fed_commands(machine: model.Machine) -> frozenset[str]:
    """Return `create` and the actions that may enter a feed of transitions."""
    if machine.feed is None or not feeds_transitions(machine):
        return frozenset()
    if feeds_announcements(machine):
        announced = {n for n, s in machine.statuses.members.items() if s.terminal or s.milestone}
        return frozenset(
            str(name)
            for name, each in machine.actions.items()
            if any(target.status in announced for target in each.to)
        )
    if list(machine.feed.of) == [TRANSITIONS]:
        leading = (str(name) for name, each in machine.actions.items() if each.to)
        return frozenset({CREATE, *leading})
    return frozenset(map(str, machine.feed.of))
