"""The time of commands: what a program's rules read of it."""

from __future__ import annotations

from collections.abc import Iterator

from opslifecycle_codegen.ir.expr import Expression, Field, Literal, Name, Root, nodes_of, roots_in
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.program import (
    Assignment,
    Bulk,
    Command,
    EndStep,
    Program,
    Timer,
    returning,
    updates_of,
)
from opslifecycle_codegen.ir.types import INT

#: What expressions call the time of a command.
NOW = "now"
#: The field of a record that says since when it has its status, where a timer needs that.
STATUS_SINCE = "status_since_ms"
#: No clock shows a time from here on, in milliseconds since the Unix epoch.
TIME_END = 2**53


def now() -> Name:
    """Return the expression that is the time of a command."""
    return Name(INT, Root.NOW, NOW)


def stamp() -> Name:
    """Return the time of a command, for a value that no rule is about."""
    return Name(INT, Root.STAMP, NOW)


def tells_time(program: Program) -> bool:
    """Return whether a registry needs a clock for more than the declared stamps."""
    reads = any({Root.NOW, Root.STAMP} & roots_in(tree) for tree in rules_of(program))
    return reads or bool(program.timers)


def reads_now(program: Program) -> bool:
    """Return whether any rule of a program reads the time of its command."""
    return any(Root.NOW in roots_in(tree) for tree in rules_of(program))


def rules_of(program: Program) -> Iterator[Expression]:
    """Yield every expression of a program's commands."""
    commands = (program.create, *program.actions, program.rollback, program.erase, program.collect)
    for command in (*commands, program.cursors, *(each.command for each in program.bulk)):
        yield from trees_of(command) if command is not None else ()
    yield from (*program.initial.values(), program.create_id, *trees_of_end(program))
    yield from (tree for _, _, tree in returning(program))
    for bulk in program.bulk:
        yield from [bulk.unless] if bulk.unless is not None else []
        yield from _values(bulk.updates)


def command_reads_now(program: Program, command: Command | Bulk) -> bool:
    """Return whether the answer of one command depends on its time."""
    trees: list[Expression] = []
    if isinstance(command, Bulk):
        trees += [*([command.unless] if command.unless is not None else [])]
        trees += _values(command.updates)
        command = command.command
    trees += trees_of(command)
    if command is program.create:
        trees += [*program.initial.values(), program.create_id]
    terminal = program.symbols.status_groups["terminal"]
    if any(way.to in terminal for way in command.ways):
        trees += trees_of_end(program)
    return any(Root.NOW in roots_in(tree) for tree in trees)


def timer_notation(timer: Timer) -> str:
    """Return when a timer is due and what its action gets, for what users read."""
    if timer.after_ms:
        seconds, ms = divmod(timer.after_ms, 1000)
        due = f"after {seconds} s" if not ms else f"after {timer.after_ms} ms"
    else:
        due = f"at {notation(timer.due)}"
    given = ", ".join(f"{name}: {notation(tree)}" for name, tree in timer.given.items())
    return f"{due} with {given}" if given else due


def time_fields(program: Program) -> frozenset[str]:
    """Return the fields that a time is put into, by their notation."""
    values = [(notation(each.target), each.value) for each in _updates(program)]
    entity = program.machine.entity
    values += [(f"{entity}.{name}", tree) for name, tree in program.initial.items()]
    found: frozenset[str] = frozenset()
    while True:
        more = {
            place
            for place, value in values
            if value.type.required == INT
            and (Root.NOW in roots_in(value) or not found.isdisjoint(_fields_in(value)))
        }
        if more <= found:
            return found
        found |= more


def _fields_in(tree: Expression) -> Iterator[str]:
    return (notation(node) for node in nodes_of(tree) if isinstance(node, Field))


def _updates(program: Program) -> Iterator[Assignment]:
    for command in (program.create, *program.actions, program.rollback):
        yield from updates_of(command) if command is not None else ()
    for step in program.on_terminal:
        yield from step.updates
    for bulk in program.bulk:
        yield from bulk.updates


def literals(program: Program) -> Iterator[int]:
    """Yield the whole numbers that a program's rules name, and what its settings are."""
    yield from (each.default or 0 for each in program.machine.settings.values())
    for tree in rules_of(program):
        for node in nodes_of(tree):
            if isinstance(node, Literal) and type(node.value) is int:
                yield node.value


def trees_of(command: Command) -> Iterator[Expression]:
    """Yield every expression of a command."""
    for check in command.guards:
        yield from (tree for _, tree in check.lets)
        yield check.test
        yield from check.refusal.fields
    yield from (target.condition for target in command.targets)
    for way in command.ways:
        yield from _values((*way.updates, *way.notes))
        yield from [way.entry] if way.entry is not None else []
        if way.outcome is not None:
            yield way.outcome
        yield from _trees_of_steps(way.steps)
    if command.returns is not None:
        yield command.returns


def trees_of_end(program: Program) -> Iterator[Expression]:
    """Yield every expression of what an end does."""
    yield from _trees_of_steps(program.on_terminal)


def _trees_of_steps(steps: tuple[EndStep, ...]) -> Iterator[Expression]:
    for step in steps:
        if step.test is not None:
            yield step.test
        yield from _values(step.updates)


def _values(updates: tuple[Assignment, ...]) -> Iterator[Expression]:
    return (each.value for each in updates)
