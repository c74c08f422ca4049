"""Stage 3, analyze: where an action leads, with the updates, outcome and effects of each target."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve

from opslifecycle_codegen.analysis.changes import Changes, after_updates
from opslifecycle_codegen.analysis.expressions import compile_expression, narrowed_by
from opslifecycle_codegen.analysis.milestones import announces
from opslifecycle_codegen.analysis.resolve import Resolver
from opslifecycle_codegen.base.diagnostics import Diagnostics
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression, negation
from opslifecycle_codegen.ir.program import Command, Target
from opslifecycle_codegen.ir.regions import FlatTarget
from opslifecycle_codegen.ir.scope import Scope
from opslifecycle_codegen.ir.symbols import Symbols
from opslifecycle_codegen.ir.types import BOOL, fits
from opslifecycle_codegen.source import command_model, model
from opslifecycle_codegen.source.words import Expr


class Targets:
    """Analyses what follows the guards of an action."""

    def __init__(
        self, machine: model.Machine, symbols: Symbols, resolver: Resolver, changes: Changes,
        found: Diagnostics,
    ) -> None:  # fmt: skip
        self._machine = machine
        self._symbols = symbols
        self._resolver = resolver
        self._changes = changes
        self._diagnostics = found

    def led(self, command: Command, declared: command_model.Action, scope: Scope) -> Command:
        """Return an action with its only target, or with several.

        Args:
            command: The action up to its guards.
            declared: Its declaration.
            scope: The names after its guards.
        """
        updates = self._changes.updates(declared.update, scope)
        effects = self._changes.effects(declared.effects)
        bare = evolve(command, guards=(), foreseeable=(), depends_on=())
        bare = evolve(bare, updates=updates, effects=effects)
        leads = [self._status(target) for target in declared.to]
        outcome = self._common_outcome(command, declared, leads, after_updates(scope, updates))
        if not declared.to:
            return evolve(command, updates=updates, effects=effects)
        targets: list[Target] = []
        missed: tuple[Expression, ...] = ()
        for target, status in zip(declared.to, leads, strict=True):
            sources = self._sources(target, command)
            test, reached = self._test(target, scope, sources)
            moves = target.moves if isinstance(target, FlatTarget) else None
            way = evolve(bare, to=status, outcome=outcome, from_statuses=sources, moves=moves)
            way = self._way(way, declared, target, reached)
            parts = (*missed, *([test] if test is not None else []))
            targets.append(Target(test, nodes.conjunction(parts), way, target.mark))
            if test is not None:
                missed = (*missed, negation(test))
            if target.when is not None and not target.from_:
                scope = narrowed_by(target.when, scope, self._diagnostics, truth=False)
        self._refuse_targets_behind_the_last(targets)
        if len(targets) == 1 and targets[0].test is None:
            (only,) = targets
            return evolve(
                command, updates=only.way.updates, effects=only.way.effects, to=only.way.to,
                outcome=only.way.outcome, moves=only.way.moves,
            )  # fmt: skip
        return evolve(command, targets=tuple(targets))

    def _status(self, target: command_model.Target) -> str:
        return next(iter(self._resolver.statuses([target.status])), "")

    def _announces(self, status: str) -> bool:
        return status in self._symbols.announced

    def _sources(self, target: command_model.Target, command: Command) -> tuple[str, ...]:
        """Return the statuses in which a target applies, and report those in which it cannot."""
        sources = self._resolver.statuses(target.from_)
        others = [each for each in sources if each not in command.from_statuses]
        if others:
            message = f"{command.name} is not legal in {' and '.join(others)}"
            hint = "remove the status from the target, or add it to `from` of the action"
            self._diagnostics.add(target.from_[0].mark, "dead-target", message, hint)
        return sources if target.from_ else command.from_statuses

    def _test(
        self, target: command_model.Target, scope: Scope, sources: tuple[str, ...]
    ) -> tuple[Expression | None, Scope]:
        """Return the test of a target, and the names that its declarations read."""
        among = [self._changes.among(sources)] if target.from_ and sources else []
        if target.when is None:
            return (nodes.conjunction(among) if among else None), scope
        test = compile_expression(target.when, scope, self._diagnostics, BOOL)
        reached = narrowed_by(target.when, scope, self._diagnostics, truth=True)
        return nodes.conjunction([*among, test or nodes.NOTHING]), reached

    def _refuse_targets_behind_the_last(self, targets: Sequence[Target]) -> None:
        """Report targets that can never be taken, because one before them always is."""
        always = next((n for n, each in enumerate(targets) if each.test is None), len(targets))
        for target in targets[always + 1 :]:
            message = f"{target.way.to} is never taken here: a target before it has no `when`"
            self._diagnostics.add(target.mark, "dead-target", message, "put that one last")

    def _way(
        self, way: Command, declared: command_model.Action, target: command_model.Target,
        scope: Scope,
    ) -> Command:  # fmt: skip
        """Return a command with what one of its targets adds."""
        scope = after_updates(scope, way.updates)
        own = self._changes.updates(target.update, scope)
        return evolve(
            way,
            updates=(*way.updates, *own),
            effects=(*way.effects, *self._changes.effects(target.effects)),
            outcome=self._outcome(way, declared, target, after_updates(scope, own)),
        )

    # Outcomes -----------------------------------------------------------------------------------

    def _common_outcome(
        self, command: Command, declared: command_model.Action, leads: Sequence[str], scope: Scope
    ) -> Expression | None:
        """Return the outcome that an action declares for its targets that announce one."""
        if declared.outcome is None:
            return None
        if not any(map(self._announces, leads)):
            message = f"{command.name} leads to no terminal status or milestone"
            hint = "remove the outcome"
            self._diagnostics.add(declared.outcome.mark, "wrong-shape", message, hint)
            return None
        return self._compiled(declared.outcome, scope)

    def _outcome(
        self, way: Command, declared: command_model.Action, target: command_model.Target,
        scope: Scope,
    ) -> Expression | None:  # fmt: skip
        """Return the outcome of a target: its own, the action's, or its status."""
        if not announces(way, self._machine, self._symbols):
            if target.outcome is not None:
                message = f"{target.status} is no terminal status or milestone"
                hint = "remove the outcome"
                self._diagnostics.add(target.outcome.mark, "wrong-shape", message, hint)
            return None
        if target.outcome is not None:
            return self._compiled(target.outcome, scope)
        if declared.outcome is not None:
            return way.outcome
        if "terminal_outcome" in self._machine.fields:
            kind = self._symbols.announcing_kind(way.to)
            message = f"{way.name} leads to a {kind}: it needs an outcome"
            self._diagnostics.add(declared.mark, "missing-key", message)
        return nodes.Member(self._symbols.status_type, way.to)

    def _compiled(self, outcome: Expr, scope: Scope) -> Expression | None:
        wanted = self._symbols.entity_fields["terminal_outcome"].required
        typed = compile_expression(outcome, scope, self._diagnostics, wanted)
        return typed if typed is None or fits(typed.type, wanted) else None
