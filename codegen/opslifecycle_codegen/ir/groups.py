"""Groups of statuses with an initial status, which diagrams show as composite states."""

from __future__ import annotations

from opslifecycle_codegen.source import model

#: How deep groups with an initial status may lie in one another.
DEPTH_MAX = 8


def composites(machine: model.Machine) -> dict[str, tuple[str, ...]]:
    """Return the groups with an initial status, each with its statuses; outer ones first."""
    inside: dict[str, tuple[str, ...]] = {}
    for name, group in machine.statuses.groups.items():
        # A group names those that are declared before it.
        members = [inside.get(str(each), (str(each),)) for each in group.members]
        inside[str(name)] = tuple(dict.fromkeys(status for each in members for status in each))
    groups = machine.statuses.groups.items()
    found = {str(n): inside[str(n)] for n, each in groups if each.initial is not None}
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def depths(machine: model.Machine) -> dict[str, int]:
    """Return how deep the groups within each group lie in one another, itself included."""
    found: dict[str, int] = {}
    for name, group in machine.statuses.groups.items():
        within = (found.get(str(each), 0) for each in group.members)
        found[str(name)] = 1 + max(within, default=0)
    return found
