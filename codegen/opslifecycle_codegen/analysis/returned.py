"""Stage 3, analyze: what methods return, as expressions on the record that they ask about."""

from __future__ import annotations

from collections.abc import Mapping

from opslifecycle_codegen.analysis.expressions import compile_expression
from opslifecycle_codegen.base.diagnostics import Diagnostics
from opslifecycle_codegen.ir.expr import Expression
from opslifecycle_codegen.ir.scope import Scope
from opslifecycle_codegen.ir.types import Type
from opslifecycle_codegen.source import command_model
from opslifecycle_codegen.source.words import Expr, Name

#: Kinds of types that expressions may name, and whose values no caller gets.
_NO_VALUES = frozenset(
    {"none", "entity", "registry", "action", "statuses", "row", "barrier", "collection", "counts"}
)


def is_value(type: Type) -> bool:
    """Return whether a type has values that callers may get."""
    return type.required.kind not in _NO_VALUES


def returned(
    declared: Expr | None, scope: Scope, what: str, diagnostics: Diagnostics
) -> Expression | None:
    """Return what a method returns, and report what is no value.

    Args:
        declared: The declared expression; None for a method that returns nothing.
        scope: The names that it reads.
        what: What messages call the method.
        diagnostics: Where errors go.
    """
    if declared is not None and declared.strip() in ("None", "null", "~"):
        message = f"{what} returns no value, so it has no `returns`"
        diagnostics.add(declared.mark, "wrong-type", message, "remove `returns`")
        return None
    tree = compile_expression(declared, scope, diagnostics) if declared is not None else None
    if declared is None or tree is None:
        return None
    if not is_value(tree.type):
        message = f"{what} returns a value; this is {tree.type}"
        diagnostics.add(declared.mark, "wrong-type", message, "name one of its attributes")
        return None
    return tree


def refuse_unasked(actions: Mapping[Name, command_model.Action], diagnostics: Diagnostics) -> None:
    """Report actions that return a value and have no method of their own."""
    for name, action in actions.items():
        if action.returns is not None and not action.methods:
            message = f"{name} has no method of its own that could return a value"
            hint = "add `methods`, or move `returns` to the method that asks for the action"
            diagnostics.add(action.returns.mark, "wrong-shape", message, hint)
