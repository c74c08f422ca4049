"""What outbox messages say: the actions that they name, and the arguments of each."""

from __future__ import annotations

from collections.abc import Mapping

from opslifecycle_codegen.ir.program import Command, Program
from opslifecycle_codegen.ir.types import Type

#: The parts of a migration that edit messages: words, and the arguments of an action, by the name
#: that the action has today.
ACTIONS, EFFECTS, ARGUMENTS = "actions", "effects", "arguments."


def create_word(program: Program) -> str:
    """The member that stands for `create`: with an underscore where an action has the word."""
    taken = {command.name for command in program.actions}
    taken |= {command.name for command in erasing(program)}
    return "_create" if "create" in taken else "create"


def erasing(program: Program) -> list[Command]:
    """Return the commands that take a record away, which may have effects as well."""
    return [each for each in (program.rollback, program.erase) if each is not None]


def parameters(program: Program) -> dict[str, Mapping[str, Type]]:
    """Return what a message says of each action: its parameters with their types."""
    id = Type("id", program.symbols.entity_fields["id"].name)
    found: dict[str, Mapping[str, Type]] = {create_word(program): program.create.params}
    for command in program.actions:
        found[command.name] = {"id": id, **command.params}
    found |= {command.name: {"id": id} for command in erasing(program)}
    return found


def message_sets(program: Program) -> dict[str, list[str]]:
    """The words that stored messages hold: the actions, and the effects of the machine's own."""
    if not program.machine.effects or program.recovery is None:
        return {}
    effects = sorted(str(name) for name in program.machine.effects)
    return {ACTIONS: sorted(parameters(program)), EFFECTS: effects}


def message_arguments(program: Program) -> dict[str, Mapping[str, Type]]:
    """Return the arguments in stored messages, by the part of a migration that edits them."""
    if not message_sets(program):
        return {}
    return {f"{ARGUMENTS}{action}": types for action, types in parameters(program).items()}
