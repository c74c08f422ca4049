"""Stage 3, analyze: the statuses that regions have together, with their groups and properties."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from attrs import evolve

from opslifecycle_codegen.analysis.region_rules import OUTSIDE
from opslifecycle_codegen.analysis.region_states import State, States
from opslifecycle_codegen.base.diagnostics import Diagnostics, Location
from opslifecycle_codegen.ir.regions import FlatStatus
from opslifecycle_codegen.ir.symbols import pascal
from opslifecycle_codegen.source import model, type_model
from opslifecycle_codegen.source.parser import NAME_MAX
from opslifecycle_codegen.source.reader import Node, Scalar
from opslifecycle_codegen.source.words import Name, Text, TypeExpr, TypeName


class RegionStatuses:
    """Makes ordinary statuses of those of regions."""

    def __init__(self, machine: model.Machine, states: States, diagnostics: Diagnostics) -> None:
        self._machine = machine
        self._statuses = machine.statuses
        self._states = states
        self._diagnostics = diagnostics

    def machine(self, reached: Sequence[State]) -> model.Machine:
        """Return the machine with the statuses that its regions reach; report bad names."""
        self._report_unreached(reached)
        self._report_names(reached)
        members: dict[Name, model.Status] = {
            Name(self._states.name(state), self._states.mark(state)): self._status(state)
            for state in reached
        }
        members |= {name: self._outside(each) for name, each in self._statuses.members.items()}
        statuses = evolve(
            self._statuses,
            members=members,
            properties={**self._statuses.properties, **self._properties()},
            groups={**self._groups(reached), **self._statuses.groups},
        )
        return evolve(
            self._machine, statuses=statuses, enums={**self._machine.enums, **self._enums()}
        )

    def _status(self, state: State) -> FlatStatus:
        """Return the status of a state of the regions."""
        parts = self._states.parts(state)
        properties: dict[Name, Node] = {}
        for region, (name, status) in zip(self._statuses.regions, parts, strict=True):
            properties |= status.properties
            properties[region] = Scalar(status.mark, str(name), plain=True, one_line=True)
        terminal = all(status.terminal for _, status in parts)
        summary = " ".join(str(status.summary) for _, status in parts)
        return FlatStatus(
            mark=parts[0][1].mark,
            summary=Text(summary, parts[0][1].summary.mark),
            terminal=terminal,
            milestone=not terminal and any(status.milestone for _, status in parts),
            properties=properties,
            parts=tuple(name for name, _ in parts),
        )

    def _outside(self, status: model.Status) -> model.Status:
        """Return a status outside of the regions, whose effects are those of its actions."""
        properties = {**status.properties}
        for name in self._statuses.regions:
            properties[name] = Scalar(status.mark, OUTSIDE, plain=True, one_line=True)
        if status.terminal or status.pseudo:
            return evolve(status, properties=properties)
        return evolve(status, properties=properties, entry=[], exit=[])

    def _groups(self, reached: Sequence[State]) -> dict[Name, model.Group]:
        """Return a group for each status of a region."""
        found: dict[Name, model.Group] = {}
        for name in self._members():
            having = [self._states.name(state) for state in reached if name in state]
            words = [Name(each, name.mark) for each in having]
            found[name] = model.Group(mark=name.mark, members=words)
        return found

    def _properties(self) -> dict[Name, type_model.Property]:
        """Return a property for each region: which of its statuses a status consists of."""
        found: dict[Name, type_model.Property] = {}
        for name, region in self._statuses.regions.items():
            type = TypeExpr(self._enum_of(name), name.mark)
            found[name] = type_model.Property(mark=name.mark, type=type, summary=region.summary)
        return found

    def _enums(self) -> dict[TypeName, type_model.Enum]:
        """Return the closed set of the statuses of each region."""
        found: dict[TypeName, type_model.Enum] = {}
        entity = self._machine.entity.replace("_", " ")
        for name, region in self._statuses.regions.items():
            members = {
                status: type_model.Member(mark=each.mark, summary=each.summary)
                for status, each in region.members.items()
            }
            if self._statuses.members:
                text = Text(f"The {entity} is in no status of its regions.", name.mark)
                members[Name(OUTSIDE, name.mark)] = type_model.Member(mark=name.mark, summary=text)
            enum = type_model.Enum(mark=name.mark, summary=region.summary, members=members)
            found[self._enum_of(name)] = enum
        return found

    def _enum_of(self, region: Name) -> TypeName:
        return TypeName(f"{pascal(self._machine.entity)}{pascal(region)}", region.mark)

    def _members(self) -> Iterator[Name]:
        """Yield the statuses of all regions."""
        for region in self._statuses.regions.values():
            yield from region.members

    # What is reported ---------------------------------------------------------------------------

    def _report_unreached(self, reached: Sequence[State]) -> None:
        found = {part for state in reached for part in state}
        for name in self._members():
            if name not in found:
                message = f"no action leads to {name}"
                self._diagnostics.add(name.mark, "unreachable-status", message)

    def _report_names(self, reached: Sequence[State]) -> None:
        taken: dict[str, str] = dict.fromkeys(map(str, self._statuses.members), "a status")
        taken |= dict.fromkeys(map(str, self._statuses.groups), "a group")
        taken |= dict.fromkeys(map(str, self._members()), "a status of a region")
        for state in reached:
            name, parts = self._states.name(state), " and ".join(state)
            mark = self._states.mark(state)
            if name in taken:
                message = f"{parts} have the name {name!r} together, which is {taken[name]}"
                self._diagnostics.add(mark, "name-collision", message)
            self._report_length(name, f"{parts} have the name", mark)
            taken[name] = f"also that of {parts}"
        for region in self._statuses.regions:
            enum = self._enum_of(region)
            self._report_length(enum, f"the closed set of {region} has the name", region.mark)

    def _report_length(self, name: str, having: str, mark: Location) -> None:
        if len(name) > NAME_MAX:
            message = f"{having} {name[:NAME_MAX]!r}…, of {len(name)} characters"
            hint = f"a name has at most {NAME_MAX}: choose shorter names"
            self._diagnostics.add(mark, "long-name", message, hint)


def has_crossings(statuses: Mapping[Name, model.Status]) -> bool:
    """Return whether leaving one of some statuses or entering it has an effect."""
    return any(each.entry or each.exit for each in statuses.values())
