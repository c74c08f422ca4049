"""Stage 3, analyze: rules about fields that the clock stamps."""

from __future__ import annotations

from opslifecycle_codegen.analysis.placement import declared_updates
from opslifecycle_codegen.base.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.ir.symbols import Symbols
from opslifecycle_codegen.ir.types import DATETIME, INT, UNKNOWN
from opslifecycle_codegen.source import model
from opslifecycle_codegen.source.words import Name


def check_stamps(machine: model.Machine, symbols: Symbols, diagnostics: Diagnostics) -> None:
    """Report stamped fields with a wrong type or with another initial value or update."""
    for name, field in machine.fields.items():
        if field.stamped is not None:
            _check_field(name, field, machine, symbols, diagnostics)
    # A recovered clock continues from the latest stamp: another value would shift it.
    stamped = {f"{machine.entity}.{name}" for name, f in machine.fields.items() if f.stamped}
    for target in declared_updates(machine):
        if target in stamped:
            message = f"{target} is stamped: only the registry's clock sets it"
            diagnostics.add(target.mark, "owned-field", message)


def _check_field(
    name: Name,
    field: model.EntityField,
    machine: model.Machine,
    symbols: Symbols,
    diagnostics: Diagnostics,
) -> None:
    assert field.stamped is not None
    known = ["created", "terminal", *machine.actions]
    if field.stamped not in known:
        message = f"{str(field.stamped)!r} is nothing that stamps a field"
        diagnostics.add(field.stamped.mark, "unknown-name", message, nearest(field.stamped, known))
    if symbols.entity_fields[name].required not in (INT, DATETIME, UNKNOWN):
        message = f"{name} is stamped with a time: a datetime, or an int of milliseconds"
        hint = "set its type to one of them, with `| None` if it has no time at first"
        diagnostics.add(field.type.mark, "wrong-type", message, hint)
    if field.stamped == "created" and field.initial is not None:
        message = f"{name} is stamped when its record is created: it has no other value then"
        diagnostics.add(field.initial.mark, "owned-field", message, "remove `initial`")
