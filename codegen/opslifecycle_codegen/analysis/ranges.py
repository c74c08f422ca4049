"""Ranges of numbers: every stored or returned number is in its range, or the command is rejected.

Where the guards and updates of a command prove it, nothing is added. Elsewhere the compiler
places a guard after the command's own ones, which rejects with `OutOfRangeError`. A number that no
command could reject (in the updates of an end, of a bulk command or of recovery; in views) must be
proved to be in range, and a command that would always be rejected is an error.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce

from attrs import evolve

from opslifecycle_codegen.analysis.counters import (
    STEP_MAX,
    is_live,
    live_counters,
    small_steps,
)
from opslifecycle_codegen.analysis.interval import ANYTHING, Interval
from opslifecycle_codegen.analysis.intervals import State, inlined, lets_of, substituted
from opslifecycle_codegen.analysis.range_guards import Guard, Ranges, only_if
from opslifecycle_codegen.analysis.range_tests import needed_tests, range_of
from opslifecycle_codegen.analysis.stored_numbers import Made, divisors_in, numbers_in
from opslifecycle_codegen.analysis.unpassed import unpassed
from opslifecycle_codegen.base.diagnostics import Diagnostics, Location
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression, negation
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.program import (
    Assignment,
    Bulk,
    Check,
    Command,
    EndStep,
    Program,
    returning,
)
from opslifecycle_codegen.ir.several import DICT, LIST, list_length
from opslifecycle_codegen.ir.sized import length_of
from opslifecycle_codegen.ir.times import NOW, TIME_END, tells_time
from opslifecycle_codegen.ir.types import (
    BOOL,
    DATETIME,
    ENTITY,
    FLOAT,
    INT,
    INT_MAX,
    Type,
)

#: The maximum of a field in small steps: a whole command cannot leave the range from there.
_SMALL = Interval(0, INT_MAX - 1_000 * STEP_MAX)
_TIME = Interval(0, TIME_END)


class States:
    """The facts at the points of a program's commands."""

    def __init__(self, program: Program) -> None:
        self._small = small_steps(program)
        self._live = live_counters(program)
        self._times = list(_times(program))
        #: Nothing else is called so in a machine that reads the time.
        self._now = NOW if tells_time(program) else None

    def _limits(self, name: str) -> Interval:
        if name == self._now:
            return _TIME
        return _SMALL if name in self._small else ANYTHING

    def fresh(self, *, live: bool = False) -> State:
        """Return the facts at the beginning of a command, on a live record or another."""
        state = State(self._limits)
        for earlier, later in self._times:
            state = state.assuming(nodes.Compare(BOOL, (earlier, later), ("<=",)))
        for name, least in self._live.items() if live else ():
            counter = nodes.Name(INT, nodes.Root.REGISTRY, name)
            test = nodes.Compare(BOOL, (nodes.number(least), counter), ("<=",))
            state = state.assuming(test)
        return state

    def before(self, checks: Iterable[Check], state: State) -> Iterator[tuple[Check, State]]:
        """Yield checks with the facts before each."""
        for check in inlined(checks):
            yield check, state
            state = state.assuming(check.test)


def _times(program: Program) -> Iterator[tuple[Expression, Expression]]:
    """Yield pairs of a record's times in order: the clock never goes backwards."""
    stamped: dict[str, list[Expression]] = {}
    record = nodes.Name(ENTITY, nodes.Root.RECORD, str(program.machine.entity))
    for name, declared in program.machine.fields.items():
        if declared.stamped is not None:
            stamped.setdefault(str(declared.stamped), []).append(
                nodes.Field(program.symbols.entity_fields[str(name)].required, record, str(name))
            )
    for when, times in stamped.items():
        if when != "created":
            yield from itertools.product(stamped.get("created", []), times)
        if when != "terminal":
            yield from itertools.product(times, stamped.get("terminal", []))


def find_ranges(program: Program, diagnostics: Diagnostics) -> Ranges:
    """Return the guards that a program needs; report numbers that cannot be guarded."""
    return _Finder(program, diagnostics).run()


