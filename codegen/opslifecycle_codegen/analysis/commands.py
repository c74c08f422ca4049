"""Stage 3, analyze: commands, each with guards and updates in its own scope."""

from __future__ import annotations

from collections.abc import Mapping

from opslifecycle_codegen.analysis.changes import Changes
from opslifecycle_codegen.analysis.defaults import Defaults, keywords_of
from opslifecycle_codegen.analysis.expressions import compile_expression
from opslifecycle_codegen.analysis.guards import Guards
from opslifecycle_codegen.analysis.resolve import Resolver, action_label
from opslifecycle_codegen.analysis.returned import returned
from opslifecycle_codegen.analysis.targets import Targets
from opslifecycle_codegen.base.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.built_ins import BARRIER_CHECKS
from opslifecycle_codegen.ir.expr import Expression, Root
from opslifecycle_codegen.ir.messages import create_word
from opslifecycle_codegen.ir.program import BarrierAdmission, Check, Command
from opslifecycle_codegen.ir.scope import Scope
from opslifecycle_codegen.ir.symbols import Symbols
from opslifecycle_codegen.ir.times import NOW, now
from opslifecycle_codegen.ir.types import (
    ACTION,
    BOOL,
    ENTITY,
    INT,
    NONE,
    REGISTRY,
    STATUSES,
    STR,
    Type,
    optional,
)
from opslifecycle_codegen.source import command_model, model
from opslifecycle_codegen.source.words import Expr, Name, NameList, Text, TypeExpr


