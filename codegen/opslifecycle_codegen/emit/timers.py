"""Lowering of timers: which run in each status, when each is due, and what it does."""

from __future__ import annotations

from attrs import frozen

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.code import Code
from opslifecycle_codegen.emit.python import Printer, constant
from opslifecycle_codegen.ir.naming import command_method
from opslifecycle_codegen.ir.program import Program, Timer
from opslifecycle_codegen.ir.public_names import PublicNames


@frozen
class TimersView:
    """The timers module as the template prints it."""

    #: The statement that defines the tuple of all timers.
    timers: list[str]
    body: list[str]
    #: The fields that timers read: since when a record has its status, or that of a region.
    begun: list[str]


def timers_view(program: Program, names: PublicNames, width: int) -> TimersView | None:
    """Return the timers of a machine; None for a machine without."""
    if not program.timers:
        return None
    printer, fields = Printer(program.symbols), {*program.symbols.registry_fields}
    timers: list[Code] = []
    for timer in program.timers:
        decide = f"{names.authority}.{command_method(timer.action, fields)}"
        given = [constant(each, program.symbols, width - 12) for each in timer.given.values()]
        arguments = [Code(decide), *given]
        timers.append(layout.called("_rt.Timer", arguments))
    before = "TIMERS: tuple[_rt.Timer, ...] = "
    defined = layout.statement(before, layout.called("", timers), "", indent=0, width=width)
    body: list[str] = []
    for statuses, places in _by_timers(program).items():
        members = [Code(f"{names.status}.{each.upper()}") for each in statuses]
        status = Code(f"{names.variable}.status")
        test = (
            layout.compared([status, members[0]], ["is"])
            if len(members) == 1
            else layout.compared([status, layout.called("", members)], ["in"])
        )
        body += layout.statement("if ", test, ":", indent=4, width=width)
        dues = [
            layout.called("", [Code(str(place)), _due(program.timers[place], printer, names)])
            for place in places
        ]
        body += layout.statement("return ", _tuple(dues), "", indent=8, width=width)
    return TimersView(defined, [*body, "    return ()"], begun_fields(program))


def begun_fields(program: Program) -> list[str]:
    """Return the fields with the time at which a status began, each once."""
    return list(dict.fromkeys(timer.since for timer in program.timers if timer.since))


def _due(timer: Timer, printer: Printer, names: PublicNames) -> Code:
    if timer.due.type.required.kind == "datetime":
        return layout.called("_rt.milliseconds_of", [printer.code(timer.due)])
    if not timer.after_ms:
        return printer.code(timer.due)
    since = Code(f"{names.variable}.{timer.since}")
    return layout.called("_rt.later", [since, Code(str(timer.after_ms))])


def _tuple(items: list[Code]) -> Code:
    inside = ", ".join(each.text for each in items) + ("," if len(items) == 1 else "")
    return Code(f"({inside})", lead="(", parts=tuple(items), commas=True)


def _by_timers(program: Program) -> dict[tuple[str, ...], list[int]]:
    """Return the statuses with timers, those with the same timers together."""
    found: dict[tuple[int, ...], list[str]] = {}
    for status in program.symbols.status_groups["live"]:
        places = tuple(
            place for place, timer in enumerate(program.timers) if status in timer.statuses
        )
        if places:
            found.setdefault(places, []).append(status)
    return {tuple(statuses): list(places) for places, statuses in found.items()}
