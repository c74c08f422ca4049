"""Stage 3, analyze: reserved words and duplicate names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from opslifecycle_codegen.analysis.reserved import refuse_reserved
from opslifecycle_codegen.base.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.ir.feeds import feeds_transitions
from opslifecycle_codegen.ir.naming import public_methods
from opslifecycle_codegen.ir.program import Command
from opslifecycle_codegen.ir.public_names import public_names
from opslifecycle_codegen.ir.symbols import snake
from opslifecycle_codegen.source import model
from opslifecycle_codegen.source.words import Name, Text


def check_names(machine: model.Machine, diagnostics: Diagnostics) -> None:
    """Report reserved words and duplicate names."""
    rules = _Names(machine, diagnostics)
    rules.reserved()
    rules.types()
    rules.methods()
    rules.lets()
    rules.others()


def check_create(machine: model.Machine, create: Command, diagnostics: Diagnostics) -> None:
    """Report methods of `create` that omit a required parameter."""
    for method, words in machine.create.methods.items():
        for param in words:
            if param not in machine.create.params:
                hint = nearest(param, machine.create.params)
                message = f"{method} takes {str(param)!r}, which is not declared"
                diagnostics.add(param.mark, "unknown-name", message, hint)
        for name, type in create.params.items():
            if name not in words and not type.optional and name not in create.defaults:
                message = f"{method} leaves out {name}, which every new record needs"
                hint = f"add {name} to the list, or give it a default, or a type with `| None`"
                diagnostics.add(method.mark, "missing-parameter", message, hint)


class _Names:
    def __init__(self, machine: model.Machine, diagnostics: Diagnostics) -> None:
        self._machine = machine
        self._diagnostics = diagnostics

    def reserved(self) -> None:
        """Report names that generated code reserves at their position."""
        for where, names in self._positions():
            refuse_reserved(where, names, self._diagnostics)
        for name in self._machine.create.params:
            if name == "id" and self._machine.create.id.strip() != "id":
                message = "'id' is the id of the new record: `create.id` must be `id`, too"
                self._diagnostics.add(name.mark, "reserved-name", message, "choose another")

    def _positions(self) -> Iterator[tuple[str, Iterable[Text]]]:
        machine = self._machine
        yield "a type", [*self._types(), *self._given_names()]
        yield "the entity", [machine.entity]
        actions, classifiers = machine.actions.values(), machine.classifiers.values()
        yield "a parameter of an action", (n for each in actions for n in each.params)
        yield "a parameter of a classifier", (n for each in classifiers for n in each.params)
        yield "a parameter of `create`", machine.create.params
        yield "a `let` of a guard", (n for guard in machine.guards.values() for n in guard.let)
        of_guards = (n for guard in machine.guards.values() for n in guard.params)
        yield "a parameter of a guard", of_guards
        yield "a field of a record", machine.fields
        yield "a setting", machine.settings
        yield "a field of the registry, or a setting", [*machine.registry, *machine.settings]
        facts = (rejection.fields for rejection in machine.errors.values())
        yield "a field of an error", (name for each in facts for name in each)
        yield "a property of the statuses", machine.statuses.properties
        properties = [machine.statuses.properties]
        properties += [enum.properties for enum in machine.enums.values()]
        yield "a property of a closed set", (name for each in properties for name in each)
        if machine.barrier is not None:
            yield "the key of a barrier", machine.barrier.key
        if machine.unique:
            where = "a parameter or a `let` of a `create` that checks unique keys"
            guards = [*machine.global_guards, *machine.create.guards]
            declared = (machine.guards[each] for each in guards if each in machine.guards)
            yield where, [*machine.create.params, *(name for each in declared for name in each.let)]

    def _types(self) -> list[Text]:
        """Return every type name that the machine declares."""
        machine = self._machine
        types: list[Text] = [
            *machine.ids,
            *machine.types,
            *machine.enums,
            *machine.values,
            *(name for value in machine.values.values() for name in value.variants),
            *(rejection.class_ for rejection in machine.errors.values()),
        ]
        if machine.feed is not None:
            types += [machine.feed.batch, machine.feed.entry.name]
        if machine.barrier is not None:
            types += [machine.barrier.wait, machine.barrier.result, machine.barrier.token]
        if machine.cursors is not None and machine.cursors.cache is not None:
            types.append(machine.cursors.cache)
        return types

    def _given_names(self) -> list[Text]:
        """Return the declared names of classes that every machine has."""
        given = self._machine.names
        keys = (field.name for field in attrs.fields(model.Names) if field.name != "mark")
        return [name for key in keys if given and (name := getattr(given, key)) is not None]

    def types(self) -> None:
        """Report classes with one name, including those named after the entity."""
        machine = self._machine
        made = public_names(machine)
        given = machine.names
        keys = ("interface", "registry", "async_registry", "base", "snapshot", "watch", "status")
        generated = [
            (given and getattr(given, key)) or Text(getattr(made, key), machine.entity.mark)
            for key in (*keys, "effect", "record", "authority")
        ]
        generated.append(Text(made.reads, machine.entity.mark))
        if machine.effects or machine.history or feeds_transitions(machine):
            generated.append((given and given.action) or Text(made.action, machine.entity.mark))
        if machine.listing is not None and machine.listing.orders is not None:
            generated.append(Text(made.order, machine.entity.mark))
        if machine.effects:
            messages = (made.outbox_message, made.dead_letter)
            generated += [Text(each, machine.entity.mark) for each in messages]
        declared = self._types()
        self._no_collisions([*generated, *declared], "type")
        values = [*machine.values]
        values += [name for value in machine.values.values() for name in value.variants]
        spelled: dict[str, Text] = {}
        for name in values:
            other = spelled.setdefault(snake(name), name)
            if other != name:
                message = f"{name} and {other} are both {snake(name)!r} in JSON and in functions"
                hint = f"the other is at line {other.mark.line}"
                self._diagnostics.add(name.mark, "name-collision", message, hint)

    def methods(self) -> None:
        """Report public methods with one name, and commands of the authority with one name."""
        machine = self._machine
        public = list(public_methods(machine))
        self._no_collisions(public, "method")
        acted = {method for each in machine.actions.values() for method in each.methods}
        acted |= set(machine.create.methods)
        others = [method for method in public if method not in acted]
        self._no_collisions([*machine.actions, *others], "command of the authority")

    def lets(self) -> None:
        """Report a `let` that hides a parameter of a command with its guard."""
        machine = self._machine
        commands: list[tuple[dict[Name, object], list[Name]]] = [
            ({**machine.create.params}, [*machine.global_guards, *machine.create.guards])
        ]
        for action in machine.actions.values():
            own = action.guards if action.guards is not None else machine.default_guards
            commands.append(({**action.params}, [*machine.global_guards, *own]))
        if machine.cursors is not None:
            mark = machine.cursors.advance.mark
            given: dict[Name, object] = {Name(n, mark): None for n in ("consumer", "cursor")}
            commands.append((given, [*machine.global_guards]))
        for takes, guards in commands:
            for guard in guards:
                declared = machine.guards.get(guard)
                lets = [] if declared is None else list(declared.let)
                self._no_collisions([*takes, *lets], "parameter and each `let`")
                if declared is not None:
                    self._no_collisions([*declared.params, *lets], "parameter and each `let`")
                if lets and guards.count(guard) > 1:
                    message = f"{guard} is asked twice, and its `let` would have two values"
                    hint = "write what it names into its `when`"
                    self._diagnostics.add(guard.mark, "name-collision", message, hint)
        lets = [name for guard in machine.guards.values() for name in guard.let]
        taken = [name for action in machine.actions.values() for name in action.params]
        taken += [name for each in machine.classifiers.values() for name in each.params]
        taken += [name for guard in machine.guards.values() for name in guard.params]
        for name in (*machine.create.params, *taken, *lets):
            if name == machine.entity:
                message = f"{name} is what expressions call the record"
                hint = f"the entity is at line {machine.entity.mark.line}"
                self._diagnostics.add(name.mark, "name-collision", message, hint)

    def others(self) -> None:
        """Report duplicate names of invariants and step properties."""
        machine = self._machine
        self._no_collisions(
            [*machine.invariants, *machine.transition_invariants], "invariant and each step"
        )

    def _no_collisions(self, names: Iterable[Text], what: str) -> None:
        seen: dict[str, Text] = {}
        for name in names:
            first = seen.setdefault(str(name), name)
            if first.mark != name.mark:
                message = f"{name} names two things: each {what} needs a name of its own"
                hint = f"the other is at line {first.mark.line}"
                self._diagnostics.add(name.mark, "name-collision", message, hint)
