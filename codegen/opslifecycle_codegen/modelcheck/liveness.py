"""Liveness: whether the goals of `eventually` stay reachable from the declared statuses."""

from __future__ import annotations

from collections.abc import Sequence

from opslifecycle_codegen.modelcheck.scenarios import Scenario
from opslifecycle_codegen.modelcheck.state import State

#: A property, and the index of the id that it is checked for.
Pair = tuple[str, int]


class Liveness:
    """The steps between states, as far as the goals that must stay reachable depend on them.

    A record that is removed without an end has not reached its goal, also if its id is used again.
    """

    def __init__(self, scenario: Scenario) -> None:
        program = scenario.interpreter.program
        self._properties = [
            (str(name), _statuses(scenario, each.from_), _statuses(scenario, each.reaches))
            for name, each in program.machine.eventually.items()
        ]
        self._terminal = frozenset(program.symbols.status_groups["terminal"])
        self._ids = scenario.interpreter.ids
        #: For each state in which a record is more than one step from a goal: its successors, and
        #: the goals within one step. Other states need no entry.
        self._followers: dict[int, tuple[list[int], frozenset[Pair]]] = {}
        self._waiting: dict[Pair, list[int]] = {}

    def note(self, index: int, state: State, ended: set[str], followers: list[int]) -> None:
        """Add the successors of a state; `ended` are the ids that a call ends."""
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
