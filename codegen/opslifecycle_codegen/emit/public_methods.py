"""Printing of public methods: signature, checks of the arguments, docstring, body."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from attrs import frozen

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.annotations import annotation
from opslifecycle_codegen.emit.code import Code
from opslifecycle_codegen.emit.python import Printer, constant
from opslifecycle_codegen.emit.types import check_lines
from opslifecycle_codegen.ir.expr import Expression
from opslifecycle_codegen.ir.naming import command_method, public_methods
from opslifecycle_codegen.ir.parameters import NO_DEFAULTS, in_call_order, omissible
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.public_names import PublicNames
from opslifecycle_codegen.ir.types import Type


@frozen
class PublicMethod:
    """A method of the interface and of the registry."""

    name: str
    abstract: bool
    runs: bool
    signature: list[str]
    interface_signature: list[str]
    doc: list[str]
    body: list[str]
    unsupported: str


class MethodPrinter:
    """Prints the public methods of a program."""

    def __init__(
        self, program: Program, names: PublicNames, width: int, *, awaits: bool = False
    ) -> None:
        self._program = program
        self._machine = program.machine
        self._names = names
        self._width = width
        self._awaits = awaits
        self._members = {str(name) for name in public_methods(program.machine)}
        self._run_code = "await self._executor.run_async" if awaits else "self._executor.run"
        self._act_code = "await self._executor.act_async" if awaits else "self._executor.act"

    def _command(self, name: str) -> str:
        """Return the function of the authority for a command of the machine."""
        method = command_method(name, {*self._program.symbols.registry_fields})
        return f"{self._names.authority}.{method}"

    def _public_id(self) -> str:
        """Return the id of a new record, read from what the public method takes."""
        return Printer(self._program.symbols, public=True).code(self._program.create_id).text

    def _of_one(self, params: Mapping[str, Type]) -> dict[str, Type]:
        return {"id": Type("id", self._names.id), **params}

    def _call(self, before: str, arguments: list[str]) -> list[str]:
        lines = layout.call(before, arguments, "", indent=8, width=self._width)
        return [line[8:] for line in lines]

    def _default(self, tree: Expression | None, indent: int) -> Code:
        """Return the value of a parameter that a call leaves out, for a line of its own."""
        if tree is None:
            return Code("None")
        return constant(tree, self._program.symbols, self._width - indent)

    def _act(self, id: str, command: str, given: list[Code], *more: str) -> list[str]:
        """Return lines that have the shell act on one record with a command of the authority."""
        arguments = [
            Code(id), Code(command),
            layout.called("", given), *map(Code, more),
        ]  # fmt: skip
        whole = layout.called(self._act_code, arguments)
        return [line[8:] for line in layout.statement("", whole, "", indent=8, width=self._width)]

    def _run(self, step: str, arguments: Iterable[str | Code], *, assigns: str = "") -> list[str]:
        """Return lines that run a step, and wait for it or await it."""
        call = layout.called(step, [Code(a) if isinstance(a, str) else a for a in arguments])
        whole = layout.called(f"{assigns}{self._run_code}", [call])
        return [line[8:] for line in layout.statement("", whole, "", indent=8, width=self._width)]

    def _storable_lines(self, types: Mapping[str, Type]) -> list[str]:
        """Return lines that try out what only conversions of the program itself can judge."""
        lines = []
        for param, type in types.items():
            if not self._program.symbols.holds_foreign(type):
                continue
            if type.optional:
                lines.append(f"        if {param} is not None:")
            indent = 12 if type.optional else 8
            kind = type.required.python if type.required.several else type.required.name
            arguments = [layout.quoted(param), param, kind]
            call = layout.call(
                "_rt.check_storable", arguments, "", indent=indent, width=self._width
            )
            lines += call
        return lines

    def _method(
        self,
        name: str,
        types: Mapping[str, Type],
        returns: str,
        summary: str,
        more: list[str],
        body: list[str],
        *,
        abstract: bool = False,
        runs: bool = False,
        acts: bool = False,
        keywords: Collection[str] = (),
        none_without: bool = False,
        defaults: Mapping[str, Expression] = NO_DEFAULTS,
    ) -> PublicMethod:
        parameters: list[str | Code] = ["self"]
        returns = annotation(returns, self._members)
        checks: list[str] = []
        may_omit = omissible(types, defaults, keywords)
        for param in in_call_order(types, keywords):
            if param in keywords and "*" not in parameters:
                parameters.append("*")
            declared = f"{param}: {annotation(types[param].python, self._members)}"
            if param in may_omit:
                default = self._default(defaults.get(param), 12)
                parameters.append(layout.assigned(declared, default))
            else:
                parameters.append(declared)
        for param, type in types.items():
            if not (acts and param == "id"):
                # The executor checks the id of the record that a command acts on.
                checks += check_lines(param, param, type, indent=8, hidden="type" in types)
        if runs and self._program.recovery is not None:
            checks += self._storable_lines(types)
        define = "async def" if runs and self._awaits else "def"
        signature = layout.call(
            f"{define} {name}", parameters, f" -> {returns}:", indent=4, width=self._width
        )
        doc = layout.docstring(summary, more, indent=8, width=self._width)
        lines = [*checks, *(f"        {line}" for line in body)]
        interface_signature = layout.call(
            f"def {name}",
            parameters,
            f" -> {returns}{' | None' if none_without else ''}:",
            indent=4,
            width=self._width,
        )
        fallback = f"raise _rt.UnsupportedError({layout.quoted(name)})"
        return PublicMethod(
            name, abstract, runs, signature, interface_signature, doc, lines,
            "return None" if none_without else fallback,
        )  # fmt: skip
