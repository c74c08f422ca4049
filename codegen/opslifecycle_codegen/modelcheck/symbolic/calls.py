"""The calls of a scenario as formulas: the result of each, and its precondition."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from opslifecycle_codegen.analysis.scenario_rules import (
    CRASH,
    CRASH_DISCARDING,
    DROP_BARRIER,
    DROP_WATCH,
)
from opslifecycle_codegen.ir.program import Choice, Command, Timer, named_timers
from opslifecycle_codegen.ir.types import Type
from opslifecycle_codegen.modelcheck.state import Call
from opslifecycle_codegen.modelcheck.symbolic.rules import ActionResult, Rules
from opslifecycle_codegen.modelcheck.symbolic.shapes import Maybe, Shape, merged
from opslifecycle_codegen.modelcheck.symbolic.terms import (
    Formula,
    below,
    both,
    either,
    ite,
    negated,
)
from opslifecycle_codegen.modelcheck.symbolic.world import Effects, World


class Calls:
    """The calls of one scenario."""

    def __init__(self, rules: Rules, effects: Effects, ids: tuple[str, ...]) -> None:
        self._rules = rules
        self._effects = effects
        self._ids = ids
        self._ways = self._handlers()

    def made(self, world: World, call: Call) -> Formula:
        """Apply a call to a world; return the condition under which it is accepted."""
        return self._ways[call.method](world, call)

    def _handlers(self) -> dict[str, Callable[[World, Call], Formula]]:
        """Return the function that applies each method."""
        program, machine = self._rules.program, self._rules.machine
        ways: dict[str, Callable[[World, Call], Formula]] = {
            CRASH: self._crash, CRASH_DISCARDING: self._crash,
            DROP_WATCH: self._drop_watch, DROP_BARRIER: self._drop_barrier,
        }  # fmt: skip
        ways |= {str(method): self._create for method in machine.create.methods}
        for name, action in machine.actions.items():
            ways |= {str(method): self._acting(str(name)) for method in action.methods}
        ways |= {
            name: self._firing(timers) for name, timers in named_timers(program.timers).items()
        }
        ways |= {each.name: self._choosing(each) for each in program.choices}
        ways |= {each.command.name: self._bulk for each in program.bulk}
        for declared, way in (
            (machine.rollback, self._rollback), (machine.erase, self._erase),
            (machine.collect, self._collect),
            (machine.watch, self._watch), (machine.barrier, self._wait),
        ):  # fmt: skip
            if declared is not None:
                ways[str(declared.method)] = way
        if machine.cursors is not None:
            ways[str(machine.cursors.advance)] = self._advance
        return ways

    def _arguments(self, call: Call, params: dict[str, Type]) -> dict[str, Shape]:
        given = dict(call.arguments)
        return {n: self._rules.shapes.constant(t, given.get(n)) for n, t in params.items()}

    def _store_result(
        self, world: World, place: int, acted: ActionResult, when: Formula = True
    ) -> None:
        """Store the result of an action in a world, then apply its effects."""
        old = world.records[place]
        there = either(old.there, when)
        world.registry = merged(when, acted.registry, world.registry)
        world.records[place] = Maybe(there, merged(when, acted.record, old.value))
        if acted.ends is not False:
            self._effects.note_end(world, both(when, acted.ends), place)

    def _create(self, world: World, call: Call) -> Formula:
        arguments = self._arguments(call, self._rules.program.create.params)
        place = self._rules.new_id(arguments)
        assert isinstance(place, int)
        enabled = self._rules.may_create(world.registry, world.records, place, arguments)
        acted = self._rules.created(world.registry, place, arguments)
        self._store_result(world, place, acted)
        self._effects.apply_effects(world, place, acted.record, acted.effects)
        return enabled

    def _acting(self, name: str) -> Callable[[World, Call], Formula]:
        def act(world: World, call: Call) -> Formula:
            place = self._place(call)
            record = world.records[place]
            arguments = self._arguments(call, self._rules.action(name).params)
            enabled = self._rules.may_act(name, world.registry, record, place, arguments)
            acted = self._rules.acted(name, world.registry, record.value, arguments)
            self._store_result(world, place, acted)
            self._effects.apply_effects(world, place, acted.record, acted.effects)
            return enabled

        return act

    def _choosing(self, choice: Choice) -> Callable[[World, Call], Formula]:
        def choose(world: World, call: Call) -> Formula:
            place = self._place(call)
            before, registry = world.records[place], world.registry
            arguments = self._arguments(call, choice.first.params)
            enabled: list[Formula] = []
            for action, statuses in choice.actions:
                may = self._rules.may_act(action.name, registry, before, place, arguments)
                taken = both(before.there, self._rules.has_status(statuses, before.value), may)
                acted = self._rules.acted(action.name, registry, before.value, arguments)
                self._store_result(world, place, acted, taken)
                effects = tuple((both(taken, when), effect) for when, effect in acted.effects)
                self._effects.apply_effects(world, place, acted.record, effects)
                enabled.append(taken)
            return either(*enabled)

        return choose

    def _firing(self, timers: Sequence[Timer]) -> Callable[[World, Call], Formula]:
        act = self._acting(timers[0].action)

        def fire(world: World, call: Call) -> Formula:
            record = world.records[self._place(call)]
            is_set = either(*(self._rules.is_set(each, record) for each in timers))
            return both(is_set, act(world, call))

        return fire

    def _place(self, call: Call) -> int:
        return self._ids.index(str(call.id))

    def _bulk(self, world: World, call: Call) -> Formula:
        rules = self._rules
        each = next(e for e in rules.program.bulk if e.command.name == call.method)
        names = {"registry": world.registry}
        unless = rules.formulas.truth(each.unless, names) if each.unless is not None else False
        world.registry, _ = rules.updated(each.updates, names, world.registry)
        if each.action:
            self._end_all(world, each.action, self._arguments(call, each.command.params))
        return negated(unless)

    def _end_all(
        self,
        world: World,
        action: str,
        arguments: dict[str, Shape],
        stays: Callable[[Maybe], Formula] = lambda record: False,
    ) -> None:
        """End every live record in the order of their ids, then apply all effects."""
        changed = []
        for place, record in enumerate(list(world.records)):
            live = both(record.there, self._rules.is_in("live", record.value))
            live = both(live, negated(stays(record)))
            acted = self._rules.acted(action, world.registry, record.value, arguments)
            self._store_result(world, place, acted, live)
            changed.append((place, acted, live))
        for place, acted, live in changed:
            effects = tuple((both(live, when), effect) for when, effect in acted.effects)
            self._effects.apply_effects(world, place, acted.record, effects)

    def _may(self, command: Command | None, world: World, place: int) -> Formula:
        return self._rules.may(command, world.registry, world.records[place], place)

    def _rollback(self, world: World, call: Call) -> Formula:
        place = self._place(call)
        enabled = self._may(self._rules.program.rollback, world, place)
        self._roll_back(world, place, True)
        return enabled

    def _roll_back(self, world: World, place: int, when: Formula) -> None:
        acted = self._rules.rolled_back(world.registry, world.records[place], place)
        world.registry = merged(when, acted.registry, world.registry)
        effects = tuple((both(when, always), effect) for always, effect in acted.effects)
        self._effects.apply_effects(world, place, acted.record, effects)

    def _erase(self, world: World, call: Call) -> Formula:
        place = self._place(call)
        enabled = self._may(self._rules.program.erase, world, place)
        self._effects.erase(world, True, place)
        return enabled

    def _collect(self, world: World, call: Call) -> Formula:
        enabled = self._rules.may_collect(world.registry)
        for place, record in enumerate(list(world.records)):
            ended = both(record.there, self._rules.is_in("terminal", record.value))
            self._effects.erase(world, ended, place)
        return enabled

    def _advance(self, world: World, call: Call) -> Formula:
        given, rules = dict(call.arguments), self._rules
        place = rules.layouts.members(rules.symbols.cursor_enum).index(given["consumer"])
        enabled = rules.may_advance(world.registry, given["cursor"])
        stands, wanted = world.cursors[place], given["cursor"]
        world.cursors[place] = ite(below(stands, wanted), wanted, stands)
        self._effects.evict_passed(world)
        return enabled

    # Waits and recovery -------------------------------------------------------------------------

    def _watch(self, world: World, call: Call) -> Formula:
        place = self._place(call)
        record = world.records[place]
        awaited = self._rules.is_awaited(record.value)
        world.watched[place] = either(world.watched[place], awaited)
        return self._may(self._rules.program.watch, world, place)

    def _drop_watch(self, world: World, call: Call) -> Formula:
        world.watched[self._place(call)] = False
        return True

    def _wait(self, world: World, call: Call) -> Formula:
        given = dict(call.arguments)
        asked = [self._ids.index(id) for id in given["ids"]]
        slots = world.barriers[given["key"]]
        known = [world.records[place].there for place in asked]
        free = negated(slots[-1][0])
        enabled = both(
            self._rules.may_wait(world.registry), len(set(asked)) == len(asked), free, *known
        )
        members: list[Formula] = [False] * len(self._ids)
        for place in asked:
            members[place] = self._rules.is_awaited(world.records[place].value)
        world.barriers[given["key"]] = self._effects.waiting(slots, members)
        return enabled

    def _drop_barrier(self, world: World, call: Call) -> Formula:
        key = dict(call.arguments)["key"]
        world.barriers[key] = self._effects.dropped(world.barriers[key])
        return True

    def _crash(self, world: World, call: Call) -> Formula:
        rules = self._rules
        recovery = rules.program.recovery
        assert recovery is not None
        for place, record in enumerate(list(world.records)):
            gone = both(record.there, negated(rules.is_kept(record)))
            self._effects.erase(world, gone, place)
        world.registry = rules.recovered(world.registry, rules.many(world.records))
        zero = self._effects.fresh(lambda type, name: rules.shapes.zero(type))
        world.barriers, world.watched = zero.barriers, zero.watched
        if call.method == CRASH_DISCARDING:
            for place, record in enumerate(list(world.records)):
                live = both(record.there, rules.is_in("live", record.value))
                self._roll_back(world, place, live)
        elif recovery.command is not None:
            given = recovery.command.given.items()
            self._end_all(world, recovery.command.action, {
                name: rules.formulas.shape(tree, {}) for name, tree in given
            }, rules.stays)  # fmt: skip
        return True
