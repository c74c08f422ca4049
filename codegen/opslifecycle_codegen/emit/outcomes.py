"""Lowering of outcomes: functions that make them of what is checked already."""

from __future__ import annotations

from attrs import frozen

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.code import Code
from opslifecycle_codegen.emit.python import Printer
from opslifecycle_codegen.ir.expr import NOTHING, Construct, Name, Root
from opslifecycle_codegen.ir.naming import maker, parameter
from opslifecycle_codegen.ir.program import Command, Program
from opslifecycle_codegen.ir.symbols import RecordInfo, snake


@frozen
class OutcomeView:
    """A function that makes one outcome: its class, the class of its drafts, and its lines."""

    name: str
    draft: str
    signature: list[str]
    filling: list[str]


class Outcomes:
    """The outcomes that commands make of their parameters.

    The registry has checked the parameters, so an outcome is filled as a draft, in half the time of
    its constructor. Whatever an expression computes is left to the constructor and its checks.
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
        return layout.called(maker(snake(record.name)), outcome.parts)

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
            f"_{record.name}Draft",
            layout.call(
                f"def {maker(snake(record.name))}", parameters, f" -> {record.name}:",
                indent=0, width=self._width,
            ),
            [f"    outcome.{name} = {parameter}" for name, parameter in given.items()],
        )  # fmt: skip
