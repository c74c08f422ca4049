"""Expressions in the notation of the machine file, for what users read."""

from __future__ import annotations

import itertools

from opslifecycle_codegen.ir import expr, several, sized
from opslifecycle_codegen.ir.expr import Expression, Loop
from opslifecycle_codegen.ir.moments import datetime_arguments, timedelta_arguments
from opslifecycle_codegen.ir.types import DATETIME, TIMEDELTA, decimal_notation

#: The precedence of each kind of expression; `_ATOM` for all others.
_CHOICE, _OR, _AND, _NOT, _TEST, _SUM, _PRODUCT, _SIGN, _ATOM = range(9)
_FIRMNESS: dict[type[Expression], int] = {
    expr.Conditional: _CHOICE, expr.Or: _OR, expr.And: _AND, expr.Not: _NOT, expr.Compare: _TEST,
    expr.Among: _TEST, expr.IsNone: _TEST, expr.IsVariant: _TEST, expr.IsMember: _TEST,
    expr.Negative: _SIGN, several.Joined: _SUM, several.Put: _SUM,
}  # fmt: skip
#: A set without members.
_EMPTY = "frozenset()"


def notation(tree: Expression) -> str:
    """Return an expression with the necessary brackets only."""
    match tree:
        case expr.Literal(type=type, value=int() as value) if type.required == DATETIME:
            return f"datetime({', '.join(datetime_arguments(value))})"
        case expr.Literal(type=type, value=int() as value) if type.required == TIMEDELTA:
            return f"timedelta({', '.join(timedelta_arguments(value))})"
        case expr.Literal(type=type, value=int() as value) if type.required.kind == "decimal":
            return f"Decimal('{decimal_notation(value, type.required.places)}')"
        case expr.Literal(value=value):
            return _literal(value)
        case expr.Member(type=enum, word=word):
            return f"{enum.required}.{word}"
        case expr.StatusSet(members=members):
            return f"[{', '.join(members)}]"
        case expr.Name(name=name):
            return name
        case expr.Field(base=base, name=name):
            return f"{_within(base)}.{name}"
        case expr.Count(base=base, key=key):
            return f"{_within(base)}[{notation(key)}]"
        case expr.And(operands=operands):
            return " and ".join(_within(each, _NOT) for each in operands)
        case expr.Or(operands=operands):
            return " or ".join(_within(each, _AND) for each in operands)
        case expr.Not(operand=operand):
            return f"not {_within(operand, _NOT)}"
        case expr.Arithmetic(operator=operator, left=left, right=right):
            own = _firmness(tree)
            return f"{_within(left, own)} {operator} {_within(right, own + 1)}"
        case expr.Negative(operand=operand):
            return f"-{_within(operand)}"
        case expr.Extreme(function=function, operands=operands):
            return f"{function}({_listed(operands)})"
        case expr.Conditional(test=test, then=then, otherwise=otherwise):
            chosen = f"{_within(then, _OR)} if {_within(test, _OR)}"
            return f"{chosen} else {_within(otherwise, _CHOICE)}"
        case expr.Construct(variant=variant, arguments=arguments):
            return f"{variant}({_listed(arguments)})"
        case several.Items(type=type, elements=elements):
            brackets = "[]" if type.required.kind == several.LIST else "{}"
            is_set, inside = type.required.kind == several.SET, _listed(elements)
            return f"{brackets[0]}{inside}{brackets[1]}" if inside or not is_set else _EMPTY
        case several.Put() | several.Without() | several.Get():
            return _of_dict(tree)
        case several.Joined(operator=operator, left=left, right=right):
            return f"{_within(left, _SUM)} {operator} {_within(right, _PRODUCT)}"
        case sized.Length(value=value):
            return f"len({notation(value)})"
        case sized.HasAffix(text=text, method=method, affix=affix):
            return f"{_within(text)}.{method}({notation(affix)})"
        case expr.IsLive(id=id):
            return f"is_live({notation(id)})"
        case expr.Holder(method=method, keys=keys):
            return f"{method}({_listed(keys)})"
        case expr.Quantified(function=function, element=element, loops=loops):
            return f"{function}({notation(element)} {' '.join(map(_loop, loops))})"
    return _test(tree)


