"""The contents of outbox messages: the actions that they name, and the arguments of each."""

from __future__ import annotations

from collections.abc import Mapping

from opslifecycle_codegen.ir.program import Command, Program
from opslifecycle_codegen.ir.types import Type
from opslifecycle_codegen.source import model

#: The parts of a migration that edit messages: words, and the arguments of an action, by its
#: current name.
ACTIONS, EFFECTS, ARGUMENTS = "actions", "effects", "arguments."


def create_word(machine: model.Machine) -> str:
    """Return the member of `create`, with an underscore if an action has the same name."""
    removing = {str(each.method) for each in (machine.rollback, machine.erase) if each is not None}
    return "_create" if "create" in {*machine.actions, *removing} else "create"


def action_words(machine: model.Machine) -> dict[str, str]:
    """Return the words of all commands about one record, each with its summary."""
    found = {create_word(machine): str(machine.create.summary)}
    found |= {str(name): str(each.summary) for name, each in machine.actions.items()}
    removing = (each for each in (machine.rollback, machine.erase) if each is not None)
    return found | {str(each.method): str(each.summary) for each in removing}


def erasing(program: Program) -> list[Command]:
    """Return the commands that remove a record, which may have effects as well."""
    return [each for each in (program.rollback, program.erase) if each is not None]


def parameters(program: Program) -> dict[str, Mapping[str, Type]]:
    """Return the parameters of each action, with their types, as messages hold them."""
    id = Type("id", program.symbols.entity_fields["id"].name)
    found: dict[str, Mapping[str, Type]] = {create_word(program.machine): program.create.params}
    for command in program.actions:
        found[command.name] = {"id": id, **command.params}
    found |= {command.name: {"id": id} for command in erasing(program)}
    return found


def message_sets(program: Program) -> dict[str, list[str]]:
    """Return the words in stored messages: the actions and the declared effects."""
    if not program.machine.effects or program.recovery is None:
        return {}
    effects = sorted(str(name) for name in program.machine.effects)
    return {ACTIONS: sorted(parameters(program)), EFFECTS: effects}


def message_arguments(program: Program) -> dict[str, Mapping[str, Type]]:
    """Return the arguments in stored messages, by the part of a migration that edits them."""
    if not message_sets(program):
        return {}
    return {f"{ARGUMENTS}{action}": types for action, types in parameters(program).items()}
