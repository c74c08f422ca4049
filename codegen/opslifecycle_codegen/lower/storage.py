"""Lowering of what a store keeps: records and registry fields to data and back."""

from __future__ import annotations

import re

from attrs import frozen

from opslifecycle_codegen import layout
from opslifecycle_codegen.layout import Code
from opslifecycle_codegen.lower.names import PublicNames
from opslifecycle_codegen.lower.state import has_stamps, record_parameters
from opslifecycle_codegen.program import Program
from opslifecycle_codegen.types import Type


@frozen
class StorageView:
    """The storage module as the template prints it."""

    slots: list[str]
    to_data: list[str]
    made: list[str]
    from_data: list[str]
    stamps: list[str]
    settings: list[str]
    fields: list[str]
    keeps: list[str]
    sequence: list[str]
    recovered: list[str]


def storage_view(program: Program, names: PublicNames, width: int) -> StorageView | None:
    """How records become data and back; None for a machine that recovers nothing."""
    recovery = program.recovery
    if recovery is None:
        return None
    entity, types = names.entity, program.symbols.entity_fields
    machine = program.machine
    stored = [str(name) for name in machine.fields]
    if "terminal_outcome" not in stored:
        stored.append("terminal_outcome")
    to_data = [
        _to_data(f"{entity}.{name}", name, types[name]) for name in ("id", "status", *stored)
    ]
    made = []
    for name, _ in record_parameters(program):
        if name == "clock_offset_ms":
            made.append("clock_offset_ms")
        elif name in types:
            made.append(_from_data(name, types[name]))
        else:
            made.append(
                _from_data(_field_that_starts_with(program, name), program.create.params[name])
            )
    given = {word for code in made for word in re.findall(r'data\["(\w+)"\]', code)}
    from_data = [
        line
        for name in ("status", *stored)
        if name not in given
        for line in layout.statement(
            f"{entity}.{name} = ", _structured(name, types[name]), "", indent=4, width=width
        )
    ]
    stamps = [str(name) for name, field in machine.fields.items() if field.stamped]
    keeps = layout.statement("return ", recovery.keeps, "", indent=4, width=width)
    fields = [str(name) for name in machine.registry if name not in recovery.fields]
    recovered = [
        line
        for name, code in recovery.fields.items()
        for line in layout.statement(f"authority.{name} = ", code, "", indent=4, width=width)
    ]
    sequence = layout.statement("sequence = ", _fed(program, entity), "", indent=4, width=width)
    return StorageView(
        slots=sorted([*types, *(["clock_offset_ms"] if has_stamps(program) else [])]),
        to_data=to_data,
        made=made,
        from_data=from_data,
        stamps=stamps,
        settings=[str(name) for name in machine.settings],
        fields=fields,
        keeps=keeps,
        sequence=sequence,
        recovered=recovered,
    )


def _fed(program: Program, entity: str) -> Code:
    """The sequence of a record's feed row, None for a record that has none."""
    step = next((s for s in program.on_terminal if "append_to_feed" in s.effects), None)
    if step is None:
        return Code("None")
    sequence = Code(f"{entity}.sequence")
    return layout.conditional(sequence, Code(step.test), Code("None")) if step.test else sequence


def _field_that_starts_with(program: Program, param: str) -> str:
    for name, code in program.starts.items():
        if code.text == param:
            return name
    raise AssertionError(param)


def _to_data(code: str, name: str, type: Type) -> str:
    plain = type.required.kind in ("bool", "count", "float", "text", "name")
    if type.kind == "id":
        code = f"str({code})"
    elif type.kind == "enum":
        code = f"{code}.value"
    elif not plain:
        code = f"unstructure({code})"
    return f"{layout.quoted(name)}: {code},"


def _from_data(name: str, type: Type) -> str:
    return _structured(name, type).text


def _structured(name: str, type: Type) -> Code:
    return layout.called("structure", [Code(f"data[{layout.quoted(name)}]"), Code(type.python)])
