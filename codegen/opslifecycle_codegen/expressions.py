"""Expressions: a typed subset of Python's grammar, checked and printed as code.

Nothing is ever evaluated. Every construct that is not named here is refused with its place. Types
follow tests: after `x is not None`, or where an earlier guard has made sure of it, x is no longer
optional.
"""

from __future__ import annotations

import ast
from collections.abc import Callable

from attrs import Factory, evolve, field, frozen

from opslifecycle_codegen import layout
from opslifecycle_codegen.diagnostics import Diagnostics, Mark, nearest
from opslifecycle_codegen.layout import Code
from opslifecycle_codegen.model import Expr
from opslifecycle_codegen.symbols import Symbols
from opslifecycle_codegen.types import (
    ACTION,
    BARRIER,
    BOOL,
    COUNT,
    ENTITY,
    FLOAT,
    NONE,
    REGISTRY,
    ROW,
    STATUSES,
    TEXT,
    Type,
    collection,
    fits,
    join,
)

_CHARACTERS_MAX = 1000
_COMPARISONS = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
}  # fmt: skip
_QUANTIFIERS = ("all", "any", "count", "distinct")


@frozen
class Binding:
    """What a name stands for: its type, and the code that reads it."""

    type: Type
    code: str


@frozen
class Scope:
    """The names that an expression may use, and what tests have made sure of."""

    symbols: Symbols
    names: dict[str, Binding]
    constants: dict[str, Binding] = Factory(dict)
    narrowed: dict[str, Type] = Factory(dict)
    used: set[str] = field(factory=set)

    def with_names(self, names: dict[str, Binding]) -> Scope:
        return evolve(self, names={**self.names, **names})

    def with_narrowed(self, path: str, type: Type) -> Scope:
        return evolve(self, narrowed={**self.narrowed, path: type})


@frozen
class Typed:
    """A checked expression."""

    type: Type
    code: Code


class _Refused(Exception):
    """A mistake was reported; the expression has no type."""


def compile_expression(
    expr: Expr,
    scope: Scope,
    diagnostics: Diagnostics,
    wanted: Type | None = None,
    *,
    negated: bool = False,
) -> Typed | None:
    """Check an expression and print it, or its negation; None if it is wrong, which is reported."""
    checker = _Checker(expr, diagnostics)
    try:
        tree = checker.parse()
        if negated:
            tree = _negation(tree)
        typed = checker.check(tree, scope, wanted)
        if wanted is not None and not fits(typed.type, wanted):
            raise checker.refuse(tree, "wrong-type", f"expected {wanted}, found {typed.type}")
    except _Refused:
        return None
    return typed


def narrowed_by(expr: Expr, scope: Scope, diagnostics: Diagnostics, truth: bool) -> Scope:
    """The scope that holds once an expression is known to be true, or false."""
    checker = _Checker(expr, Diagnostics())
    try:
        return checker.narrow(checker.parse(), scope, truth)
    except _Refused:
        return scope


_OPPOSITES: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE,
    ast.LtE: ast.Gt, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


