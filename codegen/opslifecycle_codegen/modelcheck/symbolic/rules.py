"""What the rules of a machine come to on records of which anything may be unknown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from attrs import frozen

from opslifecycle_codegen.ir.program import Command, Program
from opslifecycle_codegen.ir.types import ACTION, ENTITY, REGISTRY, Type, collection
from opslifecycle_codegen.modelcheck.layouts import ACTION_FIELDS, Layouts
from opslifecycle_codegen.modelcheck.symbolic.formulas import Environment, Formulas, Known, Many
from opslifecycle_codegen.modelcheck.symbolic.shapes import Maybe, Shape, Shapes, merged
from opslifecycle_codegen.modelcheck.symbolic.terms import Formula, both, either, same
from opslifecycle_codegen.source import model
from opslifecycle_codegen.source.words import Expr, Text

Fields = tuple[Shape, ...]
#: The part of a state that properties of steps speak of: the registry's fields, and the cursors.
Stepping = tuple[Fields, Iterable[Formula]]


@frozen
class Acted:
    """What an action comes to: the registry, the record, and effects with when they follow."""

    registry: Fields
    record: Fields
    effects: tuple[tuple[Formula, str], ...]
    terminal: bool


class Rules:
    """The rules of one machine, as formulas."""

    def __init__(self, program: Program, layouts: Layouts, ids: tuple[str, ...]) -> None:
        self.program = program
        self.machine = program.machine
        self.symbols = program.symbols
        self.entity = str(program.machine.entity)
        self.layouts = layouts
        self.shapes = Shapes(program.symbols, layouts, ids)
        self.formulas = Formulas(layouts, self.shapes)
        self.fields = list(program.symbols.entity_fields)
        self.registry_fields = list(program.symbols.registry_fields)
        #: How a field of a record keeps its value; a scenario forgets what no rule looks at.
        self.kept: Callable[[Type, Shape], Shape] = lambda type, shape: shape
        self._guards = {str(name): guard for name, guard in self.machine.guards.items()}

    # Names --------------------------------------------------------------------------------------

    def names(
        self,
        registry: Fields,
        params: Mapping[str, Type],
        arguments: Mapping[str, Shape],
        record: Maybe | None = None,
        id: Formula = 0,
        action: Command | None = None,
    ) -> dict[str, Known]:
        """Return what the names of a command's rules stand for."""
        names = {"registry": Known(REGISTRY, registry)}
        names |= {name: Known(type, arguments[name]) for name, type in params.items()}
        if record is not None:
            names["id"] = Known(self.symbols.entity_fields["id"], id)
            names[self.entity] = Known(ENTITY, record)
        if action is not None:
            facts = (0, action.from_statuses, action.idempotent_in)
            names["action"] = Known(ACTION, facts)
            for (field, type), fact in zip(ACTION_FIELDS.items(), facts, strict=True):
                names[f"action.{field}"] = Known(type, fact)
        return names

    def many(self, records: Iterable[Maybe]) -> dict[str, Known]:
        """Return the name that all records have together."""
        members = Many(tuple((each.there, Maybe(True, each.value)) for each in records))
        return {f"{self.entity}s": Known(collection(ENTITY), members)}

    def cursors(self, cursors: Iterable[Formula], name: str = "cursors") -> dict[str, Known]:
        """Return the name that all cursors have together, if there are any."""
        enum = self.symbols.cursor_enum
        counts = Type("counts", inner=Type("enum", enum))
        return {name: Known(counts, tuple(cursors))} if enum else {}

    def steps(self, before: Stepping, after: Stepping) -> Iterator[tuple[str, Formula]]:
        """Yield what must hold between a registry with its cursors and what becomes of them."""
        names: dict[str, Known] = {}
        for when, (registry, cursors) in (("before", before), ("after", after)):
            names |= {when: Known(REGISTRY, registry), **self.cursors(cursors, f"{when}.cursors")}
        for name, prop in self.machine.transition_invariants.items():
            yield str(name), self.formulas.truth(prop.expr, names)

    # Parts of rules -----------------------------------------------------------------------------

    def allowed(self, guards: Iterable[str], names: Environment, *, always: bool = True) -> Formula:
        """Return whether no guard refuses."""
        first = [str(name) for name in self.machine.global_guards] if always else []
        return both(*(self._holds(self._guards[name], names) for name in [*first, *guards]))

    def _holds(self, guard: model.Guard, names: Environment) -> Formula:
        known = dict(names)
        for local, text in guard.let.items():
            known[str(local)] = self.formulas.shape(text, known)
        return self.formulas.truth(guard.when, known)

    def updated(
        self,
        declared: Mapping[Text, Expr],
        names: Mapping[str, Known],
        registry: Fields,
        record: Fields | None = None,
    ) -> tuple[Fields, Fields]:
        """Return what updates leave, each on what the ones before it have left."""
        now, fields = list(registry), list(record or ())
        for target, text in declared.items():
            owner, _, name = str(target).partition(".")
            known = {**names, "registry": Known(REGISTRY, tuple(now))}
            if record is not None:
                known[self.entity] = Known(ENTITY, Maybe(True, tuple(fields)))
            if owner == "registry":
                type = self.symbols.registry_fields[name]
                now[self.registry_fields.index(name)] = self.formulas.shape(text, known, type).shape
            else:
                type = self.symbols.entity_fields[name]
                shape = self.formulas.shape(text, known, type).shape
                fields[self.fields.index(name)] = self.kept(type, shape)
        return tuple(now), tuple(fields)

    def _stamp(self, fields: list[Any], when: str) -> None:
        for name, field in self.machine.fields.items():
            if field.stamped == when:
                fields[self.fields.index(str(name))] = 0

    def is_in(self, group: str, record: Fields) -> Formula:
        """Return whether a record's status is one of a group's."""
        enum = self.symbols.status_enum
        members = self.symbols.status_groups[group]
        return either(*(same(record[1], self.shapes.member(enum, each)) for each in members))

    # What is allowed ----------------------------------------------------------------------------

    def always(self, registry: Fields) -> Formula:
        """Return whether what is checked first of every command lets one through."""
        return self.allowed([], {"registry": Known(REGISTRY, registry)})

    def may_create(
        self, registry: Fields, record: Maybe, id: Formula, arguments: Mapping[str, Shape]
    ) -> Formula:
        """Return whether a record may be made in the place of this one."""
        names = self.names(registry, self.program.create.params, arguments, record, id)
        return self.allowed(map(str, self.machine.create.guards), names)

    def may_act(
        self, name: str, registry: Fields, record: Maybe, id: Formula, given: Mapping[str, Shape]
    ) -> Formula:
        """Return whether an action is not refused."""
        command, declared = self.action(name)
        checks = declared.guards if declared.guards is not None else self.machine.default_guards
        names = self.names(registry, command.params, given, record, id, command)
        return self.allowed(map(str, checks), names)

    def may_roll_back(self, registry: Fields, record: Maybe, id: Formula) -> Formula:
        """Return whether a record may be erased as if it had never been."""
        declared = self._rollback
        checks = declared.guards if declared.guards is not None else self.machine.default_guards
        names = self.names(registry, {}, {}, record, id, self.program.rollback)
        return self.allowed(map(str, checks), names)

    def may_erase(self, registry: Fields, record: Maybe, id: Formula) -> Formula:
        """Return whether a record may be erased."""
        declared = self.machine.erase
        assert declared is not None
        checks = declared.guards if declared.guards is not None else self.machine.default_guards
        names = self.names(registry, {}, {}, record, id, self.program.erase)
        return self.allowed(map(str, checks), names)

    def may_watch(self, registry: Fields, record: Maybe, id: Formula) -> Formula:
        """Return whether a record may be watched."""
        declared = self.machine.watch
        assert declared is not None
        names = self.names(registry, {}, {}, record, id)
        return self.allowed(map(str, declared.guards), names, always=False)

    # Commands -----------------------------------------------------------------------------------

    @property
    def _rollback(self) -> model.Rollback:
        assert self.machine.rollback is not None
        return self.machine.rollback

    def new_id(self, arguments: Mapping[str, Shape]) -> Formula:
        """Return the id of the record that creation makes."""
        params = self.program.create.params
        given = {name: Known(type, arguments[name]) for name, type in params.items()}
        id: Formula = self.formulas.shape(self.machine.create.id, given).shape
        return id

    def rolled_back(self, registry: Fields, record: Maybe) -> Acted:
        """Return what rolling back leaves; its effects erase the record."""
        names = {"registry": Known(REGISTRY, registry), self.entity: Known(ENTITY, record)}
        registry, fields = self.updated(self._rollback.update, names, registry, record.value)
        effects = tuple((True, str(effect)) for effect in self._rollback.effects)
        return Acted(registry, fields, effects, terminal=False)

    def recovered(self, registry: Fields, names: Environment) -> Fields:
        """Return the registry as the next process finds it."""
        declared = {str(name): each.recovered_as for name, each in self.machine.registry.items()}
        return tuple(
            self.formulas.shape(text, names).shape if (text := declared.get(name)) else value
            for name, value in zip(self.registry_fields, registry, strict=True)
        )

    def is_kept(self, record: Maybe) -> Formula:
        """Return whether a store keeps a record."""
        assert self.machine.recovery is not None
        names = {self.entity: Known(ENTITY, record)}
        return self.formulas.truth(self.machine.recovery.persist_if, names)

    def created(self, registry: Fields, id: Formula, arguments: Mapping[str, Shape]) -> Acted:
        """Return the record that creation makes."""
        declared, params = self.machine.create, self.program.create.params
        given = {name: Known(type, arguments[name]) for name, type in params.items()}
        types = self.symbols.entity_fields
        given["id"] = Known(types["id"], id)
        fields: list[Shape] = []
        for name, type in types.items():
            field = next((f for n, f in self.machine.fields.items() if n == name), None)
            value: Shape = None if type.optional else self.shapes.zero(type)
            if field is not None and field.initial is not None:
                value = self.formulas.shape(field.initial, given, type).shape
            fields.append(self.kept(type, value))
        fields[0] = id
        fields[1] = self.shapes.member(self.symbols.status_enum, str(declared.to))
        self._stamp(fields, "created")
        names = self.names(registry, params, arguments, Maybe(False, tuple(fields)), id)
        registry, record = self.updated(declared.update, names, registry, tuple(fields))
        effects = tuple((True, str(effect)) for effect in declared.effects)
        return Acted(registry, record, effects, terminal=False)

    def action(self, name: str) -> tuple[Command, model.Action]:
        """Return an action, as analysed and as declared."""
        command = next(each for each in self.program.actions if each.name == name)
        declared = next(each for key, each in self.machine.actions.items() if key == name)
        return command, declared

    def acted(
        self, name: str, registry: Fields, record: Fields, arguments: Mapping[str, Shape]
    ) -> Acted:
        """Return what an action leaves of a record that it is legal for."""
        command, declared = self.action(name)
        names = self.names(
            registry, command.params, arguments, Maybe(True, record), record[0], command
        )
        terminal = command.to in self.symbols.status_groups["terminal"]
        registry, record = self.updated(declared.update, names, registry, record)
        fields = list(record)
        self._stamp(fields, name)
        outcome: Shape = None
        if terminal:
            wanted = self.symbols.entity_fields["terminal_outcome"]
            outcome = self.shapes.member(self.symbols.status_enum, command.to)
            if declared.outcome is not None:
                # An outcome sees the record as its action has left it.
                record, id = tuple(fields), fields[0]
                names = self.names(
                    registry, command.params, arguments, Maybe(True, record), id, command
                )
                outcome = self.formulas.shape(declared.outcome, names, wanted).shape
        if command.to:
            fields[1] = self.shapes.member(self.symbols.status_enum, command.to)
        effects: list[tuple[Formula, str]] = [(True, str(each)) for each in declared.effects]
        if terminal:
            fields[self.fields.index("terminal_outcome")] = outcome
            self._stamp(fields, "terminal")
            registry, fields, more = self._ended(registry, fields)
            effects += more
        return Acted(registry, tuple(fields), tuple(effects), terminal)

    def _ended(
        self, registry: Fields, fields: list[Shape]
    ) -> tuple[Fields, list[Shape], list[tuple[Formula, str]]]:
        """Return what every end does besides, step by step."""
        effects: list[tuple[Formula, str]] = []
        for step in self.machine.on_terminal:
            names = {
                "registry": Known(REGISTRY, registry),
                self.entity: Known(ENTITY, Maybe(True, tuple(fields))),
            }
            test = self.formulas.truth(step.if_, names) if step.if_ is not None else True
            after, record = self.updated(step.update, names, registry, tuple(fields))
            registry = merged(test, after, registry)
            fields = list(merged(test, record, tuple(fields)))
            effects += [(test, str(effect)) for effect in step.effects]
        return registry, fields, effects
