"""Stage 3, analyze: methods that ask for the first of several actions that is legal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import evolve

from opslifecycle_codegen.analysis.commands import Commands
from opslifecycle_codegen.base.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.ir.program import Choice, Command
from opslifecycle_codegen.source import command_model, model
from opslifecycle_codegen.source.words import Name


def choices(
    machine: model.Machine, actions: Sequence[Command], commands: Commands,
    diagnostics: Diagnostics,
) -> tuple[Choice, ...]:  # fmt: skip
    """Return the methods of a machine over several actions; report those that can be none."""
    by_name = {action.name: action for action in actions}
    found = []
    for name, declared in machine.methods.items():
        choice = _choice(name, declared, by_name, diagnostics)
        if choice is not None:
            value = commands.returned(declared.returns, choice.first.params, str(name))
            found.append(evolve(choice, returns=value))
    return tuple(found)


def _choice(
    name: Name, declared: command_model.Method, actions: dict[str, Command], found: Diagnostics
) -> Choice | None:
    for word in declared.actions:
        if word not in actions:
            message = f"there is no action {str(word)!r}"
            found.add(word.mark, "unknown-action", message, nearest(word, actions))
    chosen = [actions[str(word)] for word in declared.actions if word in actions]
    if len(chosen) != len(declared.actions):
        return None
    if len(chosen) < 2:
        message = f"{name} has one action"
        found.add(declared.mark, "wrong-shape", message, "list it under `methods` of the action")
        return None
    first = chosen[0]
    for word, action in zip(declared.actions, chosen, strict=True):
        if _parameters(action) != _parameters(first):
            message = f"{action.name} has other parameters than {first.name}"
            hint = f"give all actions of {name} the same ones"
            found.add(word.mark, "wrong-type", message, hint)
    ways = tuple(_ways(chosen))
    for word, (way, statuses) in zip(declared.actions, ways, strict=True):
        if way is not first and not set(statuses) & set(way.from_statuses):
            message = f"{name} never asks for {way.name}: others come first in its statuses"
            found.add(word.mark, "dead-action", message, of=way.name)
    # What a machine may waive is left out: it is asked for nowhere.
    asked = tuple(each for each in ways if each[0] is first or each[1])
    return Choice(str(name), declared.summary, asked)


def _ways(actions: Sequence[Command]) -> Iterator[tuple[Command, tuple[str, ...]]]:
    """Yield each action with the statuses in which it is asked for.

    Where no action is legal, that is the first which is done already there.
    """
    taken = {status for action in actions for status in action.from_statuses}
    legal: set[str] = set()
    for action in actions:
        own = [status for status in action.from_statuses if status not in legal]
        legal.update(own)
        own += [status for status in action.idempotent_in if status not in taken]
        taken.update(own)
        yield action, tuple(own)


def _parameters(action: Command) -> tuple[object, ...]:
    return action.params, action.defaults, action.keywords
