"""A machine in words: what is allowed where, and what each action needs and does."""

from __future__ import annotations

from collections.abc import Iterator

from opslifecycle_codegen.emit.texts import line
from opslifecycle_codegen.ir.built_ins import BUILT_IN_EFFECTS, LEGAL_STATUS
from opslifecycle_codegen.ir.program import Check, Command, Program


def explained(program: Program) -> str:
    """Return the whole machine."""
    machine = program.machine
    lines = [
        f"{machine.machine}, version {machine.version}: {line(machine.summary)}",
        "",
        "Statuses",
    ]
    for status in _statuses(program):
        lines += _status_lines(program, status)
    lines += ["", "Actions"]
    for command in (program.create, *program.actions):
        lines += _command_lines(program, command)
    for removing in (program.rollback, program.erase):
        if removing is not None:
            lines += _command_lines(program, removing)
    guard_analysis = program.guard_analysis
    if guard_analysis is not None:
        lines += ["", f"Guards and ends: {guard_analysis.decided} decided by trying every case"]
        lines += [f"  undecided: {name}" for name in guard_analysis.undecided]
    return "\n".join(lines)


def explained_status(program: Program, status: str) -> str:
    """Return one status: what is allowed in it, and what each other action is refused with."""
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
    lines = [f"  {status}: {line(info.summary)}{' An end.' if terminal else ''}"]
    arrows = [
        f"{action.name} → {action.to or 'stays'}"
        for action in program.actions
        if status in action.from_statuses
    ]
    into = _distinct(
        command.name for command in (program.create, *program.actions) if command.to == status
    )
    if into:
        lines.append(f"    reached by {', '.join(into)}")
    if arrows:
        lines.append(f"    allows {', '.join(arrows)}")
    already = [a.name for a in program.actions if status in a.idempotent_in]
    if already:
        lines.append(f"    done already: {', '.join(already)}")
    return lines


def _command_lines(program: Program, command: Command) -> list[str]:
    takes = ", ".join(f"{name}: {type}" for name, type in command.params.items())
    lines = [f"  {command.name}({takes}): {line(command.summary)}"]
    if command.from_statuses:
        lines.append(f"    from {', '.join(command.from_statuses)}")
    if command in (program.rollback, program.erase):
        lines.append("    erases the record")
    else:
        lines.append(f"    to {command.to}" if command.to else "    changes no status")
    lines += [f"    needs {_need(check, program)}" for check in command.guards]
    lines += [f"    sets {target}: {text}" for target, text in _updates(program, command)]
    if command.outcome is not None:
        lines.append(f"    outcome {_outcome(program, command)}")
    own = [effect for effect in command.effects if effect not in BUILT_IN_EFFECTS]
    if own:
        lines.append(f"    effects {', '.join(own)}")
    if command.deferred:
        lines.append("    deferred: written within one second; a crash may lose it")
    return lines


def _updates(program: Program, command: Command) -> Iterator[tuple[str, str]]:
    """Yield what a command sets, in the words of the machine."""
    machine = program.machine
    if command is program.erase:
        return
    declared = next((a for name, a in machine.actions.items() if name == command.name), None)
    rollback = machine.rollback if command is program.rollback else None
    for target, value in (declared or rollback or machine.create).update.items():
        yield str(target), " ".join(str(value).split())


def _outcome(program: Program, command: Command) -> str:
    """Return the outcome of an action, in the words of the machine."""
    declared = next(a for name, a in program.machine.actions.items() if name == command.name)
    return " ".join(str(declared.outcome or command.to).split())


def _need(check: Check, program: Program) -> str:
    legal = check.guard == LEGAL_STATUS
    condition = "a status that allows it" if legal else program.condition(check)
    return f"{check.guard}: {condition}, else {check.error}"


def _of_status(action: Command) -> Iterator[str]:
    """Return the error of the test of the status."""
    return (check.error for check in action.guards if check.guard == LEGAL_STATUS)


def _distinct(names: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(names))
