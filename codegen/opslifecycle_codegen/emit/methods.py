"""What the methods of an authority are made of: signatures, guards in their order, statements."""

from __future__ import annotations

from attrs import frozen

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.code import Code
from opslifecycle_codegen.emit.constants import Constants, StatusConstants
from opslifecycle_codegen.emit.python import Printer
from opslifecycle_codegen.emit.rejections import Beginning, any_fails, beginnings
from opslifecycle_codegen.ir.built_ins import LEGAL_STATUS
from opslifecycle_codegen.ir.expr import Refusal, Root, negation
from opslifecycle_codegen.ir.naming import command_method, parameter
from opslifecycle_codegen.ir.program import Assignment, Check, Command, Program
from opslifecycle_codegen.ir.public_names import PublicNames

DECISION = "Effects | _rt.OpsLifecycleError"


@frozen
class Method:
    """A method: its signature, docstring and body, as lines."""

    signature: list[str]
    doc: list[str]
    body: list[str]


class MethodLowering:
    """Prints the parts of methods."""

    def __init__(
        self, program: Program, names: PublicNames, width: int, constants: Constants
    ) -> None:
        self._program = program
        self._machine = program.machine
        self._names = names
        self._entity = names.variable
        self._width = width
        self._constants = constants
        self._statuses = StatusConstants(program)
        self._printer = Printer(program.symbols, statuses=self._statuses)
        self._beginnings = beginnings(program)

    def _command(self, name: str) -> str:
        """Return the method of the authority for a command of the machine."""
        return command_method(name, {*self._program.symbols.registry_fields})

    def _method(
        self, name: str, parameters: list[str], returns: str, doc: list[str], body: list[str]
    ) -> Method:
        signature = layout.call(
            f"def {name}", ["self", *parameters], f" -> {returns}:", indent=4, width=self._width
        )
        return Method(signature, doc, [f"        {line}" for line in body])

    def _doc(self, summary: str, *more: str) -> list[str]:
        return layout.docstring(summary, more, indent=4 + 4, width=self._width)

    def _params(self, command: Command) -> list[str]:
        return [f"{parameter(name)}: {type.python}" for name, type in command.params.items()]

    def _guards(self, command: Command) -> list[str]:
        """Return lines that return the error of the first guard of a command that fails."""
        label = Code(layout.quoted(command.label))
        return self._tested(command, command.guards, label, self._done_in(command))

    def _tested(
        self, command: Command, checks: tuple[Check, ...], label: Code, done_in: Code | None
    ) -> list[str]:
        """Return lines that test some of the guards of a command, in their order.

        Args:
            command: The command, or one of several with the same guards.
            checks: The guards.
            label: What the errors call the command.
            done_in: The statuses in which it is done already.
        """
        beginning = next((each for each in self._beginnings if each.begins(command)), None)
        if beginning is None:
            return self._checks(checks, done_in=done_in)
        shared = len(beginning.checks)
        test = self._printer.code(any_fails(checks[:shared]))
        given = self._given(beginning, label, done_in)
        return [
            self._look_up,
            *self._statement("if ", test, ":"),
            *self._statement("return ", layout.called(f"self.{beginning.method}", given), depth=1),
            *self._checks(checks[shared:], lookup=False),
        ]

    def _given(self, beginning: Beginning, label: Code, done_in: Code | None) -> list[Code]:
        """Return what a method of errors is called with."""
        read = beginning.reads
        return [
            *([Code("id")] if read(Root.ID) else []),
            *([Code(self._entity)] if read(Root.RECORD) else []),
            *([label] if read(Root.ACTION_LABEL) else []),
            *([done_in] if done_in is not None and beginning.has_done else []),
        ]

    @property
    def _look_up(self) -> str:
        return f"{self._entity} = self.records.get(id)"

    def _checks(
        self, checks: tuple[Check, ...], *, lookup: bool = True, done_in: Code | None = None
    ) -> list[str]:
        """The guards in their order; the record is looked up where the first of them reads it.

        `done_in` has the statuses in which the refusal says that the action is done already.
        """
        lines: list[str] = []
        for check in checks:
            if lookup and check.reads(Root.RECORD) and self._look_up not in lines:
                lines.append(self._look_up)
            for name, tree in check.lets:
                lines += self._statement(f"{parameter(name)} = ", self._printer.code(tree))
            lines += self._statement("if ", self._printer.code(negation(check.test)), ":")
            done = done_in if check.guard == LEGAL_STATUS else None
            lines += self._refuse(check.refusal, depth=1, by=check.guard, done_in=done)
        return lines

    def _statement(self, before: str, code: Code, after: str = "", *, depth: int = 0) -> list[str]:
        """Return a statement that stands so many blocks deep in a method."""
        code, indent = self._constants.short(code), 8 + 4 * depth
        lines = layout.statement(before, code, after, indent=indent, width=self._width)
        return [line[8:] for line in lines]

    def _refuse(
        self, refusal: Refusal, *, depth: int, by: str = "", done_in: Code | None = None
    ) -> list[str]:
        lines: list[str] = []
        after = f".with_guard({layout.quoted(by)})" if by else ""
        if done_in is not None:
            lines += self._statement(f"done = {self._entity}.status in ", done_in, depth=depth)
            after = f".with_guard({layout.quoted(by)}, already_done=done)"
        code = self._printer.refusal(refusal)
        return [*lines, *self._statement("return ", code, after, depth=depth)]

    def _done_in(self, command: Command) -> Code | None:
        """Return the statuses in which a command counts as done already."""
        done = command.idempotent_in
        return self._statuses.done(done) if done else None

    def _assign(self, updates: tuple[Assignment, ...], depth: int = 0) -> list[str]:
        return [
            line
            for each in updates
            for line in self._statement(*self._printer.assignment(each), depth=depth)
        ]

    def _time(self, name: str, milliseconds: str) -> str:
        """Return the time that stamps a field, as its type has it."""
        is_time = self._program.symbols.entity_fields[name].required.kind == "datetime"
        return f"_rt.datetime_of({milliseconds})" if is_time else milliseconds

    def _stamps(self, when: str, depth: int = 0) -> list[str]:
        entity, margin = self._entity, "    " * depth
        clock = f"{entity}.clock_offset_ms + self.now_ms"
        return [
            f"{margin}{entity}.{name} = {self._time(name, clock)}"
            for name, field in self._machine.fields.items()
            if field.stamped == when
        ]
