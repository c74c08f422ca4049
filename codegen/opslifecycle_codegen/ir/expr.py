"""Typed expression trees, the result of analysing a machine's expressions.

A tree is immutable. Each node has its type at its position: a value after a test for None is no
longer optional. Nodes are independent of generated code; `emit.python` prints them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from enum import Enum

import attrs
from attrs import evolve, field, frozen

from opslifecycle_codegen.base.diagnostics import Location
from opslifecycle_codegen.ir.types import BOOL, INT, NONE, STR, Type


class Root(Enum):
    """The kind of a name's binding."""

    #: The fields of the registry.
    REGISTRY = "registry"
    #: The registry before and after a command, for properties of steps.
    BEFORE = "before"
    AFTER = "after"
    #: The record of a command.
    RECORD = "record"
    #: The id that a command receives or creates.
    ID = "id"
    #: A parameter of a command.
    PARAMETER = "parameter"
    #: The time of a command, in milliseconds since the Unix epoch.
    NOW = "now"
    #: The same where the value is only shown: in the model, it is 0.
    STAMP = "stamp"
    #: A `let` name of a guard.
    LOCAL = "local"
    #: The variable of a loop.
    LOOP = "loop"
    #: Attributes of the action that every guard may read: its label and its legal statuses.
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
    #: A field of a finished record, in its feed entry.
    ENTRY = "entry"
    #: A field of a value, in the expressions of derived fields.
    OWN = "own"
    #: The requested position of a cursor, and the last sequence number.
    CURSOR = "cursor"


@frozen
class Expression:
    """A node: its type, and its location in the machine file."""

    type: Type
    mark: Location | None = field(default=None, eq=False, repr=False, kw_only=True)


@frozen
class Literal(Expression):
    """None, a boolean, a number or a text."""

    value: object


@frozen
class Member(Expression):
    """A member of an enum, by its word."""

    word: str


@frozen
class StatusSet(Expression):
    """The legal statuses of an action."""

    members: tuple[str, ...]


@frozen
class Name(Expression):
    """A bound name."""

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
    """`value in many`; `many` is an expression or a list of expressions."""

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
    """`value is Variant`, for a value of a union."""

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
    """The conjunction of operands, with short-circuit evaluation."""

    operands: tuple[Expression, ...]


@frozen
class Or(Expression):
    """The disjunction of operands, with short-circuit evaluation."""

    operands: tuple[Expression, ...]


@frozen
class Not(Expression):
    """The negation of an operand."""

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
    """The minimum or maximum of numbers; `function` is `min` or `max`."""

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
    """`for variable in many if tests`; `many` is an expression, or the name of an enum."""

    variable: str
    many: Expression | str
    tests: tuple[Expression, ...]


@frozen
class Quantified(Expression):
    """`all`, `any`, `count`, `distinct` or `first` of an element over the iterations of loops."""

    function: str
    element: Expression
    loops: tuple[Loop, ...]


@frozen
class Holder(Expression):
    """The id of the record that holds a unique key; None if no record does.

    `found` says the same of the records, one by one.
    """

    method: str
    keys: tuple[Expression, ...]
    found: Quantified


@frozen
class IsLive(Expression):
    """Whether a live record has an id; `found` says the same of the records, one by one."""

    id: Expression
    found: Quantified


@frozen
class Refusal:
    """The error of a rejected command: its class and its fields in order."""

    error: str
    fields: tuple[Expression, ...]
    built_in: bool = False


NOTHING = Literal(NONE, None)
_OPPOSITES = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def negation(tree: Expression) -> Expression:
    """Return the negation of `tree`, with `not` pushed inwards."""
    match tree:
        case Not(operand=operand):
            return operand
        case Literal(value=bool() as truth):
            return Literal(BOOL, not truth, mark=tree.mark)
        case And(operands=operands):
            return Or(BOOL, tuple(map(negation, operands)), mark=tree.mark)
        case Or(operands=operands):
            return And(BOOL, tuple(map(negation, operands)), mark=tree.mark)
        case Compare(operators=(operator,)):
            return evolve(tree, operators=(_OPPOSITES[operator],))
        case Among() | IsNone() | IsVariant() | IsMember():
            return evolve(tree, negated=not tree.negated)
    return Not(BOOL, tree, mark=tree.mark)


def conjunction(operands: Iterable[Expression]) -> Expression:
    """Return the test that all operands are true, with those of conjunctions side by side."""
    flat = [
        part for each in operands for part in (each.operands if isinstance(each, And) else [each])
    ]
    return flat[0] if len(flat) == 1 else And(BOOL, tuple(flat))


def parts_of(tree: Expression) -> Iterator[Expression]:
    """Yield the children of a node in order."""
    for name in _part_names(type(tree)):
        yield from _expressions(getattr(tree, name))


#: The fields that may hold nodes, by the class of the node.
_PART_NAMES: dict[type[Expression], tuple[str, ...]] = {}


def _part_names(kind: type[Expression]) -> tuple[str, ...]:
    names = _PART_NAMES.get(kind)
    if names is None:
        all_names = (each.name for each in attrs.fields(kind))
        names = tuple(name for name in all_names if name not in ("type", "mark"))
        _PART_NAMES[kind] = names
    return names


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
    left = [tree]
    while left:
        node = left.pop()
        yield node
        left += reversed([*parts_of(node)])


def roots_in(tree: Expression) -> frozenset[Root]:
    """Return the kinds of names that an expression reads."""
    return frozenset(node.root for node in nodes_of(tree) if isinstance(node, Name))


def reads(tree: Expression, fields: Collection[str]) -> bool:
    """Return whether an expression reads a field with one of these names, of any owner."""
    return any(isinstance(node, Field) and node.name in fields for node in nodes_of(tree))


def replaced(tree: Expression, change: Callable[[Expression], Expression]) -> Expression:
    """Return the tree with every node replaced, from the leaves up."""
    changed: dict[str, object] = {}
    # Untyped, because the names of the fields depend on the class of the tree.
    evolved: Callable[..., Expression] = evolve
    for name in _part_names(type(tree)):
        before = getattr(tree, name)
        after = _replaced(before, change)
        if after is not before:
            changed[name] = after
    return change(evolved(tree, **changed) if changed else tree)


def with_given(tree: Expression, given: Mapping[str, Expression]) -> Expression:
    """Return the tree with parameters replaced by the expressions that are passed for them."""

    def result(node: Expression) -> Expression:
        if isinstance(node, Name) and node.root is Root.PARAMETER:
            return given.get(node.name, node)
        return node

    return replaced(tree, result)


def decided(tree: Expression) -> Expression:
    """Return the tree with tests of literals for None evaluated: Python warns of such tests."""

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