class _Finder:
    def __init__(self, program: Program, diagnostics: Diagnostics) -> None:
        self._program = program
        self._symbols = program.symbols
        self._diagnostics = diagnostics
        self._states = States(program)
        self._found = Ranges()
        #: The types of an error's fields, by its class.
        self._facts = {
            str(each.class_): list(program.error_fields[str(name)].values())
            for name, each in program.machine.errors.items()
        }

    def run(self) -> Ranges:
        program = self._program
        bulks = [*program.bulk]
        if program.recovery is not None and program.recovery.command is not None:
            bulks.append(program.recovery.command)
        unguarded = {bulk.action for bulk in bulks if bulk.action}
        self._create()
        for action in program.actions:
            total = action.name in unguarded
            guards = None if total else self._found.actions.setdefault(action.name, [])
            self._command(action, guards)
        if program.rollback is not None:
            self._command(program.rollback, self._found.rollback)
        # These update no number: their guards are all that computes.
        others = program.erase, program.collect, program.watch, program.cursors
        for command in filter(None, others):
            self._checked(command, self._states.fresh())
        for bulk in bulks:
            self._bulk(bulk)
        self._barrier()
        self._shown()
        return self._found

    # Commands -----------------------------------------------------------------------------------

    def _create(self) -> None:
        create, entity = self._program.create, self._program.machine.entity
        state = self._checked(create, self._states.fresh())
        for name, tree in self._program.initial.items():
            wanted = self._symbols.entity_fields[name]
            for made in numbers_in(tree, wanted, f"{entity}.{name}", self._symbols):
                if nodes.roots_in(tree):
                    state = self._kept(made, tree.mark, state, {}, self._found.create)
                else:
                    # A constant of the constructor, which is computed whatever the guards are.
                    fresh = self._states.fresh()
                    self._kept(made, tree.mark, fresh, {}, self._found.create)
        state, _ = self._updated(create, lets_of(create.guards), state, self._found.create)
        self._followed(create.steps, state)

    def _command(self, command: Command, guards: list[Guard] | None) -> None:
        """Check a command; add the guards that it needs if it can be rejected."""
        live = is_live(command, self._program)
        state = self._checked(command, self._states.fresh(live=live))
        if not command.targets:
            self._way(command, lets_of(command.guards), state, guards)
        elif guards is not None:
            self._targets(command, state, guards)

    def _targets(self, command: Command, state: State, guards: list[Guard]) -> None:
        """Check the targets of an action; what all of them set is guarded once."""
        lets = lets_of(command.guards)
        shared = evolve(command.ways[0], updates=command.shared_updates, notes=())
        self._updated(shared, lets, state, guards)
        known = {(guard.made.place, guard.mark) for guard in guards}
        for target in command.targets:
            condition = substituted(target.condition, lets)
            self._divides(condition, state)
            found: list[Guard] = []
            self._way(target.way, lets, state.assuming(condition), found)
            own = (guard for guard in found if (guard.made.place, guard.mark) not in known)
            guards += [only_if(condition, guard) for guard in own]

    def _way(
        self, way: Command, lets: Mapping[str, Expression], state: State,
        guards: list[Guard] | None,
    ) -> None:  # fmt: skip
        """Check what follows the guards of a command, at least for one of its targets."""
        if not state.reached:
            return
        state, values = self._updated(way, lets, state, guards)
        if way.to in self._symbols.status_groups["terminal"]:
            if way.outcome is not None:
                wanted = self._program.outcome_type()
                for made in numbers_in(way.outcome, wanted, "the outcome", self._symbols):
                    state = self._kept(made, way.outcome.mark, state, values, guards)
            self._end(state)
        else:
            self._followed(way.steps, state)

    def _checked(self, command: Command, state: State) -> State:
        """Return the facts after the checks of a command."""
        lets: dict[str, Expression] = {}
        given = self._states.before(command.guards, state)
        for declared, (check, before) in zip(command.guards, given, strict=True):
            for name, tree in declared.lets:
                self._divides(substituted(tree, lets), before)
                lets[name] = substituted(tree, lets)
            self._divides(check.test, before)
            state = before.assuming(check.test)
            refused = before.assuming(negation(check.test))
            if refused.reached:
                self._reported(check.refusal, refused)
        return state

    def _reported(self, refusal: nodes.Refusal, state: State) -> None:
        """Check the facts of an error against the types that it declares."""
        types = self._facts.get(refusal.error, [])
        for place, tree in enumerate(refusal.fields):
            wanted = types[place] if place < len(types) else tree.type
            self._shows(tree, f"a field of {refusal.error}", state, wanted)

    def _updated(
        self, command: Command, lets: Mapping[str, Expression], state: State,
        guards: list[Guard] | None,
    ) -> tuple[State, dict[str, Expression]]:  # fmt: skip
        """Return the facts after the updates of a command, and the new values by target."""
        values = dict(lets)
        for each in (*command.updates, *command.notes):
            value = substituted(each.value, lets)
            place = notation(each.target)
            for made in numbers_in(value, each.target.type, place, self._symbols):
                state = self._kept(made, each.value.mark, state, values, guards)
            state = _set(state, each.target, value)
            values[place] = substituted(value, values)
        return state, values

    def _end(self, state: State) -> None:
        """Check the steps of every end after a terminal action."""
        self._followed(self._program.on_terminal, state)

    def _followed(self, steps: Sequence[EndStep], state: State) -> None:
        """Check steps, which nothing rejects."""
        for step in steps:
            if step.test is not None:
                self._divides(step.test, state)
            reached = state if step.test is None else state.assuming(step.test)
            if not reached.reached:
                continue
            after = self._without_rejection(step.updates, reached)
            if step.test is not None:
                left = state.assuming(negation(step.test))
                after = evolve(after, cases=(*after.cases, *left.cases))
            state = after

    def _bulk(self, bulk: Bulk) -> None:
        state = self._states.fresh()
        if bulk.unless is not None:
            self._divides(bulk.unless, state)
            state = state.assuming(negation(bulk.unless))
        self._without_rejection(bulk.updates, state)
        if not bulk.action:
            return
        state = self._states.fresh(live=True)
        if bulk.command.outcome is not None:
            self._shows(bulk.command.outcome, "the outcome", state, self._program.outcome_type())
        self._end(state)

    def _without_rejection(self, updates: Sequence[Assignment], state: State) -> State:
        for each in updates:
            place = notation(each.target)
            for made in numbers_in(each.value, each.target.type, place, self._symbols):
                self._proved(made, each.value.mark, state)
            state = _set(state, each.target, each.value)
        return state

    def _barrier(self) -> None:
        barrier, state = self._program.barrier, self._states.fresh()
        if barrier is None:
            return
        for check, before in self._states.before(barrier.first, state):
            self._divides(check.test, before)
            self._reported(check.refusal, before.assuming(negation(check.test)))
        for _, refusal in barrier.refusals:
            self._reported(refusal, state)

    # Numbers ------------------------------------------------------------------------------------

    def _kept(
        self, made: Made, mark: Location | None, state: State, values: Mapping[str, Expression],
        guards: list[Guard] | None,
    ) -> State:  # fmt: skip
        """Ensure that a number is in range, by proof or by a guard; return the facts after it."""
        place = reduce(State.assuming, made.tests, state)
        if not place.reached:
            return state
        tests = needed_tests(made, place)
        if not tests:
            return state
        if guards is None or all(not place.assuming(test).reached for test in tests):
            self._report(made, mark, place)
            return state
        inside = tests[0] if len(tests) == 1 else nodes.And(BOOL, tests)
        for test in reversed(made.tests):
            inside = nodes.Or(BOOL, (negation(test), inside))
        written = evolve(made, value=substituted(made.value, values))
        assert mark is not None
        guards.append(Guard(written, substituted(inside, values), mark))
        return state.assuming(inside)

    def _proved(self, made: Made, mark: Location | None, state: State) -> None:
        place = reduce(State.assuming, made.tests, state)
        if place.reached and needed_tests(made, place):
            self._report(made, mark, place)

    def _report(self, made: Made, mark: Location | None, state: State) -> None:
        assert mark is not None
        if made.value.type.required == FLOAT:
            message = f"{made.place} may be infinite or NaN here, and nothing rejects that"
            self._diagnostics.add(mark, "out-of-range", message, "test it in a guard before")
            return
        bounds, text = state.bounds(made.value), notation(made.value)
        if made.wanted is None:
            how = "is always" if bounds == Interval(0, 0) else "may be"
            hint = f"test {text} != 0 before it"
            self._diagnostics.add(mark, "out-of-range", f"{made.place} {how} 0 here", hint)
            return
        if made.value.type == DATETIME:
            message = f"{made.place} may be outside the years 1 to 9999 here"
            hint = "compare it without the sum, or bound the duration in a guard before"
            self._diagnostics.add(mark, "out-of-range", message, hint)
            return
        least, most = range_of(made)
        low = bounds.least is None or bounds.least < least
        gone = bounds.most is not None and bounds.most < least
        gone = gone or (bounds.least is not None and bounds.least > most)
        shown = made.value.type.required
        lowest, highest = (notation(nodes.Literal(shown, each)) for each in (least, most))
        where = f"below {lowest}" if low else f"above {highest}"
        fix = f"max({text}, {lowest})" if low else f"min({text}, {highest})"
        how = "is always" if gone else "may be"
        why = "" if gone else ", and nothing rejects that"
        message = f"{made.place} {how} {where} here{why}"
        hint = f"write {fix}, or add a guard that makes sure of it"
        if made.place.startswith("len("):
            hint = f"write `… if {made.place} < {highest} else …`, or add a guard that tests it"
        if isinstance(made.value, nodes.Literal):
            hint = f"write a value from {lowest} to {highest}"
        self._diagnostics.add(mark, "out-of-range", message, hint)

    # What is shown ------------------------------------------------------------------------------

    def _shows(
        self, tree: Expression, place: str, state: State, wanted: Type | None = None
    ) -> None:
        """Check the numbers of a value in a view, which no command can reject."""
        for made in numbers_in(tree, wanted or tree.type, place, self._symbols):
            self._proved(made, made.value.mark or tree.mark, state)

    def _divides(self, tree: Expression, state: State) -> None:
        """Check the divisors of an expression whose result is not stored."""
        for made in divisors_in(tree):
            self._proved(made, made.value.mark or tree.mark, state)

    def _shown(self) -> None:
        program, state = self._program, self._states.fresh()
        views = (("snapshot", program.views.snapshot), ("entry", program.views.entry))
        trees = [
            (f"{view}.{info.name}", tree, tree.type)
            for view, fields in views
            for info, tree in fields
        ]
        rules = (*program.classifiers, *program.invariants, *program.transition_invariants)
        computed = [(rule.name, rule.tree) for rule in rules]
        computed += [(f"what {name} returns", tree) for name, _, tree in returning(program)]
        computed += [("the order of a listing", tree) for tree in program.views.order]
        computed += [(f"the filter {name}", tree) for name, _, tree in program.views.filters]
        if program.views.pages is not None:
            computed += [(f"the order {name}", tree) for name, tree in program.views.pages.orders]
        if program.recovery is not None:
            computed.append(("persist_if", program.recovery.persist_if))
            if program.recovery.stays is not None:
                computed.append(("unless", program.recovery.stays))
        trees += [(place, tree, tree.type) for place, tree in computed]
        for place, tree, wanted in (*trees, *unpassed(program)):
            self._shows(tree, place, state, wanted)
        for timer in program.timers:
            self._divides(timer.due, state)


def _set(state: State, target: Expression, value: Expression) -> State:
    if target.type.kind in (LIST, DICT):
        return state.after(length_of(target), list_length(value))
    return state.after(target, value) if target.type.required.integral else state.forgetting(target)
