"""Transitions as regions see them: each within one region, or between all of them and the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from opslifecycle_codegen.ir.expr import And, Expression, conjunction
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.program import Command, Program, tested_ways
from opslifecycle_codegen.ir.regions import parts_of

#: What stands for all regions together, beside statuses outside of them.
REGIONS = ""

Edges = dict[tuple[str, str], list[str]]
_Way = tuple[Command, Command, list[str]]


#: Returns what a way of an action is called, by the action, the way and its conditions.
Label = Callable[[Command, Command, Sequence[str]], str]


class RegionEdges:
    """The transitions of a program with regions."""

    def __init__(self, program: Program, label: Label) -> None:
        self._program = program
        self._label = label
        groups = program.symbols.status_groups
        self._statuses = (*groups["live"], *groups["terminal"])
        self._parts = {each: parts_of(program.machine, each) for each in self._statuses}

    def within(self, region: str) -> Edges:
        """Return the transitions of one region."""
        found: dict[tuple[str, str, str], tuple[_Way, list[str]]] = {}
        for action, way, tests in self._ways():
            if way.moves is not None and region in way.moves:
                label = self._label(action, way, tests)
                for source in way.from_statuses:
                    edge = (self._parts[source][region], self._parts[way.to][region], label)
                    found.setdefault(edge, ((action, way, tests), []))[1].append(source)
        edges: Edges = {}
        for (source, to, _), ((action, way, tests), statuses) in found.items():
            needed = [*self._needed(region, source, statuses), *tests]
            edges.setdefault((source, to), []).append(self._label(action, way, needed))
        return edges

    def outside(self) -> Edges:
        """Return the transitions out of the regions, into them, and beside them."""
        found: dict[tuple[str, str], dict[str, None]] = {}
        for action, way, tests in self._ways():
            for source in way.from_statuses if way.moves is None else ():
                ends = (self._outer(source), self._outer(way.to or source))
                found.setdefault(ends, {})[self._label(action, way, tests)] = None
        return {ends: [*labels] for ends, labels in found.items()}

    def _ways(self) -> Iterator[_Way]:
        """Yield every way of every action, with its declared test as text."""
        for action in self._program.actions:
            for test, way in _declared_tests(action):
                yield action, way, [notation(test)] if test is not None else []

    def _needed(self, region: str, source: str, statuses: Iterable[str]) -> Iterator[str]:
        """Yield what an action needs of other regions, where they leave a choice."""
        together = [each for each in self._parts.values() if each.get(region) == source]
        for other in self._program.machine.statuses.regions:
            every = dict.fromkeys(each[other] for each in together)
            needed = {self._parts[each][other] for each in statuses}
            if other != region and len(needed) < len(every):
                yield " or ".join(each for each in every if each in needed)

    def _outer(self, status: str) -> str:
        return REGIONS if self._parts[status] else status


def _declared_tests(command: Command) -> Iterator[tuple[Expression | None, Command]]:
    """Yield the ways of a command with the declared test of each, without that of the status."""
    several = len(command.targets) > 1
    for test, way in tested_ways(command):
        if several:
            # The first operand is the status, by which the compiler tells the ways apart.
            rest = test.operands[1:] if isinstance(test, And) else ()
            yield (conjunction(rest) if rest else None), way
        else:
            yield test, way
