"""The parts of a machine whose names a migration edits, and the names in each.

A part is a type by its name, `fields` (of a record), `registry`, `types`, or one of those below.
What a store holds can be renamed, removed and added; every other name can be renamed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from opslifecycle_codegen.ir.messages import (
    ACTIONS,
    ARGUMENTS,
    EFFECTS,
    message_arguments,
    message_sets,
    parameters,
)
from opslifecycle_codegen.ir.migrations import RECORD, REGISTRY, TYPES
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.types import Type

METHODS, GUARDS, ERRORS, INVARIANTS = "methods", "guards", "errors", "invariants"
#: The fields of the views, called as locks call the views.
SNAPSHOT, FEED_ENTRY = "snapshot", "feed_entry"
#: Before the name of a closed set: the properties of its members.
PROPERTIES = "properties."


def stored_parts(program: Program) -> list[str]:
    """Return the parts whose names a store holds."""
    symbols = program.symbols
    types = [*symbols.enums, *symbols.records, *symbols.unions]
    # Messages of an older version may name effects that the machine has no more.
    sets = message_sets(program) or ([EFFECTS] if program.recovery is not None else [])
    return [*types, RECORD, REGISTRY, *sets, *message_arguments(program)]


def all_parts(program: Program) -> list[str]:
    """Return every part whose names can change."""
    properties = (
        f"{PROPERTIES}{n}" for n, each in program.symbols.enums.items() if each.properties
    )
    arguments = (f"{ARGUMENTS}{action}" for action in parameters(program))
    others = [TYPES, ACTIONS, EFFECTS, METHODS, GUARDS, ERRORS, INVARIANTS, SNAPSHOT, FEED_ENTRY]
    return list(dict.fromkeys([*stored_parts(program), *others, *arguments, *properties]))


def names_in(program: Program, part: str) -> Collection[str]:
    """Return the names of a part; none for a part that the machine does not have."""
    machine, symbols = program.machine, program.symbols
    named: dict[str, Collection[str]] = {
        TYPES: symbols.type_names(),
        ACTIONS: [*parameters(program)],
        EFFECTS: [*map(str, machine.effects)],
        METHODS: methods_of(program),
        GUARDS: [*map(str, machine.guards)],
        ERRORS: [*map(str, machine.errors)],
        INVARIANTS: [r.name for r in (*program.invariants, *program.transition_invariants)],
        SNAPSHOT: [info.name for info, _ in program.views.snapshot],
        FEED_ENTRY: [info.name for info, _ in program.views.entry],
    }
    if part in named:
        return named[part]
    if part in symbols.enums:
        return symbols.enums[part].members
    if part in symbols.unions:
        return [variant.tag_value for variant in symbols.unions[part].variants.values()]
    if part.startswith(PROPERTIES):
        info = symbols.enums.get(part.removeprefix(PROPERTIES))
        return info.properties if info is not None else ()
    return fields_in(program, part)


def fields_in(program: Program, part: str) -> Mapping[str, Type]:
    """Return the fields of a part with their types; none for a part that has none."""
    symbols = program.symbols
    if part in symbols.records:
        return {info.name: info.type for info in symbols.records[part].fields.values()}
    if part.startswith(ARGUMENTS):
        return parameters(program).get(part.removeprefix(ARGUMENTS), {})
    return {RECORD: symbols.entity_fields, REGISTRY: symbols.registry_fields}.get(part, {})


def methods_of(program: Program) -> list[str]:
    """Return the names of the public methods that a machine declares."""
    machine = program.machine
    found = [*machine.create.methods]
    for action in machine.actions.values():
        found += action.methods
    found += [*machine.methods, *machine.bulk, *machine.classifiers, *machine.unique]
    features = (machine.rollback, machine.erase, machine.collect, machine.watch, machine.feed,
                machine.history, machine.barrier, machine.snapshot, machine.listing)  # fmt: skip
    if machine.cursors is not None:
        found += [machine.cursors.get, machine.cursors.advance]
    if machine.retention is not None and machine.retention.archive is not None:
        found += [machine.retention.archive.get, machine.retention.archive.since]
    return [*map(str, found), *(str(each.method) for each in features if each is not None)]
