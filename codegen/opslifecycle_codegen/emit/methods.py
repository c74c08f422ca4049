"""What the methods of an authority are made of: signatures, guards in their order, statements."""

from __future__ import annotations

from attrs import frozen

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.code import Code
from opslifecycle_codegen.emit.constants import Constants
from opslifecycle_codegen.emit.python import Printer
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
        self._printer = Printer(program.symbols)

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

    def _checks(
        self, checks: tuple[Check, ...], *, lookup: bool = True, done_in: str = ""
    ) -> list[str]:
        """The guards in their order; the record is looked up where the first of them reads it.

        `done_in` names the statuses in which the refusal says that the action is done already.
        """
        lines: list[str] = []
        found = f"{self._entity} = self.records.get(id)"
        for check in checks:
            if lookup and check.reads(Root.RECORD) and found not in lines:
                lines.append(found)
            for name, tree in check.lets:
                lines += self._statement(f"{parameter(name)} = ", self._printer.code(tree))
            lines += self._statement("if ", self._printer.code(negation(check.test)), ":")
            done = done_in if check.guard == LEGAL_STATUS else ""
            lines += self._refuse(check.refusal, depth=1, by=check.guard, done_in=done)
        return lines

    def _statement(self, before: str, code: Code, after: str = "", *, depth: int = 0) -> list[str]:
        """Return a statement that stands so many blocks deep in a method."""
        code, indent = self._constants.short(code), 8 + 4 * depth
        lines = layout.statement(before, code, after, indent=indent, width=self._width)
        return [line[8:] for line in lines]

    def _refuse(
        self, refusal: Refusal, *, depth: int, by: str = "", done_in: str = ""
    ) -> list[str]:
        lines: list[str] = []
        after = f".with_guard({layout.quoted(by)})" if by else ""
        if done_in:
            indent = "    " * depth
            lines.append(f"{indent}done = {self._entity}.status in {done_in}")
            after = f".with_guard({layout.quoted(by)}, already_done=done)"
        code = self._printer.refusal(refusal)
        return [*lines, *self._statement("return ", code, after, depth=depth)]

    def _done_in(self, command: Command) -> str:
        """Return the constant with the statuses in which a command counts as done already."""
        done = command.idempotent_in
        return self._program.symbols.done_constant(done) if done else ""

    def _assign(self, updates: tuple[Assignment, ...], depth: int = 0) -> list[str]:
        return [
            line
            for each in updates
            for line in self._statement(*self._printer.assignment(each), depth=depth)
        ]

    def _stamps(self, when: str) -> list[str]:
        entity = self._entity
        return [
            f"{entity}.{name} = {entity}.clock_offset_ms + self.now_ms"
            for name, field in self._machine.fields.items()
            if field.stamped == when
        ]
