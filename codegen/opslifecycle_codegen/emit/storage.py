"""Lowering of stored data: records and registry fields to JSON texts and back."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from opslifecycle_codegen.compat.lock import Reset
from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.code import SUM, Code
from opslifecycle_codegen.emit.constants import Constants
from opslifecycle_codegen.emit.json_text import JsonTexts, TextFunction, fragments
from opslifecycle_codegen.emit.migration import (
    EditFunction,
    MigrationLowering,
    MigrationStep,
)
from opslifecycle_codegen.emit.python import Printer
from opslifecycle_codegen.emit.readers import read
from opslifecycle_codegen.emit.state import first_code, has_stamps
from opslifecycle_codegen.emit.unique import KeyLowering
from opslifecycle_codegen.ir.expr import Expression, Field, Name, Root, replaced
from opslifecycle_codegen.ir.feeds import feeds_transitions, milestones
from opslifecycle_codegen.ir.initial_values import Origin, Start, given, starts_of, stored_id
from opslifecycle_codegen.ir.naming import attribute
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.public_names import PublicNames
from opslifecycle_codegen.ir.times import tells_time
from opslifecycle_codegen.ir.types import ENTITY, INT, Type

#: The time of the last command, among the registry's fields: no declared name begins so.
_TIME = "_time_ms"


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
    fields: list[tuple[str, list[str]]]
    is_persistent: list[str]
    sequence: list[str]
    recovered: list[str]
    counter: str
    migrations: list[MigrationStep]
    migration_functions: list[EditFunction]


class StorageLowering:
    """Turns the fields of a program into what is written of a record, and what is read."""

    def __init__(
        self, program: Program, names: PublicNames, width: int, resets: Sequence[Reset] = ()
    ) -> None:
        self._program = program
        self._resets = resets
        self._machine = program.machine
        self._names = names
        self._entity = names.variable
        self._width = width
        self._printer = Printer(program.symbols, registry="authority")
        self._types = program.symbols.entity_fields
        self._starts = starts_of(program)
        self._texts = JsonTexts(program.symbols, width)
        self._constants = Constants(program, "_KNOWN")
        self._timed = tells_time(program)

    def view(self) -> StorageView | None:
        """Return the storage of a machine; None for one that recovers nothing."""
        recovery = self._program.recovery
        if recovery is None:
            return None
        symbols = self._program.symbols
        kept = self._printer.code(recovery.persist_if)
        constant, body = self._constant(), self._body()
        members = self._constants.choose([kept.text, self._put().text])
        stays, put = (self._constants.short(each) for each in (kept, self._put()))
        migrations = MigrationLowering(self._program, self._width, self._resets)
        steps = migrations.steps()
        fields = [str(name) for name in self._machine.registry if name not in recovery.fields]
        registry = {name: symbols.registry_fields[name] for name in fields}
        counter = "effects_given"
        given = [(counter, counter, INT)] if self._machine.effects else []
        if self._timed:
            given.append((_TIME, "clock_offset_ms", INT))
        given = [*((n, attribute(n), registry[n]) for n in registry), *given]
        return StorageView(
            slots=self.slots(),
            constant=constant,
            body=body,
            state=self._state([*map(str, self._machine.settings), *fields]),
            texts=self._texts.functions(),
            known=sorted(map(layout.quoted, self._known())),
            made=self._made(),
            from_data=self._from_data(),
            stamps=self._stamps(),
            fields=[(name, self._restored(name, inside, type)) for name, inside, type in given],
            members=members,
            counter=""
            if self._machine.feed is None
            else attribute(str(self._machine.feed.counter)),
            is_persistent=layout.statement("return ", stays, "", indent=4, width=self._width),
            sequence=layout.statement("return ", put, "", indent=4, width=self._width),
            migrations=steps,
            migration_functions=migrations.functions(),
            recovered=[
                line
                for name, tree in recovery.fields.items()
                for line in layout.statement(
                    f"authority.{attribute(name)} = ",
                    self._printer.code(tree),
                    "",
                    indent=4,
                    width=self._width,
                )
            ]
            + KeyLowering(self._program.unique, self._entity, self._width, "authority").recovered(),
        )

    def _restored(self, name: str, inside: str, type: Type) -> list[str]:
        """Return the statement that sets a field of the registry from stored data."""
        stored = read(f"state[{layout.quoted(name)}]", type)
        before = f"authority.{inside} = "
        return layout.statement(before, stored, "", indent=8, width=self._width)

    def _stamps(self) -> list[str]:
        """Return lines that gather the times of a record; none for a record without."""
        names = [str(name) for name, field in self._machine.fields.items() if field.stamped]
        if not names:
            return []
        codes = [self._milliseconds(name) for name in names]
        if len(codes) > 1:
            return ["    times = (", *(f"        {code.text}," for code in codes), "    )"]
        code = layout.called("", codes)
        return layout.statement("times = ", code, "", indent=4, width=self._width)

    def _milliseconds(self, name: str) -> Code:
        code, type = f"{self._entity}.{name}", self._types[name]
        if type.required.kind != "datetime":
            return Code(code)
        return Code(f"_rt.{'optional_' * type.optional}ms_of({code})")

    def slots(self) -> list[str]:
        """Return every slot of a record, for the copy of it."""
        clock = ["clock_offset_ms"] if has_stamps(self._program) else []
        history = ["history"] if self._machine.history is not None else []
        return sorted([*self._types, *clock, *history, "constant_text"])

    # To text ------------------------------------------------------------------------------------

    def _constant(self) -> list[str]:
        """Lines that write what never changes in a record: it is written once.

        That is what is given to it, and what an older version of the machine has set, or begun
        with, where this one has another constant.
        """
        never = [start for start in self._starts if not start.updated]
        fixed = [start for start in never if start.origin is Origin.GIVEN]
        others = [start for start in never if start.origin in (Origin.LITERAL, Origin.DERIVED)]
        if not fixed and not others:
            return []
        required = [self._key(start) for start in fixed if not start.type.optional]
        lines = (
            self._texts.assignment("text", required, ",", indent=8)
            if required
            else ['        text = ""']
        )
        for start in fixed:
            if start.type.optional:
                lines += self._unless_none(start, indent=8)
        return [*lines, *(line for start in others for line in self._differing(start, indent=8))]

    def _body(self) -> list[str]:
        """Return lines that add the fields which have another value than they started with."""
        lines: list[str] = []
        for start in self._starts:
            if start.updated or start.origin is Origin.NONE:
                lines += self._changing(start)
        if self._machine.history is not None:
            kept = f"{self._entity}.history"
            function = self._texts.function(Type("record", self._names.transition))
            lines += [
                f"    if {kept}:",
                f'        transitions = ",".join(map({function}, {kept}))',
                """        text += f',"history":[{transitions}]'""",
            ]
        return lines

    def _changing(self, start: Start) -> list[str]:
        """Return lines that add a field which may change."""
        if start.origin is Origin.NONE or (start.origin is Origin.GIVEN and start.type.optional):
            return self._unless_none(start, indent=4)
        if start.origin is Origin.GIVEN:
            return self._texts.addition("text", self._key(start), indent=4)
        return self._differing(start, indent=4)

    def _differing(self, start: Start, *, indent: int) -> list[str]:
        """Return lines that add a field which differs from what a new record has."""
        code, space = f"{self._entity}.{start.name}", " " * indent
        differs = layout.statement(
            "if ", Code(self._differs(code, start)), ":", indent=indent, width=self._width
        )
        if not start.type.optional:
            return [*differs, *self._texts.addition("text", self._key(start), indent=indent + 4)]
        null = fragments(start.name, ["null"])
        return [
            f"{space}if {code} is None:",
            *self._texts.addition("text", null, indent=indent + 4),
            *(line.replace(f"{space}if ", f"{space}elif ", 1) for line in differs),
            *self._texts.addition("text", self._key(start), indent=indent + 4),
        ]

    def _unless_none(self, start: Start, *, indent: int) -> list[str]:
        return [
            f"{' ' * indent}if {self._entity}.{start.name} is not None:",
            *self._texts.addition("text", self._key(start), indent=indent + 4),
        ]

    def _key(self, start: Start) -> list[str]:
        value = self._texts.of(f"{self._entity}.{start.name}", start.type.required)
        return fragments(start.name, value)

    def _differs(self, code: str, start: Start) -> str:
        if start.origin is Origin.DERIVED:
            return f"{code} != {self._printer.code(self._of_record(start.first)).at(SUM).text}"
        first = first_code(self._program, start)
        if start.type.required.kind == "bool" and first.text in ("True", "False"):
            return code if first.text == "False" else f"not {code}"
        return f"{code} != {first.at(SUM).text}"

    def _of_record(self, tree: Expression) -> Expression:
        """Return an expression of the constructor's parameters as one of the record's fields."""
        record = Name(ENTITY, Root.RECORD, self._entity)

        def field(node: Expression) -> Expression:
            if isinstance(node, Name) and node.root in (Root.PARAMETER, Root.ID):
                return Field(node.type, record, "id" if node.root is Root.ID else node.name)
            return node

        return replaced(tree, field)

    def _put(self) -> Code:
        id = Code(f"str({self._entity}.id)")
        return layout.called("", [id, self._fed(), Code(f"body_of({self._entity})")])

    def _fed(self) -> Code:
        """Return the sequence of a record's feed row, None for a record that has none."""
        step = next((s for s in self._program.on_terminal if "append_to_feed" in s.effects), None)
        # Of a transition, the shell writes a row of its own: the record may change after it.
        if step is None or feeds_transitions(self._machine):
            return Code("None")
        sequence = Code(f"{self._entity}.sequence")
        if step.test is None:
            return sequence
        return layout.conditional(sequence, self._printer.code(step.test), Code("None"))

    def _state(self, names: list[str]) -> list[str]:
        """Return lines that give the registry's fields as text."""
        types = self._program.symbols.registry_fields
        keys, lines = [], []
        if self._machine.feed is not None:
            keys.append(['"epoch_id":"', "{epoch_id}", '"'])
        if self._program.cursors is not None:
            code = layout.comprehension(
                '",".join',
                Code("""f'"{each.wire}":{at}'"""),
                [Code("authority.cursors.items()", prefix="for each, at in ")],
            )
            lines = layout.statement("cursors = ", code, "", indent=4, width=self._width)
            keys.append(['"cursors":', "{{", "{cursors}", "}}"])
        fields = [(name, f"authority.{attribute(name)}", types[name]) for name in names]
        if self._machine.effects:
            fields.append(("effects_given", "authority.effects_given", INT))
        if self._timed:
            fields.append((_TIME, "authority.clock_offset_ms + authority.now_ms", INT))
        return [*lines, *self._texts.object(keys, fields, 4, nulls=[name for name, *_ in fields])]

    # From data ----------------------------------------------------------------------------------

    def _made(self) -> list[str]:
        """Return the lines of the arguments that a record is constructed with."""
        made = [Code(f"_rt.structure(id, {self._types['id'].python})")]
        if has_stamps(self._program):
            made.append(Code("0"))
        for start in given(self._program):
            key = layout.quoted(start.name)
            data = f"data.get({key})" if start.type.optional else f"data[{key}]"
            made.append(read(data, start.type))
        return [
            line
            for argument in made
            for line in layout.statement("", argument, ",", indent=8, width=self._width)
        ]

    def _from_data(self) -> list[str]:
        lines = layout.statement(
            f"{self._entity}.status = ", _structured("status", self._types["status"]), "",
            indent=4, width=self._width,
        )  # fmt: skip
        for start in self._starts:
            if start.origin is Origin.GIVEN:
                continue
            lines += [
                f"    if {layout.quoted(start.name)} in data:",
                *layout.statement(
                    f"{self._entity}.{start.name} = ", _structured(start.name, start.type), "",
                    indent=8, width=self._width,
                ),
            ]  # fmt: skip
        if self._machine.history is not None:
            kind = f"tuple[{self._names.transition}, ...]"
            lines += [
                '    if "history" in data:',
                *layout.statement(
                    f"{self._entity}.history = ",
                    layout.called("_rt.structure", [Code('data["history"]'), Code(kind)]),
                    "", indent=8, width=self._width,
                ),
            ]  # fmt: skip
        return [*lines, *self._contradictions()]

    def _known(self) -> list[str]:
        """Return the keys of a stored record."""
        history = ["history"] if self._machine.history is not None else []
        return [*(name for name in self._types if name != "id"), *history]

    def _contradictions(self) -> list[str]:
        """Refuse what no authority makes: a pseudo status, an outcome of a live record or none."""
        entity, symbols = self._entity, self._program.symbols
        real = {*symbols.status_groups["live"], *symbols.status_groups["terminal"]}
        members = symbols.enums[symbols.status_enum].members
        pseudo = [
            f"{symbols.status_enum}.{m.constant}" for n, m in members.items() if n not in real
        ]
        lines = [
            line
            for member in pseudo
            for line in (
                f"    if {entity}.status is {member}:",
                f'        raise _rt.InvalidValueError("status", "no record has {member}")',
            )
        ]
        own = stored_id(self._program, entity)
        if own is not None:
            code = self._printer.code(own)
            field = code.text.removeprefix(f"{entity}.")
            lines += [
                *layout.statement(
                    "if ", Code(f"{code.text} != {entity}.id"), ":", indent=4, width=self._width
                ),
                f'        reason = f"is not the id of the record, {{{entity}.id}}"',
                f'        raise _rt.InvalidValueError("{field}", reason)',
            ]
        # A status that has become a milestone has none in older stores.
        unless = f" and not {entity}.status.milestone" if milestones(self._machine) else ""
        return [
            *lines,
            f"    outcome = {entity}.terminal_outcome",
            f"    if (outcome is None) is {entity}.status.terminal{unless}:",
            '        reason = "a record has one if its status is terminal, and only then"',
            '        raise _rt.InvalidValueError("terminal_outcome", reason)',
        ]


def _structured(name: str, type: Type) -> Code:
    return read(f"data[{layout.quoted(name)}]", type)
