"""The examination of one machine: everything that has to hold of what the compiler accepts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from opslifecycle import MemoryStore, SqliteStore, register_type
from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.stores.base import Store
from opslifecycle_codegen.modelcheck.state import Answer, State

from tests.support.random_machines.archives import check_archive
from tests.support.random_machines.async_sides import AsyncSide
from tests.support.random_machines.building import Tree
from tests.support.random_machines.compiling import (
    Generated,
    Refused,
    compiled,
    run_generated_tests,
)
from tests.support.random_machines.exploring import Asked, Exploration, Reached
from tests.support.random_machines.linting import lint
from tests.support.random_machines.shown import Views
from tests.support.random_machines.sides import Side
from tests.support.random_machines.stores import contents_of, killed
from tests.support.random_machines.supervising import Supervision
from tests.support.random_machines.together import TogetherSide
from tests.support.random_machines.values import Values
from tests.support.random_machines.verdicts import FaultError, Tally
from tests.support.random_machines.walking import Walk
from tests.support.scale import whole_or

register_type(Decimal, str, Decimal)
#: One accepted machine in so many is formatted, linted, and has its generated tests kill processes.
_CHOSEN_EVERY = 10


class Examination:
    """Examines machines one after another, and counts; `thorough` takes longer for each."""

    def __init__(self, *, thorough: bool = False) -> None:
        self.tally = Tally()
        self._states = 40 if thorough else whole_or(12, 7)
        self._steps = 100 if thorough else whole_or(40, 20)
        self._thorough = thorough

    def of(self, tree: Tree, features: frozenset[str] = frozenset()) -> bool:
        """Examine a machine: True if it was accepted; raises FaultError for what is wrong."""
        self.tally.tried.update(features)
        with compiled(tree) as found:
            if isinstance(found, Refused):
                self.tally.refused += 1
                self.tally.rules.update({each.rule for each in found.findings})
                return False
            # Some of what takes long is done for a few machines.
            chosen = self._thorough and self.tally.accepted % _CHOSEN_EVERY == 0
            run_generated_tests(found, all_of_them=chosen)
            with stopped_clocks():
                for entities in (1, 2):
                    _Comparison(found, entities, self.tally, self._states).run()
            Walk(found, self.tally).run(self._steps)
            Supervision(found, self.tally).run()
            if chosen:
                lint(found)
                self.tally.linted += 1
            self.tally.accepted += 1
        self.tally.features.update(features)
        return True


@contextmanager
def stopped_clocks() -> Iterator[None]:
    """Have every time be 0, as in the interpreter."""
    before = SYSTEM_CLOCK.wall_ns, SYSTEM_CLOCK.monotonic_ns
    SYSTEM_CLOCK.wall_ns = SYSTEM_CLOCK.monotonic_ns = lambda: 0
    try:
        yield
    finally:
        SYSTEM_CLOCK.wall_ns, SYSTEM_CLOCK.monotonic_ns = before


def _time(answered: tuple[Asked, Answer]) -> int:
    """When something was asked for: a clock only goes forward."""
    return answered[0].call.time or 0


class _Comparison:
    """One machine with so many records: each state with each call, and reopened."""

    def __init__(self, found: Generated, entities: int, tally: Tally, states: int) -> None:
        self.program, self._package = found.program, found.package
        self._values = Values(found.program, found.package, entities)
        self._exploration = Exploration(found.program, self._values, entities, 3 - entities // 2)
        self._views = Views(self._exploration)
        self._tally = tally
        self._most = states
        self._open: list[Side] = []
        recovery = found.program.machine.recovery
        self._stored = recovery is not None
        self._keeps_all = recovery is not None and str(recovery.persist_if).strip() == "true"

    def run(self) -> None:
        """Compare all of it."""
        try:
            self._compare_all()
        finally:
            # A registry that shows a fault is left open, and its threads with it.
            for side in self._open:
                side.abandon()

    def _compare_all(self) -> None:
        last: Reached | None = None
        for reached in self._exploration.reached(self._most):
            self._tally.states += 1
            self._compare(reached)
            if self._stored:
                self._reopen(reached)
            last = reached
        if last is not None:
            self._compare_async(last)
            self._compare_together(last)
        if self._stored and last is not None:
            with tempfile.TemporaryDirectory() as path:
                self._kill(SqliteStore(Path(path) / "store.db", durability="process"), last)

    def _side(self, store: Store | None = None, kind: type[Side] = Side) -> Side:
        side = kind(
            self.program, self._package, self._values, self._exploration, self._views, store
        )
        self._open = [each for each in self._open if not each.closed] + [side]
        return side

    def _brought(
        self, path: Sequence[tuple[Asked, Answer]], store: Store | None = None,
        kind: type[Side] = Side,
    ) -> Side:  # fmt: skip
        """A registry that is brought to a state."""
        side, state = self._side(store, kind), self._exploration.interpreter.initial()
        for asked, answer in path:
            side.apply(state, asked, answer)
            assert answer.state is not None
            state = answer.state
        return side

    def _compare(self, reached: Reached) -> None:
        """Ask everything in one state: what is refused changes nothing, what is not is compared."""
        side = self._brought(reached.path)
        side.look(reached.state)
        accepted = []
        for asked, answer in sorted(reached.answers, key=_time):
            self._tally.calls += 1
            if answer.state is None:
                side.apply(reached.state, asked, answer)
            else:
                accepted.append((asked, answer))
        side.look(reached.state)
        if any(asked.call.time for asked, _ in reached.answers):
            # Its time has gone on.
            side.close()
            side = self._brought(reached.path)
        for asked, answer in accepted:
            side.apply(reached.state, asked, answer)
            assert answer.state is not None
            side.look(answer.state)
            if answer.state != reached.state or answer.effects:
                side.close()
                side = self._brought(reached.path)
        side.close()

    def _compare_async(self, reached: Reached) -> None:
        """Bring a registry for an event loop to a state, ask it everything, and reopen it."""
        store = MemoryStore() if self._stored else None
        self._tally.features["async registry"] += 1
        side = self._brought(reached.path, store, AsyncSide)
        side.look(reached.state)
        for asked, answer in sorted(reached.answers, key=_time):
            if answer.state is None:
                self._tally.calls += 1
                side.apply(reached.state, asked, answer)
        side.look(reached.state)
        if store is not None:
            self._found_again(self._side(contents_of(store), AsyncSide), reached)
        side.close()

    def _compare_together(self, reached: Reached) -> None:
        """Bring registries to a state by transactions, and have others rejected there."""
        stores = [None, MemoryStore()] if self._stored else [None]
        for store in stores:
            side = self._side(store, TogetherSide)
            assert isinstance(side, TogetherSide)
            side.bring(reached.path, self._exploration.interpreter.initial())
            side.look(reached.state)
            self._tally.features["rejected transaction"] += side.reject(reached)
            if store is not None:
                self._found_again(self._side(contents_of(store)), reached)
            side.close()

    # Stores -------------------------------------------------------------------------------------

    def _reopen(self, reached: Reached) -> None:
        """Drop the registry in a state: the next one finds what was durable, and goes on."""
        store = MemoryStore()
        side = self._brought(reached.path, store)
        side.look(reached.state)
        self._found_again(self._side(contents_of(store)), reached)
        side.close()

    def _kill(self, store: Store, reached: Reached) -> None:
        """Kill a process in a state, and go on with its store."""

        def work() -> None:
            self._brought(reached.path, store)

        killed(work)
        self._found_again(self._side(store), reached)

    def _found_again(self, side: Side, reached: Reached) -> None:
        """A registry that was opened again is in a state that its machine allows."""
        states = [self._exploration.interpreter.initial(), *_states(reached.path)]
        before = [m for asked, answer in reached.path for m in side.messages(answer, asked)]
        problem: FaultError | None = None
        for crashed in self._possible(states, reached):
            assert crashed.state is not None
            # What recovery ends has effects too, behind those that were pending.
            side.effects = [*before, *side.messages(crashed)]
            try:
                side.look(crashed.state)
                problem = None
                break
            except FaultError as error:
                problem = problem or error
        if problem is not None:
            way = [asked.call for asked, _ in reached.path]
            raise FaultError("reopened", f"{problem} after {way}") from problem
        self._tally.reopened += 1
        if self._keeps_all and type(side) is Side:
            check_archive(side, self._exploration, self._views, states)
        side.close()

    def _possible(self, states: list[State], reached: Reached) -> Iterator[Answer]:
        """The states that the next process may find: the last one, unless writes were deferred."""
        yield self._exploration.crashed(states[-1])
        deferred = 0
        for (asked, _), before, after in zip(
            reversed(reached.path), states[-2::-1], states[:0:-1], strict=True
        ):
            waits = asked.kind in ("watch", "barrier")
            if not (asked.deferred or waits or before == after):
                break
            deferred += 1
        for back in range(1, deferred + 1):
            yield self._exploration.crashed(states[-1 - back])
        if deferred == len(reached.path) or self._has_nothing_to_store(states):
            # Nothing was stored: the next process begins, and recovers nothing.
            yield Answer(states[0])
        if self._keeps_all:
            return
        # What only changed records that are never written may be lost with what it counted.
        for state in states[-1 - deferred :]:
            for older in reversed(states):
                yield self._exploration.crashed(state._replace(registry=older.registry))

    def _has_nothing_to_store(self, states: list[State]) -> bool:
        """Whether no record was ever kept, and no stored field of the registry ever changed."""
        recovery = self.program.recovery
        assert recovery is not None
        for state in states:
            recovered = self._exploration.crashed(state).state
            assert recovered is not None
            if any(recovered.records) or any(recovered.rows):
                return False
        if not self._keeps_all:
            # What only changed records that are never written may be lost with what it counted.
            return True
        fields = self.program.symbols.registry_fields
        places = [
            self._exploration.interpreter.registry_place(name)
            for name in fields
            if name not in recovery.fields
        ]
        return len({tuple(state.registry[place] for place in places) for state in states}) == 1


def _states(path: Sequence[tuple[Asked, Answer]]) -> list[State]:
    return [answer.state for _, answer in path if answer.state is not None]
