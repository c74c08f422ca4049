"""Describe a machine: the legal actions by status, and each action's guards and updates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from opslifecycle_codegen.emit.region_edges import RegionEdges
from opslifecycle_codegen.emit.texts import line
from opslifecycle_codegen.ir.built_ins import BUILT_IN_EFFECTS, LEGAL_STATUS
from opslifecycle_codegen.ir.expr import Expression, Member
from opslifecycle_codegen.ir.feeds import CREATE, fed_commands
from opslifecycle_codegen.ir.groups import composites
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.parameters import parameter_notation
from opslifecycle_codegen.ir.program import (
    Check,
    Command,
    Program,
    UniqueKey,
    leads_to,
    tested_ways,
)
from opslifecycle_codegen.ir.regions import parts_of
from opslifecycle_codegen.ir.times import timer_notation
from opslifecycle_codegen.source.words import NOWHERE, Name


def explained(program: Program) -> str:
    """Return the description of the whole machine."""
    machine = program.machine
    lines = [
        f"{machine.machine}, version {machine.version}: {line(machine.summary)}",
        "",
        "Statuses",
    ]
    for status in _statuses(program):
        lines += _status_lines(program, status)
    lines += _region_lines(program)
    refined = program.symbols.refined
    if refined:
        lines += ["", "Types", *(f"  {name}: {type.described}" for name, type in refined.items())]
    if program.unique:
        lines += ["", "Unique keys", *map(_key_line, program.unique)]
    lines += ["", "Actions"]
    for command in (program.create, *program.actions):
        lines += _command_lines(program, command)
    for removing in (program.rollback, program.erase):
        if removing is not None:
            lines += _command_lines(program, removing)
    for choice in program.choices:
        lines += [f"  {choice.name}: {line(choice.summary)}"]
        for action, asked in choice.actions:
            lines.append(f"    asks for {action.name} in {', '.join(asked)}")
        if choice.returns is not None:
            lines.append(f"    returns {notation(choice.returns)}")
    lines += _work_lines(program)
    guard_analysis = program.guard_analysis
    if guard_analysis is not None:
        lines += [
            "",
            f"Guards and terminal effects: {guard_analysis.decided} decided by trying every case",
        ]
        lines += [f"  undecided: {name}" for name in guard_analysis.undecided]
    return "\n".join(lines)


def explained_status(program: Program, status: str) -> str:
    """Describe one status: its legal actions, and the error of each other action."""
    lines = _status_lines(program, status)
    for action in program.actions:
        if status in action.from_statuses:
            lines += _command_lines(program, action)
        else:
            already = " (counts as done already)" if status in action.idempotent_in else ""
            refusals = " or ".join(_distinct(_of_status(action)))
            lines.append(f"  {action.name}: refused with {refusals}{already}")
    return "\n".join(lines)


def _statuses(program: Program) -> list[str]:
    groups = program.symbols.status_groups
    return [*groups["live"], *groups["terminal"]]


def _status_lines(program: Program, status: str) -> list[str]:
    info = program.symbols.enums[program.symbols.status_enum].members[status]
    terminal = status in program.symbols.status_groups["terminal"]
    milestone = not terminal and status in program.symbols.announced
    kind = " Terminal." if terminal else " A milestone." if milestone else ""
    lines = [f"  {status}: {line(info.summary)}{kind}"]
    arrows = [
        f"{action.name} → {' or '.join(leads_to(action, status)) or 'stays'}"
        for action in program.actions
        if status in action.from_statuses
    ]
    into = _distinct(
        command.name
        for command in (program.create, *program.actions)
        if status in leads_to(command)
    )
    if into:
        lines.append(f"    reached by {', '.join(into)}")
    if arrows:
        lines.append(f"    allows {', '.join(arrows)}")
    for timer in program.timers:
        if status in timer.statuses:
            lines.append(f"    asks for {timer.action} {timer_notation(timer)}")
    within = [name for name, inside in composites(program.machine).items() if status in inside]
    if within:
        lines.append(f"    in {', '.join(within)}")
    parts = parts_of(program.machine, status)
    if parts:
        lines.append(f"    of {', '.join(f'{region} {part}' for region, part in parts.items())}")
    declared = program.machine.statuses.members[Name(status, NOWHERE)]
    for word, effects in (("on exit", declared.exit), ("on entry", declared.entry)):
        if effects:
            lines.append(f"    {word} {', '.join(effects)}")
    already = [a.name for a in program.actions if status in a.idempotent_in]
    if already:
        lines.append(f"    done already: {', '.join(already)}")
    return lines


def _region_lines(program: Program) -> list[str]:
    """Return the regions, each with what leads from one of its statuses to another."""

    def label(command: Command, way: Command, conditions: Sequence[str]) -> str:
        return f"{command.name} [{', '.join(conditions)}]" if conditions else command.name

    regions = program.machine.statuses.regions
    lines = ["", "Regions"] if regions else []
    edges = RegionEdges(program, label)
    for name, region in regions.items():
        lines += [f"  {name}: {line(region.summary)}", f"    begins {region.initial}"]
        for (source, to), labels in edges.within(str(name)).items():
            lines.append(f"    {source} → {to}: {', '.join(labels)}")
    return lines


def _command_lines(program: Program, command: Command) -> list[str]:
    takes = ", ".join(
        parameter_notation(name, type, command.defaults, command.keywords)
        for name, type in command.params.items()
    )
    lines = [f"  {command.name}({takes}): {line(command.summary)}"]
    if command.from_statuses:
        lines.append(f"    from {', '.join(command.from_statuses)}")
    if command in (program.rollback, program.erase):
        lines.append("    erases the record")
    elif not command.targets:
        lines.append(f"    to {command.to}" if command.to else "    changes no status")
    lines += [f"    needs {_need(check)}" for check in command.guards]
    if not command.targets:
        lines += _way_lines(command, "    ")
    for test, way in tested_ways(command) if command.targets else ():
        case = f"if {notation(test)}" if test is not None else "otherwise"
        lines += [f"    to {way.to} {case}", *_way_lines(way, "      ")]
    name = CREATE if command is program.create else command.name
    if name in fed_commands(program.machine):
        lines.append("    enters the feed")
    if command.returns is not None:
        lines.append(f"    returns {notation(command.returns)}")
    if command.deferred:
        lines.append("    deferred: written within one second; a crash may lose it")
    return lines


def _way_lines(way: Command, margin: str) -> Iterator[str]:
    """Yield what follows the guards of a command, or one of its targets."""
    for update in way.updates:
        yield f"{margin}sets {notation(update.target)}: {notation(update.value)}"
    if way.outcome is not None:
        yield f"{margin}outcome {_outcome(way.outcome)}"
    own = [effect for effect in way.effects if effect not in BUILT_IN_EFFECTS]
    if own:
        yield f"{margin}effects {', '.join(own)}"


def _key_line(key: UniqueKey) -> str:
    among = "live records" if key.of_live else "all records"
    return f"  {key.name}: {', '.join(key.fields)} among {among}. {line(key.summary)}"


def _work_lines(program: Program) -> list[str]:
    if program.work is None:
        return []
    lines = ["", "Work"]
    for word, call in program.work.calls.items():
        arguments = [notation(each) for each in call.arguments]
        own = arguments if word == "register" else ["id", *arguments]
        lines.append(f"  {word}: {call.method}({', '.join(own)})")
    given = [f"{name}: {type}" for name, type in program.work.given.items()]
    return [*lines, f"  given by the caller: {', '.join(given)}"] if given else lines


def _outcome(outcome: Expression) -> str:
    """Return an outcome in the machine's notation; a status alone is its word."""
    return outcome.word if isinstance(outcome, Member) else notation(outcome)


def _need(check: Check) -> str:
    legal = check.guard == LEGAL_STATUS
    condition = "a status that allows it" if legal else check.condition
    return f"{check.guard}: {condition}, else {check.error}"


def _of_status(action: Command) -> Iterator[str]:
    """Return the error of the built-in test of the status."""
    return (check.error for check in action.guards if check.guard == LEGAL_STATUS)


def _distinct(names: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(names))
