"""The rules of a machine on symbolic records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from attrs import frozen

from opslifecycle_codegen.ir.built_ins import LIVE_PARENT
from opslifecycle_codegen.ir.program import Assignment, Check, Command, EndStep, Program, Timer
from opslifecycle_codegen.ir.times import NOW
from opslifecycle_codegen.ir.types import Type
from opslifecycle_codegen.modelcheck.layouts import Layouts
from opslifecycle_codegen.modelcheck.symbolic.formulas import Environment, Formulas, Many
from opslifecycle_codegen.modelcheck.symbolic.shapes import Maybe, Shape, Shapes, maybe, merged
from opslifecycle_codegen.modelcheck.symbolic.terms import Formula, both, either, ite, negated, same

Fields = tuple[Shape, ...]
#: The part of a state that properties of steps read: the registry's fields, and the cursors.
Stepping = tuple[Fields, Iterable[Formula]]


@frozen
class ActionResult:
    """The result of an action: the registry, the record, and each effect with its condition.

    `ends` is the condition that the record has ended.
    """

    registry: Fields
    record: Fields
    effects: tuple[tuple[Formula, str], ...]
    ends: Formula


class Rules:
    """The rules of one machine as formulas."""

    def __init__(self, program: Program, layouts: Layouts, ids: tuple[str, ...]) -> None:
        self.program = program
        self.machine = program.machine
        self.symbols = program.symbols
        self.entity = str(program.machine.entity)
        self.layouts = layouts
        self.shapes = Shapes(program.symbols, layouts, ids)
        self.formulas = Formulas(program, layouts, self.shapes)
        self.fields = list(program.symbols.entity_fields)
        self.registry_fields = list(program.symbols.registry_fields)
        #: The time of the command.
        self.now: Formula = 0
        #: Returns a value as a record's field holds it; a scenario drops parts that no rule reads.
        self.kept: Callable[[Type, Shape], Shape] = lambda type, shape: shape

    # Names --------------------------------------------------------------------------------------

    def names(
        self,
        registry: Fields,
        arguments: Mapping[str, Shape],
        record: Maybe | None = None,
        id: Formula = 0,
    ) -> dict[str, Shape]:
        """Return the bindings of the names in a command's rules."""
        names = {NOW: self.now, "registry": registry, **arguments}
        return names if record is None else {**names, "id": id, self.entity: record}

    def many(self, records: Iterable[Maybe]) -> dict[str, Shape]:
        """Return the binding of the collection of all records."""
        members = Many(tuple((each.there, Maybe(True, each.value)) for each in records))
        return {f"{self.entity}s": members}

    def steps(self, before: Stepping, after: Stepping) -> Iterator[tuple[str, Formula]]:
        """Yield the properties of a step, between the registry and cursors before and after it."""
        names: dict[str, Shape] = {}
        for when, (registry, cursors) in (("before", before), ("after", after)):
            names |= {when: registry, f"{when}.cursors": tuple(cursors)}
        for rule in self.program.transition_invariants:
            yield rule.name, self.formulas.truth(rule.tree, names)

    # Parts of rules -----------------------------------------------------------------------------

    def allowed(self, checks: Iterable[Check], names: Environment) -> Formula:
        """Return the condition that all checks pass."""
        known, found = dict(names), []
        for check in checks:
            for local, tree in check.lets:
                known[local] = self.formulas.shape(tree, known)
            found.append(self.formulas.truth(check.test, known))
        return both(*found)

    def _with_lets(self, checks: Iterable[Check], names: Environment) -> dict[str, Shape]:
        """Return the bindings with the `let` names of guards, for updates and outcomes."""
        known = dict(names)
        for check in checks:
            for local, tree in check.lets:
                known[local] = self.formulas.shape(tree, known)
        return known

    def updated(
        self,
        updates: Iterable[Assignment],
        names: Environment,
        registry: Fields,
        record: Fields | None = None,
    ) -> tuple[Fields, Fields]:
        """Return the fields after updates; each update reads the results of those before it."""
        now, fields = list(registry), list(record or ())
        for each in updates:
            known = {**names, "registry": tuple(now)}
            if record is not None:
                known[self.entity] = Maybe(True, tuple(fields))
            name = each.target.name
            of = self.symbols.entity_fields if each.of_record else self.symbols.registry_fields
            shape = self.shapes.held(of[name], self.formulas.shape(each.value, known))
            if each.of_record:
                fields[self.fields.index(name)] = self.kept(of[name], shape)
            else:
                now[self.registry_fields.index(name)] = shape
        return tuple(now), tuple(fields)

    def _stamp(self, fields: list[Shape], when: str) -> None:
        for name, field in self.machine.fields.items():
            if field.stamped == when:
                fields[self.fields.index(str(name))] = 0

    def is_in(self, group: str, record: Fields) -> Formula:
        """Return the condition that a record's status is in a group."""
        return self.has_status(self.symbols.status_groups[group], record)

    def is_awaited(self, record: Fields) -> Formula:
        """Return the condition that waits for a record are not over yet."""
        live = set(self.symbols.status_groups["live"]) - set(self.symbols.announced)
        return self.has_status(sorted(live), record)

    def has_status(self, statuses: Iterable[str], record: Fields) -> Formula:
        """Return the condition that a record has one of some statuses."""
        enum = self.symbols.status_enum
        return either(*(same(record[1], self.shapes.member(enum, each)) for each in statuses))

    def is_set(self, timer: Timer, record: Maybe) -> Formula:
        """Return whether a timer of a record is set, whenever it is due."""
        enum = self.symbols.status_enum
        members = [self.shapes.member(enum, each) for each in timer.statuses]
        in_status = either(*(same(record.value[1], each) for each in members))
        names: dict[str, Shape] = {self.entity: Maybe(True, record.value)}
        due = maybe(self.formulas.shape(timer.due, names)).there if not timer.after_ms else True
        return both(record.there, in_status, due)

    # What is allowed ----------------------------------------------------------------------------

    def may_create(
        self,
        registry: Fields,
        records: Sequence[Maybe],
        place: int,
        given: Mapping[str, Shape],
        *,
        are_all: bool = True,
    ) -> Formula:
        """Return the condition that a record may be created in a slot among records.

        If there may be other records, one of those may be the parent.
        """
        names = self.names(registry, given, records[place], place) | self.many(records)
        guards = self.program.create.guards
        return self.allowed((g for g in guards if are_all or g.guard != LIVE_PARENT), names)

    def may_act(
        self, name: str, registry: Fields, record: Maybe, id: Formula, given: Mapping[str, Shape]
    ) -> Formula:
        """Return the condition that an action is accepted."""
        return self.allowed(self.action(name).guards, self.names(registry, given, record, id))

    def may(self, command: Command | None, registry: Fields, record: Maybe, id: Formula) -> Formula:
        """Return the condition that a command whose only parameter is an id is accepted."""
        assert command is not None
        return self.allowed(command.guards, self.names(registry, {}, record, id))

    def may_collect(self, registry: Fields) -> Formula:
        """Return the condition that finished records may be collected."""
        assert self.program.collect is not None
        return self.allowed(self.program.collect.guards, self.names(registry, {}))

    def may_advance(self, registry: Fields, cursor: Formula) -> Formula:
        """Return the condition that a cursor may advance to a position."""
        assert self.program.cursors is not None
        return self.allowed(self.program.cursors.guards, self.names(registry, {"cursor": cursor}))

    def may_wait(self, registry: Fields) -> Formula:
        """Return the condition that the first checks of a barrier pass."""
        assert self.program.barrier is not None
        return self.allowed(self.program.barrier.first, self.names(registry, {}))

    # Commands -----------------------------------------------------------------------------------

    def new_id(self, arguments: Mapping[str, Shape]) -> Formula:
        """Return the id of a created record."""
        id: Formula = self.formulas.shape(self.program.create_id, {NOW: self.now, **arguments})
        return id

    def rolled_back(self, registry: Fields, record: Maybe, id: Formula) -> ActionResult:
        """Return the registry after a rollback; its effects erase the record."""
        command = self.program.rollback
        assert command is not None
        names = self._with_lets(command.guards, self.names(registry, {}, record, id))
        registry, fields = self.updated(command.updates, names, registry, record.value)
        return ActionResult(registry, fields, _always(command.effects), ends=False)

    def recovered(self, registry: Fields, names: Environment) -> Fields:
        """Return the recovered registry."""
        recovery = self.program.recovery
        assert recovery is not None
        return tuple(
            self.formulas.shape(recovery.fields[name], names) if name in recovery.fields else value
            for name, value in zip(self.registry_fields, registry, strict=True)
        )

    def is_kept(self, record: Maybe) -> Formula:
        """Return the condition that a store holds a record."""
        assert self.program.recovery is not None
        return self.formulas.truth(self.program.recovery.persist_if, {self.entity: record})

    def stays(self, record: Maybe) -> Formula:
        """Return the condition that a live record stays live at recovery."""
        recovery = self.program.recovery
        assert recovery is not None
        if recovery.stays is None:
            return False
        return self.formulas.truth(recovery.stays, {self.entity: record})

    def created(
        self, registry: Fields, id: Formula, arguments: Mapping[str, Shape]
    ) -> ActionResult:
        """Return a created record."""
        command, initial = self.program.create, self.program.initial
        given = {**self.names(registry, arguments), "id": id}
        fields: list[Shape] = []
        for name, type in self.symbols.entity_fields.items():
            value: Shape = None if type.optional else self.shapes.zero(type)
            if name in initial:
                value = self.shapes.held(type, self.formulas.shape(initial[name], given))
            fields.append(self.kept(type, value))
        fields[0] = id
        fields[1] = self.shapes.member(self.symbols.status_enum, command.to)
        self._stamp(fields, "created")
        names = self.names(registry, arguments, Maybe(False, tuple(fields)), id)
        # Keys are not held by other records, or the command would not have been accepted.
        names = self._with_lets(command.guards, names | self.many(()))
        updates = (*command.updates, *command.notes)
        registry, record = self.updated(updates, names, registry, tuple(fields))
        registry, fields, more = self._followed(command.steps, registry, list(record))
        effects = (*_always(command.effects), *more)
        return ActionResult(registry, tuple(fields), effects, ends=False)

    def action(self, name: str) -> Command:
        """Return an action by its name."""
        return next(each for each in self.program.actions if each.name == name)

    def acted(
        self, name: str, registry: Fields, record: Fields, arguments: Mapping[str, Shape]
    ) -> ActionResult:
        """Return the result of an action on a record in a legal status."""
        command = self.action(name)
        names = self.names(registry, arguments, Maybe(True, record), record[0])
        names = self._with_lets(command.guards, names)
        *others, last = [self._acted(way, names, registry, record) for way in command.ways]
        for target, result in reversed(list(zip(command.targets, others, strict=False))):
            assert target.test is not None
            last = _chosen(self.formulas.truth(target.test, names), result, last)
        return last

    def _acted(
        self, command: Command, given: Environment, registry: Fields, record: Fields
    ) -> ActionResult:
        """Return the result of one way of an action."""
        names, id = dict(given), record[0]
        updates = (*command.updates, *command.notes)
        registry, record = self.updated(updates, names, registry, record)
        fields = list(record)
        self._stamp(fields, command.name)
        effects = _always(command.effects)
        terminal = command.to in self.symbols.status_groups["terminal"]
        outcome: Shape = None
        if terminal and command.outcome is not None:
            # An outcome reads the record after the action's updates.
            now = Maybe(True, tuple(fields))
            names |= {"registry": registry, self.entity: now, "id": id}
            outcome = self.formulas.shape(command.outcome, names)
        if command.to:
            fields[1] = self.shapes.member(self.symbols.status_enum, command.to)
        if terminal:
            fields[self.fields.index("terminal_outcome")] = outcome
            self._stamp(fields, "terminal")
        steps = self.program.on_terminal if terminal else command.steps
        registry, fields, more = self._followed(steps, registry, fields)
        effects = (*effects, *more)
        return ActionResult(registry, tuple(fields), effects, ends=terminal)

    def _followed(
        self, steps: Iterable[EndStep], registry: Fields, fields: list[Shape]
    ) -> tuple[Fields, list[Shape], list[tuple[Formula, str]]]:
        """Return the result of steps."""
        effects: list[tuple[Formula, str]] = []
        for step in steps:
            names = {
                NOW: self.now, "registry": registry, self.entity: Maybe(True, tuple(fields))
            }  # fmt: skip
            test = self.formulas.truth(step.test, names) if step.test is not None else True
            after, record = self.updated(step.updates, names, registry, tuple(fields))
            registry = merged(test, after, registry)
            fields = list(merged(test, record, tuple(fields)))
            effects += [(test, effect) for effect in step.effects]
        return registry, fields, effects

    def row(self, record: Fields) -> Fields:
        """Return the fields of a record's feed entry."""
        names = {self.entity: Maybe(True, record)}
        return tuple(self.formulas.shape(tree, names) for _, tree in self.program.views.entry)

    def rows_max(self, registry: Fields) -> Formula:
        """Return the maximum number of retained feed entries."""
        assert self.program.retention is not None
        return self.formulas.truth(self.program.retention.max_entries, {"registry": registry})


def _chosen(test: Formula, one: ActionResult, other: ActionResult) -> ActionResult:
    """Return one result if a test is true, else another."""
    return ActionResult(
        merged(test, one.registry, other.registry),
        merged(test, one.record, other.record),
        (
            *((both(test, when), effect) for when, effect in one.effects),
            *((both(negated(test), when), effect) for when, effect in other.effects),
        ),
        ite(test, one.ends, other.ends),
    )


def _always(effects: Iterable[str]) -> tuple[tuple[Formula, str], ...]:
    return tuple((True, effect) for effect in effects)
