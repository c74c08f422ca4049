"""Type checking of expressions, a typed subset of Python's grammar, to typed trees.

Expressions are never evaluated. Every construct that is not listed here is an error with its
location. Tests narrow types: after `x is not None`, in the expression or in an earlier guard, x is
no longer optional.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from math import isfinite

from attrs import evolve

from opslifecycle_codegen.analysis.arithmetic import check_arithmetic, check_negative
from opslifecycle_codegen.analysis.calls import check_call
from opslifecycle_codegen.analysis.decimals import adapted
from opslifecycle_codegen.analysis.dicts import check_dict, check_union
from opslifecycle_codegen.analysis.membership import check_membership
from opslifecycle_codegen.analysis.missing import EMPTY_INSTEAD, missing_field, none_hint
from opslifecycle_codegen.analysis.several import check_items, check_joined, is_empty_set
from opslifecycle_codegen.base.diagnostics import Diagnostics, Location, nearest
from opslifecycle_codegen.base.spellings import operator_hint
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.built_ins import LEGAL_STATUS
from opslifecycle_codegen.ir.expr import Expression, Root
from opslifecycle_codegen.ir.scope import Scope
from opslifecycle_codegen.ir.several import DICT, LIST
from opslifecycle_codegen.ir.types import (
    ACTION,
    BOOL,
    ENTITY,
    FLOAT,
    INT,
    NONE,
    REGISTRY,
    STR,
    UNKNOWN,
    Type,
    fits,
    join,
)
from opslifecycle_codegen.source.words import Expr

_CHARACTERS_MAX = 1000
_WITHOUT_SPACES = {ord(each): None for each in "_ \t\r\n"}
_COMPARISONS = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
}  # fmt: skip


class _RefusedError(Exception):
    """An error was reported; the expression has no type."""


def compile_expression(
    expr: Expr,
    scope: Scope,
    diagnostics: Diagnostics,
    wanted: Type | None = None,
) -> Expression | None:
    """Return the typed tree of an expression; None after a reported error."""
    checker = Checker(expr, diagnostics)
    try:
        tree = checker.parse()
        typed = checker.check(tree, scope, wanted)
        if wanted is not None:
            typed = adapted(checker, tree, typed, wanted)
        if wanted is not None:
            checker.want(tree, typed, wanted)
    except _RefusedError:
        return None
    return typed


def narrowed_by(expr: Expr, scope: Scope, diagnostics: Diagnostics, truth: bool) -> Scope:
    """Return the scope after an expression is true, or false."""
    checker = Checker(expr, Diagnostics())
    try:
        return checker.narrow(checker.parse(), scope, truth)
    except _RefusedError:
        return scope


class Checker:
    """Checks one expression, and reports its first error."""

    def __init__(self, expr: Expr, diagnostics: Diagnostics) -> None:
        self._expr = expr
        self._diagnostics = diagnostics

    def parse(self) -> ast.expr:
        """Return Python's syntax tree of the expression; report a syntax error."""
        if len(self._expr) > _CHARACTERS_MAX:
            message = f"an expression has at most {_CHARACTERS_MAX} characters"
            self._diagnostics.add(self._expr.mark, "expression-size", message)
            raise _RefusedError
        try:
            return ast.parse(self._expr.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            reason = error.msg if isinstance(error, SyntaxError) else "too deep"
            column = (error.offset or 1) - 1 if isinstance(error, SyntaxError) else 0
            mark = self._expr.mark.shifted(column if self._expr.precise else 0)
            message, hint = f"not an expression: {reason}", operator_hint(self._expr)
            self._diagnostics.add(mark, "expression-syntax", message, hint)
            raise _RefusedError from None

    def refuse(self, node: ast.expr, rule: str, message: str, hint: str = "") -> _RefusedError:
        """Report an error at a node; return the exception to raise."""
        self._diagnostics.add(self._mark(node), rule, message, hint)
        return _RefusedError()

    def spelled(self, node: ast.expr) -> str:
        """Return a number of the expression as the file has it, without spaces and `_`."""
        text = ast.get_source_segment(self._expr.strip(), node) or ""
        return text.translate(_WITHOUT_SPACES)

    def _mark(self, node: ast.expr) -> Location:
        columns = node.col_offset if self._expr.precise and node.lineno == 1 else 0
        return self._expr.mark.shifted(columns)

    # Checking -----------------------------------------------------------------------------------

    def check(self, node: ast.expr, scope: Scope, wanted: Type | None = None) -> Expression:
        """Return the typed tree of one node."""
        checks: dict[type[ast.expr], Callable[..., Expression]] = {
            ast.Name: self._name,
            ast.Attribute: self._attribute,
            ast.Constant: self._constant,
            ast.Compare: self._compare,
            ast.BoolOp: self._bool_op,
            ast.UnaryOp: self._unary,
            ast.BinOp: self._arithmetic,
            ast.IfExp: self._conditional,
            ast.Call: self._call,
            ast.Subscript: self._subscript,
            ast.List: self._items,
            ast.Set: self._items,
            ast.Dict: self._dict,
        }
        check = checks.get(type(node))
        if check is None:
            kind = type(node).__name__
            raise self.refuse(
                node, "expression-form", f"{kind} is not part of the expression language"
            )
        return evolve(check(node, scope, wanted), mark=self._mark(node))

    def _name(self, node: ast.Name, scope: Scope, wanted: Type | None) -> Expression:
        if node.id in ("true", "false"):
            return nodes.Literal(BOOL, node.id == "true")
        binding = scope.names.get(node.id)
        if isinstance(binding, nodes.Name) and binding.root is Root.NOW:
            # A member of that name was there first.
            is_member = wanted is not None and wanted.required.kind == "enum"
            binding = None if is_member else binding
        if binding is not None:
            return evolve(binding, type=scope.narrowed.get(node.id, binding.type))
        if wanted is not None and wanted.required.kind == "enum":
            return self.member(node, node.id, wanted.required, scope)
        if scope.symbols.type_named(node.id) is not None:
            message = f"{node.id} is a type, not a value"
            raise self.refuse(node, "wrong-type", message, f"a member is written {node.id}.member")
        sets = [name for name, info in scope.symbols.enums.items() if node.id in info.members]
        hint = f"write {sets[0]}.{node.id}" if sets else nearest(node.id, scope.names)
        if wanted is not None and wanted.required.kind == "str":
            hint = f"write \"'{node.id}'\" for the text, with both quotes; {hint}"
        raise self.refuse(node, "unknown-name", f"there is no {node.id!r} here", hint)

    def member(self, node: ast.expr, word: str, enum: Type, scope: Scope) -> Expression:
        """Return a member of a closed set by its word."""
        info = scope.symbols.enums[enum.name]
        if word not in info.members:
            hint = nearest(word, info.members)
            raise self.refuse(node, "unknown-member", f"{enum.name} has no member {word!r}", hint)
        return nodes.Member(enum, word)

    def _attribute(self, node: ast.Attribute, scope: Scope, wanted: Type | None) -> Expression:
        path = ast.unparse(node)
        if isinstance(node.value, ast.Name) and node.value.id not in scope.names:
            enum = scope.symbols.type_named(node.value.id)
            if enum is not None and enum.kind == "enum":
                return self.member(node, node.attr, enum, scope)
        constant = scope.constants.get(path)
        if constant is not None:
            return evolve(constant, type=scope.narrowed.get(path, constant.type))
        base = self.check(node.value, scope)
        if base.type.optional:
            raise self.refuse_none(node.value)
        if base.type == UNKNOWN:
            return base
        if base.type == ACTION and node.attr == "from_statuses":
            message = "a guard tests the status itself, which the compiler does for every action"
            hint = f"take the test out; {LEGAL_STATUS} in a list of guards places it"
            raise self.refuse(node, "legality", message, hint)
        known = scope.attributes_of(base.type)
        if node.attr not in known:
            if base.type in (ENTITY, REGISTRY):
                message, hint = missing_field(base.type, node.attr, known)
                raise self.refuse(node, "unknown-name", message, hint)
            hint = nearest(node.attr, known)
            raise self.refuse(node, "unknown-name", f"{base.type} has no {node.attr!r}", hint)
        return nodes.Field(scope.narrowed.get(path, known[node.attr]), base, node.attr)

    def _constant(self, node: ast.Constant, scope: Scope, wanted: Type | None) -> Expression:
        value = node.value
        if value is None:
            return nodes.NOTHING
        if isinstance(value, bool):
            return nodes.Literal(BOOL, value)
        if isinstance(value, int):
            return nodes.Literal(INT, value)
        if isinstance(value, float):
            if not isfinite(value):
                message = f"{self.spelled(node)[:60]} is greater than every float"
                raise self.refuse(
                    node, "wrong-type", message, "the greatest float is about 1.8e308"
                )
            return nodes.Literal(FLOAT, value)
        if isinstance(value, str):
            return nodes.Literal(self._text_type(node, value, wanted), value)
        raise self.refuse(
            node, "expression-form", f"{value!r} is not part of the expression language"
        )

    def _text_type(self, node: ast.Constant, value: str, wanted: Type | None) -> Type:
        """Return the type of a literal text: the declared one where one is wanted."""
        if wanted is None or wanted.required.kind != "str" or wanted.required.limits is None:
            return STR
        if not wanted.required.limits.accepts(value):
            message = f"{value[:60]!r} is no {wanted.required}: {wanted.required.described}"
            raise self.refuse(node, "wrong-type", message)
        return wanted.required

    def _bool_op(self, node: ast.BoolOp, scope: Scope, wanted: Type | None) -> Expression:
        is_and = isinstance(node.op, ast.And)
        operands = []
        for operand in node.values:
            typed = self.check(operand, scope)
            self.want(operand, typed, BOOL)
            if typed in operands:
                message = f"{ast.unparse(operand)} occurs twice in one condition"
                raise self.refuse(operand, "expression-form", message)
            operands.append(typed)
            scope = self.narrow(operand, scope, truth=is_and)
        decided = nodes.Literal(BOOL, not is_and)
        if decided in operands or any(nodes.negation(each) in operands for each in operands):
            rule, result = ("always-false", "false") if is_and else ("always-true", "true")
            raise self.refuse(node, rule, f"{ast.unparse(node)} is always {result}")
        return (nodes.And if is_and else nodes.Or)(BOOL, tuple(operands))

    def _unary(self, node: ast.UnaryOp, scope: Scope, wanted: Type | None) -> Expression:
        if isinstance(node.op, ast.USub):
            return check_negative(self, node, scope)
        if not isinstance(node.op, ast.Not):
            raise self.refuse(node, "expression-form", "the unary operators are `not` and `-`")
        typed = self.check(node.operand, scope)
        self.want(node.operand, typed, BOOL)
        return nodes.Not(BOOL, typed)

    def _arithmetic(self, node: ast.BinOp, scope: Scope, wanted: Type | None) -> Expression:
        left = self.check(node.left, scope, wanted if wanted and wanted.required.several else None)
        if left.type.optional and left.type.required.several:
            raise self.refuse_none(node.left, EMPTY_INSTEAD)
        if left.type.kind == DICT:
            return check_union(self, node, left, scope)
        if left.type.several:
            return check_joined(self, node, left, scope)
        if left.type == UNKNOWN:
            return left
        return check_arithmetic(self, node, left, scope)

    def _items(self, node: ast.List | ast.Set, scope: Scope, wanted: Type | None) -> Expression:
        return check_items(self, node, scope, wanted)

    def _dict(self, node: ast.Dict, scope: Scope, wanted: Type | None) -> Expression:
        return check_dict(self, node, scope, wanted)

    def _conditional(self, node: ast.IfExp, scope: Scope, wanted: Type | None) -> Expression:
        test = self.check(node.test, scope)
        self.want(node.test, test, BOOL)
        then = self.check(node.body, self.narrow(node.test, scope, truth=True), wanted)
        otherwise = self.check(node.orelse, self.narrow(node.test, scope, truth=False), wanted)
        then = adapted(self, node.body, then, wanted or otherwise.type)
        otherwise = adapted(self, node.orelse, otherwise, wanted or then.type)
        type = join(then.type, otherwise.type)
        if type is None:
            message = f"one side is {then.type}, the other {otherwise.type}"
            raise self.refuse(node, "wrong-type", message)
        return nodes.Conditional(type, test, then, otherwise)

    def _call(self, node: ast.Call, scope: Scope, wanted: Type | None) -> Expression:
        if is_empty_set(node):
            return check_items(self, node, scope, wanted)
        return check_call(self, node, scope)

    def _subscript(self, node: ast.Subscript, scope: Scope, wanted: Type | None) -> Expression:
        base = self.check(node.value, scope)
        if base.type.kind != "counts" or base.type.inner is None:
            message, hint = f"{base.type} cannot be subscripted", ""
            many = ast.unparse(node.value)
            if base.type.required.kind == DICT:
                get = f"{many}.get({ast.unparse(node.slice)}"
                hint = f"write {get}), which may be None, or {get}, default)"
            elif base.type.required.kind == LIST:
                hint = f"no expression reads one element: write `value in {many}`, `len({many})`"
            raise self.refuse(node, "expression-form", message, hint)
        key = self.check(node.slice, scope, base.type.inner)
        self.want(node.slice, key, base.type.inner)
        return nodes.Count(INT, base, key)

    def want(self, node: ast.expr, typed: Expression, wanted: Type) -> None:
        """Report a node whose type does not fit."""
        if not fits(typed.type, wanted):
            hint = none_hint(node, typed.type) if fits(typed.type.required, wanted) else ""
            raise self.refuse(node, "wrong-type", f"expected {wanted}, found {typed.type}", hint)

    def refuse_none(self, node: ast.expr, hint: str = "test `is not None` first") -> _RefusedError:
        """Report a value that may be None where its attributes or its parts are read."""
        return self.refuse(node, "may-be-none", f"{ast.unparse(node)} may be None here", hint)

    # Comparisons --------------------------------------------------------------------------------

    def _compare(self, node: ast.Compare, scope: Scope, wanted: Type | None) -> Expression:
        left = self.check(node.left, scope)
        if isinstance(node.ops[0], ast.Is | ast.IsNot | ast.In | ast.NotIn):
            if len(node.ops) > 1:
                raise self.refuse(node, "expression-form", "`is` and `in` cannot be chained")
            return check_membership(self, node, left, scope)
        operands, operators = [left], list[str]()
        sides = [node.left, *node.comparators]
        for before, operator, operand in zip(sides, node.ops, sides[1:], strict=False):
            spelled = _COMPARISONS.get(type(operator))
            if spelled is None:
                raise self.refuse(operand, "expression-form", "`is` and `in` cannot be chained")
            right = adapted(self, operand, self.check(operand, scope, left.type), left.type)
            if not operators:
                operands[0] = left = adapted(self, node.left, left, right.type)
            if spelled not in ("==", "!="):
                for side, typed in ((before, left), (operand, right)):
                    if typed.type.optional and typed.type.required.ordered:
                        message = f"expected numbers to compare, found {typed.type}"
                        hint = none_hint(side, typed.type)
                        raise self.refuse(side, "wrong-type", message, hint)
            self.comparable(operand, left.type, right.type, ordered=spelled not in ("==", "!="))
            operands.append(right)
            operators.append(spelled)
            left = right
        return nodes.Compare(BOOL, tuple(operands), tuple(operators))

    def comparable(self, node: ast.expr, left: Type, right: Type, *, ordered: bool) -> None:
        """Report two operands that are never equal, or that have no order."""
        if ordered and not (left.ordered and right.ordered):
            odd = right if left.ordered else left
            raise self.refuse(node, "wrong-type", f"expected numbers to compare, found {odd}")
        if join(left, right) is None:
            what = "cannot be compared with" if ordered else "is never equal to"
            raise self.refuse(node, "wrong-type", f"{left} {what} {right}")

    # Narrowing ----------------------------------------------------------------------------------

    def narrow(self, node: ast.expr, scope: Scope, truth: bool) -> Scope:
        """Return the narrowed types after `node` is true, or false."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return self.narrow(node.operand, scope, not truth)
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And) is truth:
            for operand in node.values:
                scope = self.narrow(operand, scope, truth)
            return scope
        if not isinstance(node, ast.Compare) or len(node.ops) != 1:
            return scope
        operator, right = node.ops[0], node.comparators[0]
        if not isinstance(operator, ast.Is | ast.IsNot):
            return scope
        holds = isinstance(operator, ast.Is) is truth
        path = ast.unparse(node.left)
        current = self.check(node.left, scope).type
        if isinstance(right, ast.Constant) and right.value is None:
            return scope.with_narrowed(path, NONE if holds else current.required)
        if isinstance(right, ast.Name) and holds:
            named = scope.symbols.type_named(right.id)
            if named is not None and named.kind in ("variant", "union"):
                return scope.with_narrowed(path, named)
        return scope
