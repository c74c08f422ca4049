"""Bounds of integer expressions, given the tests and updates before them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping

from attrs import evolve, frozen

from opslifecycle_codegen.analysis.interval import (
    ANYTHING,
    Interval,
    around,
    calculated,
    extreme,
)
from opslifecycle_codegen.analysis.zones import ZERO, Sum, Zone
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression, negation, replaced
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.program import Check
from opslifecycle_codegen.ir.several import Get
from opslifecycle_codegen.ir.sized import Length

#: The maximum number of alternative cases; further ones are treated as unknown.
_CASES_MAX = 64
_STRICT = {"<": 1, "<=": 0}
#: By how much a variable may be multiplied for its zone to know it.
_FACTOR_MAX = 4


@frozen
class State:
    """The facts at one point of a command: a zone for every possible case.

    Attributes:
        limits: The initial interval of a variable by its notation, within the range of its type.
        cases: The zones; none if the point is unreachable.
    """

    limits: Callable[[str], Interval]
    cases: tuple[Zone, ...] = (Zone(),)

    @property
    def reached(self) -> bool:
        """Whether the point is reachable, as far as integers decide."""
        return bool(self.cases)

    def assuming(self, test: Expression) -> State:
        """Return the facts after a test is true."""
        found: list[Zone] = []
        for zone in self.cases:
            found += self._assumed(zone, test)
        return State(self.limits, tuple(found)) if len(found) <= _CASES_MAX else self

    def bounds(self, tree: Expression) -> Interval:
        """Return the bounds of an integer expression at a reachable point."""
        return around(self._bounds(zone, tree) for zone in self.cases)

    def after(self, target: Expression, value: Expression) -> State:
        """Return the facts after an assignment to an integer variable."""
        name = notation(target)
        found = [after for zone in self.cases for after in self._set(zone, name, value)]
        if len(found) > _CASES_MAX:
            found = [self._forgetting(zone, name) for zone in self.cases]
        return State(self.limits, tuple(found))

    def forgetting(self, target: Expression) -> State:
        """Return the facts after an assignment to a variable of another type."""
        name = notation(target)
        return State(self.limits, tuple(self._forgetting(zone, name) for zone in self.cases))

    # Expressions --------------------------------------------------------------------------------

    def _declared(self, zone: Zone, *trees: Expression) -> Zone:
        """Return the zone with the limits of every variable of some expressions."""
        for tree in trees:
            for variable in _variables(tree):
                name = notation(variable)
                if not zone.knows(name):
                    limit = self.limits(name).met(Interval(*variable.type.required.range))
                    assert limit.least is not None
                    assert limit.most is not None
                    zone = zone.with_bound(name, ZERO, limit.most) or zone
                    zone = zone.with_bound(ZERO, name, -limit.least) or zone
        return zone

    def _bounds(self, zone: Zone, tree: Expression) -> Interval:
        total = linear(tree)
        if total is not None:
            zone = self._declared(zone, tree)
            return Interval(zone.least(total), zone.most(total))
        match tree:
            case nodes.Arithmetic(operator=operator, left=left, right=right):
                return calculated(operator, self._bounds(zone, left), self._bounds(zone, right))
            case nodes.Negative(operand=operand):
                return calculated("-", Interval(0, 0), self._bounds(zone, operand))
            case nodes.Extreme(function=function, operands=operands):
                return extreme(function, [self._bounds(zone, each) for each in operands])
            case nodes.Conditional(test=test, then=then, otherwise=otherwise):
                sides = ((test, then), (negation(test), otherwise))
                found = [
                    self._bounds(case, side)
                    for condition, side in sides
                    for case in self._assumed(zone, condition)
                ]
                return around(found) if found else ANYTHING
        return ANYTHING

    # Tests --------------------------------------------------------------------------------------

    def _assumed(self, zone: Zone, test: Expression) -> list[Zone]:
        """Return the cases in which a test is true; a test without integers keeps the zone."""
        match test:
            case nodes.Literal(value=bool() as truth):
                return [zone] if truth else []
            case nodes.And(operands=operands):
                zones = [zone]
                for each in operands:
                    zones = [after for before in zones for after in self._assumed(before, each)]
                    if len(zones) > _CASES_MAX:
                        return [zone]
                return zones
            case nodes.Or(operands=operands):
                return [after for each in operands for after in self._assumed(zone, each)]
            case nodes.Not(operand=operand):
                inward = negation(operand)
                return [zone] if isinstance(inward, nodes.Not) else self._assumed(zone, inward)
            case nodes.Compare(operands=operands, operators=operators):
                pairs = itertools.pairwise(operands)
                zones = [zone]
                for (one, other), sign in zip(pairs, operators, strict=True):
                    zones = [z for case in zones for z in self._compared(case, one, sign, other)]
                return zones
            case nodes.Among(value=value, many=tuple() as many, negated=False):
                return [z for each in many for z in self._compared(zone, value, "==", each)]
        return [zone]

    def _compared(self, zone: Zone, one: Expression, sign: str, other: Expression) -> list[Zone]:
        if not (one.type.required.integral and other.type.required.integral):
            return [zone]
        if sign in (">", ">="):
            one, other, sign = other, one, {">": "<", ">=": "<="}[sign]
        if sign == "==":
            return [
                both
                for below in self._compared(zone, one, "<=", other)
                for both in self._compared(below, other, "<=", one)
            ]
        if sign == "!=":
            if one.type.optional or other.type.optional:
                return [zone]
            return [*self._compared(zone, one, "<", other), *self._compared(zone, other, "<", one)]
        return self._ordered(zone, one, sign, other)

    def _ordered(self, zone: Zone, one: Expression, sign: str, other: Expression) -> list[Zone]:
        """Return the cases in which `one < other` or `one <= other`."""
        for side, tree in (("left", one), ("right", other)):
            if isinstance(tree, nodes.Conditional):
                found = []
                sides = ((tree.test, tree.then), (negation(tree.test), tree.otherwise))
                for condition, value in sides:
                    pair = (value, other) if side == "left" else (one, value)
                    for case in self._assumed(zone, condition):
                        found += self._ordered(case, pair[0], sign, pair[1])
                return found
            if isinstance(tree, nodes.Extreme):
                pairs = [(e, other) if side == "left" else (one, e) for e in tree.operands]
                if (tree.function == "max") is (side == "left"):
                    zones = [zone]
                    for a, b in pairs:
                        zones = [z for before in zones for z in self._ordered(before, a, sign, b)]
                    return zones
                return [z for a, b in pairs for z in self._ordered(zone, a, sign, b)]
        left, right = linear(one), linear(other)
        if left is None or right is None:
            lowest, highest = self._bounds(zone, one).least, self._bounds(zone, other).most
            if lowest is not None and highest is not None and lowest + _STRICT[sign] > highest:
                return []
            return [zone]
        difference = left.plus(right, -1)
        zone = self._declared(zone, one, other)
        least = zone.least(difference)
        if least is not None and least + _STRICT[sign] > 0:
            return []
        added, taken = difference.summands(1), difference.summands(-1)
        if len(added) > 1 or len(taken) > 1:
            return [zone]
        most = -difference.constant - _STRICT[sign]
        after = zone.with_bound((added or [ZERO])[0], (taken or [ZERO])[0], most)
        return [] if after is None else [after]

    # Updates ------------------------------------------------------------------------------------

    def _set(self, zone: Zone, name: str, value: Expression) -> list[Zone]:
        if isinstance(value, nodes.Conditional):
            sides = ((value.test, value.then), (negation(value.test), value.otherwise))
            return [
                after
                for condition, side in sides
                for case in self._assumed(zone, condition)
                for after in self._set(case, name, side)
            ]
        interval, total = self._bounds(zone, value), linear(value)
        if total is not None:
            zone = self._declared(zone, value)
        if total is not None and total.terms == {name: 1}:
            return [self._opaque_forgotten(zone.shifted(name, total.constant), name)]
        after: Zone | None = self._forgetting(zone, name)
        assert after is not None
        if total is not None and len(total.terms) == 1 and name not in total.terms:
            ((source, factor),) = total.terms.items()
            if factor == 1 and after.knows(source):
                after = after.with_bound(name, source, total.constant) or after
                after = after.with_bound(source, name, -total.constant) or after
        if interval.most is not None:
            after = after.with_bound(name, ZERO, interval.most) or after
        if interval.least is not None:
            after = after.with_bound(ZERO, name, -interval.least) or after
        return [after]

    def _forgetting(self, zone: Zone, name: str) -> Zone:
        below = [each for each in zone.variables() if each == name or each.startswith(f"{name}.")]
        return self._opaque_forgotten(zone.without(below), name)

    def _opaque_forgotten(self, zone: Zone, name: str) -> Zone:
        """Return the facts without counts over the state, which may read the assigned variable."""
        return zone.without(each for each in zone.variables() if "(" in each or "[" in each)


def linear(tree: Expression) -> Sum | None:
    """Return an integer expression as a linear sum of variables; None if it is not linear."""
    match tree:
        case nodes.Literal(value=int() as value) if not isinstance(value, bool):
            return Sum(constant=value)
        case nodes.Negative(operand=operand):
            return _times(linear(operand), -1)
        case nodes.Arithmetic(operator="+" | "-" as operator, left=left, right=right):
            one, other = linear(left), linear(right)
            if one is None or other is None:
                return None
            return one.plus(other, 1 if operator == "+" else -1)
        case nodes.Arithmetic(operator="*", left=left, right=nodes.Literal(value=int() as factor)):
            return _times(linear(left), factor)
        case nodes.Arithmetic(operator="*", left=nodes.Literal(value=int() as factor), right=right):
            return _times(linear(right), factor)
        case nodes.Name() | nodes.Field() | nodes.Count() | nodes.Quantified() | Length() | Get():
            return Sum({notation(tree): 1}) if tree.type.required.integral else None
    return None


def _times(total: Sum | None, factor: int) -> Sum | None:
    """Return a multiple of a sum; None if it has more summands than zones compare."""
    if total is None or (total.terms and abs(factor) > _FACTOR_MAX):
        return None
    return Sum().plus(total, factor)


def _variables(tree: Expression) -> Iterator[Expression]:
    """Iterate over the integers that a linear expression reads."""
    if isinstance(tree, nodes.Name | nodes.Field | nodes.Count | nodes.Quantified | Length | Get):
        if tree.type.required.integral:
            yield tree
        return
    for part in nodes.parts_of(tree):
        yield from _variables(part)


def substituted(tree: Expression, values: Mapping[str, Expression]) -> Expression:
    """Return an expression with names replaced by values, by their notation."""

    def change(node: Expression) -> Expression:
        if isinstance(node, nodes.Name | nodes.Field):
            return values.get(notation(node), node)
        return node

    return replaced(tree, change) if values else tree


def lets_of(checks: Iterable[Check]) -> dict[str, Expression]:
    """Return the values of the `let` names of guards."""
    lets: dict[str, Expression] = {}
    for check in checks:
        for name, tree in check.lets:
            lets[name] = substituted(tree, lets)
    return lets


def inlined(checks: Iterable[Check]) -> Iterator[Check]:
    """Yield checks in order, with `let` names replaced by their values."""
    lets: dict[str, Expression] = {}
    for check in checks:
        for name, tree in check.lets:
            lets[name] = substituted(tree, lets)
        facts = tuple(substituted(fact, lets) for fact in check.refusal.fields)
        refusal = evolve(check.refusal, fields=facts)
        yield evolve(check, lets=(), test=substituted(check.test, lets), refusal=refusal)
