"""What each call makes of a world of formulas, and when it is not refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opslifecycle_codegen.proof.state import Call
from opslifecycle_codegen.slice_rules import CRASH, CRASH_DISCARDING, DROP_BARRIER, DROP_WATCH
from opslifecycle_codegen.symbolic.formulas import Known
from opslifecycle_codegen.symbolic.rules import Acted, Rules
from opslifecycle_codegen.symbolic.shapes import Maybe, Shape, merged
from opslifecycle_codegen.symbolic.terms import Formula, below, both, either, negated, pick
from opslifecycle_codegen.symbolic.world import Effects, World
from opslifecycle_codegen.types import ENTITY, REGISTRY, Type


class Calls:
    """The calls of one slice."""

    def __init__(self, rules: Rules, effects: Effects, ids: tuple[str, ...]) -> None:
        self._rules = rules
        self._effects = effects
        self._ids = ids
        self._ways = self._handlers()

    def made(self, world: World, call: Call) -> Formula:
        """Change a world as a call does; gives when the call is not refused."""
        return self._ways[call.method](world, call)

    def _handlers(self) -> dict[str, Callable[[World, Call], Formula]]:
        """Who makes what of each method."""
        program, machine = self._rules.program, self._rules.machine
        ways: dict[str, Callable[[World, Call], Formula]] = {
            CRASH: self._crash, CRASH_DISCARDING: self._crash,
            DROP_WATCH: self._drop_watch, DROP_BARRIER: self._drop_barrier,
        }  # fmt: skip
        ways |= {str(method): self._create for method in machine.create.methods}
        for name, action in machine.actions.items():
            ways |= {str(method): self._acting(str(name)) for method in action.methods}
        ways |= {each.command.name: self._for_all for each in program.for_all}
        for declared, way in (
            (machine.rollback, self._rollback), (machine.collect, self._collect),
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

    def _names(
        self, world: World, call: Call, params: dict[str, Type], action: Any = None
    ) -> dict[str, Known]:
        place = self._ids.index(call.id) if call.id is not None else 0
        record = world.records[place] if call.id is not None else None
        arguments = self._arguments(call, params)
        return self._rules.names(world.registry, params, arguments, record, place, action)

    def _settle(self, world: World, place: int, acted: Acted, when: Formula = True) -> None:
        """Put what an action has left in its place; its effects come afterwards."""
        old = world.records[place]
        there = either(old.there, when)
        world.registry = merged(when, acted.registry, world.registry)
        world.records[place] = Maybe(there, merged(when, acted.record, old.value))
        if acted.terminal:
            self._effects.note_end(world, when, place)

    def _create(self, world: World, call: Call) -> Formula:
        rules, params = self._rules, self._rules.program.create.params
        arguments = self._arguments(call, params)
        given = {name: Known(type, arguments[name]) for name, type in params.items()}
        place = rules.formulas.shape(rules.machine.create.id, given).shape
        names = rules.names(world.registry, params, arguments, world.records[place], place)
        enabled = rules.allowed(map(str, rules.machine.create.checks), names)
        acted = rules.created(world.registry, place, arguments)
        self._settle(world, place, acted)
        self._effects.carry_out(world, place, acted.record, acted.effects)
        return enabled

    def _acting(self, name: str) -> Callable[[World, Call], Formula]:
        def act(world: World, call: Call) -> Formula:
            rules, place = self._rules, self._ids.index(str(call.id))
            command, declared = rules.action(name)
            checks = declared.checks if declared.checks is not None else rules.machine.checks
            names = self._names(world, call, command.params, command)
            enabled = rules.allowed(map(str, checks), names)
            arguments = self._arguments(call, command.params)
            acted = rules.acted(name, world.registry, world.records[place].value, arguments)
            self._settle(world, place, acted)
            self._effects.carry_out(world, place, acted.record, acted.effects)
            return enabled

        return act

    def _for_all(self, world: World, call: Call) -> Formula:
        rules = self._rules
        each = next(e for e in rules.program.for_all if e.command.name == call.method)
        declared = next(e for n, e in rules.machine.for_all_live.items() if n == call.method)
        names = {"registry": Known(REGISTRY, world.registry)}
        unless = rules.formulas.truth(declared.unless, names) if declared.unless else False
        world.registry, _ = rules.updated(declared.update, names, world.registry)
        self._end_all(world, each.action, self._arguments(call, each.command.params))
        return negated(unless)

    def _end_all(self, world: World, action: str, arguments: dict[str, Shape]) -> None:
        """End every live record in the order of their ids, then carry all effects out."""
        changed = []
        for place, record in enumerate(list(world.records)):
            live = both(record.there, self._rules.is_in("live", record.value))
            acted = self._rules.acted(action, world.registry, record.value, arguments)
            self._settle(world, place, acted, live)
            changed.append((place, acted, live))
        for place, acted, live in changed:
            effects = tuple((both(live, when), effect) for when, effect in acted.effects)
            self._effects.carry_out(world, place, acted.record, effects)

    def _rollback(self, world: World, call: Call) -> Formula:
        rules, declared = self._rules, self._rules.machine.rollback
        assert declared is not None
        checks = declared.checks if declared.checks is not None else rules.machine.checks
        names = self._names(world, call, {}, rules.program.rollback)
        enabled = rules.allowed(map(str, checks), names)
        self._roll_back(world, self._ids.index(str(call.id)), True)
        return enabled

    def _roll_back(self, world: World, place: int, when: Formula) -> None:
        declared, record = self._rules.machine.rollback, world.records[place]
        assert declared is not None
        names = {
            "registry": Known(REGISTRY, world.registry),
            self._rules.entity: Known(ENTITY, record),
        }
        after, fields = self._rules.updated(declared.update, names, world.registry, record.value)
        world.registry = merged(when, after, world.registry)
        effects = tuple((when, str(effect)) for effect in declared.effects)
        self._effects.carry_out(world, place, fields, effects)

    def _collect(self, world: World, call: Call) -> Formula:
        enabled = self._always(world)
        for place, record in enumerate(list(world.records)):
            ended = both(record.there, self._rules.is_in("terminal", record.value))
            self._effects.erase(world, ended, place)
        return enabled

    def _always(self, world: World) -> Formula:
        return self._rules.allowed([], {"registry": Known(REGISTRY, world.registry)})

    def _advance(self, world: World, call: Call) -> Formula:
        given, rules = dict(call.arguments), self._rules
        place = rules.layouts.members(rules.symbols.cursor_enum).index(given["consumer"])
        watermark = world.registry[rules.registry_fields.index("watermark")]
        enabled = both(self._always(world), negated(below(watermark, given["cursor"])))
        stands, wanted = world.cursors[place], given["cursor"]
        world.cursors[place] = pick(below(stands, wanted), wanted, stands)
        return enabled

    # Waits and recovery -------------------------------------------------------------------------

    def _watch(self, world: World, call: Call) -> Formula:
        declared, place = self._rules.machine.watch, self._ids.index(str(call.id))
        assert declared is not None
        names = self._names(world, call, {})
        enabled = self._rules.allowed(map(str, declared.checks), names, always=False)
        live = self._rules.is_in("live", world.records[place].value)
        world.watched[place] = either(world.watched[place], live)
        return enabled

    def _drop_watch(self, world: World, call: Call) -> Formula:
        world.watched[self._ids.index(str(call.id))] = False
        return True

    def _wait(self, world: World, call: Call) -> Formula:
        given = dict(call.arguments)
        asked = [self._ids.index(id) for id in given["ids"]]
        slots = world.barriers[given["key"]]
        known = [world.records[place].there for place in asked]
        free = negated(slots[-1][0])
        enabled = both(self._always(world), len(set(asked)) == len(asked), free, *known)
        members: list[Formula] = [False] * len(self._ids)
        for place in asked:
            members[place] = self._rules.is_in("live", world.records[place].value)
        world.barriers[given["key"]] = self._effects.waiting(slots, members)
        return enabled

    def _drop_barrier(self, world: World, call: Call) -> Formula:
        key = dict(call.arguments)["key"]
        world.barriers[key] = self._effects.dropped(world.barriers[key])
        return True

    def _crash(self, world: World, call: Call) -> Formula:
        rules = self._rules
        recovery = rules.machine.recovery
        assert recovery is not None
        for place, record in enumerate(list(world.records)):
            keeps = rules.formulas.truth(recovery.keeps, {rules.entity: Known(ENTITY, record)})
            self._effects.erase(world, both(record.there, negated(keeps)), place)
        names = rules.many(world.records)
        world.registry = tuple(
            rules.formulas.shape(declared.recovered_as, names).shape
            if (declared := self._registry_field(name)) and declared.recovered_as else value
            for name, value in zip(rules.registry_fields, world.registry, strict=True)
        )  # fmt: skip
        zero = self._effects.fresh(lambda type, name: rules.shapes.zero(type))
        world.barriers, world.watched = zero.barriers, zero.watched
        if call.method == CRASH_DISCARDING:
            for place, record in enumerate(list(world.records)):
                live = both(record.there, rules.is_in("live", record.value))
                self._roll_back(world, place, live)
        elif recovery.do is not None:
            command, _ = rules.action(str(recovery.do))
            given = {str(name): text for name, text in recovery.with_.items()}
            self._end_all(world, command.name, {
                name: rules.formulas.shape(given[name], {}, type).shape if name in given else None
                for name, type in command.params.items()
            })  # fmt: skip
        return True

    def _registry_field(self, name: str) -> Any:
        found = (each for key, each in self._rules.machine.registry.items() if key == name)
        return next(found, None)
