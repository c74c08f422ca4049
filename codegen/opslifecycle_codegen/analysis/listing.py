"""Stage 3, analyze: the order and the filters of listings."""

from __future__ import annotations

from collections.abc import Iterable

from opslifecycle_codegen.base.diagnostics import Diagnostics
from opslifecycle_codegen.ir.expr import Expression
from opslifecycle_codegen.ir.types import Type
from opslifecycle_codegen.source.words import Expr

#: Kinds of types whose values Python can sort.
_SORTABLE = frozenset(
    {"bool", "int", "float", "str", "name", "id", "unknown", "datetime", "timedelta"}
)
#: Kinds of types whose values are hashable.
_HASHABLE = _SORTABLE | {"enum", "record", "union", "variant"}


def check_order(order: Iterable[tuple[Expr, Expression]], diagnostics: Diagnostics) -> None:
    """Report an order whose values cannot be sorted."""
    for expr, tree in order:
        if tree.type.kind in _SORTABLE:
            continue
        hint = "expected a bool, an int, a float, a str or an id"
        if tree.type.optional:
            hint = f"None has no place in an order: write {expr} if {expr} is not None else …"
        message = f"a listing cannot be sorted by {tree.type}"
        diagnostics.add(expr.mark, "wrong-type", message, hint)


def check_filter(expr: Expr, type: Type, diagnostics: Diagnostics) -> None:
    """Report a filter whose values cannot be looked up."""
    if type.required.kind not in _HASHABLE:
        message = f"a listing cannot be filtered by {type}"
        diagnostics.add(expr.mark, "wrong-type", message)
