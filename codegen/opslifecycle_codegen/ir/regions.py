"""Orthogonal regions after flattening: which region's statuses a status of a record consists of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import frozen

from opslifecycle_codegen.source import command_model, model
from opslifecycle_codegen.source.words import NOWHERE, Name

#: How many statuses regions may have together.
STATUSES_MAX = 64
#: How the field is called that says since when a region has its status, behind the region's name.
SINCE = "_since_ms"


@frozen(kw_only=True)
class FlatStatus(model.Status):
    """A status that consists of one status of each region, in the order of the regions."""

    parts: tuple[Name, ...]


@frozen(kw_only=True)
class FlatTarget(command_model.Target):
    """A target that begins the status of some regions anew, and keeps those of the others."""

    moves: frozenset[str]


def parts_of(machine: model.Machine, status: str) -> dict[str, str]:
    """Return the status of each region in a status of a record; nothing outside of the regions."""
    declared = machine.statuses.members.get(Name(status, NOWHERE))
    if not isinstance(declared, FlatStatus):
        return {}
    regions = machine.statuses.regions
    return {str(name): str(part) for name, part in zip(regions, declared.parts, strict=True)}


def region_of(machine: model.Machine, word: str) -> str | None:
    """Return the region of a status, or of all members of a group; None for anything else."""
    found = set(_regions_of(machine, word))
    return (found.pop() or None) if len(found) == 1 else None


def regions_named(machine: model.Machine, words: Iterable[str]) -> list[str]:
    """Return the regions whose statuses some words name, each once."""
    found = (each for word in words for each in _regions_of(machine, word))
    return list(dict.fromkeys(each for each in found if each))


def _regions_of(machine: model.Machine, word: str) -> Iterator[str]:
    """Yield the region of each status that a word stands for; an empty one for other statuses."""
    for name, region in machine.statuses.regions.items():
        if word in region.members:
            yield str(name)
            return
    group = machine.statuses.groups.get(Name(word, NOWHERE))
    if group is None or word in group.members:
        yield ""
        return
    for each in group.members:
        yield from _regions_of(machine, each)


def milestone_region(machine: model.Machine) -> str | None:
    """Return the region with milestones, if there is one."""
    for name, region in machine.statuses.regions.items():
        if any(each.milestone for each in region.members.values()):
            return str(name)
    return None


def begins_milestone(machine: model.Machine, status: str, moves: frozenset[str] | None) -> bool:
    """Return whether leading to a status begins a milestone, and does not only keep it.

    Args:
        machine: The machine.
        status: Where it leads.
        moves: The regions whose status it begins anew; None for the whole status.
    """
    declared = machine.statuses.members.get(Name(status, NOWHERE))
    if declared is None or not declared.milestone:
        return False
    kept = moves is not None and milestone_region(machine) not in moves
    return not (kept and isinstance(declared, FlatStatus))
