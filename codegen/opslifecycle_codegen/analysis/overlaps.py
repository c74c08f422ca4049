"""Stage 3, analyze: guards without effect, and conflicting steps of an end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from opslifecycle_codegen.analysis.counters import is_live
from opslifecycle_codegen.analysis.domains import Domains, UndecidedError
from opslifecycle_codegen.analysis.intervals import inlined, lets_of, substituted
from opslifecycle_codegen.analysis.ranges import States
from opslifecycle_codegen.base.diagnostics import Diagnostics
from opslifecycle_codegen.ir.built_ins import LEGAL_STATUS, RANGE_GUARD
from opslifecycle_codegen.ir.expr import Expression, Field, Literal, Refusal, conjunction, negation
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.program import Check, Command, GuardAnalysis, Program
from opslifecycle_codegen.ir.types import BOOL


def analyze_guards(program: Program, diagnostics: Diagnostics) -> GuardAnalysis:
    """Report guards without effect and conflicting steps; return how much was decided."""
    overlaps = _Overlaps(program, diagnostics)
    overlaps.run()
    return GuardAnalysis(overlaps.decided, tuple(overlaps.undecided))


class _Overlaps:
    def __init__(self, program: Program, diagnostics: Diagnostics) -> None:
        self._program = program
        self._machine = program.machine
        self._diagnostics = diagnostics
        self.decided = 0
        self.undecided: list[str] = []
        self._states = States(program)
        groups = program.symbols.status_groups
        self._statuses = [*groups["live"], *groups["terminal"]]

    def run(self) -> None:
        refused: dict[str, bool] = {}
        marks = {str(key): key.mark for key in self._machine.guards}
        for command in self._commands():
            for check, refuses, passes in self._results(command):
                name = check.guard
                refused[name] = refused.get(name, False) or refuses
                assert check.mark is not None
                # What a machine declares elsewhere, such as a unique key, is a guard as well.
                marks.setdefault(name, check.mark)
                if not passes:
                    message = f"no record can pass {name} in {command.name}"
                    self._diagnostics.add(check.mark, "dead-guard", message, of=name)
        for guard, ever in refused.items():
            # The test of the status is in every action, also where every status is legal.
            if not ever and guard != LEGAL_STATUS:
                message = f"{guard} never refuses anything where it is asked"
                hint = "what it asks for is so already, by the guards before it"
                self._diagnostics.add(marks[guard], "dead-guard", message, hint, of=guard)
        for command in self._program.actions:
            self._targets(command)
        self._steps()

    def _results(self, command: Command) -> Iterator[tuple[Check, bool, bool]]:
        """Yield guards with whether each can reject and can pass, up to one that cannot."""
        checks = tuple(inlined(command.guards))
        for place, check in enumerate(checks):
            if check.guard.startswith(RANGE_GUARD):
                continue
            refuses, passes = self._tried(command, checks[:place], check)
            if refuses and passes:
                refuses, passes = self._by_numbers(command, place)
            yield check, refuses, passes
            if not passes:
                return

    def _targets(self, command: Command) -> None:
        """Report targets that are never taken, and an action that may have none to take."""
        missed: tuple[Expression, ...] = ()
        if command.targets and not self._possible(command, Literal(BOOL, True), "its guards"):
            # Reported of the guard that leaves nothing.
            return
        alive = {
            target.mark
            for target in command.targets
            if self._possible(command, target.condition, f"the target {target.way.to}")
        }
        for target in command.targets:
            if target.mark not in alive:
                # Several have one mark if a target differs by the status that is left.
                alive.add(target.mark)
                message = f"{target.way.to} is never taken here"
                hint = "the guards, or the targets before it, leave nothing to it"
                self._diagnostics.add(target.mark, "dead-target", message, hint)
            missed = (*missed, negation(target.test or Literal(BOOL, True)))
        if missed and self._possible(command, conjunction(missed), "having a target"):
            message = f"{command.name} has no target in some case"
            hint = "remove the `when` of the last one, if that is for all other cases"
            self._diagnostics.add(command.targets[-1].mark, "not-total", message, hint)

    def _possible(self, command: Command, test: Expression, asked: str) -> bool:
        """Return whether a test may be true after the guards of a command, as far as is decided."""
        first = tuple(inlined(command.guards))
        test = substituted(test, lets_of(command.guards))
        check = Check((), test, Refusal("", ()), asked)
        _, passes = self._tried(command, first, check)
        if not passes:
            return False
        state = self._states.fresh(live=is_live(command, self._program))
        for each in first:
            state = state.assuming(each.test)
        return state.assuming(test).reached

    def _commands(self) -> Iterator[Command]:
        program = self._program
        yield from (program.create, *program.actions)
        for command in (program.rollback, program.erase, program.watch):
            if command is not None:
                yield command

    def _tried(self, command: Command, before: Sequence[Check], check: Check) -> tuple[bool, bool]:
        """Return whether a guard can reject and can pass, after some other guards.

        An undecided guard counts as both, so that it proves nothing.
        """
        domains = Domains(self._program.symbols, {f"{self._machine.entity}.status": self._statuses})
        try:
            cases = list(domains.cases([*(each.test for each in before), check.test]))
        except UndecidedError:
            self.undecided.append(f"{check.guard} in {command.name}")
            return True, True
        reached = [c for c in cases if all(domains.holds(each.test, c) for each in before)]
        results = {domains.holds(check.test, case) for case in reached}
        if domains.opaque and len(results) == 2:
            # It depends on an independent test, so neither result is proved.
            self.undecided.append(f"{check.guard} in {command.name}")
        else:
            self.decided += 1
        return False in results, True in results

    def _by_numbers(self, command: Command, place: int) -> tuple[bool, bool]:
        """Return the same by intervals of the compared numbers, for the guard in a place."""
        state = self._states.fresh(live=is_live(command, self._program))
        for number, (check, before) in enumerate(self._states.before(command.guards, state)):
            if number == place and before.reached:
                refuses = before.assuming(negation(check.test)).reached
                return refuses, before.assuming(check.test).reached
        return True, True

    def _steps(self) -> None:
        """Report steps of an end that set one field and can both apply."""
        steps = self._program.on_terminal
        for place, step in enumerate(steps):
            own = {notation(update.target) for update in step.updates}
            for other in steps[place + 1 :]:
                shared = [u.target for u in other.updates if notation(u.target) in own]
                if shared and self._together(step.test, other.test):
                    self._overlap(shared[0])

    def _overlap(self, target: Field) -> None:
        assert target.mark is not None
        field = notation(target)
        message = f"{field} is set by two steps that may both happen: the later one wins"
        self._diagnostics.add(target.mark, "overlapping-steps", message, of=field)

    def _together(self, one: Expression | None, other: Expression | None) -> bool:
        tests = [each for each in (one, other) if each is not None]
        domains = Domains(self._program.symbols, {})
        try:
            cases = list(domains.cases(tests))
        except UndecidedError:
            self.undecided.append("steps of an end")
            return False
        self.decided += 1
        return any(all(domains.holds(test, case) for test in tests) for case in cases)
