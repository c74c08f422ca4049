"""Type checking of tests with `is` and `in`."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from opslifecycle_codegen.analysis.decimals import adapted
from opslifecycle_codegen.analysis.missing import EMPTY_INSTEAD, none_hint
from opslifecycle_codegen.analysis.sized import part_of_text
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression
from opslifecycle_codegen.ir.scope import Scope
from opslifecycle_codegen.ir.types import BOOL, NONE, STATUSES, UNKNOWN, fits

if TYPE_CHECKING:
    from opslifecycle_codegen.analysis.expressions import Checker


def check_membership(
    checker: Checker, node: ast.Compare, left: Expression, scope: Scope
) -> Expression:
    """Return the typed tree of a test with `is` or `in`."""
    operator, right = node.ops[0], node.comparators[0]
    negated = isinstance(operator, ast.IsNot | ast.NotIn)
    if isinstance(operator, ast.In | ast.NotIn):
        many = _among(checker, right, node.left, left, scope)
        if isinstance(left, nodes.Literal) and isinstance(many, Expression) and many.type.several:
            # A text is one of the type that is in it.
            left = checker.check(node.left, scope, many.type.key or many.type.inner)
        return nodes.Among(BOOL, left, many, negated)
    if isinstance(right, ast.Constant) and right.value is None:
        if not left.type.optional and left.type != NONE:
            message = f"{ast.unparse(node.left)} is never None here"
            rule = "always-true" if negated else "always-false"
            raise checker.refuse(node, rule, message)
        return nodes.IsNone(BOOL, left, negated)
    if isinstance(right, ast.Name):
        named = scope.symbols.type_named(right.id)
        if named is not None and named.kind in ("variant", "union"):
            union = named if named.kind == "union" else named.inner
            if left.type.required not in (union, named):
                message = f"{left.type} is never {right.id}"
                raise checker.refuse(right, "wrong-type", message)
            return nodes.IsVariant(BOOL, left, right.id, negated)
    if left.type.required.kind != "enum":
        message = f"expected None, a variant or a member after `is`, with {left.type} before it"
        raise checker.refuse(right, "wrong-type", message)
    member = checker.check(right, scope, left.type.required)
    checker.comparable(right, left.type, member.type, ordered=False)
    return nodes.IsMember(BOOL, left, member, negated)


def _among(
    checker: Checker, node: ast.expr, value: ast.expr, left: Expression, scope: Scope
) -> Expression | tuple[Expression, ...]:
    if isinstance(node, ast.List | ast.Tuple):
        items = [
            adapted(checker, item, checker.check(item, scope, left.type), left.type)
            for item in node.elts
        ]
        for item, typed in zip(node.elts, items, strict=True):
            checker.comparable(item, left.type, typed.type, ordered=False)
        return tuple(items)
    if isinstance(node, ast.Name) and node.id not in scope.names:
        group = scope.symbols.status_groups.get(node.id)
        if group is not None and left.type.required == scope.symbols.status_type:
            return tuple(checker.member(node, each, left.type.required, scope) for each in group)
    right = checker.check(node, scope)
    if right.type == STATUSES and left.type == scope.symbols.status_type:
        return right
    if right.type.kind == left.type.kind == "str":
        return part_of_text(checker, node, left, right)
    of = right.type
    if of.optional and of.required.several:
        raise checker.refuse_none(node, EMPTY_INSTEAD)
    inner = of.inner if of.kind == "collection" or of.several else None
    inner = of.key or inner
    if UNKNOWN in (of, left.type):
        return right
    if inner is not None and isinstance(left, nodes.Literal):
        left = checker.check(value, scope, inner)
    if inner is None or not fits(left.type, inner):
        fit = inner is not None and fits(left.type.required, inner)
        hint = none_hint(value, left.type) if fit else ""
        raise checker.refuse(node, "wrong-type", f"{left.type} cannot be in {right.type}", hint)
    return right