def _negation(node: ast.expr) -> ast.expr:
    """The expression that is true exactly when `node` is false, with `not` pushed inwards."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return node.operand
    if isinstance(node, ast.BoolOp):
        flipped = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        operands = [_negation(operand) for operand in node.values]
        return ast.copy_location(ast.BoolOp(flipped, operands), node)
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        opposite = _OPPOSITES[type(node.ops[0])]()
        return ast.copy_location(ast.Compare(node.left, [opposite], node.comparators), node)
    return ast.copy_location(ast.UnaryOp(ast.Not(), node), node)


class _Checker:
    def __init__(self, expr: Expr, diagnostics: Diagnostics) -> None:
        self._expr = expr
        self._diagnostics = diagnostics

    def parse(self) -> ast.expr:
        if len(self._expr) > _CHARACTERS_MAX:
            message = f"an expression has at most {_CHARACTERS_MAX} characters"
            self._diagnostics.add(self._expr.mark, "expression-size", message)
            raise _Refused
        try:
            return ast.parse(self._expr.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            reason = error.msg if isinstance(error, SyntaxError) else "too deep"
            column = (error.offset or 1) - 1 if isinstance(error, SyntaxError) else 0
            mark = self._expr.mark.shifted(column if self._expr.precise else 0)
            self._diagnostics.add(mark, "expression-syntax", f"no expression: {reason}")
            raise _Refused from None

    def refuse(self, node: ast.expr, rule: str, message: str, hint: str = "") -> _Refused:
        """Report a mistake at a node; what it gives is to be raised."""
        self._diagnostics.add(self._mark(node), rule, message, hint)
        return _Refused()

    def _mark(self, node: ast.expr) -> Mark:
        columns = node.col_offset if self._expr.precise and node.lineno == 1 else 0
        return self._expr.mark.shifted(columns)

    # Checking -----------------------------------------------------------------------------------

    def check(self, node: ast.expr, scope: Scope, wanted: Type | None = None) -> Typed:
        """The type and code of one node."""
        checks: dict[type[ast.expr], Callable[..., Typed]] = {
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
        }
        check = checks.get(type(node))
        if check is None:
            kind = type(node).__name__
            raise self.refuse(
                node, "expression-form", f"{kind} has no meaning in an expression here"
            )
        return check(node, scope, wanted)

    def _name(self, node: ast.Name, scope: Scope, wanted: Type | None) -> Typed:
        if node.id in ("true", "false"):
            return Typed(BOOL, Code(node.id.capitalize()))
        binding = scope.names.get(node.id)
        if binding is not None:
            scope.used.add(node.id)
            return Typed(scope.narrowed.get(node.id, binding.type), Code(binding.code))
        if wanted is not None and wanted.required.kind == "enum":
            return self._member(node, node.id, wanted.required, scope)
        if scope.symbols.type_named(node.id) is not None:
            message = f"{node.id} is a type, not a value"
            raise self.refuse(node, "wrong-type", message, f"a member is written {node.id}.member")
        hint = nearest(node.id, scope.names)
        raise self.refuse(node, "unknown-name", f"there is no {node.id!r} here", hint)

    def _member(self, node: ast.expr, word: str, enum: Type, scope: Scope) -> Typed:
        info = scope.symbols.enums[enum.name]
        if word not in info.members:
            hint = nearest(word, info.members)
            raise self.refuse(node, "unknown-member", f"{enum.name} has no member {word!r}", hint)
        return Typed(enum, Code(f"{enum.name}.{info.members[word].constant}"))

    def _attribute(self, node: ast.Attribute, scope: Scope, wanted: Type | None) -> Typed:
        path = ast.unparse(node)
        if isinstance(node.value, ast.Name) and node.value.id not in scope.names:
            enum = scope.symbols.type_named(node.value.id)
            if enum is not None and enum.kind == "enum":
                return self._member(node, node.attr, enum, scope)
        constant = scope.constants.get(path)
        if constant is not None:
            scope.used.add(path)
            return Typed(scope.narrowed.get(path, constant.type), Code(constant.code))
        base = self.check(node.value, scope)
        if base.type.optional:
            message = f"{ast.unparse(node.value)} may be None here"
            raise self.refuse(node, "may-be-none", message, "ask `is not None` first")
        known = self._attribute_types(base.type, scope)
        if node.attr not in known:
            hint = nearest(node.attr, known)
            raise self.refuse(node, "unknown-name", f"{base.type} has no {node.attr!r}", hint)
        call = "_ids()" if base.type == BARRIER and node.attr == "unfinished" else ""
        code = Code(f"{base.code.at(layout.ATOM)}.{node.attr}{call}")
        return Typed(scope.narrowed.get(path, known[node.attr]), code)

    def _attribute_types(self, base: Type, scope: Scope) -> dict[str, Type]:
        symbols = scope.symbols
        if base == ENTITY:
            return symbols.entity_fields
        if base == REGISTRY:
            return symbols.registry_fields
        if base == ROW:
            return symbols.row_fields
        if base == BARRIER:
            return {"unfinished": collection(symbols.entity_fields["id"])}
        if base == ACTION:
            return {"label": TEXT, "from_statuses": STATUSES, "idempotent_in": STATUSES}
        if base.kind == "enum":
            properties = symbols.enums[base.name].properties
            types = {name: info.type for name, info in properties.items()}
            return {"value": TEXT, "generated_variant": TEXT, **types}
        if base.kind in ("record", "variant"):
            fields = symbols.records[base.name].fields
            types = {name: info.type for name, info in fields.items()}
            return {**types, **(self._tag_type(base.inner, scope) if base.inner else {})}
        return self._tag_type(base, scope) if base.kind == "union" else {}

    def _tag_type(self, union: Type, scope: Scope) -> dict[str, Type]:
        info = scope.symbols.unions[union.name]
        return {info.tag: Type("enum", info.tag_enum) if info.tag_enum else TEXT}

    def _constant(self, node: ast.Constant, scope: Scope, wanted: Type | None) -> Typed:
        value = node.value
        if value is None:
            return Typed(NONE, Code("None"))
        if isinstance(value, bool):
            return Typed(BOOL, Code(str(value)))
        if isinstance(value, int):
            return Typed(COUNT, Code(str(value)))
        if isinstance(value, float):
            return Typed(FLOAT, Code(repr(value)))
        if isinstance(value, str):
            return Typed(TEXT, Code(layout.quoted(value)))
        raise self.refuse(node, "expression-form", f"{value!r} has no meaning here")

    def _bool_op(self, node: ast.BoolOp, scope: Scope, wanted: Type | None) -> Typed:
        is_and = isinstance(node.op, ast.And)
        codes = []
        for operand in node.values:
            typed = self.check(operand, scope)
            self._want(operand, typed, BOOL)
            codes.append(typed.code)
            scope = self.narrow(operand, scope, truth=is_and)
        if is_and:
            return Typed(BOOL, layout.joined("and", codes, layout.AND))
        # A formatter keeps the brackets that make `and` inside `or` plain to see, and a linter asks
        # for them.
        bracketed = [
            evolve(c, binds=layout.CONDITIONAL) if c.binds == layout.AND else c for c in codes
        ]
        return Typed(BOOL, layout.joined("or", bracketed, layout.OR))

    def _unary(self, node: ast.UnaryOp, scope: Scope, wanted: Type | None) -> Typed:
        if not isinstance(node.op, ast.Not):
            raise self.refuse(
                node, "expression-form", "of the unary operators only `not` has a meaning"
            )
        typed = self.check(node.operand, scope)
        self._want(node.operand, typed, BOOL)
        return Typed(BOOL, Code(f"not {typed.code.at(layout.NOT)}", layout.NOT))

    def _arithmetic(self, node: ast.BinOp, scope: Scope, wanted: Type | None) -> Typed:
        operator = {ast.Add: "+", ast.Sub: "-"}.get(type(node.op))
        if operator is None:
            raise self.refuse(
                node, "expression-form", "of the operators only + and - have a meaning"
            )
        left, right = self.check(node.left, scope), self.check(node.right, scope)
        for side, typed in ((node.left, left), (node.right, right)):
            if not typed.type.numeric:
                raise self.refuse(side, "wrong-type", f"expected a number, found {typed.type}")
        result = FLOAT if FLOAT in (left.type, right.type) else COUNT
        text = f"{left.code.at(layout.SUM)} {operator} {right.code.at(layout.ATOM)}"
        return Typed(result, Code(text, layout.SUM))

    def _conditional(self, node: ast.IfExp, scope: Scope, wanted: Type | None) -> Typed:
        test = self.check(node.test, scope)
        self._want(node.test, test, BOOL)
        then = self.check(node.body, self.narrow(node.test, scope, truth=True), wanted)
        otherwise = self.check(node.orelse, self.narrow(node.test, scope, truth=False), wanted)
        type = join(then.type, otherwise.type)
        if type is None:
            message = f"one side is {then.type}, the other {otherwise.type}"
            raise self.refuse(node, "wrong-type", message)
        return Typed(type, layout.conditional(then.code, test.code, otherwise.code))

    def _subscript(self, node: ast.Subscript, scope: Scope, wanted: Type | None) -> Typed:
        base = self.check(node.value, scope)
        if base.type.kind != "counts" or base.type.inner is None:
            raise self.refuse(node, "expression-form", f"{base.type} cannot be subscripted")
        key = self.check(node.slice, scope, base.type.inner)
        self._want(node.slice, key, base.type.inner)
        return Typed(COUNT, Code(f"{base.code.text}[{key.code.text}]"))

    def _want(self, node: ast.expr, typed: Typed, wanted: Type) -> None:
        if not fits(typed.type, wanted):
            raise self.refuse(node, "wrong-type", f"expected {wanted}, found {typed.type}")

    # Comparisons --------------------------------------------------------------------------------

    def _compare(self, node: ast.Compare, scope: Scope, wanted: Type | None) -> Typed:
        left = self.check(node.left, scope)
        if isinstance(node.ops[0], ast.Is | ast.IsNot | ast.In | ast.NotIn):
            if len(node.ops) > 1:
                raise self.refuse(node, "expression-form", "`is` and `in` cannot be chained")
            return Typed(BOOL, self._membership(node, left, scope))
        text = left.code.at(layout.SUM)
        code = left.code
        for operator, operand in zip(node.ops, node.comparators, strict=True):
            spelled = _COMPARISONS.get(type(operator))
            if spelled is None:
                raise self.refuse(operand, "expression-form", "`is` and `in` cannot be chained")
            right = self.check(operand, scope, left.type)
            self._comparable(operand, left.type, right.type, ordered=spelled not in ("==", "!="))
            last = right.code if right.code.binds >= layout.SUM else Code(f"({right.code.text})")
            code = last.after(f"{text} {spelled} ", layout.COMPARE)
            text = code.text
            left = right
        return Typed(BOOL, code)

    def _comparable(self, node: ast.expr, left: Type, right: Type, *, ordered: bool) -> None:
        if ordered and not (left.numeric and right.numeric):
            odd = right if left.numeric else left
            raise self.refuse(node, "wrong-type", f"expected numbers to compare, found {odd}")
        if join(left, right) is None:
            raise self.refuse(node, "wrong-type", f"{left} is never equal to {right}")

    def _membership(self, node: ast.Compare, left: Typed, scope: Scope) -> Code:
        operator, right = node.ops[0], node.comparators[0]
        negated = isinstance(operator, ast.IsNot | ast.NotIn)
        if isinstance(operator, ast.In | ast.NotIn):
            among = self._among(right, left, scope)
            spelled = "not in" if negated else "in"
            return Code(f"{left.code.at(layout.SUM)} {spelled} {among}", layout.COMPARE)
        spelled = "is not" if negated else "is"
        if isinstance(right, ast.Constant) and right.value is None:
            if not left.type.optional and left.type != NONE:
                message = f"{ast.unparse(node.left)} is never None here"
                raise self.refuse(node, "always-true" if negated else "always-false", message)
            return Code(f"{left.code.at(layout.SUM)} {spelled} None", layout.COMPARE)
        if isinstance(right, ast.Name):
            named = scope.symbols.type_named(right.id)
            if named is not None and named.kind in ("variant", "union"):
                union = named if named.kind == "union" else named.inner
                if left.type.required not in (union, named):
                    message = f"{left.type} is never {right.id}"
                    raise self.refuse(right, "wrong-type", message)
                test = f"isinstance({left.code.text}, {right.id})"
                return Code(f"not {test}", layout.NOT) if negated else Code(test)
        if left.type.required.kind != "enum":
            message = f"expected None, a variant or a member after `is`, with {left.type} before it"
            raise self.refuse(right, "wrong-type", message)
        member = self.check(right, scope, left.type.required)
        self._comparable(right, left.type, member.type, ordered=False)
        return Code(f"{left.code.at(layout.SUM)} {spelled} {member.code.text}", layout.COMPARE)

    def _among(self, node: ast.expr, left: Typed, scope: Scope) -> str:
        if isinstance(node, ast.List | ast.Tuple):
            items = [self.check(item, scope, left.type) for item in node.elts]
            for item, typed in zip(node.elts, items, strict=True):
                self._comparable(item, left.type, typed.type, ordered=False)
            inside = ", ".join(item.code.text for item in items)
            return f"({inside}{',' if len(items) == 1 else ''})"
        right = self.check(node, scope)
        if right.type == STATUSES and left.type == scope.symbols.status_type:
            return right.code.at(layout.SUM)
        inner = right.type.inner if right.type.kind == "collection" else None
        if inner is None or not fits(left.type, inner):
            raise self.refuse(node, "wrong-type", f"{left.type} cannot be in {right.type}")
        return right.code.at(layout.SUM)

    # Calls --------------------------------------------------------------------------------------

    def _call(self, node: ast.Call, scope: Scope, wanted: Type | None) -> Typed:
        if not isinstance(node.func, ast.Name) or node.keywords:
            raise self.refuse(
                node, "expression-form", "only a named function of positional arguments"
            )
        name = node.func.id
        if name in _QUANTIFIERS:
            return self._quantified(node, name, scope)
        if name in ("min", "max"):
            return self._extreme(node, name, scope)
        named = scope.symbols.type_named(name)
        if named is not None and named.kind == "variant":
            return self._constructed(node, named, scope)
        known = [*_QUANTIFIERS, "min", "max"]
        raise self.refuse(
            node.func, "unknown-name", f"there is no {name!r} to call", nearest(name, known)
        )

    def _extreme(self, node: ast.Call, name: str, scope: Scope) -> Typed:
        typed = [self.check(argument, scope) for argument in node.args]
        for argument, each in zip(node.args, typed, strict=True):
            if not each.type.numeric:
                raise self.refuse(argument, "wrong-type", f"expected a number, found {each.type}")
        if len(typed) < 2:
            raise self.refuse(node, "wrong-type", f"{name} needs two numbers or more")
        type = FLOAT if any(each.type == FLOAT for each in typed) else COUNT
        return Typed(type, Code(f"{name}({', '.join(each.code.text for each in typed)})"))

    def _constructed(self, node: ast.Call, variant: Type, scope: Scope) -> Typed:
        fields = list(scope.symbols.records[variant.name].fields.values())
        if len(node.args) != len(fields):
            message = f"{variant.name} takes {len(fields)} values, not {len(node.args)}"
            raise self.refuse(node, "wrong-type", message)
        codes = []
        for argument, info in zip(node.args, fields, strict=True):
            typed = self.check(argument, scope, info.type)
            self._want(argument, typed, info.type)
            codes.append(typed.code.text)
        return Typed(variant, Code(f"{variant.name}({', '.join(codes)})"))

    def _quantified(self, node: ast.Call, name: str, scope: Scope) -> Typed:
        generator = node.args[0] if len(node.args) == 1 else None
        if not isinstance(generator, ast.GeneratorExp):
            raise self.refuse(node, "expression-form", f"write {name}(… for x in …)")
        clauses = []
        for part in generator.generators:
            scope, clause = self._clause(part, scope)
            clauses.extend(clause)
        element = self.check(generator.elt, scope)
        if name in ("all", "any"):
            self._want(generator.elt, element, BOOL)
            return Typed(BOOL, layout.comprehension(name, element.code, clauses))
        if name == "count":
            return Typed(COUNT, layout.comprehension("sum", Code("1"), clauses))
        return Typed(BOOL, layout.comprehension("_distinct", element.code, clauses))

    def _clause(self, part: ast.comprehension, scope: Scope) -> tuple[Scope, list[str]]:
        target = part.target
        if not isinstance(target, ast.Name) or part.is_async:
            raise self.refuse(part.iter, "expression-form", "a loop has one plain name")
        enum = scope.symbols.type_named(part.iter.id) if isinstance(part.iter, ast.Name) else None
        if enum is not None and enum.kind == "enum":
            inner, code = enum, enum.name
        else:
            many = self.check(part.iter, scope)
            if many.type.kind != "collection" or many.type.inner is None:
                message = f"expected many things, found {many.type}"
                raise self.refuse(part.iter, "wrong-type", message)
            inner, code = many.type.inner, many.code.text
        clauses = [f"for {target.id} in {code}"]
        scope = scope.with_names({target.id: Binding(inner, target.id)})
        for test in part.ifs:
            typed = self.check(test, scope)
            self._want(test, typed, BOOL)
            clauses.append(f"if {typed.code.at(layout.OR)}")
            scope = self.narrow(test, scope, truth=True)
        return scope, clauses

    # Narrowing ----------------------------------------------------------------------------------

    def narrow(self, node: ast.expr, scope: Scope, truth: bool) -> Scope:
        """What is known once `node` has turned out true, or false."""
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
