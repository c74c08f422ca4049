"""The negation of an expression, as somebody would write it by hand."""

from __future__ import annotations

import ast

_OPPOSITES: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE,
    ast.LtE: ast.Gt, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


def negation(node: ast.expr) -> ast.expr:
    """The expression that is true exactly when `node` is false, with `not` pushed inwards."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return node.operand
    if isinstance(node, ast.BoolOp):
        flipped = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        operands = [negation(operand) for operand in node.values]
        return ast.copy_location(ast.BoolOp(flipped, operands), node)
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        opposite = _OPPOSITES[type(node.ops[0])]()
        return ast.copy_location(ast.Compare(node.left, [opposite], node.comparators), node)
    return ast.copy_location(ast.UnaryOp(ast.Not(), node), node)
