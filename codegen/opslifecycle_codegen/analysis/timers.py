"""Stage 3, analyze: timers. When each is due, what it does, and which commands plan it anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from attrs import evolve

from opslifecycle_codegen.analysis.resolve import Resolver
from opslifecycle_codegen.base.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression, Root, nodes_of
from opslifecycle_codegen.ir.program import Assignment, Command, EndStep, Timer
from opslifecycle_codegen.ir.regions import SINCE, region_of
from opslifecycle_codegen.ir.scope import Scope
from opslifecycle_codegen.ir.symbols import Symbols
from opslifecycle_codegen.ir.times import STATUS_SINCE, stamp
from opslifecycle_codegen.ir.types import BOOL, DATETIME, ENTITY, INT, UNKNOWN, Type, fits, optional
from opslifecycle_codegen.source import model, timer_model
from opslifecycle_codegen.source.words import Expr, Name, TypeExpr

Compile = Callable[[Expr, Scope, Type | None], Expression]
_UNITS_MS = {
    "days": 86_400_000, "hours": 3_600_000, "minutes": 60_000, "seconds": 1_000,
    "milliseconds": 1,
}  # fmt: skip
#: The step behind every command that may plan or cancel a timer.
PLANNED = EndStep(None, (), ("plan_timers",))


def declared_timers(machine: model.Machine) -> Iterator[tuple[Name, timer_model.Timer]]:
    """Yield every timer with the status or group that it is declared for."""
    for status, timers in machine.after.items():
        yield from ((status, timer) for timer in timers)


def duration_ms(timer: timer_model.Timer) -> int:
    """Return how long after its status began a timer is due, in milliseconds."""
    return sum(getattr(timer, unit) * ms for unit, ms in _UNITS_MS.items())


def clock(machine: model.Machine, word: str) -> tuple[str, str | None]:
    """Return the field with the time since which a status, or its region, is what it is.

    A timer of a region's status is not set anew by what happens in other regions.
    """
    region = region_of(machine, word)
    return (STATUS_SINCE if region is None else f"{region}{SINCE}"), region


def since_fields(machine: model.Machine) -> dict[str, Name]:
    """Return the fields that say since when a status has been, each with the timer's status."""
    found: dict[str, Name] = {}
    for status, timer in declared_timers(machine):
        if timer.at is None:
            found.setdefault(clock(machine, status)[0], status)
    return found


def placed_fields(
    machine: model.Machine, diagnostics: Diagnostics
) -> dict[Name, model.EntityField]:
    """Return the fields that say since when a record has its status, where timers need them."""
    found: dict[Name, model.EntityField] = {}
    for field, status in since_fields(machine).items():
        mark = status.mark
        declared = next((name for name in machine.fields if name == field), None)
        if declared is not None:
            message = f"{field} belongs to the timers of `after`"
            diagnostics.add(declared.mark, "owned-field", message, "choose another name")
        # Records of a version without timers have no such time, until a registry opens them.
        found[Name(field, mark)] = model.EntityField(
            mark=mark, type=TypeExpr("int | None", mark), initial=Expr("None", mark)
        )
    return found


