"""Stage 3, analyze: guards. Tests in their order, and what a command is refused with."""

from __future__ import annotations

from collections.abc import Sequence

from opslifecycle_codegen.analysis.expressions import compile_expression, narrowed_by
from opslifecycle_codegen.analysis.resolve import Resolver
from opslifecycle_codegen.base.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.ir.built_ins import BUILT_IN_REJECTIONS
from opslifecycle_codegen.ir.expr import NOTHING, Expression, Root
from opslifecycle_codegen.ir.expr import Name as NameOf
from opslifecycle_codegen.ir.expr import Refusal as RefusalOf
from opslifecycle_codegen.ir.program import Check
from opslifecycle_codegen.ir.scope import Scope
from opslifecycle_codegen.ir.types import BOOL, Type
from opslifecycle_codegen.source import model
from opslifecycle_codegen.source.words import Name


class Guards:
    """Compiles guards and refusals, and remembers which of them are used."""

    def __init__(self, machine: model.Machine, resolver: Resolver, found: Diagnostics) -> None:
        self._machine = machine
        self._resolver = resolver
        self._diagnostics = found
        self.used: set[str] = set()
        self.used_rejections: set[str] = set()

    def checks(
        self, names: Sequence[Name], scope: Scope, *, global_guards: bool = True
    ) -> tuple[tuple[Check, ...], Scope]:
        """Return the checks of guards in their order, and the scope of what follows them."""
        checks = []
        for name in [*(self._machine.global_guards if global_guards else []), *names]:
            guard = self._machine.guards.get(name)
            if guard is None:
                hint = nearest(name, self._machine.guards)
                message = f"there is no guard {str(name)!r}"
                self._diagnostics.add(name.mark, "unknown-guard", message, hint)
                continue
            self.used.add(str(name))
            check, scope = self._check(name, guard, scope, self._diagnostics)
            checks.append(check)
        return tuple(checks), scope

    def foreseen(
        self, names: Sequence[Name], scope: Scope
    ) -> tuple[tuple[Check, ...], tuple[str, ...]]:
        """The checks that this scope suffices for, and the names of the guards that need more."""
        checks, later = [], []
        for name in [*self._machine.global_guards, *names]:
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

    def refusal(self, refusal: model.Refusal, scope: Scope, diagnostics: Diagnostics) -> RefusalOf:
        """Return the error that a refusal gives, with its facts."""
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
                message = f"{name} has no fact {str(fact)!r}"
                diagnostics.add(fact.mark, "unknown-name", message, nearest(fact, facts))
        given: list[Expression] = []
        for fact_name, type in facts.items():
            expr = refusal.fields.get(Name(fact_name, refusal.mark))
            if expr is None:
                message = f"{name} needs the fact {fact_name!r}"
                diagnostics.add(refusal.mark, "missing-key", message)
                continue
            typed = compile_expression(expr, scope, diagnostics, type)
            given.append(typed or NOTHING)
        return RefusalOf(error, tuple(given), built_in=declared is None)

    def fact_types(self, rejection: model.Rejection) -> dict[str, Type]:
        """Return the types of the facts that a rejection carries."""
        return {str(name): self._resolver.type_of(type) for name, type in rejection.fields.items()}
