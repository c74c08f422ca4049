"""Stage 3, analyze: rules about scenarios: known names, and searchable sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from opslifecycle_codegen.base.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.ir.program import Program, named_timers
from opslifecycle_codegen.source.model import Machine
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
        _check_settings(each.settings, machine, diagnostics)


def _check_settings(
    settings: Mapping[Name, Node], machine: Machine, diagnostics: Diagnostics
) -> None:
    """Report settings that are neither valid numbers nor null."""
    floors = {str(name): setting.at_least for name, setting in machine.settings.items()}
    for name, node in settings.items():
        text = node.text if isinstance(node, Scalar) else ""
        floor = floors.get(str(name), 0)
        if text == "null" or (text.isdecimal() and int(text) >= floor):
            continue
        wanted = f"a whole number from {floor} on" if floor else "a whole number"
        diagnostics.add(node.mark, "wrong-shape", f"{name}: expected {wanted} or null")


def methods(program: Program) -> list[str]:
    """Return every method that changes a registry or waits."""
    machine = program.machine
    found = [*machine.create.methods, *machine.bulk]
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
        if type.required.integral and name not in program.machine.settings
    ]


def _known(
    given: Iterable[Text], known: Iterable[str], what: str, diagnostics: Diagnostics
) -> None:
    words = list(known)
    for name in given:
        if name not in words:
            hint = nearest(name, words)
            diagnostics.add(name.mark, "unknown-name", f"{what} {str(name)!r}", hint)
