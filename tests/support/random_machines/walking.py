"""Random programs: calls of a registry while time passes, with its timers and its restarts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opslifecycle import ManualClock, MemoryStore
from opslifecycle.clock import SYSTEM_CLOCK, Clock
from opslifecycle_codegen.modelcheck.state import Answer, Arguments, State

from tests.support.random_machines.compiling import Generated
from tests.support.random_machines.exploring import Asked, Exploration
from tests.support.random_machines.histories import CREATED, REMOVED, Histories
from tests.support.random_machines.picking import Pick
from tests.support.random_machines.shown import Views
from tests.support.random_machines.sides import Side
from tests.support.random_machines.stores import contents_of
from tests.support.random_machines.timetables import Due, Key, Timetable
from tests.support.random_machines.values import Values
from tests.support.random_machines.verdicts import Tally

#: So many actions of timers follow one another, at most: then some are due for ever.
_FIRED_MAX = 40
#: A walk goes to no later date, so that it can go on from there.
_LATEST_MS = 10**13
_RECORDS = 2


class _EndlessError(Exception):
    """Timers are due again as soon as they have run."""


class _UndecidedError(Exception):
    """An action may have taken several targets, which begin different regions anew."""


@contextmanager
def clocks_of(clock: Clock) -> Iterator[None]:
    """Have every time be that of a clock."""
    before = SYSTEM_CLOCK.wall_ns, SYSTEM_CLOCK.monotonic_ns
    SYSTEM_CLOCK.wall_ns, SYSTEM_CLOCK.monotonic_ns = clock.wall_ns, clock.monotonic_ns
    try:
        yield
    finally:
        SYSTEM_CLOCK.wall_ns, SYSTEM_CLOCK.monotonic_ns = before


class Walk:
    """One registry of a machine, its clock, and what its machine says that it is."""

    def __init__(self, found: Generated, tally: Tally) -> None:
        self.program, self._package = found.program, found.package
        self._features = tally.features
        self._pick = Pick(7)
        self._values = Values(found.program, found.package, _RECORDS)
        exploration = Exploration(found.program, self._values, _RECORDS, 2, dated=True)
        self._exploration, self._interpreter = exploration, exploration.interpreter
        self._views = Views(exploration)
        calls = {(a.call._replace(time=None), a.kind): a for a in exploration.calls}
        self._calls = list(calls.values())
        self._clock = ManualClock(0)
        self._state = self._interpreter.initial()
        self._table = Timetable(self._interpreter)
        self._histories = Histories(found.program, self._values)
        actions = found.program.machine.actions
        self._leading = {str(name) for name, each in actions.items() if each.to}
        recovery = found.program.machine.recovery
        keeps_all = recovery is not None and str(recovery.persist_if).strip() == "true"
        deferring = any(each.deferred for each in actions.values())
        self._store = MemoryStore() if keeps_all and not deferring else None

    def run(self, steps: int) -> None:
        """Go so many steps, and compare everything after each."""
        with clocks_of(self._clock):
            self._side = self._opened()
            try:
                for _ in range(steps):
                    self._step()
                    self._side.look(self._state)
                    self._histories.look(self._side.registry)
                self._side.close()
            except _EndlessError:
                # The machine is to blame, and shows no state in which it would come to rest.
                self._features["timer: endless"] += 1
            except _UndecidedError:
                self._features["walk: undecided"] += 1
            finally:
                self._side.abandon()

    def _opened(self) -> Side:
        return Side(
            self.program, self._package, self._values, self._exploration, self._views,
            self._store, clock=self._clock,
        )  # fmt: skip

    def _step(self) -> None:
        kind = self._pick.integer(0, 99)
        if kind < 40:
            self._pass(self._elapsed())
        elif kind < 55 and self._can_restart():
            self._restart()
        else:
            self._call()

    def _now(self) -> int:
        return self._clock.wall_ms()

    # Time ---------------------------------------------------------------------------------------

    def _elapsed(self) -> int:
        """Draw how much time passes: often just until something is due, or not quite."""
        next_ms, pick = self._table.next_ms(), self._pick
        if next_ms is None or next_ms > _LATEST_MS or pick.chance(20):
            return pick.integer(0, 9)
        return max(0, next_ms - self._now() + pick.one([-1, 0, 0, 0, pick.integer(1, 150)]))

    def _pass(self, elapsed_ms: int) -> None:
        """Have time pass: for the machine first, which finds out whether that comes to an end."""
        self._follow(elapsed_ms)
        self._clock.advance(milliseconds=elapsed_ms)

    def _follow(self, elapsed_ms: int = 0) -> None:
        """Do what the timers of the machine do, each at its time."""
        now, until, fired = self._now(), self._now() + elapsed_ms, 0
        while True:
            taken = self._table.take(now)
            fired += len(taken)
            if fired > _FIRED_MAX:
                raise _EndlessError
            refused = [(key, due) for key, due in taken if not self._fire(key, due, now)]
            for key, due in refused:
                self._table.refused(key, due, now)
                self._features["timer: tried again"] += 1
            if taken:
                continue
            next_ms = self._table.next_ms()
            if next_ms is None or next_ms > until:
                return
            now = max(now, next_ms)

    def _fire(self, key: Key, due: Due, now: int) -> bool:
        """Ask for the action of a timer; return whether it is done with."""
        if not self._table.still(key, due, self._interpreter.record(self._state, key[0])):
            return True
        action, call = self._table.call(key, now)
        acting = self._exploration.acting(action)
        asked = Asked(call, (), acting, "action", action)
        answer = asked.answer(self._state)
        if answer.state is None:
            return False
        self._features["timer: fired"] += 1
        self._side.effects += self._side.messages(answer, asked)
        self._became(answer, action, call.arguments, now)
        return True

    # Calls --------------------------------------------------------------------------------------

    def _call(self) -> None:
        """Ask for something, most often what is accepted."""
        self._follow()
        for number in range(4):
            asked = self._pick.one(self._calls).at(self._now()).within(self._state)
            answer = asked.answer(self._state)
            if answer.state is not None or number == 3:
                break
        self._side.apply(self._state, asked, answer)
        if answer.state is None:
            return
        action = CREATED if asked.kind == "create" else asked.action or REMOVED
        if asked.kind == "for all":
            action = next(
                b.action for b in self.program.bulk if b.command.name == asked.call.method
            )
        self._became(answer, action, asked.call.arguments, self._now())

    def _became(self, answer: Answer, action: str, arguments: Arguments, at_ms: int) -> None:
        """Take over what has changed: the state, the histories, the timers that are set."""
        before, after = self._state, answer.state
        assert after is not None
        self._state = after
        self._histories.note(before, answer, action, arguments, at_ms)
        changed = [id for id, _ in answer.effects]
        for id in changed if action == CREATED or action in self._leading else ():
            self._table.begin(id, self._moves(id, before, after, action), at_ms)
        for id in dict.fromkeys([*changed, *self._exploration.ids]):
            self._table.note(id, self._interpreter.record(after, id))

    def _moves(self, id: str, before: State, after: State, action: str) -> frozenset[str] | None:
        """Return the regions of a record whose status an action has begun anew; None for all."""
        was, is_now = (self._interpreter.record(state, id) for state in (before, after))
        if was is None or is_now is None:
            return None
        ways = next((each.ways for each in self.program.actions if each.name == action), ())
        found = {way.moves for way in ways if way.to == is_now[1] and was[1] in way.from_statuses}
        if len(found) > 1:
            raise _UndecidedError
        return next(iter(found), None)

    # Restarts -----------------------------------------------------------------------------------

    def _can_restart(self) -> bool:
        """Return whether the next registry can be foretold: something is stored, and in order."""
        written = any(record is not None for record in self._state.records)
        return self._store is not None and written and not self._table.tied()

    def _restart(self) -> None:
        """Leave the registry as a process does that is killed, and open its store again."""
        assert self._store is not None
        self._pass(0)
        self._store, left = contents_of(self._store), self._side
        left.close()
        now = self._now()
        answer = self._exploration.crashed(self._state, now)
        assert self.program.recovery is not None
        command = self.program.recovery.command
        given = () if command is None else self._interpreter.recovering_with
        self._table.forget_plan()
        self._became(answer, command.action if command is not None else REMOVED, given, now)
        self._side = self._opened()
        self._side.effects = [*left.effects, *self._side.messages(answer)]
        self._follow()
        self._features["walk: restart"] += 1
