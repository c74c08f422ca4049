"""Lowering of what follows the guards of a command: updates, status, outcome, steps and effects."""

from __future__ import annotations

from collections.abc import Callable

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.code import SUM, Code
from opslifecycle_codegen.emit.constants import Constants
from opslifecycle_codegen.emit.effects import EffectConstants, still_known
from opslifecycle_codegen.emit.methods import MethodLowering
from opslifecycle_codegen.emit.outcomes import Outcomes
from opslifecycle_codegen.ir.expr import Expression
from opslifecycle_codegen.ir.program import Command, EndStep, Program, leads_to
from opslifecycle_codegen.ir.public_names import PublicNames


class WayLowering(MethodLowering):
    """Prints the ways of commands, and the steps that follow."""

    def __init__(
        self, program: Program, names: PublicNames, width: int, constants: Constants
    ) -> None:
        super().__init__(program, names, width, constants)
        self.effects = EffectConstants(program)
        self.outcomes = Outcomes(program, width)

    def _way(self, way: Command, word: str, depth: int = 0) -> list[str]:
        """Return what follows the guards of an action; its effects are called after `word`."""
        body = [*self._assign(way.updates, depth), *self._noted(way, depth)]
        body += self._stamps(way.name, depth)
        status = Code(f"{self._names.status}.{way.to.upper()}")
        if way.to in self._program.symbols.status_groups["terminal"]:
            ending = self._ending(way, status, self.outcomes.of(way), word)
            return [*body, *self._statement("return ", ending, depth=depth)]
        if way.to:
            body += self._statement(f"{self._entity}.status = ", status, depth=depth)
        return [*body, *self._followed(way, word, depth)]

    def _noted(self, command: Command, depth: int = 0) -> list[str]:
        """Return what features note in the record of a command, before its status changes."""
        lines, history = self._assign(command.notes, depth), self._machine.history
        if command.entry is not None and history is not None:
            kept = f"{self._entity}.history"
            arguments = [Code(kept), self._printer.code(command.entry), Code(str(history.last))]
            longer = layout.called("_rt.appended", arguments)
            lines += self._statement(f"{kept} = ", longer, depth=depth)
        return lines

    def _followed(self, command: Command, word: str, depth: int = 0) -> list[str]:
        """Return the steps of an action that finishes no record, and its effects."""
        return self._steps(
            list(command.steps), {}, command.effects,
            lambda effects: self.effects.of_command(word, effects), depth,
        )  # fmt: skip

    def _ending(self, command: Command, status: Code, outcome: Code, word: str) -> Code:
        """Return the call that ends a record; what the action itself causes comes first."""
        ending = layout.called("self._end", [Code(self._entity), status, outcome])
        if not command.effects:
            return ending
        first = Code(self.effects.of_command(word, command.effects))
        return layout.joined("+", [first, ending], SUM)

    def _effects(self, command: Command) -> str:
        return self.effects.of_command(command.name, command.effects)

    def _steps(
        self, steps: list[EndStep], known: dict[Expression, bool], effects: tuple[str, ...],
        named: Callable[[tuple[str, ...]], str], depth: int = 0,
    ) -> list[str]:  # fmt: skip
        """Straight lines, then one branch for each test that is not decided yet."""
        margin = "    " * depth
        lines: list[str] = []
        for place, step in enumerate(steps):
            if step.test is not None and step.test not in known:
                rest = steps[place:]
                yes, no = {**known, step.test: True}, {**known, step.test: False}
                holds = self._steps(rest, yes, effects, named, depth + 1)
                fails = self._steps(rest, no, effects, named, depth)
                test = self._statement("if ", self._printer.code(step.test), ":", depth=depth)
                return [*lines, *test, *holds, *fails]
            if step.test is None or known[step.test]:
                lines += self._assign(step.updates, depth)
                known = still_known(known, step)
                effects = (*effects, *step.effects)
        return [*lines, f"{margin}return {named(effects)}"]

    def _gathered(self) -> list[str]:
        """Every step with its own test, in order; the effects are gathered on the way."""
        lines = [f"effects = {self.effects.of_end(())}"]
        for step in self._program.on_terminal:
            if not (step.updates or step.effects):
                continue
            depth = 0
            if step.test is not None:
                lines += self._statement("if ", self._printer.code(step.test), ":")
                depth = 1
            lines += self._assign(step.updates, depth)
            if step.effects:
                lines.append(f"{'    ' * depth}effects += {self.effects.of_step(step.effects)}")
        return [*lines, "return effects"]


def word_of(way: Command, command: Command) -> str:
    """Return what the effects of one way are called after."""
    words = [way.name]
    if len({each.from_statuses for each in command.ways}) > 1:
        words += ["from", *way.from_statuses[:1]]
    if len(leads_to(command)) > 1:
        words.append(way.to)
    return "_".join(words)
