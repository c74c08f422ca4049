"""The calls that an expression may hold: quantifiers, min and max, variants of a union."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from opslifecycle_codegen.base.diagnostics import nearest
from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.layout import Code
from opslifecycle_codegen.ir.naming import parameter
from opslifecycle_codegen.ir.scope import Binding, Scope, Typed
from opslifecycle_codegen.ir.types import BOOL, COUNT, FLOAT, Type

if TYPE_CHECKING:
    from opslifecycle_codegen.analysis.expressions import Checker

_QUANTIFIERS = ("all", "any", "count", "distinct")


def check_call(checker: Checker, node: ast.Call, scope: Scope) -> Typed:
    """The type and code of a call."""
    if not isinstance(node.func, ast.Name) or node.keywords:
        raise checker.refuse(
            node, "expression-form", "only a named function of positional arguments"
        )
    name = node.func.id
    if name in _QUANTIFIERS:
        return _quantified(checker, node, name, scope)
    if name in ("min", "max"):
        return _extreme(checker, node, name, scope)
    named = scope.symbols.type_named(name)
    if named is not None and named.kind == "variant":
        return _constructed(checker, node, named, scope)
    known = [*_QUANTIFIERS, "min", "max"]
    raise checker.refuse(
        node.func, "unknown-name", f"there is no {name!r} to call", nearest(name, known)
    )


def _extreme(checker: Checker, node: ast.Call, name: str, scope: Scope) -> Typed:
    typed = [checker.check(argument, scope) for argument in node.args]
    for argument, each in zip(node.args, typed, strict=True):
        if not each.type.numeric:
            raise checker.refuse(argument, "wrong-type", f"expected a number, found {each.type}")
    if len(typed) < 2:
        raise checker.refuse(node, "wrong-type", f"{name} needs two numbers or more")
    type = FLOAT if any(each.type == FLOAT for each in typed) else COUNT
    return Typed(type, Code(f"{name}({', '.join(each.code.text for each in typed)})"))


def _constructed(checker: Checker, node: ast.Call, variant: Type, scope: Scope) -> Typed:
    fields = list(scope.symbols.records[variant.name].fields.values())
    if len(node.args) != len(fields):
        message = f"{variant.name} takes {len(fields)} values, not {len(node.args)}"
        raise checker.refuse(node, "wrong-type", message)
    codes = []
    for argument, info in zip(node.args, fields, strict=True):
        typed = checker.check(argument, scope, info.type)
        checker.want(argument, typed, info.type)
        codes.append(typed.code)
    return Typed(variant, layout.called(variant.name, codes))


def _quantified(checker: Checker, node: ast.Call, name: str, scope: Scope) -> Typed:
    generator = node.args[0] if len(node.args) == 1 else None
    if not isinstance(generator, ast.GeneratorExp):
        raise checker.refuse(node, "expression-form", f"write {name}(… for x in …)")
    clauses = []
    for part in generator.generators:
        scope, clause = _clause(checker, part, scope)
        clauses.extend(clause)
    element = checker.check(generator.elt, scope)
    if name in ("all", "any"):
        checker.want(generator.elt, element, BOOL)
        return Typed(BOOL, layout.comprehension(name, element.code, clauses))
    if name == "count":
        (first, *more) = generator.generators
        if not (more or first.ifs):
            # Nothing is asked of what is counted, so it needs no name.
            clauses = ["for _ in " + clauses[0].partition(" in ")[2]]
        return Typed(COUNT, layout.comprehension("sum", Code("1"), clauses))
    return Typed(BOOL, layout.comprehension("_distinct", element.code, clauses))


def _clause(checker: Checker, part: ast.comprehension, scope: Scope) -> tuple[Scope, list[str]]:
    target = part.target
    if not isinstance(target, ast.Name) or part.is_async:
        raise checker.refuse(part.iter, "expression-form", "a loop has one plain name")
    enum = scope.symbols.type_named(part.iter.id) if isinstance(part.iter, ast.Name) else None
    if enum is not None and enum.kind == "enum":
        inner, code = enum, enum.name
    else:
        many = checker.check(part.iter, scope)
        if many.type.kind != "collection" or many.type.inner is None:
            message = f"expected many things, found {many.type}"
            raise checker.refuse(part.iter, "wrong-type", message)
        inner, code = many.type.inner, many.code.text
    bound = parameter(target.id)
    clauses = [f"for {bound} in {code}"]
    scope = scope.with_names({target.id: Binding(inner, bound)})
    for test in part.ifs:
        typed = checker.check(test, scope)
        checker.want(test, typed, BOOL)
        clauses.append(f"if {typed.code.at(layout.OR)}")
        scope = checker.narrow(test, scope, truth=True)
    return scope, clauses
