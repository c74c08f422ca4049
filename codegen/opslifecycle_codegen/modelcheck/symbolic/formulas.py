"""Expressions as formulas: what a rule comes to when the values it reads are shapes."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Mapping

from attrs import frozen

from opslifecycle_codegen.ir.types import BOOL, INT, NONE, STR, Type
from opslifecycle_codegen.modelcheck.layouts import Layouts
from opslifecycle_codegen.modelcheck.symbolic.shapes import Maybe, Shape, Shapes, Sum, equal, merged
from opslifecycle_codegen.modelcheck.symbolic.terms import (
    Formula,
    Term,
    at_most,
    below,
    both,
    either,
    ite,
    minus,
    negated,
    plus,
    same,
    total,
)


@frozen
class Many:
    """The members of a collection, each with whether it is there.

    `rest` counts those that are not listed and satisfy a generator, where there may be any number.
    """

    members: tuple[tuple[Formula, Shape], ...]
    rest: Callable[[str], Formula] | None = None


@frozen
class Known:
    """A value with its type."""

    type: Type
    shape: Shape


Environment = Mapping[str, Known]


class Formulas:
    """Turns expressions that analysis has found to be right into shapes."""

    def __init__(self, layouts: Layouts, shapes: Shapes) -> None:
        self._layouts = layouts
        self._shapes = shapes

    def shape(self, text: str, names: Environment, wanted: Type | None = None) -> Known:
        """Return what an expression comes to."""
        return self._known(ast.parse(text.strip(), mode="eval").body, names, wanted)

    def truth(self, text: str, names: Environment) -> Formula:
        """Return what a condition comes to."""
        truth: Formula = self.shape(text, names, BOOL).shape
        return truth

    def _known(self, node: ast.expr, names: Environment, wanted: Type | None) -> Known:
        makers: dict[type[ast.expr], Callable[..., Known]] = {
            ast.Name: self._name,
            ast.Attribute: self._attribute,
            ast.Constant: self._constant,
            ast.Compare: self._compare,
            ast.BoolOp: self._junction,
            ast.UnaryOp: self._not,
            ast.BinOp: self._arithmetic,
            ast.IfExp: self._conditional,
            ast.Call: self._call,
            ast.Subscript: self._subscript,
        }
        return makers[type(node)](node, names, wanted)

    def _formula(self, node: ast.expr, names: Environment) -> Formula:
        formula: Formula = _bare(self._known(node, names, BOOL).shape)
        return formula

    # Leaves -------------------------------------------------------------------------------------

    def _constant(self, node: ast.Constant, names: Environment, wanted: Type | None) -> Known:
        value = node.value
        if isinstance(value, str):
            return Known(STR, self._shapes.text(value))
        kinds: dict[type, Type] = {bool: BOOL, int: INT}
        return Known(kinds.get(type(value), NONE), value)

    def _name(self, node: ast.Name, names: Environment, wanted: Type | None) -> Known:
        if node.id in names:
            return names[node.id]
        if node.id in ("true", "false"):
            return Known(BOOL, node.id == "true")
        assert wanted is not None
        enum = wanted.required
        return Known(enum, self._shapes.member(enum.name, node.id))

    def _attribute(self, node: ast.Attribute, names: Environment, wanted: Type | None) -> Known:
        bare = node.value.id if isinstance(node.value, ast.Name) else ""
        if bare not in names and self._layouts.is_enum(bare):
            return Known(Type("enum", bare), self._shapes.member(bare, node.attr))
        whole = ast.unparse(node)
        if whole in names:
            return names[whole]
        base = self._known(node.value, names, None)
        type = base.type.required
        shape = _bare(base.shape) if base.shape is not None else self._shapes.zero(type)
        if type.kind == "enum":
            return self._property(type.name, node.attr, shape)
        if type.kind in ("union", "variant"):
            return self._of_variant(type, node.attr, shape)
        place, found = self._layouts.field(type, node.attr)
        return Known(found, shape[place])

    def _property(self, enum: str, name: str, shape: Formula) -> Known:
        """Return a property of a member, of which only the number is known."""
        table, type = self._shapes.table(enum, name)
        *members, last = self._layouts.members(enum)
        found = table[last]
        for member in reversed(members):
            found = merged(same(shape, self._shapes.member(enum, member)), table[member], found)
        return Known(type, found)

    def _of_variant(self, type: Type, field: str, shape: Sum) -> Known:
        union = self._shapes.union_of(type)
        tags = self._layouts.tags(type, field)
        numbered = self._shapes.variants(union)
        if tags is not None:
            spelled, found = tags
            values = {at: self._shapes.constant(found, spelled[v]) for at, v in enumerate(numbered)}
        else:
            places, found = self._layouts.variant_field(type, field)
            values = {at: shape.fields[at][places[v] - 1] for at, v in enumerate(numbered)
                      if v in places}  # fmt: skip
        ways = list(values.items())
        chosen = ways[-1][1]
        for number, value in reversed(ways[:-1]):
            chosen = merged(same(shape.variant, number), value, chosen)
        return Known(found, chosen)

    def _subscript(self, node: ast.Subscript, names: Environment, wanted: Type | None) -> Known:
        base = self._known(node.value, names, None)
        key = self._known(node.slice, names, base.type.inner).shape
        if not isinstance(key, Term):
            return Known(INT, base.shape[key])
        found = base.shape[-1]
        for number in reversed(range(len(base.shape) - 1)):
            found = ite(same(key, number), base.shape[number], found)
        return Known(INT, found)

    # Operators ----------------------------------------------------------------------------------

    def _junction(self, node: ast.BoolOp, names: Environment, wanted: Type | None) -> Known:
        join = both if isinstance(node.op, ast.And) else either
        return Known(BOOL, join(*(self._formula(each, names) for each in node.values)))

    def _not(self, node: ast.UnaryOp, names: Environment, wanted: Type | None) -> Known:
        return Known(BOOL, negated(self._formula(node.operand, names)))

    def _arithmetic(self, node: ast.BinOp, names: Environment, wanted: Type | None) -> Known:
        one, other = (self._number(each, names) for each in (node.left, node.right))
        return Known(INT, (plus if isinstance(node.op, ast.Add) else minus)(one, other))

    def _number(self, node: ast.expr, names: Environment) -> Formula:
        number: Formula = _bare(self._known(node, names, None).shape)
        return number

    def _conditional(self, node: ast.IfExp, names: Environment, wanted: Type | None) -> Known:
        test = self._formula(node.test, names)
        then, otherwise = (self._known(each, names, wanted) for each in (node.body, node.orelse))
        type = otherwise.type if then.type == NONE else then.type
        return Known(type, merged(test, then.shape, otherwise.shape))

    def _compare(self, node: ast.Compare, names: Environment, wanted: Type | None) -> Known:
        left = self._known(node.left, names, None)
        parts = []
        for sign, operand in zip(node.ops, node.comparators, strict=True):
            held, right = self._compared(sign, left, operand, names)
            parts.append(negated(held) if isinstance(sign, _NEGATIVE) else held)
            left = right
        return Known(BOOL, both(*parts))

    def _compared(
        self, sign: ast.cmpop, left: Known, node: ast.expr, names: Environment
    ) -> tuple[Formula, Known]:
        if isinstance(sign, ast.In | ast.NotIn):
            return self._is_in(left, node, names), left
        if isinstance(sign, ast.Is | ast.IsNot) and isinstance(node, ast.Name):
            variants = self._layouts.variants(node.id) if node.id not in names else None
            if variants is not None:
                return self._is_variant(left, variants), left
        right = self._known(node, names, left.type)
        if isinstance(sign, ast.Eq | ast.NotEq | ast.Is | ast.IsNot):
            return equal(left.shape, right.shape), right
        one, other = _bare(left.shape), _bare(right.shape)
        order = {ast.Lt: below(one, other), ast.LtE: at_most(one, other),
                 ast.Gt: below(other, one), ast.GtE: at_most(other, one)}  # fmt: skip
        return order[type(sign)], right

    def _is_in(self, left: Known, node: ast.expr, names: Environment) -> Formula:
        if isinstance(node, ast.List | ast.Tuple):
            items = [self._known(item, names, left.type).shape for item in node.elts]
            return either(*(equal(left.shape, item) for item in items))
        many = self._known(node, names, None).shape
        enum = left.type.required.name
        shape = _bare(left.shape)
        return either(*(same(shape, self._shapes.member(enum, name)) for name in many))

    def _is_variant(self, left: Known, variants: frozenset[str]) -> Formula:
        shape = left.shape
        if shape is None:
            return False
        there: Formula = True
        if isinstance(shape, Maybe):
            there, shape = shape.there, shape.value
        union = self._shapes.variants(self._shapes.union_of(left.type.required))
        chosen = [same(shape.variant, at) for at, name in enumerate(union) if name in variants]
        return both(there, either(*chosen) if len(chosen) < len(union) else True)

    # Calls --------------------------------------------------------------------------------------

    def _call(self, node: ast.Call, names: Environment, wanted: Type | None) -> Known:
        assert isinstance(node.func, ast.Name)
        name = node.func.id
        if name in ("min", "max"):
            parts = [self._number(each, names) for each in node.args]
            found = parts[0]
            for each in parts[1:]:
                less = below(each, found)
                found = ite(less if name == "min" else negated(less), each, found)
            return Known(INT, found)
        if name in ("all", "any", "count", "distinct"):
            return self._quantified(name, node, names)
        union = self._shapes.union_with(name)
        types = self._layouts.fields_of(name)
        given = tuple(
            self._known(each, names, type).shape
            for each, type in zip(node.args, types, strict=True)
        )
        number = self._shapes.variants(union).index(name)
        return Known(Type("union", union), self._shapes.variant(union, number, given))

    def _quantified(self, name: str, node: ast.Call, names: Environment) -> Known:
        generator = node.args[0]
        assert isinstance(generator, ast.GeneratorExp)
        values = self._values(generator, generator.generators, names)
        if name == "all":
            return Known(BOOL, both(*(either(negated(c), v.shape) for c, v in values)))
        if name == "any":
            return Known(BOOL, either(*(both(c, v.shape) for c, v in values)))
        if name == "count":
            counted = total(c for c, _ in values)
            return Known(INT, plus(counted, self._rest(generator, names)))
        pairs = itertools.combinations(values, 2)
        return Known(BOOL, both(*(
            negated(both(one[0], other[0], equal(one[1].shape, other[1].shape)))
            for one, other in pairs
        )))  # fmt: skip

    def _rest(self, generator: ast.GeneratorExp, names: Environment) -> Formula:
        """Return how many that are not listed satisfy a generator."""
        first = generator.generators[0]
        if isinstance(first.iter, ast.Name) and self._layouts.is_enum(first.iter.id):
            return 0
        many = self._known(first.iter, names, None).shape
        return many.rest(ast.unparse(generator)) if many.rest is not None else 0

    def _values(
        self, node: ast.GeneratorExp, parts: list[ast.comprehension], names: Environment
    ) -> list[tuple[Formula, Known]]:
        """Return the values of a generator, each with when there is one."""
        if not parts:
            return [(True, self._known(node.elt, names, None))]
        part = parts[0]
        assert isinstance(part.target, ast.Name)
        if isinstance(part.iter, ast.Name) and self._layouts.is_enum(part.iter.id):
            type, enum = Type("enum", part.iter.id), part.iter.id
            members = [(True, self._shapes.member(enum, m)) for m in self._layouts.members(enum)]
        else:
            known = self._known(part.iter, names, None)
            assert known.type.inner is not None
            type, members = known.type.inner, list(known.shape.members)
        found = []
        for there, shape in members:
            inner = {**names, part.target.id: Known(type, shape)}
            tests = [self._formula(test, inner) for test in part.ifs]
            condition = both(there, *tests)
            if condition is False:
                continue
            below_it = self._values(node, parts[1:], inner)
            found += [(both(condition, more), value) for more, value in below_it]
        return found


_NEGATIVE = (ast.NotEq, ast.IsNot, ast.NotIn)


def _bare(shape: Shape) -> Shape:
    """Return a value without its None: where there is none, a test beside it has seen to that."""
    if isinstance(shape, Maybe):
        return shape.value
    return 0 if shape is None else shape
