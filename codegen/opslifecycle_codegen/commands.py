"""Stage 3, analyze: commands. Guards in their order, updates and effects, compiled in context."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from opslifecycle_codegen import model
from opslifecycle_codegen.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.expressions import compile_expression, narrowed_by
from opslifecycle_codegen.layout import Code, called, quoted
from opslifecycle_codegen.program import Assignment, BarrierAdmission, Check, Command
from opslifecycle_codegen.resolve import Resolver, action_label
from opslifecycle_codegen.scope import Binding, Scope
from opslifecycle_codegen.symbols import Symbols
from opslifecycle_codegen.types import (
    ACTION,
    BOOL,
    ENTITY,
    REGISTRY,
    STATUSES,
    TEXT,
    Type,
    fits,
    optional,
)
from opslifecycle_codegen.words import Expr, Name, Text, TypeExpr, Words

#: What the shell can carry out; a machine names these and no others.
EFFECTS = (
    "append_to_feed",
    "count_in_barriers",
    "wake_watchers",
    "evict_oldest",
    "close_watchers",
    "fail_barriers",
    "erase",
)

#: What a barrier is checked for when it is asked for, each once, in the order of the machine.
BARRIER_CHECKS = ("repeated", "busy", "unknown")

#: Rejections that every machine has, with their facts.
BUILT_IN_REJECTIONS: dict[str, tuple[str, dict[str, Type]]] = {
    "invalid_spec": ("InvalidSpecError", {"field": TEXT, "reason": TEXT}),
}


class Commands:
    """Compiles commands, and remembers which declarations they used."""

    def __init__(
        self, machine: model.Machine, symbols: Symbols, resolver: Resolver, found: Diagnostics
    ) -> None:
        self._machine = machine
        self._symbols = symbols
        self._resolver = resolver
        self._diagnostics = found
        self.used_guards: set[str] = set()
        self.used_rejections: set[str] = set()
        self.used_effects: set[str] = set()

    # Scopes -------------------------------------------------------------------------------------

    def base_scope(self, params: Mapping[str, Type], *, operation: Type | None = None) -> Scope:
        """The names that a command's expressions may use."""
        entity = self._machine.entity
        names = {"registry": Binding(REGISTRY, "self")}
        if operation is not None:
            names["id"] = Binding(self._symbols.entity_fields["id"], "id")
            names[entity] = Binding(operation, entity)
        names.update({name: Binding(type, name) for name, type in params.items()})
        return Scope(self._symbols, names)

    def _action_scope(self, scope: Scope, label_code: str, from_code: str) -> Scope:
        names = {"action": Binding(ACTION, "action")}
        constants = {
            "action.label": Binding(TEXT, label_code),
            "action.from_statuses": Binding(STATUSES, from_code),
        }
        scope = scope.with_names(names)
        return Scope(scope.symbols, scope.names, constants)

    def params(self, takes: Mapping[Name, TypeExpr], *reserved_too: str) -> dict[str, Type]:
        """The types of what a command takes."""
        reserved = {"registry", "self", self._machine.entity, *reserved_too}
        for name in takes:
            if name in reserved:
                message = f"a parameter cannot be called {str(name)!r}"
                self._diagnostics.add(name.mark, "name-collision", message)
        return {str(name): self._resolver.type_of(type) for name, type in takes.items()}

    def fact_types(self, rejection: model.Rejection) -> dict[str, Type]:
        """The types of the facts that a rejection carries."""
        return {str(name): self._resolver.type_of(type) for name, type in rejection.facts.items()}

    # Commands -----------------------------------------------------------------------------------

    def create(self, declared: model.Create) -> tuple[Command, Code]:
        """The command that makes a record, and the code of its id."""
        params = self.params(declared.takes)
        scope = self.base_scope(params)
        made = compile_expression(
            declared.id, scope, self._diagnostics, self._symbols.entity_fields["id"]
        )
        scope = self.base_scope(params, operation=optional(ENTITY))
        checks, scope = self._checks(declared.checks, scope)
        updates = self.updates(declared.update, scope)
        target = self._resolver.statuses([declared.to])
        if target and target[0] in self._symbols.status_groups["terminal"]:
            message = f"a new {self._machine.entity} cannot begin at an end"
            self._diagnostics.add(declared.to.mark, "terminal-start", message)
        command = Command(
            "register",
            "register",
            declared.summary,
            params,
            checks,
            updates,
            self.effects(declared.effects),
            to=str(declared.to),
        )
        return command, made.code if made else Code("id")

    def action(self, name: Name, declared: model.Action) -> Command:
        """One action on a record."""
        params = self.params(declared.takes, "id", "action")
        label = action_label(name, declared)
        sources = self._resolver.statuses(declared.from_)
        self._refuse_terminal_exit(declared.from_, sources)
        scope = self.base_scope(params, operation=optional(ENTITY))
        names = declared.checks if declared.checks is not None else self._machine.checks
        foreseeable, depends_on = self._foreseen(names, scope, params)
        scope = self._action_scope(scope, quoted(label), self._symbols.status_constant(sources))
        checks, scope = self._checks(names, scope)
        self._require_status_check(name, names)
        updates = self.updates(declared.update, scope)
        targets = self._resolver.statuses([declared.to] if declared.to else [])
        terminal = bool(targets) and targets[0] in self._symbols.status_groups["terminal"]
        outcome = self._outcome(name, declared, scope, terminal)
        effects = self.effects(declared.effects)
        return Command(
            str(name), label, declared.summary, params, checks, updates, effects,
            targets[0] if targets else "", outcome, sources,
            self._resolver.statuses(declared.idempotent_in), foreseeable, depends_on,
        )  # fmt: skip

    def rollback(self, declared: model.Rollback) -> Command:
        """The command that erases a live record."""
        sources = self._resolver.statuses(declared.from_)
        self._refuse_terminal_exit(declared.from_, sources)
        scope = self.base_scope({}, operation=optional(ENTITY))
        label = str(declared.method)
        scope = self._action_scope(scope, quoted(label), self._symbols.status_constant(sources))
        names = declared.checks if declared.checks is not None else self._machine.checks
        checks, scope = self._checks(names, scope)
        self._require_status_check(declared.method, names)
        if "erase" not in declared.effects:
            self._diagnostics.add(declared.mark, "missing-effect", "a rollback needs erase")
        return Command(
            label, label, declared.summary, {}, checks, self.updates(declared.update, scope),
            self.effects(declared.effects), from_statuses=sources,
        )  # fmt: skip

    def watch(self, declared: model.Watch) -> Command:
        """The admission of a watcher; a read, so what always comes first does not come here."""
        scope = self.base_scope({}, operation=optional(ENTITY))
        checks, scope = self._checks(declared.checks, scope, always_first=False)
        if scope.narrowed.get(self._machine.entity) != ENTITY:
            message = "nothing makes sure that the record exists"
            self._diagnostics.add(declared.mark, "may-be-none", message)
        name = str(declared.method)
        return Command(name, name, declared.summary, {}, checks)

    def collect(self, declared: model.Collect) -> Command:
        """The command that hands over and erases what has ended."""
        checks, _ = self._checks([], self.base_scope({}))
        name = str(declared.method)
        return Command(name, name, declared.summary, {}, checks)

    def cursors(self, declared: model.Cursors) -> Command:
        """The advance of a cursor."""
        count = self._resolver.type_of(TypeExpr("count", declared.mark))
        params = {"consumer": Type("enum", self._symbols.cursor_enum), "cursor": count}
        scope = self.base_scope(params)
        checks, scope = self._checks([], scope)
        refusal, error = self._refusal(declared.beyond, scope, self._diagnostics)
        past = Check((), Code("cursor > self.watermark"), refusal, error, reads_record=False)
        name = str(declared.advance)
        return Command(name, name, "Move a consumer's cursor forward.", params, (*checks, past))

    def barrier(self, declared: model.Barrier) -> BarrierAdmission:
        """The admission of a barrier: what it is refused with, in order."""
        first, scope = self._checks([], self.base_scope({}))
        id_scope = scope.with_names({"id": Binding(self._symbols.entity_fields["id"], "id")})
        given = [(name, refusal) for each in declared.checks for name, refusal in each.items()]
        names = [str(name) for name, _ in given]
        for name, _ in given:
            if name not in BARRIER_CHECKS or names.count(name) > 1:
                hint = nearest(name, BARRIER_CHECKS)
                message = f"a barrier is checked once for each of {', '.join(BARRIER_CHECKS)}"
                self._diagnostics.add(name.mark, "unknown-name", message, hint)
        for check in BARRIER_CHECKS:
            if check not in names:
                message = f"a barrier must say how {check} is refused"
                self._diagnostics.add(declared.mark, "missing-key", message)
        refusals = tuple(
            (
                str(name),
                *self._refusal(refusal, scope if name == "busy" else id_scope, self._diagnostics),
            )
            for name, refusal in given
        )
        return BarrierAdmission(first, refusals)

    # Their parts --------------------------------------------------------------------------------

    def _checks(
        self, names: Sequence[Name], scope: Scope, *, always_first: bool = True
    ) -> tuple[tuple[Check, ...], Scope]:
        checks = []
        for name in [*(self._machine.always_first if always_first else []), *names]:
            guard = self._machine.guards.get(name)
            if guard is None:
                hint = nearest(name, self._machine.guards)
                message = f"there is no guard {str(name)!r}"
                self._diagnostics.add(name.mark, "unknown-guard", message, hint)
                continue
            self.used_guards.add(str(name))
            check, scope = self._check(name, guard, scope, self._diagnostics)
            checks.append(check)
        return tuple(checks), scope

    def _foreseen(
        self, names: Sequence[Name], scope: Scope, params: Mapping[str, Type]
    ) -> tuple[tuple[Check, ...], tuple[str, ...]]:
        """The checks that do not ask for parameters, and the names of those that do.

        They are for any action that has these guards: its label and statuses are parameters.
        """
        for name in params:
            scope = scope.without(name)
        scope = self._action_scope(scope, "label", "from_statuses")
        checks, later = [], []
        for name in [*self._machine.always_first, *names]:
            guard = self._machine.guards.get(name)
            if guard is None:
                continue
            unheard = Diagnostics()
            check, narrowed = self._check(name, guard, scope, unheard)
            if unheard.findings:
                later.append(str(name))
            else:
                checks.append(check)
                scope = narrowed
        return tuple(checks), tuple(later)

    def _check(
        self, name: Name, guard: model.Guard, scope: Scope, diagnostics: Diagnostics
    ) -> tuple[Check, Scope]:
        used: set[str] = set()
        scope = Scope(scope.symbols, scope.names, scope.constants, scope.narrowed, used)
        lets = []
        for local, expr in guard.let.items():
            typed = compile_expression(expr, scope, diagnostics)
            if typed is not None:
                lets.append((str(local), typed.code))
                scope = scope.with_names({str(local): Binding(typed.type, str(local))})
        test = compile_expression(guard.when, scope, diagnostics, BOOL, negated=True)
        failed = narrowed_by(guard.when, scope, diagnostics, truth=False)
        refusal, error = self._refusal(guard.otherwise, failed, diagnostics)
        scope = narrowed_by(guard.when, scope, diagnostics, truth=True)
        code = test.code if test else Code("")
        reads = self._machine.entity in used
        return Check(tuple(lets), code, refusal, error, reads, str(name)), scope

    def _refusal(
        self, refusal: model.Refusal, scope: Scope, diagnostics: Diagnostics
    ) -> tuple[Code, str]:
        name = refusal.name
        self.used_rejections.add(str(name))
        declared = self._machine.rejections.get(name)
        if declared is not None:
            error = str(declared.error)
            facts = self.fact_types(declared)
        elif name in BUILT_IN_REJECTIONS:
            error, facts = BUILT_IN_REJECTIONS[name]
        else:
            hint = nearest(name, [*self._machine.rejections, *BUILT_IN_REJECTIONS])
            message = f"there is no rejection {str(name)!r}"
            diagnostics.add(refusal.mark, "unknown-rejection", message, hint)
            return Code(""), ""
        for fact in refusal.facts:
            if fact not in facts:
                message = f"{name} has no fact {str(fact)!r}"
                diagnostics.add(fact.mark, "unknown-name", message, nearest(fact, facts))
        codes = []
        for fact_name, type in facts.items():
            expr = refusal.facts.get(Name(fact_name, refusal.mark))
            if expr is None:
                message = f"{name} needs the fact {fact_name!r}"
                diagnostics.add(refusal.mark, "missing-key", message)
                continue
            typed = compile_expression(expr, scope, diagnostics, type)
            codes.append(typed.code if typed else Code(""))
        return called(error, codes), error

    def updates(self, declared: Mapping[Text, Expr], scope: Scope) -> tuple[Assignment, ...]:
        """Updates in their order, each `registry.field` or `entity.field` to a new value."""
        return tuple(
            assignment
            for target, expr in declared.items()
            if (assignment := self._update(target, expr, scope)) is not None
        )

    def _update(self, target: Text, expr: Expr, scope: Scope) -> Assignment | None:
        owner, _, field = str(target).partition(".")
        entity = self._machine.entity
        fields: Mapping[str, Type] = {
            "registry": self._symbols.registry_fields,
            str(entity): self._symbols.entity_fields,
        }.get(owner, {})
        settable = {
            name: type
            for name, type in fields.items()
            if name not in ("id", "status", "terminal_outcome")
            and (owner != "registry" or name in self._machine.registry)
        }
        if field not in settable or (owner == entity and entity not in scope.names):
            hint = nearest(target, [f"{owner}.{name}" for name in settable])
            message = f"{str(target)!r} cannot be updated here"
            self._diagnostics.add(target.mark, "unknown-name", message, hint)
            return None
        if owner == entity and scope.narrowed.get(owner, scope.names[owner].type) != ENTITY:
            message = f"{entity} may be None here: no check makes sure that it exists"
            self._diagnostics.add(target.mark, "may-be-none", message)
        typed = compile_expression(expr, scope, self._diagnostics, settable[field])
        if typed is None:
            return None
        code_target = f"self.{field}" if owner == "registry" else f"{owner}.{field}"
        return _augmented(code_target, typed.code)

    def effects(self, names: Sequence[Name]) -> tuple[str, ...]:
        """Effects by name, each known to the shell."""
        known = [*EFFECTS, *self._machine.effects]
        for name in names:
            if name not in known:
                message = f"there is no effect {str(name)!r}"
                self._diagnostics.add(name.mark, "unknown-effect", message, nearest(name, known))
            needs_feed = name in ("append_to_feed", "evict_oldest")
            if needs_feed and self._machine.feed is None:
                self._diagnostics.add(name.mark, "missing-feed", f"{name} needs a feed")
            self.used_effects.add(str(name))
        return tuple(str(name) for name in names)

    def _outcome(
        self, name: Name, declared: model.Action, scope: Scope, terminal: bool
    ) -> Code | None:
        wanted = self._symbols.entity_fields["terminal_outcome"].required
        from_status = "terminal_outcome" not in self._machine.fields
        if declared.outcome is None:
            if terminal and not from_status:
                message = f"{name} leads to an end: it needs an outcome"
                self._diagnostics.add(declared.mark, "missing-key", message)
            if not terminal:
                return None
            return Code(f"{self._symbols.status_enum}.{str(declared.to).upper()}")
        if not terminal:
            message = f"{name} does not lead to an end: it has no outcome"
            self._diagnostics.add(declared.outcome.mark, "wrong-shape", message)
            return None
        typed = compile_expression(declared.outcome, scope, self._diagnostics, wanted)
        if typed is not None and not fits(typed.type, wanted):
            return None
        return typed.code if typed else None

    def _refuse_terminal_exit(self, words: Words, sources: tuple[str, ...]) -> None:
        terminal = self._symbols.status_groups["terminal"]
        for status in sources:
            if status in terminal:
                message = f"{status} is an end: nothing leads away from it"
                self._diagnostics.add(words[0].mark, "terminal-exit", message)

    def _require_status_check(self, name: Text, checks: Sequence[Name]) -> None:
        for each in checks:
            guard = self._machine.guards.get(each)
            # A guard that does not exist is a mistake of its own, reported where it is named.
            if guard is None or "action.from" in guard.when:
                return
        message = f"none of the checks of {name} asks for its `from` (action.from_statuses)"
        self._diagnostics.add(name.mark, "status-unchecked", message)


def _augmented(target: str, code: Code) -> Assignment:
    """`x = x + 1` as `x += 1`."""
    tree = ast.parse(code.text, mode="eval").body
    if isinstance(tree, ast.BinOp) and ast.unparse(tree.left) == target:
        operator = "+=" if isinstance(tree.op, ast.Add) else "-="
        return Assignment(target, operator, Code(ast.unparse(tree.right)))
    return Assignment(target, "=", code)
