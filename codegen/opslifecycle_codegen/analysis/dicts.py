"""Type checking of dicts: their items, the value of a key, and what sets or removes one."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from opslifecycle_codegen.analysis.decimals import adapted
from opslifecycle_codegen.analysis.missing import EMPTY_INSTEAD
from opslifecycle_codegen.ir.expr import Expression, Literal
from opslifecycle_codegen.ir.scope import Scope
from opslifecycle_codegen.ir.several import DICT, Get, Items, Put, Without
from opslifecycle_codegen.ir.types import UNKNOWN, Limits, Type, join, optional

if TYPE_CHECKING:
    from opslifecycle_codegen.analysis.expressions import Checker

GET, WITHOUT = "get", "without"


def check_dict(checker: Checker, node: ast.Dict, scope: Scope, wanted: Type | None) -> Expression:
    """Return the typed tree of `{key: value}` where a dict stands."""
    type = wanted.required if wanted is not None else None
    if type == UNKNOWN:
        return Items(UNKNOWN, ())
    if type is None or type.kind != DICT:
        if type is not None:
            raise checker.refuse(node, "wrong-type", f"expected {type}, found a dict")
        message = f"nothing says of what {ast.unparse(node)} is a dict"
        hint = "write it behind a field or a parameter that is a dict"
        raise checker.refuse(node, "wrong-type", message, hint)
    empty = Items(_computed(type), ())
    return _with_items(checker, node, empty, scope)


def check_union(checker: Checker, node: ast.BinOp, left: Expression, scope: Scope) -> Expression:
    """Return the typed tree of a dict with some items set, `left | {key: value}`."""
    if not isinstance(node.op, ast.BitOr):
        message = "the operator of a dict is |, with the items to set behind it"
        hint = f"write {WITHOUT}({ast.unparse(node.left)}, key) for one without a key"
        raise checker.refuse(node, "expression-form", message, hint)
    if not isinstance(node.right, ast.Dict):
        message = f"expected items in braces behind |, found {ast.unparse(node.right)}"
        hint = f"write {ast.unparse(node.left)} | {{key: value}}"
        raise checker.refuse(node.right, "expression-form", message, hint)
    return _with_items(checker, node.right, left, scope)


def _with_items(checker: Checker, node: ast.Dict, base: Expression, scope: Scope) -> Expression:
    type, keys = _computed(base.type), list[Expression]()
    assert type.inner is not None
    for key, value in zip(node.keys, node.values, strict=True):
        if key is None:
            message = "an item of a dict is `key: value`"
            hint = f"write {ast.unparse(value)} | {{key: value}} for a dict with more items"
            raise checker.refuse(value, "expression-form", message, hint)
        typed_key = _key(checker, key, base, scope)
        if typed_key in keys:
            message = f"{ast.unparse(key)} occurs twice in one dict"
            raise checker.refuse(key, "expression-form", message, "write each key once")
        keys.append(typed_key)
        typed = adapted(checker, value, checker.check(value, scope, type.inner), type.inner)
        checker.want(value, typed, type.inner)
        base = Put(type, base, typed_key, typed)
    return base


def check_without(checker: Checker, node: ast.Call, scope: Scope) -> Expression:
    """Return the typed tree of `without(dict, key)`."""
    if len(node.args) != 2:
        message = f"{WITHOUT} takes a dict and a key, not {len(node.args)} values"
        raise checker.refuse(node, "wrong-type", message)
    base = _dict(checker, node.args[0], scope)
    if base.type == UNKNOWN:
        return base
    return Without(_computed(base.type), base, _key(checker, node.args[1], base, scope))


def check_get(
    checker: Checker, node: ast.Call, function: ast.Attribute, scope: Scope
) -> Expression:
    """Return the typed tree of `dict.get(key)` or `dict.get(key, default)`."""
    base = _dict(checker, function.value, scope)
    if base.type == UNKNOWN:
        return base
    if len(node.args) not in (1, 2) or node.keywords:
        message = f"{GET} takes a key, and the value for one that is absent"
        raise checker.refuse(node, "wrong-type", message)
    inner = base.type.inner
    assert inner is not None
    key = _key(checker, node.args[0], base, scope)
    if len(node.args) == 1:
        return Get(scope.narrowed.get(ast.unparse(node), optional(inner)), base, key)
    default = adapted(checker, node.args[1], checker.check(node.args[1], scope, inner), inner)
    checker.want(node.args[1], default, inner)
    return Get(_either(inner, default), base, key, default)


def _either(inner: Type, default: Expression) -> Type:
    """Return the type of a value, or of the default."""
    if inner.kind in ("int", "decimal") and default.type.kind == inner.kind:
        (least, most), (low, high) = inner.range, default.type.range
        if isinstance(default, Literal) and isinstance(default.value, int):
            low = high = default.value
        limits = Limits(
            min(least, low),
            max(most, high),
            places=inner.limits.places if inner.limits is not None else None,
        )
        return Type(inner.kind, limits=limits)
    return join(inner, default.type) or inner


def _dict(checker: Checker, node: ast.expr, scope: Scope) -> Expression:
    """Return the tree of a dict that is not None."""
    base = checker.check(node, scope)
    if base.type.optional:
        raise checker.refuse_none(node, EMPTY_INSTEAD)
    if base.type.kind not in (DICT, UNKNOWN.kind):
        raise checker.refuse(node, "wrong-type", f"expected a dict, found {base.type}")
    return base


def _key(checker: Checker, node: ast.expr, base: Expression, scope: Scope) -> Expression:
    assert base.type.key is not None
    key = checker.check(node, scope, base.type.key)
    checker.want(node, key, base.type.key)
    return key


def _computed(type: Type) -> Type:
    """Return the type of a computed dict, which has a length only where it is stored."""
    return Type(DICT, inner=type.inner, key=type.key)