def _of_dict(tree: several.Put | several.Without | several.Get) -> str:
    if isinstance(tree, several.Put):
        base, items = several.puts_of(tree)
        inside = ", ".join(f"{notation(key)}: {notation(value)}" for key, value in items)
        is_new = isinstance(base, several.Items) and not base.elements
        return f"{{{inside}}}" if is_new else f"{_within(base, _SUM)} | {{{inside}}}"
    if isinstance(tree, several.Without):
        return f"without({notation(tree.base)}, {notation(tree.key)})"
    given = (tree.key,) if tree.default is None else (tree.key, tree.default)
    return f"{_within(tree.base)}.get({_listed(given)})"


def _test(tree: Expression) -> str:
    match tree:
        case expr.Compare(operands=operands, operators=operators):
            others = itertools.starmap(_beside, itertools.pairwise(operands))
            pairs = zip(operators, others, strict=True)
            first = _within(operands[0], _SUM)
            return first + "".join(f" {sign} {other}" for sign, other in pairs)
        case expr.Among(value=value, many=many, negated=negated):
            if isinstance(many, Expression):
                among = _within(many, _SUM)
            else:
                among = f"[{', '.join(_beside(value, each) for each in many)}]"
            return f"{_within(value, _SUM)} {'not in' if negated else 'in'} {among}"
        case expr.IsNone(value=value, negated=negated):
            return f"{_within(value, _SUM)} {_is(negated)} None"
        case expr.IsVariant(value=value, variant=variant, negated=negated):
            return f"{_within(value, _SUM)} {_is(negated)} {variant}"
        case expr.IsMember(value=value, member=member, negated=negated):
            return f"{_within(value, _SUM)} {_is(negated)} {_beside(value, member)}"
    raise TypeError(type(tree).__name__)


def _is(negated: bool) -> str:
    return "is not" if negated else "is"


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)


def _beside(value: Expression, other: Expression) -> str:
    """Return an operand; the type of the operand before it names the closed set of a member."""
    if isinstance(other, expr.Member) and not isinstance(value, expr.Member):
        return other.word
    return _within(other, _SUM)


def _within(tree: Expression, firmness: int = _ATOM) -> str:
    """Return an operand, in brackets if its precedence is lower."""
    text = notation(tree)
    return text if _firmness(tree) >= firmness else f"({text})"


def _firmness(tree: Expression) -> int:
    if isinstance(tree, expr.Arithmetic):
        return _SUM if tree.operator in ("+", "-") else _PRODUCT
    return _FIRMNESS.get(type(tree), _ATOM)


def _listed(trees: tuple[Expression, ...]) -> str:
    return ", ".join(map(notation, trees))


def _loop(loop: Loop) -> str:
    many = loop.many if isinstance(loop.many, str) else _within(loop.many, _OR)
    tests = "".join(f" if {_within(test, _OR)}" for test in loop.tests)
    return f"for {loop.variable} in {many}{tests}"


def update_notation(target: expr.Field, value: Expression) -> str:
    """Return an update, as `+=` or `-=` where possible."""
    if isinstance(value, expr.Arithmetic) and notation(value.left) == notation(target):
        return f"{notation(target)} {value.operator}= {notation(value.right)}"
    return f"{notation(target)} = {notation(value)}"


def condition_notation(lets: tuple[tuple[str, Expression], ...], test: Expression) -> str:
    """Return the condition of a guard, followed by its `let` bindings."""
    bound = ", ".join(f"{name} = {notation(tree)}" for name, tree in lets)
    return f"{notation(test)} where {bound}" if bound else notation(test)
