"""Stage 3, analyze: the statuses that regions reach together, and what leads from one to another.

A state is the name of a status outside of the regions, or one status of each region.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from attrs import frozen

from opslifecycle_codegen.base.diagnostics import Location
from opslifecycle_codegen.ir.regions import STATUSES_MAX, region_of
from opslifecycle_codegen.source import command_model, model
from opslifecycle_codegen.source.words import NOWHERE, Name

State = str | tuple[str, ...]


class TooManyError(Exception):
    """Regions reach more statuses together than a machine may have."""


@frozen
class Move:
    """What one target does with a state: where it leads, and the regions that it begins anew."""

    target: command_model.Target
    to: State
    #: None where it sets the whole status, because it leads into the regions or out of them.
    moves: frozenset[str] | None


class States:
    """Statuses as states, before they have names."""

    def __init__(self, machine: model.Machine) -> None:
        self._machine = machine
        self._statuses = machine.statuses
        self._regions = list(machine.statuses.regions)
        self._place = {
            str(status): place
            for place, region in enumerate(machine.statuses.regions.values())
            for status in region.members
        }

    def is_of_region(self, word: str) -> bool:
        """Return whether a word is the status of a region."""
        return word in self._place

    def region(self, status: str) -> str:
        """Return the region of a status."""
        return str(self._regions[self._place[status]])

    def name(self, state: State) -> str:
        """Return the name of a state: the names of its parts, in the order of the regions."""
        return state if isinstance(state, str) else "_".join(state)

    def declared(self, part: str) -> model.Status:
        """Return the declaration of a status of a region."""
        region = self._statuses.regions[self._regions[self._place[part]]]
        return region.members[Name(part, NOWHERE)]

    def outside(self) -> list[str]:
        """Return the statuses outside of the regions that a record may have."""
        return [str(name) for name, each in self._statuses.members.items() if not each.pseudo]

    def parts(self, state: State) -> list[tuple[Name, model.Status]]:
        """Return the status of each region in a state, by its name; nothing outside of them."""
        if isinstance(state, str):
            return []
        marked = {
            name: name for region in self._statuses.regions.values() for name in region.members
        }
        return [(marked[Name(part, NOWHERE)], self.declared(part)) for part in state]

    def mark(self, state: State) -> Location:
        """Return the location of the first part of a state."""
        return self.parts(state)[0][0].mark

    def is_terminal(self, state: State) -> bool:
        """Return whether a state is terminal: that of regions is, when that of each of them is."""
        if isinstance(state, str):
            declared = self._statuses.members.get(Name(state, NOWHERE))
            return declared is not None and declared.terminal
        return all(self.declared(part).terminal for part in state)

    def is_in(self, state: State, word: str) -> bool:
        """Return whether a state is what a word of the machine names: a status, or one of a group.

        `word` is a status in the regions or outside, several joined as a name, or a group.
        """
        if word in self._place:
            return not isinstance(state, str) and state[self._place[word]] == word
        if word in ("live", "terminal"):
            return self.is_terminal(state) is (word == "terminal")
        group = self._statuses.groups.get(Name(word, NOWHERE))
        if group is not None and word not in group.members:
            return any(self.is_in(state, each) for each in group.members)
        return self.name(state) == word

    def is_in_any(self, state: State, words: Iterable[str]) -> bool:
        """Return whether a state is what one of some words names."""
        return any(self.is_in(state, word) for word in words)

    def allows(self, state: State, action: command_model.Action) -> bool:
        """Return whether an action is legal in a state.

        A status of a region names terminal statuses of the record, too, when the other regions
        are at their ends: no action is legal there.
        """
        if self.is_terminal(state) and self.name(state) not in (*action.from_, "terminal"):
            return False
        found: dict[str, bool] = {}
        for word in action.while_:
            region = region_of(self._machine, word) or ""
            found[region] = found.get(region, False) or self.is_in(state, word)
        return self.is_in_any(state, action.from_) and all(found.values())

    def first(self) -> State:
        """Return the state of a new record."""
        initial = tuple(str(region.initial) for region in self._statuses.regions.values())
        to = self._machine.create.to
        if not to:
            return initial
        return self._led(initial, [to])

    def _led(self, state: State, words: Sequence[str]) -> State:
        """Return the state to which words lead; the other regions stay, or begin."""
        (first, *_) = words
        if first not in self._place:
            return str(first)
        regions = self._statuses.regions.values()
        parts = [str(region.initial) for region in regions]
        if not isinstance(state, str):
            parts = list(state)
        for word in words:
            if word in self._place:
                parts[self._place[word]] = str(word)
        return tuple(parts)

    def moved(self, state: State, action: command_model.Action) -> Iterator[Move]:
        """Yield what each target may do in a state, up to one that is always taken."""
        for target in action.to:
            if target.from_ and not self.is_in_any(state, target.from_):
                continue
            words = [target.status, *target.also]
            to = self._led(state, words)
            moves = None
            if not isinstance(state, str) and not isinstance(to, str):
                moves = frozenset(self.region(word) for word in words if word in self._place)
            yield Move(target, to, moves)
            if target.when is None:
                return

    def reached(self) -> list[State]:
        """Return the states of the regions that actions may lead to, in the order of the file.

        Raises TooManyError if there are more than a machine may have.
        """
        waiting: list[State] = [self.first()]
        # Another rule reports statuses outside of the regions that no action leads to.
        waiting += self.outside()
        seen = set(waiting)
        while waiting:
            state = waiting.pop()
            for action in self._machine.actions.values():
                if not self.allows(state, action):
                    continue
                for move in self.moved(state, action):
                    if move.to not in seen:
                        seen.add(move.to)
                        waiting.append(move.to)
            if sum(not isinstance(each, str) for each in seen) > STATUSES_MAX:
                raise TooManyError
        return sorted((each for each in seen if not isinstance(each, str)), key=self._order)

    def _order(self, state: State) -> list[int]:
        regions = self._statuses.regions.values()
        orders = [[str(each) for each in region.members] for region in regions]
        return [order.index(part) for order, part in zip(orders, state, strict=True)]
