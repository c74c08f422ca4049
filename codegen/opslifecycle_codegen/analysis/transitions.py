"""Stage 3, analyze: a feed of transitions. What it notes of a command, and the steps that follow.

What an entry says of its transition is kept in fields of the record, which the compiler places: so
stores, migrations and the model checker know them like any other field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

from attrs import evolve

from opslifecycle_codegen.base.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression, Root
from opslifecycle_codegen.ir.feeds import (
    COMPLETIONS,
    CREATE,
    TRANSITIONS,
    fed_commands,
    feeds_announcements,
    feeds_transitions,
)
from opslifecycle_codegen.ir.messages import create_word
from opslifecycle_codegen.ir.program import Assignment, Command, EndStep
from opslifecycle_codegen.ir.public_names import public_names
from opslifecycle_codegen.ir.regions import begins_milestone
from opslifecycle_codegen.ir.symbols import Symbols
from opslifecycle_codegen.ir.times import stamp
from opslifecycle_codegen.ir.types import BOOL, ENTITY, UNKNOWN
from opslifecycle_codegen.source import command_model, model
from opslifecycle_codegen.source.words import Name, Text, TypeExpr

#: What expressions of a feed entry call the transition, and how its fields begin.
TRANSITION = "transition"
ACTION, FROM_STATUS, AT_MS = "action", "from_status", "at_ms"
_READ = re.compile(rf"\b{TRANSITION}\.([a-z][a-z0-9_]*)")


def field_name(word: str) -> str:
    """Return the field of a record that keeps what an entry says of its transition."""
    return f"{TRANSITION}_{word}"


def placed_fields(
    machine: model.Machine, diagnostics: Diagnostics
) -> dict[Name, model.EntityField]:
    """Return the fields that a feed of transitions needs, and report what it cannot be."""
    feed = machine.feed
    if feed is None or not feeds_transitions(machine):
        return {}
    _check_commands(machine, feed, diagnostics)
    found = {}
    for word, text in _words(machine, feed).items():
        type = _type(word, text, machine, diagnostics)
        if type is not None:
            name = Name(field_name(word), text.mark)
            type = TypeExpr(f"{type} | None", text.mark)
            found[name] = model.EntityField(mark=text.mark, type=type)
    for name in found:
        declared = next((each for each in machine.fields if each == name), None)
        if declared is not None:
            message = f"{name} belongs to the feed, which has entries of transitions"
            diagnostics.add(declared.mark, "owned-field", message, "choose another name")
    return found


def _check_commands(machine: model.Machine, feed: model.Feed, diagnostics: Diagnostics) -> None:
    known = [CREATE, *map(str, machine.actions)]
    for word in feed.of if list(feed.of) not in ([TRANSITIONS], [COMPLETIONS]) else ():
        if word not in known:
            hint = nearest(word, [COMPLETIONS, TRANSITIONS, *known])
            message = f"there is no action {str(word)!r} to have an entry"
            diagnostics.add(word.mark, "unknown-action", message, hint)
    fed = fed_commands(machine)
    for name, action in machine.actions.items():
        if name in fed and action.deferred:
            message = f"{name} enters the feed, whose entries no crash may lose"
            hint = "remove `deferred`, or list the actions of the feed without it"
            diagnostics.add(name.mark, "deferred-write", message, hint, of=str(name))


def _words(machine: model.Machine, feed: model.Feed) -> dict[str, Text]:
    """Return what has to be noted of each transition, each with where it is read."""
    found: dict[str, Text] = {}
    for field in feed.entry.fields.values():
        for word in _READ.findall(field.expr):
            found.setdefault(word, field.expr)
    if _told_by_action(machine):
        found.setdefault(ACTION, feed.of[0])
    return found


def _finishing(machine: model.Machine) -> set[str]:
    """Return the actions that may lead to a terminal status."""
    terminal = {str(n) for n, each in machine.statuses.members.items() if each.terminal}
    return {
        str(name)
        for name, each in machine.actions.items()
        if any(str(target.status) in terminal for target in each.to)
    }


def _told_by_action(machine: model.Machine) -> bool:
    """Return whether an end has to ask which action has led to it."""
    finishing = _finishing(machine)
    return bool(finishing & fed_commands(machine)) and not finishing <= fed_commands(machine)


def _type(
    word: str, text: Text, machine: model.Machine, diagnostics: Diagnostics
) -> str | None:  # fmt: skip
    """Return the type of what is noted; None where there is no such thing."""
    names = public_names(machine)
    known = {ACTION: names.action, FROM_STATUS: names.status, AT_MS: "int"}
    if word in known:
        return known[word]
    types = {
        str(each.type).partition("|")[0].strip()
        for name, params in _parameters(machine)
        for param, each in params.items()
        if param == word and name in fed_commands(machine)
    }
    if len(types) == 1:
        return types.pop()
    if types:
        message = f"{word} is of several types: {' and '.join(sorted(types))}"
        diagnostics.add(text.mark, "wrong-type", message, "give the parameters one type")
        return None
    params = {str(p) for n, ps in _parameters(machine) if n in fed_commands(machine) for p in ps}
    message = f"no command of the feed has a parameter {word!r}"
    diagnostics.add(text.mark, "unknown-name", message, nearest(word, [*known, *sorted(params)]))
    return None


def _parameters(
    machine: model.Machine,
) -> Iterator[tuple[str, dict[Name, command_model.Parameter]]]:
    yield CREATE, machine.create.params
    yield from ((str(name), each.params) for name, each in machine.actions.items())


#: The test of an end that never enters the feed.
NEVER = nodes.Literal(BOOL, False)


def fed_end(machine: model.Machine, symbols: Symbols, record: Expression) -> Expression | None:
    """Return the test of an end for whether its action enters the feed; None if each does."""
    finishing, fed = _finishing(machine), fed_commands(machine)
    if not feeds_transitions(machine) or finishing <= fed:
        return None
    enum = symbols.type_named(public_names(machine).action)
    type = symbols.entity_fields.get(field_name(ACTION))
    if enum is None or type is None or not finishing & fed:
        return NEVER
    members = tuple(nodes.Member(enum, each) for each in sorted(finishing & fed))
    noted = nodes.Field(type, record, field_name(ACTION))
    return nodes.Among(BOOL, noted, members)


class StepsOf(Protocol):
    """Returns the steps of an action that finishes no record."""

    def __call__(self, *, fed: bool, announces: bool) -> tuple[EndStep, ...]:
        """Return the steps, by whether the action enters the feed, and announces a milestone."""


class Transitions:
    """Gives commands what a feed of transitions notes of them, and the steps of its entries."""

    def __init__(self, machine: model.Machine, symbols: Symbols, steps: StepsOf) -> None:
        self._machine = machine
        self._symbols = symbols
        self._steps = steps
        self._fed = fed_commands(machine)
        self._of_transitions = feeds_transitions(machine)
        self._record = nodes.Name(ENTITY, Root.RECORD, str(machine.entity))

    def create(self, command: Command) -> Command:
        """Return the creation of a record with what follows for the feed."""
        word = create_word(self._machine)
        return self._followed(command, CREATE, word, before=nodes.NOTHING)

    def action(self, command: Command) -> Command:
        """Return an action with what follows for the feed."""
        before = nodes.Field(self._symbols.status_type, self._record, "status")
        return self._followed(command, command.name, command.name, before=before)

    def _followed(self, command: Command, name: str, word: str, *, before: Expression) -> Command:
        if self._of_transitions and command.to in self._symbols.status_groups["terminal"]:
            # The steps of an end append to the feed, and ask for the action.
            words = self._noted() if name in self._fed else [ACTION]
            return evolve(
                command, notes=(*command.notes, *self._notes(words, command, word, before))
            )
        announces = begins_milestone(self._machine, command.to, command.moves)
        fed = name in self._fed and (announces or not feeds_announcements(self._machine))
        notes = tuple(self._notes(self._noted(), command, word, before)) if fed else ()
        steps = self._steps(fed=fed, announces=announces)
        return evolve(command, notes=(*command.notes, *notes), steps=steps)

    def _noted(self) -> list[str]:
        prefix = field_name("")
        return [n.removeprefix(prefix) for n in self._machine.fields if n.startswith(prefix)]

    def _notes(
        self, words: list[str], command: Command, action: str, before: Expression
    ) -> Iterator[Assignment]:
        values: dict[str, Expression] = {
            name: nodes.Name(type, Root.PARAMETER, name) for name, type in command.params.items()
        }
        enum = self._symbols.type_named(public_names(self._machine).action)
        if enum is not None:
            values[ACTION] = nodes.Member(enum, action)
        values |= {FROM_STATUS: before, AT_MS: stamp()}
        feed = self._machine.feed
        assert feed is not None
        for word in words:
            type = self._symbols.entity_fields.get(field_name(word))
            if type is not None:
                target = nodes.Field(type, self._record, field_name(word), mark=feed.mark)
                value = evolve(values.get(word, nodes.NOTHING), mark=feed.mark)
                yield Assignment(target, value)


def entry_constants(machine: model.Machine, symbols: Symbols) -> dict[str, Expression]:
    """Return what an entry says of its transition, by the path that its expressions read."""
    if machine.feed is None or not feeds_transitions(machine):
        return {}
    record = nodes.Name(ENTITY, Root.RECORD, str(machine.entity))
    found: dict[str, Expression] = {}
    for word in _words(machine, machine.feed):
        name = field_name(word)
        # What there is not was reported, when the fields were placed.
        type = symbols.entity_fields.get(name, UNKNOWN)
        if word in (ACTION, AT_MS):
            found[f"{TRANSITION}.{word}"] = nodes.Name(type.required, Root.ENTRY, name)
        else:
            found[f"{TRANSITION}.{word}"] = nodes.Field(type, record, name)
    return found
