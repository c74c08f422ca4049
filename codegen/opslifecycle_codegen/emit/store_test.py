"""Lowering of the test that acts with a store, is killed, and reads what is stored."""

from __future__ import annotations

from attrs import frozen

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.code import Code
from opslifecycle_codegen.emit.ratchet import sample
from opslifecycle_codegen.ir.program import Command, Program


@frozen
class StoreTest:
    """The test as the template prints it."""

    begin: list[str]
    calls: list[tuple[str, list[str]]]
    before: list[tuple[str, str]]


def store_test(program: Program, width: int) -> StoreTest | None:
    """The test of what a store holds; None without a store, or a sample that it could hold."""
    symbols, create = program.symbols, program.create
    if program.recovery is None or _holds_foreign(program, create):
        return None
    method, words = next(iter(program.machine.create.methods.items()))
    samples = [sample(create.params[str(word)], symbols) for word in words]
    begin = layout.called(f"registry.{method}", samples)
    methods = {
        str(name): str(declared.methods[0])
        for name, declared in program.machine.actions.items()
        if declared.methods
    }
    actions = [
        action
        for action in program.actions
        if action.name in methods and not _holds_foreign(program, action)
    ]
    calls = []
    for action in actions:
        given = [Code("id"), *(sample(type, symbols) for type in action.params.values())]
        call = layout.called(f"registry.{methods[action.name]}", given)
        calls.append((action.name, layout.statement("", call, "", indent=12, width=width)))
    lines = layout.statement("", begin, "", indent=4, width=width)
    return StoreTest(lines, calls, _before(program, actions))


def _holds_foreign(program: Program, command: Command) -> bool:
    """Return whether a command takes a class of the program's own, which no sample stands for."""
    return any(program.symbols.holds_foreign(type) for type in command.params.values())


def _before(program: Program, actions: list[Command]) -> list[tuple[str, str]]:
    """Each action with the one that leads to where it is legal, empty for what begins there."""
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
