"""Type checking of lengths, and of the parts of a text."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression
from opslifecycle_codegen.ir.scope import Scope
from opslifecycle_codegen.ir.sized import SIZED, HasAffix, length_of
from opslifecycle_codegen.ir.types import BOOL, STR

if TYPE_CHECKING:
    from opslifecycle_codegen.analysis.expressions import Checker

LEN = "len"


def check_length(checker: Checker, node: ast.Call, scope: Scope) -> Expression:
    """Return the typed tree of `len(value)`."""
    if len(node.args) != 1:
        raise checker.refuse(node, "wrong-type", f"{LEN} takes one value, not {len(node.args)}")
    value = _required(checker, node.args[0], scope)
    if value.type.kind not in (*SIZED, "unknown"):
        message = f"{value.type} has no length"
        hint = "texts, bytes and collections have one"
        raise checker.refuse(node.args[0], "wrong-type", message, hint)
    return length_of(value)


def check_affix(
    checker: Checker, node: ast.Call, function: ast.Attribute, scope: Scope
) -> Expression:
    """Return the typed tree of `text.startswith('…')` or `text.endswith('…')`."""
    text, method = _required(checker, function.value, scope), function.attr
    if text.type.kind not in (STR.kind, "unknown"):
        message = f"expected a text before .{method}, found {text.type}"
        raise checker.refuse(function.value, "wrong-type", message)
    if len(node.args) != 1 or node.keywords:
        raise checker.refuse(node, "wrong-type", f"{method} takes one text")
    (argument,) = node.args
    affix = checker.check(argument, scope)
    if not isinstance(affix, nodes.Literal) or affix.type != STR:
        message = f"{method} takes a text in quotes, not {ast.unparse(argument)}"
        raise checker.refuse(argument, "wrong-type", message)
    _check_not_empty(checker, node, affix)
    return HasAffix(BOOL, text, method, affix)


def part_of_text(
    checker: Checker, node: ast.expr, part: Expression, text: Expression
) -> Expression:
    """Return the text of `part in text`, both of which are texts."""
    _check_not_empty(checker, node, part)
    return text


def _check_not_empty(checker: Checker, node: ast.expr, part: Expression) -> None:
    if isinstance(part, nodes.Literal) and part.value == "":
        message = "every text begins with, ends with and contains the empty one"
        raise checker.refuse(node, "always-true", message)


def _required(checker: Checker, node: ast.expr, scope: Scope) -> Expression:
    """Return the tree of a value that is not None."""
    value = checker.check(node, scope)
    if value.type.optional:
        message = f"{ast.unparse(node)} may be None here"
        raise checker.refuse(node, "may-be-none", message, "test `is not None` first")
    return value
