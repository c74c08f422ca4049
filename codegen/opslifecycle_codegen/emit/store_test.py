"""Lowering of the test that runs every action with a store, is killed, and reads the store."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.code import Code
from opslifecycle_codegen.emit.ratchet import sample
from opslifecycle_codegen.ir.parameters import in_call_order
from opslifecycle_codegen.ir.program import Command, Program
from opslifecycle_codegen.ir.sampled import Sampled
from opslifecycle_codegen.ir.symbols import Symbols
from opslifecycle_codegen.ir.types import Type


@frozen
class StoreTest:
    """The variables of the test's template."""

    begin: list[str]
    calls: list[tuple[str, list[str]]]
    before: list[tuple[str, str]]


def store_test(program: Program, sampled: Sampled, width: int) -> StoreTest | None:
    """Return the test; None without a store, or if no sample can be stored."""
    symbols, create = program.symbols, program.create
    if not sampled.is_stored or _holds_foreign(program, create):
        return None
    method, words = next(iter(program.machine.create.methods.items()))
    samples = _arguments({str(word): create.params[str(word)] for word in words}, create, symbols)
    begin = layout.called(f"registry.{method}", samples)
    methods, actions = methods_of(program), _called(program)
    calls = []
    for action in actions:
        given = [Code("id"), *_arguments(action.params, action, symbols)]
        call = layout.called(f"registry.{methods[action.name]}", given)
        calls.append((action.name, layout.statement("", call, "", indent=12, width=width)))
    lines = layout.statement("", begin, "", indent=4, width=width)
    return StoreTest(lines, calls, _before(program, actions))


def _arguments(types: Mapping[str, Type], command: Command, symbols: Symbols) -> list[Code]:
    """Return the samples that a call passes, some of them by name."""
    keywords = command.keywords
    return [
        layout.behind(f"{name}=" if name in keywords else "", sample(types[name], symbols))
        for name in in_call_order(types, keywords)
    ]


def _holds_foreign(program: Program, command: Command) -> bool:
    """Return whether a parameter has a class of the user's program, which has no sample."""
    return any(program.symbols.holds_foreign(type) for type in command.params.values())


def methods_of(program: Program) -> dict[str, str]:
    """Return the method that asks for each action, for those that have one."""
    return {
        str(name): str(declared.methods[0])
        for name, declared in program.machine.actions.items()
        if declared.methods
    }


def ways_to(program: Program) -> list[list[str]]:
    """Return the actions that are called on each new record, as `act_and_die` calls them."""
    before = dict(_before(program, _called(program)))
    ways = []
    for last in before:
        way = [last, last]
        while before[way[0]]:
            way.insert(0, before[way[0]])
        ways.append(way)
    return ways


def _called(program: Program) -> list[Command]:
    methods = methods_of(program)
    return [
        action
        for action in program.actions
        if action.name in methods and not _holds_foreign(program, action)
    ]


def _before(program: Program, actions: list[Command]) -> list[tuple[str, str]]:
    """Return each action with the action before it; empty for actions on a new record."""
    leading = {program.create.to: ""}
    waiting = [program.create.to]
    before: dict[str, str] = {}
    for status in waiting:
        for action in actions:
            if status in action.from_statuses and action.name not in before:
                before[action.name] = leading[status]
                if action.to and action.to not in leading:
                    leading[action.to] = action.name
                    waiting.append(action.to)
    return list(before.items())
