"""Lowering of the outbox: the actions in messages, and the types of their arguments."""

from __future__ import annotations

from attrs import frozen

from opslifecycle_codegen.ir.messages import action_words, create_word, erasing, parameters
from opslifecycle_codegen.ir.naming import command_method
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.public_names import PublicNames
from opslifecycle_codegen.ir.symbols import EnumInfo, MemberInfo


@frozen
class MessageAction:
    """An action in the outbox module."""

    constant: str
    #: The parameters, each with its Python type.
    parameters: list[tuple[str, str]]


@frozen
class OutboxView:
    """The outbox module as the template prints it."""

    #: Declared effects, each with its number of deliveries.
    attempts: list[tuple[str, int]]
    actions: list[MessageAction]
    #: Methods of the authority, each with the constant of its action; and the methods that act on
    #: every live record.
    commands: list[tuple[str, str]]
    bulk_commands: list[tuple[str, str]]


def action_set(program: Program, names: PublicNames) -> EnumInfo:
    """Return the closed set of the actions."""
    words = action_words(program.machine)
    members = {name: MemberInfo(name, text) for name, text in words.items()}
    summary = f"The actions of one {names.entity}, as outbox messages name them."
    return EnumInfo(names.action, summary, members)


def outbox_view(program: Program, names: PublicNames) -> OutboxView:
    """Return the outbox of a machine that declares effects."""
    members = action_set(program, names).members
    fields = {*program.symbols.registry_fields}

    def command(name: str, action: str) -> tuple[str, str]:
        return f"{names.authority}.{command_method(name, fields)}", members[action].constant

    commands = [
        (f"{names.authority}.register", members[create_word(program.machine)].constant),
        *(command(each.name, each.name) for each in program.actions),
    ]
    bulk = [command(each.command.name, each.action) for each in program.bulk if each.action]
    if program.recovery is not None and program.recovery.command is not None:
        action = members[program.recovery.command.action].constant
        bulk.append((f"{names.authority}.recover_interrupted", action))
    commands += [command(each.name, each.name) for each in erasing(program)]
    return OutboxView(
        [(str(name).upper(), each.attempts) for name, each in program.machine.effects.items()],
        [
            MessageAction(members[name].constant, [(str(n), t.python) for n, t in types.items()])
            for name, types in parameters(program).items()
        ],
        commands,
        bulk,
    )
