"""Prove properties for any number of records: they hold initially, and every call preserves them.

All properties inside the logic are assumed together before a call, and proved one by one after it.
An impossible call would preserve anything, so each call is proved possible as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attrs import define, field

from opslifecycle_codegen.analysis.scenario_rules import CRASH, DROP_BARRIER, DROP_WATCH
from opslifecycle_codegen.ir.program import Assignment, Command, Program
from opslifecycle_codegen.ir.times import NOW, rules_of
from opslifecycle_codegen.ir.types import INT, Type
from opslifecycle_codegen.modelcheck.layouts import Layouts
from opslifecycle_codegen.modelcheck.properties import WATCHES_ARE_OF_THE_LIVE
from opslifecycle_codegen.modelcheck.symbolic.examples import Example
from opslifecycle_codegen.modelcheck.symbolic.logic import outside
from opslifecycle_codegen.modelcheck.symbolic.rules import ActionResult, Rules
from opslifecycle_codegen.modelcheck.symbolic.shapes import Maybe, Shape
from opslifecycle_codegen.modelcheck.symbolic.solver import Refute, Solver
from opslifecycle_codegen.modelcheck.symbolic.terms import (
    Formula,
    at_most,
    below,
    both,
    either,
    ite,
    negated,
    same,
    variable,
)
from opslifecycle_codegen.modelcheck.symbolic.unbounded import (
    Counted,
    UnboundedWorld,
    UnboundedWorlds,
)

IN_ORDER = "rows_are_in_order_and_not_too_many"
#: The reason why a machine whose cursors delay eviction is not covered.
_HELD = "one call may evict any number of entries that cursors have held"


@define
class InductionResult:
    """The result of an induction."""

    #: The number of proved steps: properties of the initial state, and after each call.
    proved: int = 0
    possible: list[str] = field(factory=list)
    #: Failed steps, each with a counterexample in the machine's words.
    failed: list[str] = field(factory=list)
    #: Properties outside the logic, with the reason.
    outside: dict[str, str] = field(factory=dict)
    properties: list[str] = field(factory=list)


def induction(program: Program) -> InductionResult:
    """Prove the properties of a machine; raises ImportError if z3 is not installed."""
    if program.retention is not None and program.retention.held_by_cursors:
        machine = program.machine
        properties = [
            *map(str, [*machine.invariants, *machine.transition_invariants]),
            WATCHES_ARE_OF_THE_LIVE,
            IN_ORDER,
        ]
        return InductionResult(outside=dict.fromkeys(properties, _HELD))
    return _Induction(program).result()


class _Induction:
    def __init__(self, program: Program) -> None:
        self._solver = Solver()
        #: The arguments of the call that is examined, with their types.
        self._passed: dict[str, tuple[Type, Shape]] = {}
        self._rules = rules = Rules(program, Layouts(program), ("a",))
        self._unnamed = UnboundedWorlds(rules, self._solver.valid)
        self._world = self._unnamed.world()
        stated = (*program.invariants, *program.transition_invariants)
        rules.formulas.characters.name((*rules_of(program), *(each.tree for each in stated)))
        rules.now = variable("now", is_bool=False)
        self._unnamed.ranges.append(at_most(0, rules.now))
        reasons = {
            rule.name: outside(rule.tree)
            for rule in (*program.invariants, *program.transition_invariants)
        }
        self.outside = {name: reason for name, reason in reasons.items() if reason is not None}

    def result(self) -> InductionResult:
        """Everything."""
        found = InductionResult(outside=self.outside)
        before = dict(self._properties(self._world))
        found.properties = [*before, *(n for n, _ in self._steps(self._world, self._world))]
        given = self._solver.assuming(self._given())
        initial = self._initial()
        self._show(found, "the beginning", given, dict(self._properties(initial)), initial)
        for name, change in self._calls():
            world = self._world.copy()
            self._passed = {}
            answer = change(world)
            enabled, world = answer if isinstance(answer, tuple) else (answer, world)
            after = dict(self._properties(world)) | dict(self._steps(self._world, world))
            given = self._solver.assuming([*self._given(), *before.values(), enabled])
            if given(False) is None:
                found.failed.append(f"{name} is never possible")
                continue
            found.possible.append(name)
            self._show(found, name, given, after, world)
        return found

    def _show(
        self,
        found: InductionResult,
        call: str,
        refute: Refute,
        properties: dict[str, Formula],
        world: UnboundedWorld,
    ) -> None:
        for prop, formula in properties.items():
            model = refute(formula)
            if model is None:
                found.proved += 1
                continue
            text = f"{prop} is not preserved by {call}"
            if model.unknown:
                found.failed.append(f"{text}: {model.unknown}")
                continue
            before = None if call == "the beginning" else self._world
            example = Example(self._rules, model).lines(call, self._passed, before, world)
            found.failed.append("\n".join([f"{text}:", *(f"    {line}" for line in example)]))

    def _given(self) -> list[Formula]:
        settings = []
        for name, setting in self._rules.machine.settings.items():
            if setting.at_least is None:
                continue
            value = self._world.registry[self._rules.registry_fields.index(str(name))]
            least = value.value if isinstance(value, Maybe) else value
            settings.append(at_most(setting.at_least, least))
        return [*self._unnamed.ranges, *self._unnamed.known(self._world), *settings]

    # Properties ----------------------------------------------------------------------------------

    def _properties(self, world: UnboundedWorld) -> Iterator[tuple[str, Formula]]:
        names = self._unnamed.names(world)
        for rule in self._rules.program.invariants:
            if rule.name not in self.outside:
                yield rule.name, self._rules.formulas.truth(rule.tree, names)
        yield WATCHES_ARE_OF_THE_LIVE, both(*(
            either(negated(watched), both(record.there, self._rules.is_awaited(record.value)))
            for watched, record in zip(world.watched, world.records, strict=True)
        ))  # fmt: skip
        if self._rules.machine.feed is not None:
            yield IN_ORDER, both(*self._unnamed.orders(world))

    def _steps(
        self, before: UnboundedWorld, after: UnboundedWorld
    ) -> Iterator[tuple[str, Formula]]:
        stepping = self._rules.steps(
            (before.registry, before.cursors), (after.registry, after.cursors)
        )
        yield from ((name, each) for name, each in stepping if name not in self.outside)

    def _live(self, record: Maybe) -> Formula:
        return self._rules.is_in("live", record.value)

    def _initial(self) -> UnboundedWorld:
        """Return a new registry: it is empty, with arbitrary settings."""
        rules, world = self._rules, self._world.copy()
        initial = rules.program.registry_initial
        world.registry = tuple(
            rules.formulas.shape(initial[name], {}) if name in initial else value
            for value, name in zip(world.registry, rules.registry_fields, strict=True)
        )
        world.records = [Maybe(False, each.value) for each in world.records]
        world.rows = [(False, *row[1:]) for row in world.rows]
        world.rows_count = 0
        world.cursors = [0 for _ in world.cursors]
        world.barriers, world.watched = [], [False for _ in world.watched]
        world.counted = _Nothing()
        return world

    # Calls --------------------------------------------------------------------------------------

    def _calls(
        self,
    ) -> Iterator[tuple[str, Callable[[UnboundedWorld], Formula | tuple[Formula, UnboundedWorld]]]]:
        """Yield every call on the first named record, with arbitrary arguments."""
        program, machine = self._rules.program, self._rules.machine
        yield str(next(iter(machine.create.methods))), self._create
        for action in program.actions:
            yield action.name, self._acting(action.name, guarded=True)
        for each in program.bulk:
            name = each.command.name
            if each.action:
                yield f"each step of {name}", self._acting(each.action, guarded=False)
            if each.updates:
                yield f"the update of {name}", self._updating(each.updates)
        if machine.rollback is not None:
            yield str(machine.rollback.method), self._rollback
        if machine.erase is not None:
            yield str(machine.erase.method), self._erase
        if machine.collect is not None:
            yield str(machine.collect.method), self._collect
        if machine.watch is not None:
            yield str(machine.watch.method), self._watch
            yield DROP_WATCH, self._drop_watch
        if machine.cursors is not None:
            for place, consumer in enumerate(self._world.cursors):
                reader = getattr(consumer, "name", "")
                yield f"{machine.cursors.advance} of {reader}", self._advancing(place)
        if machine.barrier is not None:
            yield str(machine.barrier.method), self._wait
            yield DROP_BARRIER, self._drop_barrier
        if machine.recovery is not None:
            yield CRASH, self._crash

    def _arguments(self, params: dict[str, Type]) -> dict[str, Shape]:
        given = {n: self._unnamed.fresh(type, f"given_{n}") for n, type in params.items()}
        self._passed = {name: (params[name], value) for name, value in given.items()}
        return given

    def _put(self, world: UnboundedWorld, acted: ActionResult) -> None:
        world.registry = acted.registry
        world.records[0] = Maybe(True, acted.record)
        self._unnamed.apply_effects(world, acted.record, acted.effects)

    def _create(self, world: UnboundedWorld) -> Formula:
        arguments = self._arguments(self._rules.program.create.params)
        # A unique key is compared with those of the named records only. It then rejects less, and
        # what preserves the properties is more than what can happen.
        enabled = self._rules.may_create(world.registry, world.records, 0, arguments, are_all=False)
        self._put(world, self._rules.created(world.registry, 0, arguments))
        return both(enabled, same(self._rules.new_id(arguments), 0))

    def _acting(self, name: str, *, guarded: bool) -> Callable[[UnboundedWorld], Formula]:
        def act(world: UnboundedWorld) -> Formula:
            rules, record = self._rules, world.records[0]
            arguments = self._arguments(rules.action(name).params)
            enabled = both(record.there, self._live(record))
            if guarded:
                enabled = rules.may_act(name, world.registry, record, 0, arguments)
                enabled = both(enabled, self._asked(name, record))
            self._put(world, rules.acted(name, world.registry, record.value, arguments))
            return enabled

        return act

    def _asked(self, name: str, record: Maybe) -> Formula:
        """Return whether anything may ask for an action: without a method, a timer has to."""
        declared = next(a for n, a in self._rules.machine.actions.items() if n == name)
        timers = [timer for timer in self._rules.program.timers if timer.action == name]
        if declared.methods or not timers:
            return True
        return either(*(self._rules.is_set(timer, record) for timer in timers))

    def _updating(self, updates: tuple[Assignment, ...]) -> Callable[[UnboundedWorld], Formula]:
        def update(world: UnboundedWorld) -> Formula:
            names = {NOW: self._rules.now, "registry": world.registry}
            world.registry, _ = self._rules.updated(updates, names, world.registry)
            return True

        return update

    def _may(self, command: Command | None, world: UnboundedWorld) -> Formula:
        return self._rules.may(command, world.registry, world.records[0], 0)

    def _rollback(self, world: UnboundedWorld) -> Formula:
        record = world.records[0]
        enabled = self._may(self._rules.program.rollback, world)
        self._put(world, self._rules.rolled_back(world.registry, record, 0))
        return enabled

    def _erase(self, world: UnboundedWorld) -> Formula:
        enabled = self._may(self._rules.program.erase, world)
        self._unnamed.erase(world, True, 0)
        return enabled

    def _collect(self, world: UnboundedWorld) -> tuple[Formula, UnboundedWorld]:
        def ended(record: Maybe) -> Formula:
            return self._rules.is_in("terminal", record.value)

        after = world.without(ended)
        for place, record in enumerate(list(after.records)):
            self._unnamed.erase(after, ended(record), place)
        return self._rules.may_collect(world.registry), after

    def _watch(self, world: UnboundedWorld) -> Formula:
        record = world.records[0]
        world.watched[0] = either(world.watched[0], self._rules.is_awaited(record.value))
        return self._may(self._rules.program.watch, world)

    def _drop_watch(self, world: UnboundedWorld) -> Formula:
        world.watched[0] = False
        return True

    def _advancing(self, place: int) -> Callable[[UnboundedWorld], Formula]:
        def advance(world: UnboundedWorld) -> Formula:
            cursor = self._unnamed.fresh(INT, "given_cursor")
            self._passed = {"cursor": (INT, cursor)}
            stands = world.cursors[place]
            world.cursors[place] = ite(below(stands, cursor), cursor, stands)
            return self._rules.may_advance(world.registry, cursor)

        return advance

    def _wait(self, world: UnboundedWorld) -> Formula:
        """Return a barrier over some named records and any number of others."""
        _, asked, rest = self._unnamed.barrier("asked")
        known = [
            either(negated(each), record.there)
            for each, record in zip(asked, world.records, strict=True)
        ]
        members = [
            both(each, self._rules.is_awaited(record.value))
            for each, record in zip(asked, world.records, strict=True)
        ]
        waits = either(*members, below(0, rest))
        world.barriers = [*world.barriers, (waits, members, rest)]
        return both(self._rules.may_wait(world.registry), *known)

    def _drop_barrier(self, world: UnboundedWorld) -> Formula:
        world.barriers = []
        return True

    def _crash(self, world: UnboundedWorld) -> tuple[Formula, UnboundedWorld]:
        """Return the recovered world; ending interrupted records is a step of its own."""
        rules = self._rules

        def erased(record: Maybe) -> Formula:
            return negated(rules.is_kept(record))

        after = world.without(erased)
        for place, record in enumerate(list(after.records)):
            self._unnamed.erase(after, erased(record), place)
        after.registry = rules.recovered(after.registry, self._unnamed.names(after))
        after.barriers, after.watched = [], [False for _ in after.watched]
        return True, after


class _Nothing(dict[Counted, Formula]):
    """Counts of an empty set of other records."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: Counted) -> Formula:
        return 0