class Commands:
    """Analyses the commands of a machine."""

    def __init__(
        self, machine: model.Machine, symbols: Symbols, resolver: Resolver, found: Diagnostics
    ) -> None:
        self._machine = machine
        self._symbols = symbols
        self._resolver = resolver
        self._diagnostics = found
        self.guards = Guards(machine, resolver, found)
        self.changes = Changes(machine, symbols, found)
        self._targets = Targets(machine, symbols, resolver, self.changes, found)
        self.defaults = Defaults(symbols, found)

    # Scopes -------------------------------------------------------------------------------------

    def base_scope(
        self, params: Mapping[str, Type], *, operation: Type | None = None, timed: bool = True
    ) -> Scope:
        """Return the names that a command's expressions may use; a read has no time."""
        entity = self._machine.entity
        names: dict[str, Expression] = {NOW: now()} if timed else {}
        names["registry"] = nodes.Name(REGISTRY, Root.REGISTRY, "registry")
        if operation is not None:
            names["id"] = nodes.Name(self._symbols.entity_fields["id"], Root.ID, "id")
            names[entity] = nodes.Name(operation, Root.RECORD, str(entity))
        names |= {n: nodes.Name(type, Root.PARAMETER, n) for n, type in params.items()}
        return Scope(self._symbols, names)

    def _action_scope(self, scope: Scope, label: Expression) -> Scope:
        constants = {"action.label": label}
        scope = scope.with_names({"action": nodes.Name(ACTION, Root.ACTION, "action")})
        return Scope(scope.symbols, scope.names, constants)

    def params(self, takes: Mapping[Name, command_model.Parameter]) -> dict[str, Type]:
        """Return the types of a command's parameters."""
        return {str(name): self._resolver.type_of(each.type) for name, each in takes.items()}

    # Commands -----------------------------------------------------------------------------------

    def create(self, declared: command_model.Create) -> tuple[Command, Expression]:
        """Return the command that creates a record, and the expression of its id."""
        params = self.params(declared.params)
        defaults = self.defaults.of_parameters(declared.params, params)
        keywords = keywords_of(declared.params)
        for words in declared.methods.values():
            self.defaults.of_method(words, params, defaults, keywords)
        scope = self.base_scope(params)
        made = compile_expression(
            declared.id, scope, self._diagnostics, self._symbols.entity_fields["id"]
        )
        scope = self.base_scope(params, operation=optional(ENTITY))
        before = len(self._diagnostics.findings)
        checks, scope = self.guards.checks(declared.guards, scope)
        if len(self._diagnostics.findings) == before:
            self._require_new_id(declared, scope)
        updates = self.changes.updates(declared.update, scope)
        # One that is missing is reported where regions are.
        target = self._resolver.statuses([declared.to]) if declared.to else ()
        if target and target[0] in self._symbols.announced:
            kind = self._symbols.announcing_kind(target[0])
            message = f"a new {self._machine.entity} cannot begin in a {kind}"
            self._diagnostics.add(declared.to.mark, "terminal-start", message)
        word = create_word(self._machine)
        command = Command(
            word,
            word,
            declared.summary,
            params,
            checks,
            updates,
            self.changes.effects(declared.effects),
            to=str(declared.to),
            defaults=defaults,
            keywords=keywords,
        )
        return command, made or nodes.NOTHING

    def created_scope(self, create: Command) -> Scope:
        """Return the names that what follows the guards of `create` may use, besides the record."""
        scope = self.base_scope(create.params)
        id = nodes.Name(self._symbols.entity_fields["id"], Root.ID, "id")
        return scope.with_names({"id": id})

    def _require_new_id(self, declared: command_model.Create, scope: Scope) -> None:
        """Report a `create` that could replace an existing record."""
        entity = self._machine.entity
        if scope.narrowed.get(entity) != NONE:
            message = f"nothing makes sure that the id is new: a {entity} that has it is replaced"
            hint = f"add a guard with `when: {entity} is None` to `guards`"
            self._diagnostics.add(declared.mark, "replaced-record", message, hint)
        if not declared.methods:
            message = "create has no method, so there could never be a record"
            self._diagnostics.add(declared.mark, "missing-key", message)

    def action(self, name: Name, declared: command_model.Action) -> Command:
        """Return the command of an action."""
        params = self.params(declared.params)
        defaults = self.defaults.of_parameters(declared.params, params)
        keywords = keywords_of(declared.params)
        self.defaults.of_method(list(declared.params), params, defaults, keywords)
        label = action_label(name, declared)
        sources = self._resolver.statuses(declared.from_)
        self._refuse_terminal_exit(declared.from_, sources)
        scope = self.base_scope(params, operation=optional(ENTITY))
        names = declared.guards if declared.guards is not None else self._machine.default_guards
        # The scope that all actions share: no parameters, with the action's label and statuses.
        any_action = self._action_scope(
            self.base_scope({}, operation=optional(ENTITY)),
            nodes.Name(STR, Root.ACTION_LABEL, "action.label"),
        )
        statuses = nodes.Name(STATUSES, Root.ACTION_STATUSES, "action.from_statuses")
        foreseeable, depends_on = self.guards.foreseen(names, any_action, statuses)
        scope = self._action_scope(scope, nodes.text(label))
        legal = nodes.StatusSet(STATUSES, sources)
        checks, scope = self.guards.checks(names, scope, legal=legal)
        command = Command(
            str(name), label, declared.summary, params, checks, from_statuses=sources,
            idempotent_in=self._resolver.statuses(declared.idempotent_in),
            deferred=declared.deferred, foreseeable=foreseeable, depends_on=depends_on,
            defaults=defaults, keywords=keywords,
            returns=self.returned(declared.returns, params, str(name)),
        )  # fmt: skip
        return self._targets.led(command, declared, scope)

    def returned(
        self, declared: Expr | None, params: Mapping[str, Type], what: str
    ) -> Expression | None:
        """Return what methods of an action return; the record is there, as the action leaves it."""
        scope = self.base_scope(params, operation=ENTITY)
        return returned(declared, scope, what, self._diagnostics)

    def rollback(self, declared: command_model.Rollback) -> Command:
        """Return the command that erases a live record."""
        sources = self._resolver.statuses(declared.from_)
        self._refuse_terminal_exit(declared.from_, sources)
        return self._removing(declared, sources, declared.update)

    def erase(self, declared: command_model.Erase) -> Command:
        """Return the command that erases a record in a terminal status."""
        sources = self._resolver.statuses(declared.from_)
        for status in sources:
            if status in self._symbols.status_groups["live"]:
                message = f"{status} is live: only a record in a terminal status is erased"
                hint = "declare `rollback` for live records"
                self._diagnostics.add(declared.from_[0].mark, "live-erase", message, hint)
        return self._removing(declared, sources, {})

    def _removing(
        self,
        declared: command_model.Rollback | command_model.Erase,
        sources: tuple[str, ...],
        update: Mapping[Text, Expr],
    ) -> Command:
        scope = self.base_scope({}, operation=optional(ENTITY))
        label = str(declared.method)
        scope = self._action_scope(scope, nodes.text(label))
        names = declared.guards if declared.guards is not None else self._machine.default_guards
        legal = nodes.StatusSet(STATUSES, sources)
        checks, scope = self.guards.checks(names, scope, legal=legal)
        updates = self.changes.updates(update, scope)
        effects = self.changes.effects(declared.effects)
        return Command(
            label, label, declared.summary, {}, checks, updates, effects, from_statuses=sources
        )

    def watch(self, declared: model.Watch) -> Command:
        """Return the checks of a new watch. It is a read, so global guards do not apply."""
        scope = self.base_scope({}, operation=optional(ENTITY), timed=False)
        checks, scope = self.guards.checks(declared.guards, scope, global_guards=False)
        if scope.narrowed.get(self._machine.entity) != ENTITY:
            message = "nothing makes sure that the record exists"
            self._diagnostics.add(declared.mark, "may-be-none", message)
        name = str(declared.method)
        return Command(name, name, declared.summary, {}, checks)

    def collect(self, declared: command_model.Collect) -> Command:
        """Return the command that returns and erases finished records."""
        checks, _ = self.guards.checks([], self.base_scope({}))
        name = str(declared.method)
        return Command(name, name, declared.summary, {}, checks)

    def cursors(self, declared: model.Cursors) -> Command:
        """Return the advance of a cursor."""
        count = self._resolver.type_of(TypeExpr("int", declared.mark))
        params = {"consumer": Type("enum", self._symbols.cursor_enum), "cursor": count}
        scope = self.base_scope(params)
        checks, scope = self.guards.checks([], scope)
        refusal = self.guards.refusal(declared.beyond, scope, self._diagnostics)
        watermark = nodes.Field(INT, scope.names["registry"], "watermark")
        test = nodes.Compare(BOOL, (scope.names["cursor"], watermark), ("<=",))
        past = Check((), test, refusal)
        name = str(declared.advance)
        return Command(name, name, "Move a consumer's cursor forward.", params, (*checks, past))

    def barrier(self, declared: model.Barrier) -> BarrierAdmission:
        """Return the checks of a new barrier, in order."""
        first, scope = self.guards.checks([], self.base_scope({}, timed=False))
        id = nodes.Name(self._symbols.entity_fields["id"], Root.ID, "id")
        id_scope = scope.with_names({"id": id})
        given = [(name, refusal) for each in declared.guards for name, refusal in each.items()]
        names = [str(name) for name, _ in given]
        for name, _ in given:
            if name not in BARRIER_CHECKS or names.count(name) > 1:
                hint = nearest(name, BARRIER_CHECKS)
                message = f"the guards of a barrier are, each once, {', '.join(BARRIER_CHECKS)}"
                self._diagnostics.add(name.mark, "unknown-name", message, hint)
        for check in BARRIER_CHECKS:
            if check not in names:
                message = f"a barrier must say how {check} is refused"
                self._diagnostics.add(declared.mark, "missing-key", message)
        refusals = tuple(
            (
                str(name),
                self.guards.refusal(
                    refusal, scope if name == "busy" else id_scope, self._diagnostics
                ),
            )
            for name, refusal in given
        )
        return BarrierAdmission(first, refusals)

    def _refuse_terminal_exit(self, words: NameList, sources: tuple[str, ...]) -> None:
        terminal = self._symbols.status_groups["terminal"]
        for status in sources:
            if status in terminal:
                message = f"{status} is terminal: no action may lead out of it"
                self._diagnostics.add(words[0].mark, "terminal-exit", message)
