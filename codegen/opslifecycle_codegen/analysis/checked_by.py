"""Stage 3, analyze: fields of values that a guard checks in place of the constructor.

The constructor accepts anything for such a field, so the guard has to reject whatever is no value
of its type, in every command that takes the value. The tests `is None` and `is Union` do that for a
union, and nothing in the language does it for another type.
"""

from __future__ import annotations

from opslifecycle_codegen.analysis.intervals import inlined
from opslifecycle_codegen.base.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression, Root, nodes_of
from opslifecycle_codegen.ir.program import Check, Command, Program
from opslifecycle_codegen.ir.symbols import FieldInfo
from opslifecycle_codegen.ir.types import Type
from opslifecycle_codegen.source.words import Name


def check_checked_by(program: Program, diagnostics: Diagnostics) -> None:
    """Report fields whose wrong values no guard would reject."""
    for record in program.symbols.records.values():
        for info in record.fields.values():
            if info.declared.checked_by is not None:
                _Field(program, record.name, info, info.declared.checked_by, diagnostics).check()


class _Field:
    def __init__(
        self, program: Program, record: str, info: FieldInfo, guard: Name, found: Diagnostics
    ) -> None:
        self._program = program
        self._record = record
        self._info = info
        self._guard = guard
        self._diagnostics = found

    def check(self) -> None:
        """Report the first thing that is wrong."""
        guards, info = self._program.machine.guards, self._info
        if self._guard not in guards:
            message = f"{info.name} of {self._record} names an unknown guard"
            self._add("unknown-guard", message, nearest(self._guard, guards))
        elif info.type.required.kind != "union":
            message = f"a guard cannot check that {info.name} is a value of type {info.type}"
            hint = "remove `checked_by`: the constructor checks every type, a guard only unions"
            self._add("wrong-type", message, hint)
        elif self._is_elsewhere():
            message = f"{self._record} is part of another value, which no guard looks into"
            self._add("wrong-shape", message, "remove `checked_by`: the constructor checks it")
        else:
            for command in (self._program.create, *self._program.actions):
                for name, type in command.params.items():
                    if self._takes(type):
                        self._check_command(command, name)

    def _is_elsewhere(self) -> bool:
        symbols = self._program.symbols
        types = [each.type for other in symbols.records.values() for each in other.fields.values()]
        types += [symbols.registry_fields[str(name)] for name in self._program.machine.settings]
        return bool(symbols.records[self._record].union) or any(map(self._takes, types))

    def _takes(self, type: Type) -> bool:
        return type.required == Type("record", self._record)

    def _check_command(self, command: Command, param: str) -> None:
        field, guard = f"{param}.{self._info.name}", str(self._guard)
        read: list[Expression] = []
        for check in inlined(command.guards):
            if check.guard == guard:
                break
            read += [check.test, *check.refusal.fields]
        else:
            message = f"{command.name} takes {field}, and does not list the guard {guard}"
            self._add("wrong-shape", message, f"add {guard} to its guards")
            return
        if any(self._reads(tree, param) for tree in read):
            message = f"{command.name} reads {field} in a guard before {guard} has checked it"
            self._add("field-order", message, f"list {guard} first")
        elif not self._rejects(check, param):
            message = f"{guard} does not reject all that is no {self._info.type} in {field}"
            hint = f"let it ask for `is {self._info.type.required}`, before it reads anything of it"
            self._add("wrong-type", message, hint)

    def _rejects(self, check: Check, param: str) -> bool:
        """Return whether a guard is false, and reads nothing, of what is no value of the union."""
        parts = [node for each in (check.test, *check.refusal.fields) for node in nodes_of(each)]
        has_tag = any(
            isinstance(node, nodes.Field)
            and node.base.type.required.kind == "union"
            and self._reads(node.base, param)
            for node in parts
        )

        def of_a_stranger(node: Expression) -> Expression:
            match node:
                case nodes.IsNone(value=nodes.Name(root=Root.PARAMETER, name=name)) if (
                    name == param
                ):
                    return nodes.Literal(node.type, node.negated)
                case nodes.IsNone(value=value) | nodes.IsVariant(value=value) if self._reads(
                    value, param
                ):
                    return nodes.Literal(node.type, node.negated)
            return node

        return not has_tag and _is_decided(nodes.replaced(check.test, of_a_stranger), False)

    def _reads(self, tree: Expression, param: str) -> bool:
        """Return whether an expression reads the field of a parameter."""
        return any(
            isinstance(node, nodes.Field)
            and node.name == self._info.name
            and isinstance(node.base, nodes.Name)
            and (node.base.root, node.base.name) == (Root.PARAMETER, param)
            for node in nodes_of(tree)
        )

    def _add(self, rule: str, message: str, hint: str) -> None:
        self._diagnostics.add(self._guard.mark, rule, message, hint)


def _is_decided(tree: Expression, truth: bool) -> bool:
    """Return whether a test has a result by the literals in it."""
    match tree:
        case nodes.Literal(value=value):
            return value is truth
        case nodes.Not(operand=operand):
            return _is_decided(operand, not truth)
        case nodes.And(operands=operands):
            return (all if truth else any)(_is_decided(each, truth) for each in operands)
        case nodes.Or(operands=operands):
            return (any if truth else all)(_is_decided(each, truth) for each in operands)
    return False
