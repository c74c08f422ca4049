"""Typed expressions: what analysis makes of the expressions of a machine.

A tree is immutable, and each node has its type where it stands: a value that a test has made sure
of is no longer optional there. Nodes know nothing of generated code; `emit.python` prints them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from enum import Enum
from typing import Any

import attrs
from attrs import evolve, field, frozen

from opslifecycle_codegen.base.diagnostics import Location
from opslifecycle_codegen.ir.types import BOOL, INT, NONE, STR, Type


class Root(Enum):
    """What a name stands for."""

    #: The fields of the registry.
    REGISTRY = "registry"
    #: The registry before and after a command, for properties of a step.
    BEFORE = "before"
    AFTER = "after"
    #: The record that a command is about.
    RECORD = "record"
    #: The id that a command was given, or has made.
    ID = "id"
    #: A parameter of a command.
    PARAMETER = "parameter"
    #: What a guard binds with `let`.
    LOCAL = "local"
    #: The variable of a loop.
    LOOP = "loop"
    #: What every guard of any action may read: its label and the statuses that it starts from.
    ACTION = "action"
    ACTION_LABEL = "action label"
    ACTION_STATUSES = "action statuses"
    #: The whole state, for invariants: every record, the entries of the feed, open barriers.
    RECORDS = "records"
    FEED = "feed"
    BARRIERS = "barriers"
    CURSORS = "cursors"
    #: The number of watchers of a record, for its snapshot.
    WATCHERS = "watchers"
    #: A field of a finished record, for its feed entry.
    ENTRY = "entry"
    #: A field of a value, for the fields that follow from it.
    OWN = "own"
    #: The cursor that a consumer asks for, and the last sequence number.
    CURSOR = "cursor"


@frozen
class Expression:
    """A node: its type, and where it stands in the machine file."""

    type: Type
    mark: Location | None = field(default=None, eq=False, repr=False, kw_only=True)


@frozen
class Literal(Expression):
    """None, a truth value, a number or a text."""

    value: object


@frozen
class Member(Expression):
    """A member of an enum, by its word."""

    word: str


@frozen
class StatusSet(Expression):
    """The statuses that an action starts from."""

    members: tuple[str, ...]


@frozen
class Name(Expression):
    """A name that is bound where the expression stands."""

    root: Root
    name: str


@frozen
class Field(Expression):
    """A field of a record, of the registry or of a value; a property of a member."""

    base: Expression
    name: str


@frozen
class Count(Expression):
    """The count of one member: `base[key]`."""

    base: Expression
    key: Expression


@frozen
class Compare(Expression):
    """One comparison or a chain of them; `operators` stand between the operands."""

    operands: tuple[Expression, ...]
    operators: tuple[str, ...]


@frozen
class Among(Expression):
    """`value in many`, where many is an expression or a list of them."""

    value: Expression
    many: Expression | tuple[Expression, ...]
    negated: bool = False


@frozen
class IsNone(Expression):
    """`value is None`."""

    value: Expression
    negated: bool = False


@frozen
class IsVariant(Expression):
    """`value is Variant`: which one of a union."""

    value: Expression
    variant: str
    negated: bool = False


@frozen
class IsMember(Expression):
    """`value is member`."""

    value: Expression
    member: Expression
    negated: bool = False


@frozen
class And(Expression):
    """Every operand is true; each is read only if those before it are."""

    operands: tuple[Expression, ...]


@frozen
class Or(Expression):
    """An operand is true; each is read only if those before it are not."""

    operands: tuple[Expression, ...]


@frozen
class Not(Expression):
    """The operand is false."""

    operand: Expression


@frozen
class Negative(Expression):
    """`-operand`."""

    operand: Expression


@frozen
class Arithmetic(Expression):
    """A sum, a difference, a product, a quotient or a remainder, rounded as Python does."""

    operator: str
    left: Expression
    right: Expression


@frozen
class Extreme(Expression):
    """The least or the greatest of some numbers; `function` is min or max."""

    function: str
    operands: tuple[Expression, ...]


@frozen
class Conditional(Expression):
    """`then if test else otherwise`."""

    test: Expression
    then: Expression
    otherwise: Expression


@frozen
class Construct(Expression):
    """A new value of a variant."""

    variant: str
    arguments: tuple[Expression, ...]


@frozen
class Loop:
    """`for variable in many if tests`; many is an expression, or the name of an enum."""

    variable: str
    many: Expression | str
    tests: tuple[Expression, ...]


@frozen
class Quantified(Expression):
    """all, any, count or distinct, of an element for every turn of some loops."""

    function: str
    element: Expression
    loops: tuple[Loop, ...]


@frozen
class Refusal:
    """The error that a command is refused with: its class and its facts in order."""

    error: str
    fields: tuple[Expression, ...]
    built_in: bool = False


NOTHING = Literal(NONE, None)
_OPPOSITES = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def negation(tree: Expression) -> Expression:
    """The expression that is true exactly when `tree` is false, with `not` pushed inwards."""
    match tree:
        case Not(operand=operand):
            return operand
        case And(operands=operands):
            return Or(BOOL, tuple(map(negation, operands)), mark=tree.mark)
        case Or(operands=operands):
            return And(BOOL, tuple(map(negation, operands)), mark=tree.mark)
        case Compare(operators=(operator,)):
            return evolve(tree, operators=(_OPPOSITES[operator],))
        case Among() | IsNone() | IsVariant() | IsMember():
            return evolve(tree, negated=not tree.negated)
    return Not(BOOL, tree, mark=tree.mark)


def parts_of(tree: Expression) -> Iterator[Expression]:
    """Yield the expressions that a node consists of, in their order."""
    for attribute in attrs.fields(type(tree)):
        if attribute.name not in ("type", "mark"):
            yield from _expressions(getattr(tree, attribute.name))


def _expressions(value: object) -> Iterator[Expression]:
    if isinstance(value, Expression):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from _expressions(each)
    elif isinstance(value, Loop):
        yield from _expressions((value.many, value.tests))


def nodes_of(tree: Expression) -> Iterator[Expression]:
    """Yield a node, and every node below it."""
    yield tree
    for part in parts_of(tree):
        yield from nodes_of(part)


def roots_in(tree: Expression) -> frozenset[Root]:
    """Return what an expression reads."""
    return frozenset(node.root for node in nodes_of(tree) if isinstance(node, Name))


def reads(tree: Expression, fields: Collection[str]) -> bool:
    """Return whether an expression reads a field with one of these names, of whatever."""
    return any(isinstance(node, Field) and node.name in fields for node in nodes_of(tree))


def replaced(tree: Expression, change: Callable[[Expression], Expression]) -> Expression:
    """Return the tree with every node changed, from the leaves up."""
    changed: dict[str, Any] = {}
    for attribute in attrs.fields(type(tree)):
        if attribute.name in ("type", "mark"):
            continue
        before = getattr(tree, attribute.name)
        after = _replaced(before, change)
        if after is not before:
            changed[attribute.name] = after
    return change(evolve(tree, **changed) if changed else tree)


def decided(tree: Expression) -> Expression:
    """Return the tree with each test of a literal for None decided: Python warns of such tests."""

    def result(node: Expression) -> Expression:
        if isinstance(node, IsNone) and isinstance(node.value, Literal):
            return Literal(BOOL, (node.value.value is None) is not node.negated)
        return node

    return replaced(tree, result)


def _replaced(value: object, change: Callable[[Expression], Expression]) -> object:
    if isinstance(value, Expression):
        return replaced(value, change)
    if isinstance(value, tuple):
        return tuple(_replaced(each, change) for each in value)
    if isinstance(value, Loop):
        many = value.many if isinstance(value.many, str) else replaced(value.many, change)
        return evolve(value, many=many, tests=tuple(replaced(t, change) for t in value.tests))
    return value


def number(value: int) -> Literal:
    """Return a literal number."""
    return Literal(INT, value)


def text(value: str) -> Literal:
    """Return a literal text."""
    return Literal(STR, value)
