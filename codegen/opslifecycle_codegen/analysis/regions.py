"""Stage 3, analyze: orthogonal regions, flattened to statuses (ADR 0042).

A record has one status, whose name joins those of its regions. Later stages see ordinary statuses,
groups that are named like the statuses of regions, and actions with a target for each status that
they lead to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import evolve

from opslifecycle_codegen.analysis.region_rules import RegionRules
from opslifecycle_codegen.analysis.region_states import State, States, TooManyError
from opslifecycle_codegen.analysis.region_statuses import RegionStatuses, has_crossings
from opslifecycle_codegen.base.diagnostics import Diagnostics
from opslifecycle_codegen.ir.regions import STATUSES_MAX, FlatTarget, begins_milestone
from opslifecycle_codegen.source import command_model, model
from opslifecycle_codegen.source.words import Name, NameList, Text


def without_regions(machine: model.Machine, diagnostics: Diagnostics) -> model.Machine:
    """Return the machine with statuses in place of its regions; raises InvalidMachineError."""
    rules = RegionRules(machine, diagnostics)
    if not machine.statuses.regions:
        rules.refuse_words_of_regions()
        return machine
    before = len(diagnostics.findings)
    rules.check()
    _stop(diagnostics, before)
    states = States(machine)
    try:
        reached = states.reached()
    except TooManyError:
        _report_too_many(machine, diagnostics)
        _stop(diagnostics, before)
    rules.check_reached(map(states.name, reached))
    flat = RegionStatuses(machine, states, diagnostics).machine(reached)
    found = _Flattening(machine, flat, states, diagnostics).machine(reached)
    _stop(diagnostics, before)
    return found


def _stop(diagnostics: Diagnostics, before: int) -> None:
    """Stop at a finding about regions: without their statuses, it would have others follow."""
    if len(diagnostics.findings) > before:
        diagnostics.stop_if_any()


def _report_too_many(machine: model.Machine, diagnostics: Diagnostics) -> None:
    regions = machine.statuses.regions
    sizes = ", ".join(f"{len(each.members)} of {name}" for name, each in regions.items())
    message = f"the regions reach more than {STATUSES_MAX} statuses together: {sizes}"
    diagnostics.add(next(iter(regions)).mark, "too-many-statuses", message)


class _Flattening:
    """Turns what leads through regions into commands between statuses."""

    def __init__(
        self, machine: model.Machine, flat: model.Machine, states: States, found: Diagnostics
    ) -> None:
        self._machine = machine
        self._statuses = machine.statuses
        self._flat = flat
        self._states = states
        self._diagnostics = found
        regions = machine.statuses.regions.values()
        self._crosses = has_crossings(machine.statuses.members) or any(
            has_crossings(region.members) for region in regions
        )

    def machine(self, reached: list[State]) -> model.Machine:
        """Return the flat machine with its commands."""
        self._all: list[State] = [*reached, *self._states.outside()]
        actions = self._machine.actions.items()
        return evolve(
            self._flat,
            create=self._create(),
            actions={name: self._action(name, each) for name, each in actions},
            rollback=self._rollback(),
            erase=self._erase(),
        )

    def _create(self) -> command_model.Create:
        create, first = self._machine.create, self._states.first()
        mark = create.to.mark if create.to else create.mark
        return evolve(
            create,
            to=Name(self._states.name(first), mark),
            effects=[*create.effects, *self._entry(first, None)],
        )

    def _action(self, name: Name, action: command_model.Action) -> command_model.Action:
        sources = [state for state in self._all if self._states.allows(state, action)]
        named = evolve(action, from_=self._names(sources, action.from_), while_=NameList())
        self._refuse_leaving_ends(name, action, sources)
        if not action.to:
            return named
        targets = [each for target in action.to for each in self._targets(action, target, sources)]
        if len(targets) == 1:
            targets = [evolve(targets[0], from_=NameList())]
        effects = [] if self._crosses else action.effects
        return evolve(named, to=command_model.Targets(targets), effects=effects)

    def _targets(
        self, action: command_model.Action, target: command_model.Target, sources: list[State]
    ) -> Iterator[command_model.Target]:
        """Yield a target for each status to which a target leads, and each way of getting there."""
        ways: dict[tuple[State, frozenset[str] | None, tuple[Name, ...]], list[State]] = {}
        for state in sources:
            for move in self._states.moved(state, action):
                if move.target is target:
                    leaving = tuple(self._exit(state, move.moves))
                    ways.setdefault((move.to, move.moves, leaving), []).append(state)
        if not ways and sources:
            message = f"{target.status} is never taken here: no status of the action is left for it"
            self._diagnostics.add(target.mark, "dead-target", message)
        announced = any(self._announces(to, moves) for to, moves, _ in ways)
        for (to, moves, leaving), states in ways.items():
            silent = announced and not self._announces(to, moves)
            effects = target.effects
            if self._crosses:
                entering = self._entry(to, moves)
                effects = [*leaving, *action.effects, *target.effects, *entering]
            made = command_model.Target(
                mark=target.mark,
                status=Name(self._states.name(to), target.status.mark),
                from_=self._names(states, target.from_ or action.from_),
                when=target.when,
                outcome=None if silent else target.outcome,
                update=target.update,
                effects=effects,
            )
            yield made if moves is None else _moving(made, moves)

    def _announces(self, to: State, moves: frozenset[str] | None) -> bool:
        begins = begins_milestone(self._flat, self._states.name(to), moves)
        return begins or self._states.is_terminal(to)

    def _exit(self, state: State, moves: frozenset[str] | None) -> Iterator[Name]:
        for status in self._crossed(state, moves):
            yield from status.exit

    def _entry(self, state: State, moves: frozenset[str] | None) -> Iterator[Name]:
        for status in self._crossed(state, moves):
            yield from status.entry

    def _crossed(self, state: State, moves: frozenset[str] | None) -> Iterator[model.Status]:
        """Yield the statuses that an action leaves or enters which begins some regions anew."""
        if isinstance(state, str):
            status = self._statuses.members[Name(state, self._machine.mark)]
            # What a terminal status causes is added later, as in a machine without regions.
            yield from [] if status.terminal or status.pseudo else [status]
            return
        for region, (_, status) in zip(
            self._statuses.regions, self._states.parts(state), strict=True
        ):
            if moves is None or region in moves:
                yield status

    def _refuse_leaving_ends(
        self, name: Name, action: command_model.Action, sources: list[State]
    ) -> None:
        for state in sources:
            for move in self._states.moved(state, action):
                for region, (part, status) in zip(
                    self._statuses.regions, self._states.parts(state), strict=False
                ):
                    if status.terminal and region in (move.moves or ()):
                        message = f"{part} is terminal: no action leads on from it within {region}"
                        hint = f"list the other statuses under `from` of {name}"
                        self._diagnostics.add(move.target.mark, "terminal-exit", message, hint)

    def _names(self, states: Iterable[State], words: NameList) -> NameList:
        mark = words[0].mark if words else self._machine.mark
        return NameList(Name(self._states.name(state), mark) for state in states)

    # Removals -----------------------------------------------------------------------------------

    def _rollback(self) -> command_model.Rollback | None:
        rollback = self._machine.rollback
        return rollback and evolve(rollback, from_=self._narrowed(rollback.from_, terminal=False))

    def _erase(self) -> command_model.Erase | None:
        erase = self._machine.erase
        return erase and evolve(erase, from_=self._narrowed(erase.from_, terminal=True))

    def _narrowed(self, words: NameList, *, terminal: bool) -> NameList:
        """Return statuses, where those of regions stand for the terminal or the live ones only."""
        found: dict[Text, None] = {}
        for word in words:
            if not self._states.is_of_region(word):
                found[word] = None
                continue
            for state in self._all:
                if self._states.is_in(state, word) and self._states.is_terminal(state) is terminal:
                    found[Name(self._states.name(state), word.mark)] = None
        return NameList(found)


def _moving(target: command_model.Target, moves: frozenset[str]) -> FlatTarget:
    """Return a target that begins the status of some regions anew."""
    return FlatTarget(
        mark=target.mark, status=target.status, from_=target.from_, when=target.when,
        outcome=target.outcome, update=target.update, effects=target.effects, moves=moves,
    )  # fmt: skip
