"""Type checking of collections: what they list, and what joins two of them."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from opslifecycle_codegen.analysis.decimals import adapted
from opslifecycle_codegen.ir.expr import Expression
from opslifecycle_codegen.ir.scope import Scope
from opslifecycle_codegen.ir.several import JOINS, LIST, SET, Items, Joined
from opslifecycle_codegen.ir.types import UNKNOWN, Type, fits

if TYPE_CHECKING:
    from opslifecycle_codegen.analysis.expressions import Checker

_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "+", ast.BitOr: "|", ast.BitAnd: "&", ast.Sub: "-",
}  # fmt: skip


def is_empty_set(node: ast.expr) -> bool:
    """Return whether a node is `frozenset()`: Python has no brackets for it."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == SET
        and not (node.args or node.keywords)
    )


def check_items(
    checker: Checker, node: ast.List | ast.Set | ast.Call, scope: Scope, wanted: Type | None
) -> Expression:
    """Return the typed tree of `[a, b]`, `{a, b}` or `frozenset()` where a collection stands."""
    kind = LIST if isinstance(node, ast.List) else SET
    type = wanted.required if wanted is not None else None
    if type == UNKNOWN:
        return Items(UNKNOWN, ())
    if type is None or type.kind != kind or type.inner is None:
        if type is not None:
            raise checker.refuse(node, "wrong-type", f"expected {type}, found a {kind}")
        message = f"nothing says of what {ast.unparse(node)} is a {kind}"
        hint = f"write it behind a field or a parameter that is a {kind}"
        raise checker.refuse(node, "wrong-type", message, hint)
    elements: list[Expression] = []
    for each in () if isinstance(node, ast.Call) else node.elts:
        typed = adapted(checker, each, checker.check(each, scope, type.inner), type.inner)
        checker.want(each, typed, type.inner)
        if kind == SET and typed in elements:
            message = f"{ast.unparse(each)} occurs twice in one set"
            raise checker.refuse(each, "expression-form", message)
        elements.append(typed)
    return Items(_computed(type), tuple(elements))


def check_joined(checker: Checker, node: ast.BinOp, left: Expression, scope: Scope) -> Expression:
    """Return the typed tree of two lists or sets with an operator between them."""
    right = checker.check(node.right, scope, left.type)
    operator = _OPERATORS.get(type(node.op), "")
    known = JOINS[left.type.kind]
    if operator not in known:
        message = f"the operators of a {left.type.kind} are {', '.join(known)}"
        raise checker.refuse(node, "expression-form", message)
    if not fits(right.type, left.type):
        message = f"there is no {left.type} {operator} {right.type}"
        hint = "one element is written in brackets" if right.type == left.type.inner else ""
        raise checker.refuse(node, "wrong-type", message, hint)
    return Joined(_computed(left.type), operator, left, right)


def _computed(type: Type) -> Type:
    """Return the type of a computed collection, which has a length only where it is stored."""
    return Type(type.kind, inner=type.inner)
