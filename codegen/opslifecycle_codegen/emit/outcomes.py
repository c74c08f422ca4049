"""Lowering of outcomes: trusted constructors, for values that are checked already."""

from __future__ import annotations

from attrs import frozen

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.code import Code
from opslifecycle_codegen.emit.python import Printer
from opslifecycle_codegen.ir.expr import NOTHING, Construct, Name, Root
from opslifecycle_codegen.ir.naming import parameter, trusted
from opslifecycle_codegen.ir.program import Command, Program
from opslifecycle_codegen.ir.symbols import RecordInfo


@frozen
class OutcomeView:
    """A trusted constructor: the class, its mutable subclass, and the lines of the function."""

    name: str
    mutable: str
    signature: list[str]
    filling: list[str]


class Outcomes:
    """The outcomes that commands make of their parameters.

    The registry has checked the parameters, so an outcome is filled field by field, in half the
    time of its constructor. Whatever an expression computes goes through the constructor's checks.
    """

    def __init__(self, program: Program, width: int) -> None:
        self._program = program
        self._printer = Printer(program.symbols)
        self._width = width
        self._made: dict[str, RecordInfo] = {}

    def of(self, command: Command) -> Code:
        """Return the outcome of a command."""
        tree = command.outcome or NOTHING
        outcome = self._printer.code(tree)
        if not isinstance(tree, Construct):
            return outcome
        record = self._program.symbols.records[tree.variant]
        if not record.fields or not self._is_checked(record, tree, command):
            return outcome
        self._made[record.name] = record
        return layout.called(trusted(record.name), outcome.parts)

    def _is_checked(self, record: RecordInfo, outcome: Construct, command: Command) -> bool:
        derived = any(owner == record.name for owner, _ in self._program.always)
        return not derived and all(
            isinstance(argument, Name)
            and argument.root is Root.PARAMETER
            and command.params[argument.name] == field.type
            for argument, field in zip(outcome.arguments, record.fields.values(), strict=True)
        )

    def views(self) -> list[OutcomeView]:
        """Return the functions, in the order in which they are first needed."""
        return [self._view(record) for record in self._made.values()]

    def _view(self, record: RecordInfo) -> OutcomeView:
        given = {name: parameter(name) for name in record.fields}
        parameters = [f"{given[name]}: {i.type.python}" for name, i in record.fields.items()]
        return OutcomeView(
            record.name,
            f"_Mutable{record.name}",
            layout.call(
                f"def {trusted(record.name)}", parameters, f" -> {record.name}:",
                indent=0, width=self._width,
            ),
            [f"    made.{name} = {parameter}" for name, parameter in given.items()],
        )  # fmt: skip
