"""Stage 3, analyze: guards that decide nothing, and steps that get in each other's way."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from opslifecycle_codegen.analysis.commands import Commands
from opslifecycle_codegen.analysis.counters import is_live
from opslifecycle_codegen.analysis.domains import Domains, UndecidedError
from opslifecycle_codegen.analysis.ranges import States
from opslifecycle_codegen.base.diagnostics import Diagnostics
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.built_ins import RANGE_GUARD
from opslifecycle_codegen.ir.expr import Expression, Root, negation
from opslifecycle_codegen.ir.program import Command, GuardAnalysis, Program
from opslifecycle_codegen.ir.scope import Scope
from opslifecycle_codegen.ir.types import ENTITY, REGISTRY, optional
from opslifecycle_codegen.source.model import Guard
from opslifecycle_codegen.source.words import Name, Text


def analyze_guards(program: Program, commands: Commands, diagnostics: Diagnostics) -> GuardAnalysis:
    """Report dead guards and overlapping steps; return how much could be decided."""
    overlaps = _Overlaps(program, commands, diagnostics)
    overlaps.run()
    return GuardAnalysis(overlaps.decided, tuple(overlaps.undecided))


class _Overlaps:
    def __init__(self, program: Program, commands: Commands, diagnostics: Diagnostics) -> None:
        self._program = program
        self._machine = program.machine
        self._commands = commands
        self._diagnostics = diagnostics
        self.decided = 0
        self.undecided: list[str] = []
        self._states = States(program)
        groups = program.symbols.status_groups
        self._statuses = [*groups["live"], *groups["terminal"]]

    def run(self) -> None:
        refused: dict[str, bool] = {}
        for command, names in self._commands_with_guards():
            for place, name in enumerate(names):
                if name.startswith(RANGE_GUARD):
                    continue
                refuses, passes = self._tried(command, names[:place], name)
                if refuses and passes:
                    refuses, passes = self._by_numbers(command, str(name))
                refused[str(name)] = refused.get(str(name), False) or refuses
                if not passes:
                    message = f"nothing ever passes {name} in {command.name}"
                    self._diagnostics.add(name.mark, "dead-guard", message, of=str(name))
        for guard, ever in refused.items():
            if not ever:
                mark = next(key.mark for key in self._machine.guards if key == guard)
                message = f"{guard} never refuses anything where it is asked"
                hint = "what it asks for is so already, by the guards before it"
                self._diagnostics.add(mark, "dead-guard", message, hint, of=guard)
        self._steps()

    def _commands_with_guards(self) -> list[tuple[Command, list[Name]]]:
        program, machine, first = self._program, self._machine, self._machine.global_guards
        found = [(program.create, [*first, *machine.create.guards])]
        for action in program.actions:
            declared = next(a for n, a in machine.actions.items() if n == action.name)
            own = declared.guards if declared.guards is not None else machine.default_guards
            found.append((action, [*first, *own]))
        if machine.rollback is not None and program.rollback is not None:
            declared_checks = machine.rollback.guards
            own = declared_checks if declared_checks is not None else machine.default_guards
            found.append((program.rollback, [*first, *own]))
        if machine.erase is not None and program.erase is not None:
            declared_checks = machine.erase.guards
            own = declared_checks if declared_checks is not None else machine.default_guards
            found.append((program.erase, [*first, *own]))
        if machine.watch is not None and program.watch is not None:
            # A watch is a read: what always comes first does not come there.
            found.append((program.watch, list(machine.watch.guards)))
        return found

    def _scope(self, command: Command) -> Scope:
        return self._commands.base_scope(command.params, operation=optional(ENTITY))

    def _tried(self, command: Command, before: Sequence[Name], name: Name) -> tuple[bool, bool]:
        """Return whether a guard ever refuses and ever passes, behind some others.

        What cannot be decided may do both, so that nothing is taken as proved.
        """
        guards = self._machine.guards
        if name not in guards or any(each not in guards for each in before):
            return True, True
        domains = Domains(self._scope(command), {f"{self._machine.entity}.status": self._statuses})
        try:
            earlier = [_condition(guards[each]) for each in before]
            own = _condition(guards[name])
            cases = list(domains.cases([*earlier, own]))
        except (SyntaxError, UndecidedError):
            self.undecided.append(f"{name} in {command.name}")
            return True, True
        sources = command.from_statuses
        reached = [c for c in cases if all(domains.holds(e, c, sources) for e in earlier)]
        results = {domains.holds(own, case, sources) for case in reached}
        if domains.opaque and len(results) == 2:
            # It depends on something that was not tried, so nothing is proved either way.
            self.undecided.append(f"{name} in {command.name}")
        else:
            self.decided += 1
        return False in results, True in results

    def _by_numbers(self, command: Command, guard: str) -> tuple[bool, bool]:
        """Return the same, as far as the numbers that are compared decide it."""
        state = self._states.fresh(live=is_live(command, self._program))
        for check, before in self._states.before(command.guards, state):
            if check.guard == guard and before.reached:
                refuses = before.assuming(negation(check.test)).reached
                return refuses, before.assuming(check.test).reached
        return True, True

    def _steps(self) -> None:
        """Steps of an end that set one field, where both may happen."""
        steps = self._machine.on_terminal
        for place, step in enumerate(steps):
            for other in steps[place + 1 :]:
                shared = [target for target in other.update if target in step.update]
                if shared and self._together(step.if_, other.if_):
                    self._overlap(shared[0])

    def _overlap(self, target: Text) -> None:
        message = f"{target} is set by two steps that may both happen: the later one wins"
        self._diagnostics.add(target.mark, "overlapping-steps", message, of=str(target))

    def _together(self, one: Text | None, other: Text | None) -> bool:
        tests = [ast.parse(str(e).strip(), mode="eval").body for e in (one, other) if e is not None]
        entity = self._machine.entity
        names: dict[str, Expression] = {
            entity: nodes.Name(ENTITY, Root.RECORD, str(entity)),
            "registry": nodes.Name(REGISTRY, Root.REGISTRY, "registry"),
        }
        domains = Domains(Scope(self._program.symbols, names), {})
        try:
            cases: list[dict[str, Any]] = list(domains.cases(tests))
        except UndecidedError:
            self.undecided.append("steps of an end")
            return False
        self.decided += 1
        return any(all(domains.holds(test, case, ()) for test in tests) for case in cases)


def _condition(guard: Guard) -> ast.expr:
    """Return what must hold, with what `let` binds written out."""
    bound = {str(n): ast.parse(str(e).strip(), mode="eval").body for n, e in guard.let.items()}

    class Bound(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            return bound.get(node.id, node)

    tree = ast.parse(str(guard.when).strip(), mode="eval").body
    written: ast.expr = Bound().visit(tree)
    return written
