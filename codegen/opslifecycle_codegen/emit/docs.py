"""Lowering of the documentation: the table, the diagram, the closed sets."""

from __future__ import annotations

from attrs import frozen

from opslifecycle_codegen.emit.environment import Context
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.program import Command, Program, leads_to
from opslifecycle_codegen.ir.symbols import EnumInfo, MemberInfo, MemberOf


@frozen
class MemberRow:
    """One member of a closed set, with its properties as text."""

    wire: str
    summary: str
    shown: list[str]


@frozen
class EnumTable:
    """A closed set as a table."""

    name: str
    summary: str
    properties: list[str]
    members: list[MemberRow]


def context(program: Program) -> Context:
    """Return what the page of a machine shows."""
    return {
        "summary_text": str(program.machine.summary),
        "actions": [action.name for action in program.actions],
        "table": table(program),
        "action_rows": action_rows(program),
        "regions": region_tables(program),
        "deferred": any(action.deferred for action in program.actions),
        "stored": program.recovery is not None,
        "types": type_rows(program),
        "unique": program.unique,
        "closed_sets": enum_tables(program),
        "invariants": [(rule.name, rule.summary) for rule in program.invariants],
    }


def table(program: Program) -> list[tuple[str, list[str]]]:
    """Return the table of actions by status."""
    groups = program.symbols.status_groups
    return [
        (status, [_cell(action, status) for action in program.actions])
        for status in [*groups["live"], *groups["terminal"]]
    ]


def _cell(action: Command, status: str) -> str:
    if status in action.from_statuses:
        targets = leads_to(action, status)
        place = f"→ {' or '.join(targets)}" if any(targets) else "*stays*"
        return f"{place} (deferred)" if action.deferred else place
    return "*already*" if status in action.idempotent_in else ""


def region_tables(program: Program) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Return each region: its name, what it is, and its statuses with what they mean."""
    return [
        (
            str(name),
            str(region.summary),
            [(str(n), str(s.summary)) for n, s in region.members.items()],
        )
        for name, region in program.machine.statuses.regions.items()
    ]


def action_rows(program: Program) -> list[tuple[str, str, str, str]]:
    """Return each action with its methods, its summary and its errors."""
    rows = []
    for command in program.actions:
        declared = next(a for n, a in program.machine.actions.items() if n == command.name)
        words = [*declared.methods]
        words += [n for n, each in program.machine.methods.items() if command.name in each.actions]
        methods = ", ".join(f"`{method}`" for method in words) or "no method of its own"
        errors = _errors(command)
        deferred = " Deferred." if command.deferred else ""
        value = "" if command.returns is None else f" Returns `{notation(command.returns)}`."
        needs = f"Rejected with {errors}.{value}{deferred}"
        rows.append((command.name, methods, command.summary, needs))
    for removing in (program.rollback, program.erase):
        if removing is not None:
            errors = _errors(removing)
            sources = ", ".join(removing.from_statuses)
            needs = f"Erases the record, from {sources}. Rejected with {errors}."
            rows.append((removing.name, f"`{removing.name}`", removing.summary, needs))
    return rows


def _errors(command: Command) -> str:
    return ", ".join(dict.fromkeys(f"`{check.error}`" for check in command.guards))


def type_rows(program: Program) -> list[tuple[str, str, str]]:
    """Return each declared scalar type: its name, its values, and what it is for."""
    return [
        (str(name), program.symbols.refined[name].described, str(declared.summary or ""))
        for name, declared in program.machine.types.items()
    ]


def enum_tables(program: Program) -> list[EnumTable]:
    """Return the closed sets in the order of the machine, the statuses last."""
    return [_enum_table(info) for info in program.symbols.enums.values()]


def _enum_table(info: EnumInfo) -> EnumTable:
    shown = [name for name, each in info.properties.items() if each.type.kind != "statuses"]
    members = [
        MemberRow(m.wire, m.summary, [member_word(info, m, name) for name in shown])
        for m in info.members.values()
    ]
    return EnumTable(info.name, info.summary, shown, members)


def member_word(info: EnumInfo, member: MemberInfo, name: str) -> str:
    """Return the text of a property's value: a text itself, a member by its name."""
    value = member.values[name]
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value.wire if isinstance(value, MemberOf) else str(value)
