"""Expressions over finite domains: what they come to for every value of what they read.

Members of closed sets, flags, variants and whether something is there are few, so they are tried
one by one. Everything else (a count against another, a text) is a test of its own, that may be true
or false whatever the rest is. So what is found always is so; what depends on such a test is not
decided, and is said to be undecided.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from opslifecycle_codegen.ir.scope import Scope
from opslifecycle_codegen.ir.symbols import MemberOf
from opslifecycle_codegen.ir.types import BOOL, Type

CASES_MAX = 20_000
_SOMETHING = object()


class UndecidedError(Exception):
    """There are too many cases to try."""


class Domains:
    """The values of everything that some expressions read."""

    def __init__(self, scope: Scope, statuses: Mapping[str, Sequence[str]]) -> None:
        self._scope = scope
        #: The statuses that a path may have, where fewer than all.
        self._statuses = statuses
        self._values: dict[str, list[Any]] = {}
        self.opaque = False

    def cases(self, expressions: Sequence[ast.expr]) -> Iterator[dict[str, Any]]:
        """Yield every combination of values of what the expressions read; raises UndecidedError."""
        for expression in expressions:
            self._collect(expression)
        size = 1
        for values in self._values.values():
            size *= len(values)
            if size > CASES_MAX:
                raise UndecidedError
        for combination in itertools.product(*self._values.values()):
            case = dict(zip(self._values, combination, strict=True))
            if self._consistent(case):
                yield case

    def _consistent(self, case: Mapping[str, Any]) -> bool:
        """Return what is read of something that is not there has one value only."""
        for path, value in case.items():
            for other, absent in case.items():
                below = path.startswith(f"{other}.")
                if absent is None and below and value is not self._values[path][0]:
                    return False
        return True

    def _collect(self, node: ast.expr) -> None:
        if isinstance(node, ast.BoolOp):
            for operand in node.values:
                self._collect(operand)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            self._collect(node.operand)
        elif isinstance(node, ast.IfExp):
            for part in (node.test, node.body, node.orelse):
                self._collect(part)
        elif isinstance(node, ast.Compare) and self._finite(node):
            self._add(node.left)
        elif isinstance(node, ast.Constant) or ast.unparse(node) in ("true", "false"):
            pass
        elif self._is_flag(node):
            self._add(node)
        else:
            self.opaque = True
            self._values.setdefault(ast.unparse(node), [False, True])

    def _add(self, node: ast.expr) -> None:
        """Give what a node reads its values; a property of a member has the member's."""
        if isinstance(node, ast.Attribute):
            base = self._type(node.value)
            if base is not None and base.required.kind == "enum":
                self._add(node.value)
                return
        path, type = ast.unparse(node), self._type(node)
        if type is None or path in self._values:
            return
        values: list[Any] = [None] if type.optional else []
        inner = type.required
        if inner.kind == "enum":
            members = self._scope.symbols.enums[inner.name].members
            values += self._statuses.get(path, list(members))
        elif inner == BOOL:
            values += [False, True]
        elif inner.kind == "union":
            values += list(self._scope.symbols.unions[inner.name].variants)
        else:
            values.append(_SOMETHING)
        self._values[path] = values

    def _is_flag(self, node: ast.expr) -> bool:
        type = self._type(node)
        return type is not None and type.required == BOOL

    def _finite(self, node: ast.Compare) -> bool:
        """Return whether a comparison is one of those that can be tried."""
        if len(node.ops) != 1 or self._type(node.left) is None:
            return False
        right = node.comparators[0]
        if isinstance(node.ops[0], ast.Is | ast.IsNot):
            return True
        if isinstance(node.ops[0], ast.In | ast.NotIn):
            return ast.unparse(right).endswith(".from_statuses")
        type = self._type(node.left)
        return (
            isinstance(node.ops[0], ast.Eq | ast.NotEq)
            and type is not None
            and type.required.kind == "enum"
            and self._member(right) is not None
        )

    def _type(self, node: ast.expr) -> Type | None:
        """Return the type of a path; None for what is none."""
        if isinstance(node, ast.Name):
            binding = self._scope.names.get(node.id)
            return binding.type if binding is not None else None
        if not isinstance(node, ast.Attribute):
            return None
        base = self._type(node.value)
        if base is None:
            return None
        found = self._scope.attributes_of(base.required).get(node.attr)
        if found is not None and base.optional:
            return Type("optional", inner=found.required)
        return found

    def _member(self, node: ast.expr) -> str | None:
        if isinstance(node, ast.Name):
            return node.id
        return node.attr if isinstance(node, ast.Attribute) else None

    # Trying -------------------------------------------------------------------------------------

    def holds(self, node: ast.expr, case: Mapping[str, Any], sources: Sequence[str]) -> bool:
        """Return what an expression comes to in one case; `sources` are an action's statuses."""
        if isinstance(node, ast.BoolOp):
            parts = (self.holds(operand, case, sources) for operand in node.values)
            return all(parts) if isinstance(node.op, ast.And) else any(parts)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return not self.holds(node.operand, case, sources)
        if isinstance(node, ast.IfExp):
            part = node.body if self.holds(node.test, case, sources) else node.orelse
            return self.holds(part, case, sources)
        text = ast.unparse(node)
        if isinstance(node, ast.Compare) and text not in case:
            return self._compared(node, case, sources)
        if isinstance(node, ast.Constant) or text in ("true", "false"):
            return text in ("True", "true")
        return bool(self._value(node, case))

    def _compared(self, node: ast.Compare, case: Mapping[str, Any], sources: Sequence[str]) -> bool:
        left, right = self._value(node.left, case), node.comparators[0]
        operator = node.ops[0]
        if isinstance(operator, ast.In | ast.NotIn):
            return (left in sources) is isinstance(operator, ast.In)
        wanted: Any = None
        if not (isinstance(right, ast.Constant) and right.value is None):
            wanted = self._member(right)
            if isinstance(right, ast.Name) and right.id in self._scope.symbols.unions:
                equal = left is not None
                return equal is isinstance(operator, ast.Is | ast.Eq)
        return (left == wanted) is isinstance(operator, ast.Is | ast.Eq)

    def _value(self, node: ast.expr, case: Mapping[str, Any]) -> Any:
        text = ast.unparse(node)
        if text in case:
            return case[text]
        assert isinstance(node, ast.Attribute), text
        member, enum = self._value(node.value, case), self._type(node.value)
        if member is None or enum is None:
            return None
        value = self._scope.symbols.enums[enum.required.name].members[member].values.get(node.attr)
        return value.wire if isinstance(value, MemberOf) else value
