"""Liveness: whether the goals of `eventually` stay reachable from where the machine says so."""

from __future__ import annotations

from collections.abc import Sequence

from opslifecycle_codegen.modelcheck.scenarios import Scenario
from opslifecycle_codegen.modelcheck.state import State

#: A property, and the place of the id that it is looked at for.
Pair = tuple[str, int]


class Endings:
    """The steps between states, as far as they matter for what is claimed to stay in reach.

    A record that leaves without an end has not reached it, whatever is made under its id later.
    """

    def __init__(self, scenario: Scenario) -> None:
        program = scenario.interpreter.program
        self._properties = [
            (str(name), _statuses(scenario, each.from_), _statuses(scenario, each.reaches))
            for name, each in program.machine.eventually.items()
        ]
        self._terminal = frozenset(program.symbols.status_groups["terminal"])
        self._ids = scenario.interpreter.ids
        #: For a state from which not every record has an end next to it: where it leads, and what
        #: is next to it. Of the others nothing needs to be kept.
        self._followers: dict[int, tuple[list[int], frozenset[Pair]]] = {}
        self._waiting: dict[Pair, list[int]] = {}

    def note(self, index: int, state: State, ended: set[str], followers: list[int]) -> None:
        """What one state leads to; `ended` are the ids that some call brings to an end."""
        near, far = set(), False
        for prop, start, reaches in self._properties:
            for place, record in enumerate(state.records):
                if record is None:
                    continue
                ends = self._ids[place] in ended and reaches >= self._terminal
                if record[1] in reaches or ends:
                    near.add((prop, place))
                    continue
                far = True
                if record[1] in start:
                    self._waiting.setdefault((prop, place), []).append(index)
        if far:
            self._followers[index] = (followers, frozenset(near))

    def broken(self, states: Sequence[State]) -> tuple[int, str] | None:
        """Return the first state from which a goal cannot be reached, and its property."""
        found: list[tuple[int, str]] = []
        before: dict[int, list[int]] = {}
        for index, (followers, _) in self._followers.items():
            for follower in followers:
                before.setdefault(follower, []).append(index)
        for pair, waiting in self._waiting.items():
            prop, place = pair
            reaching = {
                index
                for index, state in enumerate(states)
                if state.records[place] is not None
                and (index not in self._followers or pair in self._followers[index][1])
            }
            rest = list(reaching)
            while rest:
                for index in before.get(rest.pop(), ()):
                    if index not in reaching and states[index].records[place] is not None:
                        reaching.add(index)
                        rest.append(index)
            found += [(index, prop) for index in waiting if index not in reaching]
        return min(found, default=None)


def _statuses(scenario: Scenario, words: tuple[str, ...]) -> frozenset[str]:
    groups = scenario.interpreter.program.symbols.status_groups
    found: set[str] = set()
    for word in words:
        found.update(groups.get(str(word), (str(word),)))
    return frozenset(found)
