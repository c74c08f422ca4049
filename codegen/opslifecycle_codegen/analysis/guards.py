"""Stage 3, analyze: guards, the checks of a command in order, and their errors."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from attrs import evolve

from opslifecycle_codegen.analysis.expressions import compile_expression, narrowed_by
from opslifecycle_codegen.analysis.resolve import Resolver
from opslifecycle_codegen.base.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.ir.built_ins import BUILT_IN_REJECTIONS, LEGAL_STATUS
from opslifecycle_codegen.ir.expr import NOTHING, Among, Expression, Field, Root
from opslifecycle_codegen.ir.expr import Name as NameOf
from opslifecycle_codegen.ir.expr import Refusal as RefusalOf
from opslifecycle_codegen.ir.program import Check
from opslifecycle_codegen.ir.scope import Scope
from opslifecycle_codegen.ir.types import BOOL, ENTITY, Type, optional
from opslifecycle_codegen.source import command_model, model
from opslifecycle_codegen.source.words import GuardUse, Name


class Guards:
    """Analyses guards and errors, and records which are used."""

    def __init__(self, machine: model.Machine, resolver: Resolver, found: Diagnostics) -> None:
        self._machine = machine
        self._resolver = resolver
        self._diagnostics = found
        self.used: set[str] = set()
        self.used_rejections: set[str] = set()

    def checks(
        self,
        names: Sequence[Name],
        scope: Scope,
        *,
        global_guards: bool = True,
        legal: Expression | None = None,
    ) -> tuple[tuple[Check, ...], Scope]:
        """Return the checks of guards in order, and the scope after them.

        Args:
            names: The guards of a command, without global guards.
            scope: The names that the guards may read.
            global_guards: Whether global guards come first.
            legal: The legal statuses of an action.
        """
        first = self._machine.global_guards if global_guards else []
        checks, _, scope = self._in_order([*first, *names], scope, legal, self._diagnostics)
        return checks, scope

    def foreseen(
        self, names: Sequence[Name], scope: Scope, legal: Expression
    ) -> tuple[tuple[Check, ...], tuple[str, ...]]:
        """Return the checks that this scope suffices for, and the names of the other guards."""
        names = [*self._machine.global_guards, *names]
        checks, later, _ = self._in_order(names, scope, legal, None)
        return checks, later

    def _in_order(
        self,
        names: Sequence[Name],
        scope: Scope,
        legal: Expression | None,
        diagnostics: Diagnostics | None,
    ) -> tuple[tuple[Check, ...], tuple[str, ...], Scope]:
        """Return the checks, the guards that need a larger scope, and the scope after the checks.

        The status is tested at its position in `names`, else as soon as the record exists. Without
        diagnostics, errors are not reported: a guard with an error needs a larger scope.
        """
        checks, later, waiting = [], [], deque(names)
        placed, mark = legal is None or LEGAL_STATUS in names, self._machine.illegal_transition.mark
        while waiting or not placed:
            if not waiting:
                waiting.append(Name(LEGAL_STATUS, mark))
                placed = True
            name = waiting.popleft()
            mark, found = name.mark, Diagnostics() if diagnostics is None else diagnostics
            compiled = self._compiled(name, scope, legal, found)
            if compiled is None:
                continue
            if diagnostics is None and found.findings:
                later.append(str(name))
                continue
            check, scope = compiled
            checks.append(check)
            if not placed and self._exists(scope):
                waiting.appendleft(Name(LEGAL_STATUS, mark))
                placed = True
        return tuple(checks), tuple(later), scope

    def _exists(self, scope: Scope) -> bool:
        return scope.narrowed.get(self._machine.entity) == ENTITY

    def _compiled(
        self, name: Name, scope: Scope, legal: Expression | None, diagnostics: Diagnostics
    ) -> tuple[Check, Scope] | None:
        """Return the check of one guard and the scope after it; None for an unknown guard."""
        if name == LEGAL_STATUS:
            # A wrong position was reported when features were placed.
            return self._legality(name, scope, legal, diagnostics) if legal is not None else None
        guard = self._machine.guards.get(name)
        if guard is None:
            known = [*self._machine.guards, *([LEGAL_STATUS] if legal is not None else [])]
            hint = nearest(name, known)
            message = f"there is no guard {str(name)!r}"
            diagnostics.add(name.mark, "unknown-guard", message, hint)
            return None
        self.used.add(str(name))
        given = self._given(name, guard, scope, diagnostics)
        if not given:
            return self._check(name, guard, scope, diagnostics)
        check, after = self._check(name, guard, scope.inside(given), diagnostics)
        # Behind the guard, its parameters are what they were before, or nothing.
        return check, after.outside(given, scope)

    def _given(
        self, name: Name, guard: command_model.Guard, scope: Scope, diagnostics: Diagnostics
    ) -> dict[str, Expression]:
        """Return what a command gives for the parameters of a guard."""
        arguments = name.arguments if isinstance(name, GuardUse) else {}
        misnamed = [param for param in arguments if param not in guard.params]
        for param in misnamed:
            message = f"{name} has no parameter {str(param)!r}"
            diagnostics.add(param.mark, "unknown-name", message, nearest(param, guard.params))
        found: dict[str, Expression] = {}
        for param, declared in guard.params.items():
            type, expr = self._resolver.type_of(declared), arguments.get(param)
            # A parameter that is misnamed is reported once, by its wrong name.
            if expr is None and not misnamed:
                message = f"nothing is given for {param} of {name}"
                hint = f"write `{name}: {{{param}: …}}`"
                diagnostics.add(name.mark, "missing-key", message, hint)
            tree = compile_expression(expr, scope, diagnostics, type) if expr is not None else None
            found[str(param)] = evolve(tree or NOTHING, type=_passed(tree or NOTHING, type))
        return found

    def _legality(
        self, name: Name, scope: Scope, legal: Expression, diagnostics: Diagnostics
    ) -> tuple[Check, Scope]:
        """Return the test of the status, which the compiler places in every action."""
        entity, declared = self._machine.entity, self._machine.illegal_transition
        if not self._exists(scope):
            message = f"{entity} may be None here"
            diagnostics.add(declared.mark, "may-be-none", message, "test `is not None` first")
        record = evolve(scope.names[entity], type=ENTITY)
        status = Field(scope.symbols.status_type, record, "status", mark=declared.mark)
        test = Among(BOOL, status, legal, mark=declared.mark)
        refusal = self.refusal(declared, scope, diagnostics)
        return Check((), test, refusal, LEGAL_STATUS, name.mark), scope

    def _check(
        self, name: Name, guard: command_model.Guard, scope: Scope, diagnostics: Diagnostics
    ) -> tuple[Check, Scope]:
        lets = []
        for local, expr in guard.let.items():
            typed = compile_expression(expr, scope, diagnostics)
            if typed is not None:
                lets.append((str(local), typed))
                bound = NameOf(typed.type, Root.LOCAL, str(local))
                scope = scope.with_names({str(local): bound})
        test = compile_expression(guard.when, scope, diagnostics, BOOL)
        failed = narrowed_by(guard.when, scope, diagnostics, truth=False)
        refusal = self.refusal(guard.error, failed, diagnostics)
        scope = narrowed_by(guard.when, scope, diagnostics, truth=True)
        return Check(tuple(lets), test or NOTHING, refusal, str(name), name.mark), scope

    def refusal(
        self, refusal: command_model.Refusal, scope: Scope, diagnostics: Diagnostics
    ) -> RefusalOf:
        """Return the error of a rejection, with its fields."""
        name = refusal.name
        self.used_rejections.add(str(name))
        declared = self._machine.errors.get(name)
        if declared is not None:
            error = str(declared.class_)
            facts = self.fact_types(declared)
        elif name in BUILT_IN_REJECTIONS:
            error, facts = BUILT_IN_REJECTIONS[name]
        else:
            hint = nearest(name, [*self._machine.errors, *BUILT_IN_REJECTIONS])
            message = f"there is no error {str(name)!r}"
            diagnostics.add(refusal.mark, "unknown-error", message, hint)
            return RefusalOf("", ())
        for fact in refusal.fields:
            if fact not in facts:
                message = f"{name} has no field {str(fact)!r}"
                diagnostics.add(fact.mark, "unknown-name", message, nearest(fact, facts))
        given: list[Expression] = []
        for fact_name, type in facts.items():
            expr = refusal.fields.get(Name(fact_name, refusal.mark))
            if expr is None:
                message = f"{name} needs the field {fact_name!r}"
                diagnostics.add(refusal.mark, "missing-key", message)
                continue
            typed = compile_expression(expr, scope, diagnostics, type)
            given.append(typed or NOTHING)
        return RefusalOf(error, tuple(given), built_in=declared is None)

    def fact_types(self, rejection: command_model.Rejection) -> dict[str, Type]:
        """Return the types of a rejection's fields."""
        return {str(name): self._resolver.type_of(type) for name, type in rejection.fields.items()}


def _passed(tree: Expression, declared: Type) -> Type:
    """Return the type of a parameter of a guard: the declared one, with the range of what it is.

    A number that is passed may be larger than the declared type allows, and a list longer.
    """
    inner, given = declared.required, tree.type.required
    if inner.kind != given.kind or not (inner.integral or inner.several):
        return declared
    return optional(given) if declared.optional else given