class Timers:
    """Analyses the timers of a machine."""

    def __init__(
        self, machine: model.Machine, symbols: Symbols, resolver: Resolver, compiled: Compile,
        found: Diagnostics,
    ) -> None:  # fmt: skip
        self._machine = machine
        self._symbols = symbols
        self._resolver = resolver
        self._compile = compiled
        self._diagnostics = found
        self._record = nodes.Name(ENTITY, Root.RECORD, str(machine.entity))

    def timers(self, actions: Mapping[str, Command]) -> tuple[Timer, ...]:
        """Return the timers in the order of the file, and report what is wrong with them."""
        found = (
            self._timer(status, declared, actions)
            for status, declared in declared_timers(self._machine)
        )
        return tuple(timer for timer in found if timer is not None)

    def _timer(
        self, status: Name, declared: timer_model.Timer, actions: Mapping[str, Command]
    ) -> Timer | None:
        since, region = clock(self._machine, status)
        statuses = self._resolver.statuses([status])
        if region is not None:
            # A region's status is one of a finished record, too, when the other regions are done.
            ended = self._symbols.status_groups["terminal"]
            statuses = tuple(each for each in statuses if each not in ended)
        due = self._due(declared, since)
        action = actions.get(str(declared.do))
        if action is None:
            message = f"there is no action {str(declared.do)!r}"
            hint = nearest(declared.do, actions)
            self._diagnostics.add(declared.do.mark, "unknown-action", message, hint)
            return None
        given = self._given(declared, action)
        illegal = [each for each in statuses if each not in action.from_statuses]
        if illegal:
            message = f"{action.name} is not legal in {' and '.join(illegal)}: its timer is in vain"
            self._diagnostics.add(declared.do.mark, "dead-timer", message)
        elif due is not None and not _goes_on(statuses, due, action, declared, region):
            message = f"{action.name} leaves its timer as it was: it would be due for ever"
            hint = "lead to a status, or update what `at` reads"
            self._diagnostics.add(declared.do.mark, "endless-timer", message, hint)
        if due is None:
            return None
        after = duration_ms(declared)
        return Timer(statuses, due, action.name, given, after, since if after else "", region)

    def _due(self, declared: timer_model.Timer, field: str) -> Expression | None:
        """Return when a timer is due; None for a declaration that does not say."""
        ms = duration_ms(declared)
        if (declared.at is None) == (ms == 0):
            message = "a timer is due some time after its status began, or at the time of a field"
            hint = "write `minutes: 30` (or days, hours, seconds, milliseconds), or `at`"
            self._diagnostics.add(declared.mark, "wrong-shape", message, hint)
            return None
        if declared.at is None:
            since = nodes.Field(optional(INT), self._record, field, mark=declared.mark)
            later = nodes.Arithmetic(INT, "+", evolve(since, type=INT), nodes.number(ms))
            unknown = nodes.IsNone(BOOL, since)
            return nodes.Conditional(optional(INT), unknown, nodes.NOTHING, later)
        scope = Scope(self._symbols, {str(self._machine.entity): self._record})
        due = self._compile(declared.at, scope, None)
        times = (optional(INT), optional(DATETIME))
        if not (due.type == UNKNOWN or any(fits(due.type, each) for each in times)):
            message = f"expected a time, a datetime or an int of milliseconds, found {due.type}"
            self._diagnostics.add(declared.at.mark, "wrong-type", message)
        return due

    def _given(self, declared: timer_model.Timer, action: Command) -> dict[str, Expression]:
        """Return the arguments of the action, which no caller passes."""
        given: dict[str, Expression] = {}
        for param, type in action.params.items():
            expr = next((e for n, e in declared.with_.items() if n == param), None)
            if expr is not None:
                constant = self._compile(expr, Scope(self._symbols, {}), type)
                given[param] = evolve(constant, type=type)
            elif param in action.defaults:
                given[param] = action.defaults[param]
            elif type.optional:
                given[param] = nodes.NOTHING
            else:
                message = f"{action.name} takes {param}: say it under `with`"
                self._diagnostics.add(declared.do.mark, "missing-key", message)
        for word in declared.with_:
            if word not in action.params:
                hint = nearest(word, action.params)
                message = f"{action.name} does not take {str(word)!r}"
                self._diagnostics.add(word.mark, "unknown-name", message, hint)
        return given

    # Commands -----------------------------------------------------------------------------------

    def create(self, command: Command, timers: tuple[Timer, ...]) -> Command:
        """Return the creation of a record, which plans the timers of its first status."""
        planned = any(command.to in timer.statuses for timer in timers)
        return evolve(command, steps=(*command.steps, PLANNED)) if planned else command

    def action(self, command: Command, timers: tuple[Timer, ...]) -> Command:
        """Return an action with what follows for the timers."""
        if command.to in self._symbols.status_groups["terminal"] or not timers:
            return command
        notes = command.notes
        begun = [
            field
            for field, status in since_fields(self._machine).items()
            if command.to and _begins(command, clock(self._machine, status)[1])
        ]
        for field in begun:
            target = nodes.Field(optional(INT), self._record, field)
            notes = (*notes, Assignment(target, stamp()))
        statuses = {*command.from_statuses, command.to}
        near = [timer for timer in timers if not statuses.isdisjoint(timer.statuses)]
        updated = {each.target.name for each in (*command.updates, *notes) if each.of_record}
        plans = bool(near) if command.to else any(updated & _read(t.due) for t in near)
        steps = (*command.steps, PLANNED) if plans else command.steps
        return evolve(command, notes=notes, steps=steps)


def _read(due: Expression) -> set[str]:
    """Return the fields that an expression reads."""
    return {node.name for node in nodes_of(due) if isinstance(node, nodes.Field)}


def _begins(way: Command, region: str | None) -> bool:
    """Return whether a way begins a status anew: the record's, or that of a region."""
    return region is None or way.moves is None or region in way.moves


def _goes_on(
    statuses: tuple[str, ...], due: Expression, action: Command, declared: timer_model.Timer,
    region: str | None,
) -> bool:  # fmt: skip
    """Return whether a timer whose action was accepted is due no longer, or later."""
    anew = declared.at is None
    return all(
        (way.to and (way.to not in statuses or (anew and _begins(way, region))))
        or bool({each.target.name for each in way.updates} & _read(due))
        for way in action.ways
    )
