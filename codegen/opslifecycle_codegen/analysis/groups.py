"""Stage 3, analyze: groups of statuses that actions may lead to, flattened to statuses."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve

from opslifecycle_codegen.analysis.reserved import refuse_reserved
from opslifecycle_codegen.base.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.ir.groups import DEPTH_MAX, composites, depths
from opslifecycle_codegen.source import command_model, model
from opslifecycle_codegen.source.words import Name, NameList

_BUILT_IN = ("live", "terminal", "milestone")


def flattened(machine: model.Machine, diagnostics: Diagnostics) -> model.Machine:
    """Return the machine with statuses in place of the groups that actions lead to."""
    _refuse_built_in(machine.statuses, diagnostics)
    return _Groups(machine, diagnostics).flattened()


def _refuse_built_in(statuses: model.Statuses, diagnostics: Diagnostics) -> None:
    """Refuse statuses and groups with the names of built-in groups, which all rules read."""
    of_regions = (name for region in statuses.regions.values() for name in region.members)
    names = [*statuses.members, *statuses.groups, *of_regions]
    if refuse_reserved("a status or a group", names, diagnostics):
        diagnostics.stop_if_any()


class _Groups:
    def __init__(self, machine: model.Machine, diagnostics: Diagnostics) -> None:
        self._machine = machine
        self._diagnostics = diagnostics
        self._groups = machine.statuses.groups

    def flattened(self) -> model.Machine:
        machine = self._machine
        self._check_initials()
        self._check_nesting()
        return evolve(
            machine,
            create=evolve(machine.create, to=self._status(machine.create.to)),
            actions={
                name: evolve(each, to=command_model.Targets(self._targets(each.to)))
                for name, each in machine.actions.items()
            },
        )

    def _targets(self, targets: command_model.Targets) -> Iterator[command_model.Target]:
        for target in targets:
            status = self._status(target.status)
            also = NameList(self._status(Name(word, word.mark)) for word in target.also)
            same = status is target.status and also == target.also
            yield target if same else evolve(target, status=status, also=also)

    def _status(self, word: Name) -> Name:
        """Return the status that leading to a word means: of a group, its initial one."""
        seen = word
        for _ in range(DEPTH_MAX + 1):
            group = self._groups.get(seen)
            if group is None and seen not in _BUILT_IN:
                return Name(seen, word.mark) if seen is not word else word
            if group is None or group.initial is None:
                message = f"{seen} is a group without an initial status: nothing can lead to it"
                hint = "name a status"
                if group is not None:
                    hint = f"name a status, or write {seen}: {{members: […], initial: …}}"
                self._diagnostics.add(word.mark, "wrong-shape", message, hint)
                return word
            seen = group.initial
        return word

    def _check_initials(self) -> None:
        deep = depths(self._machine)
        for name, group in self._groups.items():
            if group.initial is None:
                continue
            if group.initial not in group.members:
                message = f"{group.initial} is not in {name}: it cannot be its initial status"
                hint = nearest(group.initial, group.members)
                self._diagnostics.add(group.initial.mark, "unknown-status", message, hint)
            elif deep[str(name)] > DEPTH_MAX:
                message = f"groups lie in one another at most {DEPTH_MAX} deep"
                self._diagnostics.add(name.mark, "wrong-shape", message)

    def _check_nesting(self) -> None:
        """Report groups with an initial status that share some statuses, and not all of one."""
        found = composites(self._machine)
        for place, (name, statuses) in enumerate(found.items()):
            for other, within in list(found.items())[place + 1 :]:
                if set(within) & set(statuses) and not set(within) <= set(statuses):
                    mark = next(word.mark for word in self._groups if word == other)
                    message = f"{other} and {name} share statuses, and neither is within the other"
                    hint = "remove `initial` from one of them"
                    self._diagnostics.add(mark, "wrong-shape", message, hint)
