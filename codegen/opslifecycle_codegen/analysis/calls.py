"""Type checking of calls in expressions: quantifiers, functions, variants of a union."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from opslifecycle_codegen.analysis.decimals import DECIMAL, adapted, check_decimal
from opslifecycle_codegen.analysis.dicts import GET, WITHOUT, check_get, check_without
from opslifecycle_codegen.analysis.missing import none_hint
from opslifecycle_codegen.analysis.moments import MOMENTS, check_moment
from opslifecycle_codegen.analysis.sized import LEN, check_affix, check_length
from opslifecycle_codegen.base.diagnostics import nearest
from opslifecycle_codegen.base.spellings import function_hint, method_hint
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression, Root
from opslifecycle_codegen.ir.scope import Scope
from opslifecycle_codegen.ir.sized import AFFIXES
from opslifecycle_codegen.ir.types import BOOL, INT, Type, join

if TYPE_CHECKING:
    from opslifecycle_codegen.analysis.expressions import Checker

_QUANTIFIERS = ("all", "any", "count", "distinct")
#: What to do instead of a loop over a list (ADR 0047).
_KEEP = "keep in a field what rules ask of all elements, such as a number or a sum"


def check_call(checker: Checker, node: ast.Call, scope: Scope) -> Expression:
    """Return the typed tree of a call."""
    if isinstance(node.func, ast.Name) and node.func.id in MOMENTS:
        return check_moment(checker, node, node.func.id)
    if isinstance(node.func, ast.Name) and node.func.id == DECIMAL:
        return check_decimal(checker, node)
    if isinstance(node.func, ast.Attribute) and node.func.attr in AFFIXES:
        return check_affix(checker, node, node.func, scope)
    if isinstance(node.func, ast.Attribute) and node.func.attr == GET:
        return check_get(checker, node, node.func, scope)
    if isinstance(node.func, ast.Attribute):
        message = f"there is no method {node.func.attr!r} here"
        hint = method_hint(node.func.attr, ast.unparse(node.func.value))
        hint = hint or f"a text has {' and '.join(AFFIXES)}; a dict has {GET}"
        raise checker.refuse(node, "expression-form", message, hint)
    if not isinstance(node.func, ast.Name) or node.keywords:
        raise checker.refuse(
            node, "expression-form", "a call is a named function with positional arguments"
        )
    name = node.func.id
    if name in _QUANTIFIERS:
        return _quantified(checker, node, name, scope)
    if name in ("min", "max"):
        return _extreme(checker, node, name, scope)
    if name == LEN:
        return check_length(checker, node, scope)
    if name == WITHOUT:
        return check_without(checker, node, scope)
    named = scope.symbols.type_named(name)
    if named is not None and named.kind == "variant":
        return _constructed(checker, node, named, scope)
    if name == "sum":
        raise checker.refuse(node.func, "unknown-name", "no rule adds up elements", _KEEP)
    if named is not None and named.kind in ("record", "union"):
        message = f"no expression constructs a {name}"
        hint = "take it as a parameter; of a union, write one of its variants"
        raise checker.refuse(node.func, "expression-form", message, hint)
    known = [*_QUANTIFIERS, *MOMENTS, DECIMAL, LEN, WITHOUT, "min", "max"]
    hint = function_hint(name) or nearest(name, known)
    raise checker.refuse(node.func, "unknown-name", f"there is no function {name!r}", hint)


def _extreme(checker: Checker, node: ast.Call, name: str, scope: Scope) -> Expression:
    typed = [checker.check(argument, scope) for argument in node.args]
    for beside in [each.type for each in typed if each.type.kind == "decimal"][:1]:
        pairs = zip(node.args, typed, strict=True)
        typed = [adapted(checker, argument, each, beside) for argument, each in pairs]
    for argument, each in zip(node.args, typed, strict=True):
        if not each.type.ordered:
            message, hint = f"expected a number, found {each.type}", none_hint(argument, each.type)
            raise checker.refuse(argument, "wrong-type", message, hint)
        if join(typed[0].type, each.type) is None:
            message = f"{name} compares {typed[0].type} with {each.type}"
            raise checker.refuse(argument, "wrong-type", message)
    if len(typed) < 2:
        raise checker.refuse(node, "wrong-type", f"{name} needs two numbers or more")
    type = typed[0].type
    for each in typed[1:]:
        type = join(type, each.type) or type
    return nodes.Extreme(type, name, tuple(typed))


def _constructed(checker: Checker, node: ast.Call, variant: Type, scope: Scope) -> Expression:
    fields = list(scope.symbols.records[variant.name].fields.values())
    if len(node.args) != len(fields):
        message = f"{variant.name} takes {len(fields)} values, not {len(node.args)}"
        raise checker.refuse(node, "wrong-type", message)
    arguments = []
    for argument, info in zip(node.args, fields, strict=True):
        typed = checker.check(argument, scope, info.type)
        typed = adapted(checker, argument, typed, info.type)
        checker.want(argument, typed, info.type)
        arguments.append(typed)
    return nodes.Construct(variant, variant.name, tuple(arguments))


def _quantified(checker: Checker, node: ast.Call, name: str, scope: Scope) -> Expression:
    generator = node.args[0] if len(node.args) == 1 else None
    if not isinstance(generator, ast.GeneratorExp):
        raise checker.refuse(node, "expression-form", f"write {name}(… for x in …)")
    loops = []
    for part in generator.generators:
        scope, loop = _loop(checker, part, scope)
        loops.append(loop)
    element = checker.check(generator.elt, scope)
    if name in ("all", "any"):
        checker.want(generator.elt, element, BOOL)
    type = INT if name == "count" else BOOL
    return nodes.Quantified(type, name, element, tuple(loops))


def _loop(checker: Checker, part: ast.comprehension, scope: Scope) -> tuple[Scope, nodes.Loop]:
    target, view = part.target, part.iter
    if isinstance(view, ast.Call) and isinstance(view.func, ast.Attribute):
        # The items of a dict, however Python has them.
        view = view.func.value
        _refuse_elements(checker, view, checker.check(view, scope).type)
    if not isinstance(target, ast.Name) or part.is_async:
        raise checker.refuse(part.iter, "expression-form", "a loop has one plain name")
    many: Expression | str
    enum = scope.symbols.type_named(part.iter.id) if isinstance(part.iter, ast.Name) else None
    if enum is not None and enum.kind == "enum":
        inner, many = enum, enum.name
    else:
        many = checker.check(part.iter, scope)
        _refuse_elements(checker, part.iter, many.type)
        if many.type.kind != "collection" or many.type.inner is None:
            message = f"expected a collection, found {many.type}"
            hint = "a loop goes over the records, or over a closed set"
            raise checker.refuse(part.iter, "wrong-type", message, hint)
        inner = many.type.inner
    scope = scope.with_names({target.id: nodes.Name(inner, Root.LOOP, target.id)})
    tests = []
    for test in part.ifs:
        typed = checker.check(test, scope)
        checker.want(test, typed, BOOL)
        tests.append(typed)
        scope = checker.narrow(test, scope, truth=True)
    return scope, nodes.Loop(target.id, many, tuple(tests))


def _refuse_elements(checker: Checker, node: ast.expr, type: Type) -> None:
    """Report a loop over a collection of one record, whose elements no rule reads one by one."""
    if type.required.several:
        message = f"no rule goes through the elements of {type}"
        raise checker.refuse(node, "wrong-type", message, _KEEP)
