"""Breadth-first search of every reachable state: the first counterexample is the shortest."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from attrs import define, field

from opslifecycle_codegen.modelcheck.liveness import Liveness
from opslifecycle_codegen.modelcheck.scenarios import Scenario
from opslifecycle_codegen.modelcheck.state import Answer, Call, State
from opslifecycle_codegen.modelcheck.symmetry import Symmetry, symmetry_of

#: The number of states on which the derived symmetry is tested as well.
_TRIED_STATES = 200
#: The number of states after which a search stops; a larger machine needs a smaller scenario.
STATES_MAX = 1_000_000
#: How often a search says how far it is.
PROGRESS_SECONDS = 5.0


@define
class Violation:
    """A violated property, and the shortest path to it."""

    scenario: Scenario
    property: str
    calls: list[Call]


@define
class Found:
    """The result of the search of one scenario."""

    scenario: Scenario
    symmetry: Symmetry
    states: int = 0
    edges: int = 0
    refused: int = 0
    depth: int = 0
    seconds: float = 0.0
    #: States beyond a bound, which were checked but not expanded, by the bound.
    beyond: Counter[str] = field(factory=Counter)
    fired: Counter[str] = field(factory=Counter)
    refusals: Counter[str] = field(factory=Counter)
    statuses: set[str] = field(factory=set)
    violation: Violation | None = None
    #: Whether every state was searched; false if there were more than the maximum.
    closed: bool = False
    #: The maximum, and the number of different values of each field, if there were more.
    states_max: int = 0
    different: Counter[str] = field(factory=Counter)

    @property
    def reached(self) -> set[str]:
        """The statuses that records have had, and the calls that were accepted."""
        return {*self.statuses, *self.fired}

    def figures(self) -> dict[str, int]:
        """Return the figures that are compared with the baseline."""
        figures = {
            "states": self.states, "steps": self.edges, "refused": self.refused,
            "past_bounds": sum(self.beyond.values()), "depth": self.depth,
        }  # fmt: skip
        figures |= {f"accepted {method}": count for method, count in sorted(self.fired.items())}
        figures |= {f"refused by {name}": n for name, n in sorted(self.refusals.items())}
        return figures


class Search:
    """The search of one scenario; states that differ by symmetry only count as one.

    Args:
        scenario: The scenario.
        symmetry: The swaps that lead to symmetric states; by default those that are derived.
        states_max: The number of states after which the search stops.
        say: Is called with a line about how far the search is, if it takes long.
    """

    def __init__(
        self,
        scenario: Scenario,
        symmetry: Symmetry | None = None,
        *,
        states_max: int = STATES_MAX,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._scenario = scenario
        self._states_max = states_max
        self._say = say
        self._properties = scenario.properties
        self._symmetry = symmetry_of(scenario) if symmetry is None else symmetry
        self.found = Found(scenario, self._symmetry)
        self.states: list[State] = []
        self._seen: dict[State, int] = {}
        self._outside: set[State] = set()
        #: The predecessor of each state, and the call that led to it.
        self._came: list[tuple[int, int]] = []
        self._endings = Liveness(scenario)

    def run(self) -> Found:
        """Search every state; stop at the first violation."""
        started = said = time.perf_counter()
        found = self.found
        self._add(self._symmetry.canonical(self._scenario.interpreter.initial()), -1, -1)
        level = 0
        while level < len(self.states) <= self._states_max and found.violation is None:
            upto = len(self.states)
            for index in range(level, upto):
                if found.violation is not None or len(self.states) > self._states_max:
                    break
                self._expand(index)
                if self._say is not None and time.perf_counter() - said > PROGRESS_SECONDS:
                    said = time.perf_counter()
                    self._say(self._progress(index + 1, said - started))
            else:
                level = upto
                found.depth += upto < len(self.states)
        found.closed = found.violation is None and level == len(self.states)
        if found.closed:
            self._check_ends()
        elif found.violation is None:
            found.states_max = self._states_max
            self._count_different()
        found.states = len(self.states)
        found.seconds = time.perf_counter() - started
        return found

    def _progress(self, expanded: int, seconds: float) -> str:
        states, found = len(self.states), self.found
        return (
            f"{self._scenario.name}: {states} states, {found.edges} steps, depth {found.depth}, "
            f"{states - expanded} still to be continued, {states / seconds:.0f} states/s"
        )

    def _count_different(self) -> None:
        """Count the different values of each field, which a machine with many states has."""
        program = self._scenario.interpreter.program
        for place, name in enumerate(program.symbols.registry_fields):
            values = {state.registry[place] for state in self.states}
            self.found.different[f"registry.{name}"] = len(values)
        for place, name in enumerate(program.symbols.entity_fields):
            values = {each[place] for state in self.states for each in state.records if each}
            self.found.different[f"{program.machine.entity}.{name}"] = len(values)

    def _expand(self, index: int) -> None:
        state, found = self.states[index], self.found
        if index < _TRIED_STATES:
            self._try_symmetry(state)
        ends: set[str] = set()
        followers: list[int] = []
        for number, answer_of in enumerate(self._scenario.answers):
            answer = answer_of(state)
            if answer.state is None:
                found.refused += 1
                assert answer.refusal is not None
                found.refusals[answer.refusal.guard or answer.refusal.error] += 1
                continue
            found.edges += 1
            found.fired[self._scenario.calls[number].method] += 1
            if answer.ended:
                ends.update(answer.ended)
            if answer.state == state:
                continue
            self._step(index, number, answer, followers)
        self._endings.note(index, state, ends, followers)

    def _step(self, index: int, number: int, answer: Answer, followers: list[int]) -> None:
        state = self.states[index]
        assert answer.state is not None
        broken = self._properties.broken_between(state, answer.state)
        if broken is not None:
            self._violate(broken, index, number)
        after = self._symmetry.canonical(answer.state)
        known = self._seen.get(after)
        if known is None:
            known = self._add(after, index, number)
        if known >= 0:
            followers.append(known)

    def _add(self, state: State, parent: int, number: int) -> int:
        """Return the number of a new state; -1 if it exceeds a bound."""
        past = self._scenario.beyond(state)
        if past is not None and state in self._outside:
            return -1
        broken = self._properties.broken_by(state)
        if broken is not None:
            self._violate(broken, parent, number)
        if past is not None:
            self._outside.add(state)
            self.found.beyond[past] += 1
            return -1
        for record in state.records:
            if record is not None:
                self.found.statuses.add(record[1])
        self._seen[state] = len(self.states)
        self.states.append(state)
        self._came.append((parent, number))
        return len(self.states) - 1

    def _violate(self, prop: str, parent: int, number: int) -> None:
        if self.found.violation is not None:
            return
        calls: list[Call] = []
        if number >= 0:
            calls, state = self._way_to(parent)
            calls.append(self._breaking(prop, state, self._scenario.calls[number]))
        self.found.violation = Violation(self._scenario, prop, calls)

    def _way_to(self, index: int) -> tuple[list[Call], State]:
        """Return the calls that lead to a state, or to a symmetric one."""
        indexes = [index]
        while indexes[-1] > 0:
            indexes.append(self._came[indexes[-1]][0])
        calls: list[Call] = []
        state = self._scenario.interpreter.initial()
        for wanted in reversed(indexes[:-1]):
            # After a swap, the call may have to name another id.
            first = self._scenario.calls[self._came[wanted][1]]
            for call in (first, *self._scenario.calls):
                after = self._scenario.answer(state, call).state
                if after is not None and self._symmetry.canonical(after) == self.states[wanted]:
                    calls.append(call)
                    state = after
                    break
        return calls, state

    def _breaking(self, prop: str, state: State, first: Call) -> Call:
        """Return the call that violates a property in a state."""
        for call in (first, *self._scenario.calls):
            after = self._scenario.answer(state, call).state
            if after is not None and prop in (
                self._properties.broken_by(after),
                self._properties.broken_between(state, after),
            ):
                return call
        return first

    def _check_ends(self) -> None:
        broken = self._endings.broken(self.states)
        if broken is not None:
            index, prop = broken
            self.found.violation = Violation(self._scenario, prop, self._way_to(index)[0])

    def _try_symmetry(self, state: State) -> None:
        """Test on a state that the derived swaps lead to the same states."""
        followers = self._followers(state)
        for swapped in self._symmetry.swaps(state):
            if self._followers(swapped) != followers:
                raise AssertionError(f"not symmetric in {self._symmetry.swapped}: {state}")

    def _followers(self, state: State) -> set[State]:
        answers = (answer_of(state).state for answer_of in self._scenario.answers)
        return {self._symmetry.canonical(after) for after in answers if after is not None}
