"""Stage 3, analyze: the effects of leaving a status and of entering one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import evolve

from opslifecycle_codegen.analysis.changes import Changes
from opslifecycle_codegen.base.diagnostics import Diagnostics, Location
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression, negation
from opslifecycle_codegen.ir.program import Command, Target, tested_ways
from opslifecycle_codegen.source import command_model, model

Effects = tuple[str, ...]


class Crossings:
    """Adds what statuses declare to the effects of the actions that lead out of them and to them.

    An action whose statuses differ in what leaving them causes has a target for each of them.
    """

    def __init__(self, machine: model.Machine, changes: Changes, found: Diagnostics) -> None:
        self._changes = changes
        members = machine.statuses.members
        self._exit = {str(name): changes.effects(each.exit) for name, each in members.items()}
        self._entry = {str(name): changes.effects(each.entry) for name, each in members.items()}
        for name, status in members.items():
            if status.pseudo and (status.exit or status.entry):
                message = f"no record ever has the pseudo status {name}: it has no effects"
                found.add(name.mark, "pseudo-status", message)
            elif status.terminal and status.exit:
                message = f"{name} is terminal: no action leads out of it"
                hint = "remove `exit`, or write its effects under `entry`"
                found.add(status.exit[0].mark, "terminal-exit", message, hint)

    def create(self, command: Command) -> Command:
        """Return the creation of a record, which enters its first status."""
        return evolve(command, effects=(*command.effects, *self._entry.get(command.to, ())))

    def action(self, command: Command, declared: command_model.Action) -> Command:
        """Return an action with the effects of its statuses: exit first, entry last."""
        if not any(way.to for way in command.ways):
            return command
        by_exit = self._by_exit(command)
        if len(by_exit) == 1:
            (effects,) = by_exit
            return command.with_ways(lambda way: self._crossed(way, effects))
        marks = [target.mark for target in declared.to]
        return evolve(command, targets=tuple(self._targets(command, by_exit, marks)))

    def _by_exit(self, command: Command) -> dict[Effects, list[str]]:
        """Return the statuses of an action by what leaving them causes."""
        found: dict[Effects, list[str]] = {}
        for status in command.from_statuses:
            found.setdefault(self._exit[status], []).append(status)
        return found or {(): []}

    def _crossed(self, way: Command, leaving: Effects) -> Command:
        entering = self._entry.get(way.to, ())
        return evolve(way, effects=(*leaving, *way.effects, *entering))

    def _targets(
        self, command: Command, by_exit: dict[Effects, list[str]], marks: Sequence[Location]
    ) -> Iterator[Target]:
        """Yield a target for each target of an action and each of its kinds of statuses."""
        missed: tuple[Expression, ...] = ()
        *_, last = by_exit
        for mark, (test, way) in zip(marks, tested_ways(command), strict=True):
            for effects, having in by_exit.items():
                statuses = [each for each in having if each in way.from_statuses]
                if not statuses:
                    continue
                parts = [self._changes.among(statuses)] if effects != last else []
                parts += [test] if test is not None else []
                own = nodes.conjunction(parts) if parts else None
                condition = nodes.conjunction([*missed, *parts])
                bare = evolve(
                    way, guards=(), foreseeable=(), depends_on=(), from_statuses=tuple(statuses)
                )
                yield Target(own, condition, self._crossed(bare, effects), mark)
                if own is not None:
                    missed = (*missed, negation(own))
