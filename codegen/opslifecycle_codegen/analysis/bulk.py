"""Stage 3, analyze: the commands of the whole registry, one of them at recovery."""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve

from opslifecycle_codegen.analysis.commands import Commands
from opslifecycle_codegen.base.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression, Root, roots_in, with_given
from opslifecycle_codegen.ir.program import Assignment, Bulk, Command, Recovery
from opslifecycle_codegen.ir.scope import Scope
from opslifecycle_codegen.ir.symbols import Symbols
from opslifecycle_codegen.ir.types import BOOL, ENTITY, Type, collection
from opslifecycle_codegen.source import command_model, model
from opslifecycle_codegen.source.words import Expr, Name, Text

Compile = Callable[[Expr, Scope, Type | None], Expression]


class BulkCommands:
    """Analyses the commands that change the registry's fields and may end every live record."""

    def __init__(
        self, machine: model.Machine, symbols: Symbols, commands: Commands,
        actions: tuple[Command, ...], compiled: Compile, found: Diagnostics,
    ) -> None:  # fmt: skip
        self._machine = machine
        self._symbols = symbols
        self._commands = commands
        self._actions = actions
        self._compile = compiled
        self._diagnostics = found
        record = nodes.Name(ENTITY, Root.RECORD, str(machine.entity))
        self._of_record = Scope(symbols, {machine.entity: record})

    def bulk(self, name: Name, declared: command_model.Bulk) -> Bulk:
        """Return a command of the whole registry."""
        scope = self._commands.base_scope({})
        unless = self._compile(declared.unless, scope, BOOL) if declared.unless else None
        updates = self._commands.changes.updates(declared.update, scope)
        if declared.do is not None:
            return self._ending(name, declared, declared.do, unless, updates)
        if not declared.update:
            message = f"{name} does nothing: it has neither `do` nor `update`"
            self._diagnostics.add(name.mark, "missing-key", message)
        command = Command(str(name), str(name), declared.summary, {})
        return Bulk(command, "", unless, updates, declared.optional)

    def _ending(
        self, name: Name, declared: command_model.Bulk, do: Name,
        unless: Expression | None, updates: tuple[Assignment, ...],
    ) -> Bulk:  # fmt: skip
        """Return a command that applies one action to every live record."""
        action = next((each for each in self._actions if each.name == do), None)
        if action is None:
            hint = nearest(do, self._machine.actions)
            message = f"there is no action {str(do)!r}"
            self._diagnostics.add(do.mark, "unknown-action", message, hint)
            action = Command(str(name), str(name), "", {})
        elif set(action.from_statuses) != set(self._symbols.status_groups["live"]):
            message = f"{action.name} is not legal from every live status"
            self._diagnostics.add(do.mark, "not-total", message)
        elif len(self._machine.actions[Name(action.name, declared.mark)].to) > 1:
            message = f"{action.name} has several targets; {name} needs an action with one"
            self._diagnostics.add(do.mark, "not-total", message)
        elif not self._ends(action):
            message = f"{action.name} must lead to a terminal status and have no updates"
            self._diagnostics.add(do.mark, "not-total", message)
        elif self._machine.actions[Name(action.name, declared.mark)].guards is not None:
            message = f"{action.name} has guards of its own, so it could be rejected"
            self._diagnostics.add(do.mark, "not-total", message)
        elif any(way.outcome and Root.LOCAL in roots_in(way.outcome) for way in action.ways):
            message = f"the outcome of {action.name} reads a `let`, and {name} checks no guards"
            hint = "write the expression of the `let` in the outcome"
            self._diagnostics.add(do.mark, "not-total", message, hint)
        way = action.ways[0]
        command = Command(
            str(name), str(name), declared.summary, action.params, to=way.to,
            outcome=way.outcome, effects=action.effects, notes=action.notes,
            entry=action.entry, defaults=action.defaults, keywords=action.keywords,
            targets=action.targets,
        )  # fmt: skip
        return Bulk(command, action.name, unless, updates, declared.optional)

    def _ends(self, action: Command) -> bool:
        """Return whether an action does nothing but end its record."""
        terminal = self._symbols.status_groups["terminal"]
        return all(way.to in terminal and not way.updates for way in action.ways)

    def recovery(self) -> Recovery | None:
        """Return what a store holds, and what ends interrupted records."""
        declared = self._machine.recovery
        if declared is None:
            return None
        keeps = self._compile(declared.persist_if, self._of_record, BOOL)
        command = self._interrupted(declared, declared.do) if declared.do else None
        stays = None
        if declared.unless is not None:
            stays = self._compile(declared.unless, self._of_record, BOOL)
        return Recovery(keeps, command, stays, self._recovered_fields())

    def _interrupted(self, declared: model.Recovery, do: Name) -> Bulk:
        """Return the command that ends interrupted records at recovery."""
        name = Name("recover_interrupted", declared.mark)
        doing = command_model.Bulk(
            mark=declared.mark, do=do,
            summary=Text("End what was live when its process was gone.", declared.mark),
        )  # fmt: skip
        bulk = self.bulk(name, doing)
        names: dict[str, Expression] = {}
        for param, type in bulk.command.params.items():
            expr = next((e for n, e in declared.with_.items() if n == param), None)
            if expr is None and param in bulk.command.defaults:
                names[param] = bulk.command.defaults[param]
            elif expr is None:
                message = f"{do} takes {param}: say it under `with`"
                self._diagnostics.add(declared.mark, "missing-key", message)
            else:
                given = self._compile(expr, Scope(self._symbols, {}), type)
                names[param] = evolve(given, type=type)
        for word in declared.with_:
            if word not in bulk.command.params:
                hint = nearest(word, bulk.command.params)
                message = f"{do} does not take {str(word)!r}"
                self._diagnostics.add(word.mark, "unknown-name", message, hint)
        action = next((a for n, a in self._machine.actions.items() if n == do), None)
        outcome = bulk.command.outcome
        declared_outcome = action.end() if action is not None else None
        if declared_outcome is not None:
            kind = self._symbols.entity_fields["terminal_outcome"].required
            tree = self._compile(declared_outcome, Scope(self._symbols, names), kind)
            outcome = nodes.decided(tree)

        def given_to(way: Command) -> Command:
            notes = tuple(evolve(n, value=with_given(n.value, names)) for n in way.notes)
            entry = with_given(way.entry, names) if way.entry is not None else None
            return evolve(way, outcome=outcome, notes=notes, entry=entry)

        command = evolve(given_to(bulk.command), params={}, defaults={})
        return evolve(bulk, command=command.with_ways(given_to), given=names)

    def _recovered_fields(self) -> dict[str, Expression]:
        """Return the registry fields that are not stored, because recovery derives them."""
        many = nodes.Name(collection(ENTITY), Root.RECORDS, f"{self._machine.entity}s")
        scope = Scope(self._symbols, {f"{self._machine.entity}s": many})
        return {
            str(name): self._compile(field.recovered_as, scope, self._symbols.registry_fields[name])
            for name, field in self._machine.registry.items()
            if field.recovered_as is not None
        }
