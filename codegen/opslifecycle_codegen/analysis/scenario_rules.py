"""Stage 3, analyze: rules about scenarios: known names, and searchable sizes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from opslifecycle_codegen.base.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.ir.program import Program, named_timers
from opslifecycle_codegen.ir.several import DICT, LIST, element_of
from opslifecycle_codegen.ir.types import Type
from opslifecycle_codegen.source.reader import Node, Scalar
from opslifecycle_codegen.source.words import Name, Text

ENTITIES_MAX = 5
#: Events that a scenario can exclude besides methods: the end of a wait or of the process.
DROP_WATCH, DROP_BARRIER, CRASH, CRASH_DISCARDING = "drop_watch", "drop_barrier", "crash", "discard"
HAPPENINGS = (DROP_WATCH, DROP_BARRIER, CRASH, CRASH_DISCARDING)


def check_slices(program: Program, diagnostics: Diagnostics) -> None:
    """Report unknown names in scenarios."""
    machine = program.machine
    for each in machine.scenarios.values():
        if not 1 <= each.entities <= ENTITIES_MAX or not 1 <= each.keys <= ENTITIES_MAX:
            message = f"a scenario has 1 to {ENTITIES_MAX} entities, and as many keys"
            diagnostics.add(each.mark, "wrong-shape", message)
        timers = named_timers(program.timers)
        _known(
            each.exclude,
            [*methods(program), *timers, *HAPPENINGS],
            "nothing is called",
            diagnostics,
        )
        _known(
            each.settings, [str(n) for n in machine.settings], "there is no setting", diagnostics
        )
        _known(each.bounds, _counts(program), "there is no count", diagnostics)
        params = {"consumer"} if machine.cursors is not None else set()
        for command in (program.create, *program.actions, *(e.command for e in program.bulk)):
            params |= set(command.params)
        _known((Text(p.partition(".")[0], p.mark) for p in each.params), params,
               "there is no parameter", diagnostics)  # fmt: skip
        _check_settings(each.settings, program, diagnostics)


def _check_settings(
    settings: Mapping[Name, Node], program: Program, diagnostics: Diagnostics
) -> None:
    """Report settings that are neither valid numbers nor, where the type has None, null."""
    for name, node in settings.items():
        setting = program.machine.settings.get(name)
        if setting is None:
            continue  # It is reported as unknown.
        type = program.symbols.registry_fields[name]
        text = node.text if isinstance(node, Scalar) else ""
        if text == "null" and type.optional:
            continue
        least, most = type.required.range if type.required.kind == "int" else (0, -1)
        least = least if setting.at_least is None else max(least, setting.at_least)
        if re.fullmatch("-?[0-9]{1,19}", text) and least <= int(text) <= most:
            continue
        wanted = [f"an integer from {least} to {most}"] if least <= most else []
        wanted += ["null"] if type.optional else []
        diagnostics.add(node.mark, "wrong-shape", f"{name}: expected {' or '.join(wanted)}")


def methods(program: Program) -> list[str]:
    """Return every method that changes a registry or waits."""
    machine = program.machine
    found = [*machine.create.methods, *machine.methods, *machine.bulk]
    found += [method for action in machine.actions.values() for method in action.methods]
    features = (
        machine.rollback, machine.erase, machine.collect, machine.watch, machine.barrier
    )  # fmt: skip
    found += [each.method for each in features if each is not None]
    return [str(n) for n in (*found, *([machine.cursors.advance] if machine.cursors else []))]


def _counts(program: Program) -> list[str]:
    owners = {
        "registry": program.symbols.registry_fields,
        str(program.machine.entity): program.symbols.entity_fields,
    }
    return [
        f"{owner}.{name}"
        for owner, fields in owners.items()
        for name, type in fields.items()
        if counted(type) is not None and name not in program.machine.settings
    ]


def counted(type: Type) -> Type | None:
    """Return what a bound limits: a number, those of a dict, the length of a list; or None."""
    number = element_of(type) if type.required.kind == DICT else type.required
    return number if number.integral or number.kind == LIST else None


def _known(
    given: Iterable[Text], known: Iterable[str], what: str, diagnostics: Diagnostics
) -> None:
    words = list(known)
    for name in given:
        if name not in words:
            hint = nearest(name, words)
            diagnostics.add(name.mark, "unknown-name", f"{what} {str(name)!r}", hint)
