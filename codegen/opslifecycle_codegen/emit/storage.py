"""Lowering of what a store keeps: records and registry fields to JSON texts and back."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.constants import Constants
from opslifecycle_codegen.emit.json_text import JsonTexts, TextFunction, fragments
from opslifecycle_codegen.emit.layout import Code
from opslifecycle_codegen.emit.migration import (
    EditFunction,
    MigrationLowering,
    MigrationStep,
)
from opslifecycle_codegen.emit.names import PublicNames
from opslifecycle_codegen.emit.state import has_stamps, record_parameters
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.types import COUNT, Type


@frozen
class StorageView:
    """The storage module as the template prints it."""

    members: list[str]
    slots: list[str]
    texts: list[TextFunction]
    constant: list[str]
    body: list[str]
    known: list[str]
    made: list[str]
    from_data: list[str]
    stamps: list[str]
    state: list[str]
    fields: list[tuple[str, str]]
    keeps: list[str]
    sequence: list[str]
    recovered: list[str]
    restore: list[str]
    migrations: list[MigrationStep]
    migration_functions: list[EditFunction]


class StorageLowering:
    """Turns the fields of a program into what is written of a record, and what is read."""

    def __init__(self, program: Program, names: PublicNames, width: int) -> None:
        self._program = program
        self._machine = program.machine
        self._names = names
        self._entity = names.entity
        self._width = width
        self._types = program.symbols.entity_fields
        self._texts = JsonTexts(program.symbols, width)
        self._constants = Constants(program, taken="_KNOWN")

    def view(self) -> StorageView | None:
        """The storage of a machine; None for one that recovers nothing."""
        recovery = self._program.recovery
        if recovery is None:
            return None
        constant, body = self._constant(), self._body()
        members = self._constants.choose([recovery.keeps.text, self._put().text])
        keeps, put = (self._constants.short(each) for each in (recovery.keeps, self._put()))
        migrations = MigrationLowering(self._program, self._width)
        steps = migrations.steps()
        fields = [str(name) for name in self._machine.registry if name not in recovery.fields]
        return StorageView(
            slots=self.slots(),
            constant=constant,
            body=body,
            state=self._state([*map(str, self._machine.settings), *fields]),
            texts=self._texts.functions(),
            known=sorted(layout.quoted(name) for name in self._types if name != "id"),
            made=self._made(),
            from_data=self._from_data(),
            stamps=self._stamps(),
            fields=[
                *((name, self._program.symbols.registry_fields[name].python) for name in fields),
                *([("effects_given", "int")] if self._machine.effects else []),
            ],
            members=members,
            keeps=layout.statement("return ", keeps, "", indent=4, width=self._width),
            sequence=layout.statement("return ", put, "", indent=4, width=self._width),
            restore=layout.call(
                "def restore",
                [f"authority: {self._names.authority}", "stored: _rt.Stored", "clock: _rt.Clock"],
                f" -> list[{self._names.record}]:",
                indent=0,
                width=self._width,
            ),
            migrations=steps,
            migration_functions=migrations.functions(),
            recovered=[
                line
                for name, code in recovery.fields.items()
                for line in layout.statement(
                    f"authority.{name} = ", code, "", indent=4, width=self._width
                )
            ],
        )

    def _stamps(self) -> list[str]:
        """Lines that gather the times of a record; none for a record without."""
        names = [str(name) for name, field in self._machine.fields.items() if field.stamped]
        if not names:
            return []
        codes = [Code(f"{self._entity}.{name}") for name in names]
        if len(codes) > 1:
            return ["    times = (", *(f"        {code.text}," for code in codes), "    )"]
        code = layout.called("", codes)
        return layout.statement("times = ", code, "", indent=4, width=self._width)

    def slots(self) -> list[str]:
        """Every slot of a record, for the copy of it."""
        clock = ["clock_offset_ms"] if has_stamps(self._program) else []
        return sorted([*self._types, *clock, "constant_text"])

    # To text ------------------------------------------------------------------------------------

    def _given(self) -> list[tuple[str, str, Type]]:
        """The fields that a record is made from: never changed, so they are written once."""
        given = []
        for name, _ in record_parameters(self._program):
            if name == "id":
                continue
            if name in self._types:
                given.append((name, f"{self._entity}.{name}", self._types[name]))
            elif name in self._program.create.params:
                field = self._field_that_starts_with(name)
                given.append((field, f"{self._entity}.{field}", self._types[field]))
        return given

    def _constant(self) -> list[str]:
        keys = [fragments(name, self._texts.of(code, type)) for name, code, type in self._given()]
        return self._texts.assignment("text", keys, "", indent=8) if keys else []

    def _body(self) -> list[str]:
        """Lines that add the fields which have another value than they started with."""
        written = {name for name, _, _ in self._given()}
        lines = []
        for name in self._stored():
            if name in written:
                continue
            code, type = f"{self._entity}.{name}", self._types[name]
            start = self._program.starts.get(name)
            if start is not None and not self._is_updated(name):
                # What only the constructor sets is set by it again.
                continue
            key = fragments(name, self._texts.of(code, type.required))
            lines += [
                f"    {self._differs(code, type, start)}:",
                *self._texts.addition("text", key, indent=8),
            ]
        return lines

    def _differs(self, code: str, type: Type, start: Code | None) -> str:
        if type.optional:
            return f"if {code} is not None"
        assert start is not None, "what is neither optional nor given starts with something"
        if type.kind == "bool" and start.text in ("True", "False"):
            return f"if {code}" if start.text == "False" else f"if not {code}"
        return f"if {code} != {start.text}"

    def _is_updated(self, name: str) -> bool:
        program = self._program
        commands = [*program.actions, program.rollback]
        updates = [u for command in commands if command is not None for u in command.updates]
        updates += [update for step in program.on_terminal for update in step.updates]
        return any(update.target == f"{self._entity}.{name}" for update in updates)

    def _stored(self) -> Iterator[str]:
        yield from (str(name) for name in self._machine.fields)
        if "terminal_outcome" not in self._machine.fields:
            yield "terminal_outcome"

    def _put(self) -> Code:
        id = Code(f"str({self._entity}.id)")
        return layout.called("", [id, self._fed(), Code(f"body_of({self._entity})")])

    def _fed(self) -> Code:
        """The sequence of a record's feed row, None for a record that has none."""
        step = next((s for s in self._program.on_terminal if "append_to_feed" in s.effects), None)
        if step is None:
            return Code("None")
        sequence = Code(f"{self._entity}.sequence")
        if not step.test:
            return sequence
        return layout.conditional(sequence, Code(step.test), Code("None"))

    def _field_that_starts_with(self, param: str) -> str:
        for name, code in self._program.starts.items():
            if code.text == param:
                return name
        raise AssertionError(param)

    def _state(self, names: list[str]) -> list[str]:
        """Lines that give the registry's fields as text."""
        types = self._program.symbols.registry_fields
        keys, lines = [], []
        if self._machine.feed is not None:
            keys.append(['"epoch_id":"', "{epoch_id}", '"'])
        if self._program.cursors is not None:
            code = layout.comprehension(
                '",".join',
                Code("""f'"{each.wire}":{at}'"""),
                ["for each, at in authority.cursors.items()"],
            )
            lines = layout.statement("cursors = ", code, "", indent=4, width=self._width)
            keys.append(['"cursors":', "{{", "{cursors}", "}}"])
        fields = [(name, f"authority.{name}", types[name]) for name in names]
        if self._machine.effects:
            fields.append(("effects_given", "authority.effects_given", COUNT))
        return [*lines, *self._texts.object(keys, fields, 4, nulls=True)]

    # From data ----------------------------------------------------------------------------------

    def _made(self) -> list[str]:
        made = []
        for name, _ in record_parameters(self._program):
            if name == "id":
                made.append(f"_rt.structure(id, {self._types['id'].python})")
            elif name == "clock_offset_ms":
                made.append("0")
            elif name in self._types:
                made.append(_from_data(name, self._types[name]))
            else:
                type = self._program.create.params[name]
                made.append(_from_data(self._field_that_starts_with(name), type))
        return made

    def _from_data(self) -> list[str]:
        given = {name for name, _, _ in self._given()}
        lines = layout.statement(
            f"{self._entity}.status = ", _structured("status", self._types["status"]), "",
            indent=4, width=self._width,
        )  # fmt: skip
        for name in self._stored():
            start = self._program.starts.get(name)
            if name in given or (start is not None and not self._is_updated(name)):
                continue
            lines += [
                f"    if {layout.quoted(name)} in data:",
                *layout.statement(
                    f"{self._entity}.{name} = ", _structured(name, self._types[name]), "",
                    indent=8, width=self._width,
                ),
            ]  # fmt: skip
        return lines


def _from_data(name: str, type: Type) -> str:
    return _structured(name, type).text


def _structured(name: str, type: Type) -> Code:
    return layout.called("_rt.structure", [Code(f"data[{layout.quoted(name)}]"), Code(type.python)])
