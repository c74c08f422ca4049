"""Lowering of what tools show that look at a store: statuses, transitions, times and filters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.code import Code
from opslifecycle_codegen.emit.definition import tuple_argument
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.public_names import PublicNames

#: The times of a record that are shown, by the event whose time its field holds.
_TIMES = {"created": "created", "terminal": "ended"}


def inspection(program: Program, names: PublicNames, width: int) -> list[str]:
    """Return the statement that defines what is shown of the records of a machine."""
    called = layout.called("_rt.Inspection", [*_arguments(program, names)])
    return layout.statement("INSPECTION = ", called, "", indent=0, width=width)


def _arguments(program: Program, names: PublicNames) -> Iterator[Code]:
    groups, create = program.symbols.status_groups, program.create
    yield _assigned("entity", names.entity)
    yield _assigned("entities", names.entities)
    yield _listed("live", groups["live"])
    yield _listed("final", groups["terminal"])
    if groups.get("milestone"):
        yield _listed("milestones", groups["milestone"])
    yield _listed("begins", (create.to, create.name))
    yield tuple_argument(
        "transitions=", [layout.called("", _texts(each)) for each in transitions(program)]
    )
    for event, time in _TIMES.items():
        fields = program.machine.fields.items()
        field = next((name for name, each in fields if each.stamped == event), None)
        if field is not None:
            yield _assigned(time, field)
    yield _listed("filters", [name for name, _, _ in program.views.filters])
    if program.machine.history is not None:
        yield Code("has_history=True")
    yield Code("snapshot_of=snapshot_of")


def transitions(program: Program) -> list[tuple[str, ...]]:
    """Return the transitions of a machine: two statuses, and the actions that lead on."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for action in program.actions:
        for way in action.ways:
            for status in way.from_statuses:
                found.setdefault((status, way.to or status), {})[action.name] = None
    return [(*ends, *actions) for ends, actions in found.items()]


def _assigned(name: str, text: str) -> Code:
    return Code(f"{name}={layout.quoted(str(text))}")


def _listed(name: str, texts: Iterable[str]) -> Code:
    return tuple_argument(f"{name}=", _texts(texts))


def _texts(texts: Iterable[str]) -> list[Code]:
    return [Code(layout.quoted(str(text))) for text in texts]
