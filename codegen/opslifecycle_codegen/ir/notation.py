"""Expressions in the notation of the machine file, for what users read."""

from __future__ import annotations

import itertools

from opslifecycle_codegen.ir import expr
from opslifecycle_codegen.ir.expr import Expression, Loop

#: What needs no brackets where it stands in another expression.
_ATOMS = (
    expr.Literal, expr.Member, expr.StatusSet, expr.Name, expr.Field, expr.Count, expr.Extreme,
    expr.Construct, expr.Quantified,
)  # fmt: skip


def notation(tree: Expression) -> str:
    """Return an expression, in brackets nowhere but inside."""
    match tree:
        case expr.Literal(value=value):
            return _literal(value)
        case expr.Member(type=enum, word=word):
            return f"{enum.required}.{word}"
        case expr.StatusSet(members=members):
            return f"[{', '.join(members)}]"
        case expr.Name(name=name):
            return name
        case expr.Field(base=base, name=name):
            return f"{_inner(base)}.{name}"
        case expr.Count(base=base, key=key):
            return f"{_inner(base)}[{notation(key)}]"
        case expr.And(operands=operands):
            return " and ".join(map(_inner, operands))
        case expr.Or(operands=operands):
            return " or ".join(map(_inner, operands))
        case expr.Not(operand=operand):
            return f"not {_inner(operand)}"
        case expr.Arithmetic(operator=operator, left=left, right=right):
            return f"{_inner(left)} {operator} {_inner(right)}"
        case expr.Extreme(function=function, operands=operands):
            return f"{function}({_listed(operands)})"
        case expr.Conditional(test=test, then=then, otherwise=otherwise):
            return f"{_inner(then)} if {_inner(test)} else {_inner(otherwise)}"
        case expr.Construct(variant=variant, arguments=arguments):
            return f"{variant}({_listed(arguments)})"
        case expr.Quantified(function=function, element=element, loops=loops):
            return f"{function}({notation(element)} {' '.join(map(_loop, loops))})"
    return _test(tree)


def _test(tree: Expression) -> str:
    match tree:
        case expr.Compare(operands=operands, operators=operators):
            others = itertools.starmap(_beside, itertools.pairwise(operands))
            pairs = zip(operators, others, strict=True)
            return _inner(operands[0]) + "".join(f" {sign} {other}" for sign, other in pairs)
        case expr.Among(value=value, many=many, negated=negated):
            among = (
                _inner(many)
                if isinstance(many, Expression)
                else f"[{', '.join(_beside(value, each) for each in many)}]"
            )
            return f"{_inner(value)} {'not in' if negated else 'in'} {among}"
        case expr.IsNone(value=value, negated=negated):
            return f"{_inner(value)} {'is not' if negated else 'is'} None"
        case expr.IsVariant(value=value, variant=variant, negated=negated):
            return f"{_inner(value)} {'is not' if negated else 'is'} {variant}"
        case expr.IsMember(value=value, member=member, negated=negated):
            return f"{_inner(value)} {'is not' if negated else 'is'} {_beside(value, member)}"
    raise TypeError(type(tree).__name__)


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)


def _beside(value: Expression, other: Expression) -> str:
    """Return an operand behind another, whose type says of which closed set a member is."""
    if isinstance(other, expr.Member) and not isinstance(value, expr.Member):
        return other.word
    return _inner(other)


def _inner(tree: Expression) -> str:
    text = notation(tree)
    return text if isinstance(tree, _ATOMS) else f"({text})"


def _listed(trees: tuple[Expression, ...]) -> str:
    return ", ".join(map(notation, trees))


def _loop(loop: Loop) -> str:
    many = notation(loop.many) if isinstance(loop.many, Expression) else loop.many
    tests = "".join(f" if {_inner(test)}" for test in loop.tests)
    return f"for {loop.variable} in {many}{tests}"


def update_notation(target: expr.Field, value: Expression) -> str:
    """Return an update, short where the new value is the old one and something more or less."""
    if isinstance(value, expr.Arithmetic) and notation(value.left) == notation(target):
        return f"{notation(target)} {value.operator}= {notation(value.right)}"
    return f"{notation(target)} = {notation(value)}"
