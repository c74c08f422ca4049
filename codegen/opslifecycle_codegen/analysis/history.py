"""Stage 3, analyze: the history of each record, and what an entry of it says of a transition."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve

from opslifecycle_codegen.analysis.reserved import refuse_reserved
from opslifecycle_codegen.base.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression, Root
from opslifecycle_codegen.ir.feeds import CREATE
from opslifecycle_codegen.ir.messages import create_word
from opslifecycle_codegen.ir.program import Command
from opslifecycle_codegen.ir.public_names import public_names
from opslifecycle_codegen.ir.symbols import Symbols
from opslifecycle_codegen.ir.times import stamp
from opslifecycle_codegen.ir.types import ENTITY, Type
from opslifecycle_codegen.source import command_model, model, type_model
from opslifecycle_codegen.source.words import Name, Text, TypeExpr, TypeName

#: The slot of a record that holds its history.
HISTORY = "history"
_LAST_MAX = 1_000


def transition_class(machine: model.Machine) -> str:
    """Return the class of the entries of a history."""
    return public_names(machine).transition


def placed_value(
    machine: model.Machine, diagnostics: Diagnostics
) -> dict[TypeName, type_model.Value]:
    """Return the value that a history consists of, and report what it cannot be."""
    history = machine.history
    if history is None:
        return {}
    if not 1 <= history.last <= _LAST_MAX:
        message = f"a history has the last 1 to {_LAST_MAX} transitions, not {history.last}"
        diagnostics.add(history.mark, "wrong-shape", message)
    declared = next((name for name in machine.fields if name == HISTORY), None)
    if declared is not None:
        message = f"{HISTORY} belongs to the history of a record"
        diagnostics.add(declared.mark, "owned-field", message, "choose another name")
    names, mark = public_names(machine), history.mark
    types = {"action": names.action, "to_status": names.status, "at_ms": "int"}
    types["from_status"] = f"{names.status} | None"
    refuse_reserved("a parameter in a history", history.params, diagnostics)
    for param in history.params:
        type = _type(param, machine, diagnostics)
        if type is not None:
            types[str(param)] = f"{type} | None"
    fields = {
        Name(name, mark): type_model.ValueField(mark=mark, type=TypeExpr(type, mark))
        for name, type in types.items()
    }
    summary = Text(f"One transition of one {machine.entity.replace('_', ' ')}.", mark)
    value = type_model.Value(mark=mark, summary=summary, fields=fields)
    return {TypeName(transition_class(machine), mark): value}


def _type(param: Name, machine: model.Machine, diagnostics: Diagnostics) -> str | None:
    types: dict[str, set[str]] = {}
    for params in _parameters(machine):
        for name, each in params.items():
            types.setdefault(str(name), set()).add(str(each.type).partition("|")[0].strip())
    found = types.get(str(param), set())
    if len(found) == 1:
        return next(iter(found))
    if found:
        message = f"{param} is of several types: {' and '.join(sorted(found))}"
        diagnostics.add(param.mark, "wrong-type", message, "give the parameters one type")
    else:
        message = f"no transition has a parameter {str(param)!r}"
        diagnostics.add(param.mark, "unknown-name", message, nearest(param, sorted(types)))
    return None


def _parameters(machine: model.Machine) -> Iterator[dict[Name, command_model.Parameter]]:
    yield machine.create.params
    yield from (each.params for each in machine.actions.values() if each.to)


def with_entry(
    command: Command, machine: model.Machine, symbols: Symbols, name: str = ""
) -> Command:
    """Return a command with the entry that it adds to a history, if it is a transition."""
    if machine.history is None or not command.to:
        return command
    info = symbols.records[transition_class(machine)]
    enum = symbols.type_named(public_names(machine).action)
    assert enum is not None
    record = nodes.Name(ENTITY, Root.RECORD, str(machine.entity))
    status = symbols.status_type
    values: dict[str, Expression] = {
        param: nodes.Name(type, Root.PARAMETER, param) for param, type in command.params.items()
    }
    is_create = name == CREATE
    word = create_word(machine) if is_create else command.name
    values |= {
        "action": nodes.Member(enum, word),
        "to_status": nodes.Member(status, command.to),
        "at_ms": stamp(),
        "from_status": nodes.NOTHING if is_create else nodes.Field(status, record, "status"),
    }
    arguments = tuple(values.get(field, nodes.NOTHING) for field in info.fields)
    entry = nodes.Construct(Type("record", info.name), info.name, arguments)
    return evolve(command, entry=entry)
