"""Lowering of what the authority holds: the record, the registry's fields, shared constants."""

from __future__ import annotations

from collections.abc import Mapping

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.code import Code
from opslifecycle_codegen.emit.constants import Constants
from opslifecycle_codegen.emit.python import Printer
from opslifecycle_codegen.ir.initial_values import Origin, Start, given, starts_of
from opslifecycle_codegen.ir.naming import attribute, key_index, setting
from opslifecycle_codegen.ir.program import Program, UniqueKey
from opslifecycle_codegen.ir.public_names import PublicNames
from opslifecycle_codegen.ir.types import Type


def has_stamps(program: Program) -> bool:
    """Return whether records carry times."""
    return any(field.stamped for field in program.machine.fields.values())


def record_parameters(program: Program) -> list[tuple[str, str]]:
    """Return what the constructor of a record takes: its id, the clock's offset, given fields."""
    parameters = [("id", program.symbols.entity_fields["id"].python)]
    if has_stamps(program):
        parameters.append(("clock_offset_ms", "int"))
    return parameters + [(each.parameter, each.type.python) for each in given(program)]


def record_arguments(program: Program) -> list[Code]:
    """Return what the authority gives to the constructor of a new record."""
    clock = [Code("self.clock_offset_ms")] if has_stamps(program) else []
    return [Code("id"), *clock, *(first_code(program, each) for each in given(program))]


def first_code(program: Program, start: Start) -> Code:
    """Return the first value of a field."""
    if start.stamp:
        code = "self.clock_offset_ms + self.now_ms"
        return Code(f"_rt.datetime_of({code})" if start.type.kind == "datetime" else code)
    return Printer(program.symbols).code(start.first)


class StateLowering:
    """Turns the fields of a program into slots and constructors."""

    def __init__(
        self, program: Program, names: PublicNames, width: int, constants: Constants
    ) -> None:
        self._program = program
        self._constants = constants
        self._machine = program.machine
        self._names = names
        self._width = width

    # The record ---------------------------------------------------------------------------------

    def record_slots(self) -> list[str]:
        """Return the slots of a record."""
        slots = list(self._program.symbols.entity_fields)
        if has_stamps(self._program):
            slots.append("clock_offset_ms")
        if self._machine.history is not None:
            slots.append("history")
        if self._program.recovery is not None:
            # What of the record never changes, once it has been written as text.
            slots.append("constant_text")
        return sorted(slots, key=layout.natural)

    def record_init(self) -> tuple[list[str], list[str]]:
        """Return the constructor of a record: its signature and its body."""
        types = self._program.symbols.entity_fields
        short = self._constants.short
        status = short(Code(f"{self._names.status}.{self._program.create.to.upper()}")).text
        parameters = [
            "self",
            *(f"{name}: {type}" for name, type in record_parameters(self._program)),
        ]
        body = ["self.id = id", f"self.status = {status}"]
        if has_stamps(self._program):
            body.append("self.clock_offset_ms = clock_offset_ms")
        for start in starts_of(self._program):
            body += self._first_value(start, types[start.name].python)
        if self._machine.history is not None:
            body.append(f"self.history: tuple[{self._names.transition}, ...] = ()")
        if self._program.recovery is not None:
            body.append("self.constant_text: str | None = None")
        lines = layout.call("def __init__", parameters, " -> None:", indent=4, width=self._width)
        return lines, body

    def _first_value(self, start: Start, type: str) -> list[str]:
        """Return the lines of the constructor that set a field."""
        if start.origin is Origin.GIVEN:
            return [f"self.{start.name} = {start.parameter}"]
        if start.origin is Origin.NONE:
            return [f"self.{start.name}: {type} = None"]
        hint = f": {type}" if _is_wider(start.type) else ""
        before = f"self.{start.name}{hint} = "
        code = self._constants.short(first_code(self._program, start))
        if hint and code.text.endswith("()"):
            # An empty collection: a long line is broken in the annotation, if anywhere.
            return [before + code.text]
        # What has no brackets to break at gets some.
        code = code if code.parts else layout.literal(code.text)
        lines = layout.statement(before, code, "", indent=8, width=self._width)
        return [line[8:] for line in lines]

    # The authority ------------------------------------------------------------------------------

    def effect_constants(self, effects: Mapping[tuple[str, ...], str]) -> list[str]:
        """Return the module's tuples of effects."""
        lines = []
        for members, name in effects.items():
            items = [Code(f"{self._names.effect}.{effect.upper()}") for effect in members]
            code = layout.called("", items)
            lines += layout.statement(f"{name}: Effects = ", code, "", indent=0, width=self._width)
        return lines

    def slots(self) -> list[str]:
        """Return the slots of the authority."""
        names = [*self._machine.settings, *self._machine.registry]
        built_in = ["clock_offset_ms", "ended", "now_ms", "records"]
        cursors = ["cursors"] if self._program.cursors is not None else []
        effects = ["effects_given"] if self._machine.effects else []
        if self._machine.effects and self._program.choices:
            effects.append("decided_by")
        keys = [key_index(key.name) for key in self._program.unique]
        found = [*map(attribute, names), *built_in, *cursors, *effects, *keys]
        return sorted(found, key=layout.natural)

    def init(self) -> tuple[list[str], list[str]]:
        """Return the constructor of the authority: its signature and its body."""
        fields = self._program.symbols.registry_fields
        names = self._names
        parameters = [
            "self",
            *(f"{setting(n)}: {fields[n].python}" for n in self._machine.settings),
        ]
        body = [f"self.{attribute(n)} = {setting(n)}" for n in self._machine.settings]
        printer = Printer(self._program.symbols)
        for name, start in self._program.registry_initial.items():
            hint = f": {fields[name].python}" if _is_wider(fields[name]) else ""
            body.append(f"self.{attribute(name)}{hint} = {printer.code(start).text}")
        if self._program.cursors is not None:
            enum = self._program.symbols.cursor_enum
            body.append(f"self.cursors = dict.fromkeys({enum}, 0)")
        body += [
            f"self.records: dict[{names.id}, {names.record}] = {{}}",
            f"self.ended: dict[{names.id}, {names.record}] = {{}}",
            "self.now_ms = 0",
            "self.clock_offset_ms = 0",
        ]
        if self._machine.effects:
            # How many effects of the machine's own were given; the shell counts them.
            body.append("self.effects_given = 0")
            if self._program.choices:
                # What the latest command of several actions was decided by, for the shell.
                body.append("self.decided_by: Callable[..., object] | None = None")
        for key in self._program.unique:
            body += self._holders(key)
        lines = layout.call("def __init__", parameters, " -> None:", indent=4, width=self._width)
        return lines, body

    def _holders(self, key: UniqueKey) -> list[str]:
        """Return the lines of the constructor that begin with no holder of a key."""
        hint = f"dict[{key.key_type}, {self._names.id}]"
        before = f"self.{key_index(key.name)}: {hint} = "
        lines = layout.statement(before, Code("{}"), "", indent=8, width=self._width)
        return [line[8:] for line in lines]


def _is_wider(type: Type) -> bool:
    """Whether a checker would take the type of a first value for less than the field may hold."""
    return type.several or type.kind in ("optional", "union", "float")
