"""Expressions over finite domains: their values for all values of the names that they read.

Members of closed sets, flags, variants and None-ness have few values, so that all combinations are
tried. Every other test (of a number, of a text) is independent: it may be true or false in any
combination. The analysis is sound, not complete: a result that depends on an independent test is
reported as undecided.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum

from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression, negation
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.symbols import MemberOf, PropertyValue, Symbols
from opslifecycle_codegen.ir.types import BOOL, NONE

CASES_MAX = 20_000


class _Present(Enum):
    """Representatives: of a type without a finite domain, and of all that is of no type."""

    SOMETHING = "something"
    STRANGER = "stranger"


#: A value of a case: a boolean, a member or a variant by its name, a property, None.
Value = PropertyValue | _Present | None
#: A combination of values: one for each path that expressions read, by its notation.
Case = Mapping[str, Value]


class UndecidedError(Exception):
    """There are too many cases."""


class Domains:
    """The domains of all paths that some expressions read."""

    def __init__(self, symbols: Symbols, statuses: Mapping[str, Sequence[str]]) -> None:
        self._symbols = symbols
        #: The possible statuses of a path, if not all.
        self._statuses = statuses
        self._values: dict[str, list[Value]] = {}
        self.opaque = False

    def cases(self, expressions: Sequence[Expression]) -> Iterator[Case]:
        """Yield every case; raises UndecidedError if there are too many."""
        for expression in expressions:
            self._collect(expression)
        size = 1
        for values in self._values.values():
            size *= len(values)
            if size > CASES_MAX:
                raise UndecidedError
        below = [
            (path, other)
            for path, other in itertools.permutations(self._values, 2)
            if path.startswith(f"{other}.")
        ]
        for combination in itertools.product(*self._values.values()):
            case = dict(zip(self._values, combination, strict=True))
            without = [path for path, other in below if case[other] is None]
            # All paths below an absent value have one representative.
            if all(case[path] is self._values[path][0] for path in without):
                yield case

    def _collect(self, tree: Expression) -> None:
        match tree:
            case nodes.And() | nodes.Or() | nodes.Not() | nodes.Conditional():
                for part in nodes.parts_of(tree):
                    self._collect(part)
            case nodes.Literal():
                pass
            case _ if (read := _tried(tree)) is not None:
                self._add(read)
            case _:
                self.opaque = True
                self._values.setdefault(_independent(tree)[0], [False, True])

    def _add(self, read: Expression) -> None:
        """Add the domains of an expression's paths; a property has the domain of its member."""
        if isinstance(read, nodes.Field) and read.base.type.required.kind == "enum":
            self._add(read.base)
            return
        path, type = notation(read), read.type
        values = self._values.setdefault(path, [])
        found: list[Value] = [None] if type.optional or type == NONE else []
        inner = type.required
        if inner.kind == "enum":
            members = list(self._symbols.enums[inner.name].members)
            found += self._statuses.get(path, members)
        elif inner == BOOL:
            found += [False, True]
        elif inner.kind in ("union", "variant"):
            union = inner.inner.name if inner.inner is not None else inner.name
            found += self._symbols.unions[union].variants
            if self._is_unchecked(read):
                found.append(_Present.STRANGER)
        elif inner != NONE:
            found.append(_Present.SOMETHING)
        # A test can have narrowed the type of one occurrence.
        values += [each for each in found if each not in values]

    def _is_unchecked(self, read: Expression) -> bool:
        """Return whether an argument may be anything there, because a guard is to check it."""
        match read:
            case nodes.Field(base=nodes.Name(root=nodes.Root.PARAMETER) as base, name=name):
                record = self._symbols.records.get(base.type.required.name)
                info = record.fields.get(name) if record is not None else None
                return info is not None and info.declared.checked_by is not None
        return False

    # Trying -------------------------------------------------------------------------------------

    def holds(self, tree: Expression, case: Case) -> bool:
        """Return the value of an expression in a case."""
        match tree:
            case nodes.And(operands=operands):
                return all(self.holds(each, case) for each in operands)
            case nodes.Or(operands=operands):
                return any(self.holds(each, case) for each in operands)
            case nodes.Not(operand=operand):
                return not self.holds(operand, case)
            case nodes.Conditional(test=test, then=then, otherwise=otherwise):
                chosen = then if self.holds(test, case) else otherwise
                return self.holds(chosen, case)
            case nodes.Literal(value=value):
                return value is True
        if _tried(tree) is None:
            name, truth = _independent(tree)
            return bool(case[name]) is truth
        return self._test(tree, case)

    def _test(self, tree: Expression, case: Case) -> bool:
        match tree:
            case nodes.IsNone(value=value, negated=negated):
                return (self._value(value, case) is None) is not negated
            case nodes.IsVariant(value=value, variant=variant, negated=negated):
                found = self._value(value, case)
                is_union = variant in self._symbols.unions
                of_union = found is not None and found is not _Present.STRANGER
                return (of_union if is_union else found == variant) is not negated
            case nodes.IsMember(value=value, member=nodes.Member(word=word), negated=negated):
                return (self._value(value, case) == word) is not negated
            case nodes.Compare(operands=(value, nodes.Member(word=word)), operators=(operator,)):
                return (self._value(value, case) == word) is (operator == "==")
            case nodes.Among(value=value, many=many, negated=negated):
                return (self._value(value, case) in (_words(many) or ())) is not negated
        return bool(self._value(tree, case))

    def _value(self, tree: Expression, case: Case) -> Value:
        path = notation(tree)
        if path in case:
            return case[path]
        assert isinstance(tree, nodes.Field), path
        member = self._value(tree.base, case)
        if member is None:
            return None
        enum = self._symbols.enums[tree.base.type.required.name]
        value = enum.members[str(member)].values.get(tree.name)
        return value.wire if isinstance(value, MemberOf) else value


def _independent(tree: Expression) -> tuple[str, bool]:
    """Return the name of an independent test, and its value if what is named so is true.

    A comparison and its opposite are one test.
    """
    match tree:
        case nodes.Compare(operators=("!=" | ">" | ">=",)):
            return notation(negation(tree)), False
    return notation(tree), True


def _tried(tree: Expression) -> Expression | None:
    """Return the path of a test over a finite domain; None for an independent test."""
    match tree:
        case nodes.IsNone(value=read) | nodes.IsVariant(value=read):
            pass
        case nodes.IsMember(value=read, member=nodes.Member()):
            pass
        case nodes.Compare(operands=(read, nodes.Member()), operators=("==" | "!=",)):
            pass
        case nodes.Among(value=read, many=many) if _words(many) is not None:
            pass
        case nodes.Name() | nodes.Field() if tree.type == BOOL:
            read = tree
        case _:
            return None
    return read if _is_path(read) else None


def _words(many: Expression | tuple[Expression, ...]) -> tuple[str, ...] | None:
    """Return the members in a membership test; None for any other expression."""
    if isinstance(many, nodes.StatusSet):
        return many.members
    if isinstance(many, Expression):
        return None
    words = tuple(each.word for each in many if isinstance(each, nodes.Member))
    return words if len(words) == len(many) else None


def _is_path(tree: Expression) -> bool:
    if isinstance(tree, nodes.Field):
        return _is_path(tree.base)
    return isinstance(tree, nodes.Name)
