"""Expressions as formulas: rules evaluated over symbolic values."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

from attrs import frozen

from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression, Root
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.several import (
    DICT,
    LIST,
    SET,
    Get,
    Items,
    Joined,
    Put,
    Without,
    element_of,
)
from opslifecycle_codegen.ir.sized import HasAffix, Length
from opslifecycle_codegen.ir.types import ENTITY, Type
from opslifecycle_codegen.modelcheck.layouts import Layouts
from opslifecycle_codegen.modelcheck.symbolic.characters import Characters
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
    quotient,
    remainder,
    same,
    times,
    total,
)

_ARITHMETIC: dict[str, Callable[[Formula, Formula], Formula]] = {
    "+": plus,
    "-": minus,
    "*": times,
    "//": quotient,
    "%": remainder,
}


@frozen
class Many:
    """The members of a collection, each with the condition that it exists.

    `rest` counts unlisted members that satisfy given tests, for a collection of any size.
    """

    members: tuple[tuple[Formula, Shape], ...]
    rest: Callable[[nodes.Quantified], Formula] | None = None


#: The bindings of an expression's names.
Environment = Mapping[str, Shape]


class Formulas:
    """Compiles the expressions of a program to symbolic values."""

    def __init__(self, program: Program, layouts: Layouts, shapes: Shapes) -> None:
        self._entity = str(program.machine.entity)
        self._always = program.always
        self._layouts = layouts
        self._shapes = shapes
        self.characters = Characters(shapes)

    def shape(self, tree: Expression, names: Environment) -> Shape:
        """Return the symbolic value of an expression."""
        match tree:
            case nodes.Literal(value=str() as text):
                return self._shapes.text(text)
            case nodes.Literal(value=value):
                return value
            case nodes.Member(type=enum, word=word):
                return self._shapes.member(enum.required.name, word)
            case nodes.StatusSet(members=members):
                return members
            case nodes.Name(root=Root.ENTRY, type=type, name=name):
                return self._of_entry(type, name, names)
            case nodes.Name(root=Root.STAMP):
                return 0
            case nodes.Name(name=name):
                return names[name]
            case nodes.Field():
                return self._field(tree, names)
            case nodes.Count(base=base, key=key):
                return _counted(self.shape(base, names), self.shape(key, names))
            case nodes.Conditional(test=test, then=then, otherwise=otherwise):
                sides = self.shape(then, names), self.shape(otherwise, names)
                return merged(self.truth(test, names), *sides)
            case nodes.Construct():
                return self._construct(tree, names)
            case nodes.Arithmetic() | nodes.Negative() | nodes.Extreme() | Length():
                return self._number(tree, names)
            case Items() | Joined():
                return self._several(tree, names)
            case Put() | Without() | Get():
                return self._of_dict(tree, names)
            case nodes.Holder(found=found):
                return self._first(found, names)
            case nodes.IsLive(found=found):
                return self._quantified(found, names)
            case nodes.Quantified():
                return self._quantified(tree, names)
        return self._test(tree, names)

    def truth(self, tree: Expression, names: Environment) -> Formula:
        """Return the formula of a condition, or of a number that is not None."""
        formula: Formula = _bare(self.shape(tree, names))
        return formula

    # Fields -------------------------------------------------------------------------------------

    def _field(self, tree: nodes.Field, names: Environment) -> Shape:
        if isinstance(tree.base, nodes.Name) and tree.type.kind == "counts":
            # In a state, the cursors before and after a step are not fields of the registry.
            return names[f"{tree.base.name}.{tree.name}"]
        type, shape = tree.base.type.required, self.shape(tree.base, names)
        shape = _bare(shape) if shape is not None else self._shapes.zero(type)
        if type.kind == "enum":
            return self._property(type.name, tree.name, shape)
        if type.kind in ("union", "variant"):
            return self._of_variant(type, tree.name, shape)
        place, _ = self._layouts.field(type, tree.name)
        return shape[place]

    def _of_entry(self, type: Type, name: str, names: Environment) -> Shape:
        """Return a field of the record of an entry, which is there where there is an entry."""
        record = nodes.Name(ENTITY, Root.RECORD, self._entity)
        found = self._field(nodes.Field(type, record, name), names)
        if type.optional:
            return found
        # Of several ways of an action, those without an entry may leave the field None.
        return _bare(found) if found is not None else self._shapes.zero(type)

    def _property(self, enum: str, name: str, shape: Formula) -> Shape:
        """Return a property of a member that is known by its number alone."""
        table, _ = self._shapes.table(enum, name)
        *members, last = self._layouts.members(enum)
        found = table[last]
        for member in reversed(members):
            found = merged(same(shape, self._shapes.member(enum, member)), table[member], found)
        return found

    def _of_variant(self, type: Type, field: str, shape: Sum) -> Shape:
        tags = self._layouts.tags(type, field)
        numbered = self._shapes.variants(self._shapes.union_of(type))
        if tags is not None:
            spelled, found = tags
            values = {at: self._shapes.constant(found, spelled[v]) for at, v in enumerate(numbered)}
        else:
            places, _ = self._layouts.variant_field(type, field)
            values = {at: shape.fields[at][places[v] - 1] for at, v in enumerate(numbered)
                      if v in places}  # fmt: skip
        ways = list(values.items())
        chosen = ways[-1][1]
        for number, value in reversed(ways[:-1]):
            chosen = merged(same(shape.variant, number), value, chosen)
        return chosen

    # Numbers and values -------------------------------------------------------------------------

    def _number(self, tree: Expression, names: Environment) -> Formula:
        match tree:
            case nodes.Arithmetic(operator=operator, left=left, right=right):
                calculate = _ARITHMETIC[operator]
                return calculate(self.truth(left, names), self.truth(right, names))
            case nodes.Negative(operand=operand):
                return minus(0, self.truth(operand, names))
            case Length(value=value) if value.type.kind == SET:
                return total(self._set(value, names))
            case Length(value=value) if value.type.kind == LIST:
                many = self.truth(value, names)
                return self._shapes.sequences.length(many, tree.type.range[1])
            case Length(value=value) if value.type.kind == DICT:
                many = self.truth(value, names)
                return self._shapes.tables.length(many, tree.type.range[1])
            case Length(value=value):
                return self.characters.length(self.truth(value, names), tree.type.range[1])
            case nodes.Extreme(function=function, operands=operands):
                found, *others = (self.truth(each, names) for each in operands)
                for each in others:
                    less = below(each, found)
                    found = ite(less if function == "min" else negated(less), each, found)
                return found
        raise TypeError(type(tree).__name__)

    def _construct(self, tree: nodes.Construct, names: Environment) -> Sum:
        union, variant = self._shapes.union_with(tree.variant), tree.variant
        infos, given = self._layouts.record(variant), dict[str, Shape]()
        for (name, info), each in zip(infos.items(), tree.arguments, strict=True):
            given[name] = self._shapes.held(info.type, self.shape(each, names))
        for name, info in infos.items():
            # The constructor sets such a field itself.
            always = self._always.get((variant, name))
            if always is not None:
                given[name] = self._shapes.held(info.type, self.shape(always, given))
        number = self._shapes.variants(union).index(variant)
        return self._shapes.variant(union, number, tuple(given.values()))

    def _set(self, tree: Expression, names: Environment) -> tuple[Formula, ...]:
        """Return which members a set has; a test beside it excludes None."""
        shape = self.shape(tree, names)
        bare = self._shapes.zero(tree.type.required) if shape is None else _bare(shape)
        return tuple(bare)

    def _several(self, tree: Items | Joined, names: Environment) -> Shape:
        if tree.type.kind == SET:
            return self._joined_set(tree, names)
        sequences = self._shapes.sequences
        if isinstance(tree, Joined):
            return sequences.joined(self.truth(tree.left, names), self.truth(tree.right, names))
        found: Formula = 0
        for each in tree.elements:
            element = self._shapes.element(each.type, _bare(self.shape(each, names)))
            found = sequences.longer(found, element)
        return found

    def _of_dict(self, tree: Put | Without | Get, names: Environment) -> Shape:
        base, key = self.truth(tree.base, names), self.truth(tree.key, names)
        if isinstance(tree, Put):
            element = element_of(tree.type)
            return self._shapes.put(element, base, key, _bare(self.shape(tree.value, names)))
        if isinstance(tree, Without):
            return self._shapes.tables.without(base, key)
        found = self._shapes.value_of_key(element_of(tree.base.type), base, key)
        if tree.default is not None:
            return merged(found.there, found.value, _bare(self.shape(tree.default, names)))
        return found

    def _joined_set(self, tree: Items | Joined, names: Environment) -> tuple[Formula, ...]:
        if isinstance(tree, Items):
            given = [self.truth(each, names) for each in tree.elements]
            enum = element_of(tree.type).name
            members = [self._shapes.member(enum, word) for word in self._layouts.members(enum)]
            return tuple(either(*(same(each, member) for each in given)) for member in members)
        left, right = self._set(tree.left, names), self._set(tree.right, names)
        join = {"|": either, "&": both, "-": lambda one, other: both(one, negated(other))}
        return tuple(map(join[tree.operator], left, right))

    # Tests --------------------------------------------------------------------------------------

    def _test(self, tree: Expression, names: Environment) -> Formula:
        match tree:
            case nodes.And(operands=operands):
                return both(*(self.truth(each, names) for each in operands))
            case nodes.Or(operands=operands):
                return either(*(self.truth(each, names) for each in operands))
            case nodes.Not(operand=operand):
                return negated(self.truth(operand, names))
            case nodes.Compare(operands=operands, operators=operators):
                shapes = [self.shape(each, names) for each in operands]
                pairs = zip(operators, itertools.pairwise(shapes), strict=True)
                return both(*(_compared(operator, *pair) for operator, pair in pairs))
            case nodes.IsNone(value=value, negated=is_not):
                held = equal(self.shape(value, names), None)
            case nodes.IsMember(value=value, member=member, negated=is_not):
                held = equal(self.shape(value, names), self.shape(member, names))
            case nodes.IsVariant(value=value, variant=variant, negated=is_not):
                held = self._is_variant(value, variant, names)
            case HasAffix(text=text, method=method, affix=affix):
                shape = self.truth(text, names)
                return self.characters.has_affix(shape, method, str(affix.value))
            case nodes.Among(value=value, many=many, negated=is_not):
                held = self._is_among(value, many, names)
            case _:
                raise TypeError(type(tree).__name__)
        return negated(held) if is_not else held

    def _is_among(
        self, value: Expression, many: Expression | tuple[Expression, ...], names: Environment
    ) -> Formula:
        shape = self.shape(value, names)
        if isinstance(many, tuple):
            return either(*(equal(shape, self.shape(item, names)) for item in many))
        if many.type.kind == SET:
            words = self._layouts.members(element_of(many.type).name)
            members = (self._shapes.member(element_of(many.type).name, word) for word in words)
            inside = zip(members, self._set(many, names), strict=True)
            return either(*(both(same(_bare(shape), each), there) for each, there in inside))
        among = self.shape(many, names)
        if many.type.kind == DICT:
            return self._shapes.tables.has(_bare(among), _bare(shape))
        if many.type.kind == LIST:
            element = self._shapes.element(value.type.required, _bare(shape))
            return self._shapes.sequences.contains(_bare(among), element)
        if many.type.kind == "str":
            return self.characters.contains(_bare(among), _bare(shape))
        if isinstance(among, Many):
            return either(*(both(there, equal(shape, each)) for there, each in among.members))
        enum = value.type.required.name
        return either(*(same(_bare(shape), self._shapes.member(enum, name)) for name in among))

    def _is_variant(self, value: Expression, variant: str, names: Environment) -> Formula:
        shape = self.shape(value, names)
        if shape is None:
            return False
        there: Formula = True
        if isinstance(shape, Maybe):
            there, shape = shape.there, shape.value
        wanted = self._layouts.variants(variant)
        union = self._shapes.variants(self._shapes.union_of(value.type.required))
        chosen = [same(shape.variant, at) for at, name in enumerate(union) if name in wanted]
        return both(there, either(*chosen) if len(chosen) < len(union) else True)

    # Quantifiers --------------------------------------------------------------------------------

    def _quantified(self, tree: nodes.Quantified, names: Environment) -> Formula:
        values = self._values(tree.element, tree.loops, names)
        if tree.function == "all":
            return both(*(either(negated(there), value) for there, value in values))
        if tree.function == "any":
            return either(*(both(there, value) for there, value in values))
        if tree.function == "count":
            return plus(total(there for there, _ in values), self._rest(tree, names))
        pairs = itertools.combinations(values, 2)
        return both(*(
            negated(both(one[0], other[0], equal(one[1], other[1])))
            for one, other in pairs
        ))  # fmt: skip

    def _first(self, tree: nodes.Quantified, names: Environment) -> Shape:
        """Return the first value, or None."""
        found: Shape = None
        for there, value in reversed(self._values(tree.element, tree.loops, names)):
            found = merged(there, value, found)
        return found

    def _rest(self, tree: nodes.Quantified, names: Environment) -> Formula:
        """Return the number of unlisted members that satisfy the tests."""
        many = tree.loops[0].many
        if isinstance(many, str):
            return 0
        shape = self.shape(many, names)
        return shape.rest(tree) if shape.rest is not None else 0

    def _values(
        self, element: Expression, loops: Sequence[nodes.Loop], names: Environment
    ) -> list[tuple[Formula, Shape]]:
        """Return the values of an element for every iteration of loops, each with its condition."""
        if not loops:
            return [(True, self.shape(element, names))]
        loop, *inner_loops = loops
        found = []
        for there, shape in self._members(loop, names):
            inner = {**names, loop.variable: shape}
            condition = both(there, *(self.truth(test, inner) for test in loop.tests))
            if condition is False:
                continue
            below_it = self._values(element, inner_loops, inner)
            found += [(both(condition, more), value) for more, value in below_it]
        return found

    def _members(self, loop: nodes.Loop, names: Environment) -> list[tuple[Formula, Shape]]:
        if isinstance(loop.many, str):
            words = self._layouts.members(loop.many)
            return [(True, self._shapes.member(loop.many, word)) for word in words]
        return list(self.shape(loop.many, names).members)


def _compared(operator: str, one: Shape, other: Shape) -> Formula:
    if operator in ("==", "!="):
        held = equal(one, other)
        return held if operator == "==" else negated(held)
    left, right = _bare(one), _bare(other)
    if operator in ("<", "<="):
        return below(left, right) if operator == "<" else at_most(left, right)
    return below(right, left) if operator == ">" else at_most(right, left)


def _counted(counts: Sequence[Formula], key: Formula) -> Formula:
    """Return the count of a member, which may be known by its number alone."""
    if not isinstance(key, Term):
        return counts[key]
    *others, found = counts
    for number in reversed(range(len(others))):
        found = ite(same(key, number), counts[number], found)
    return found


def _bare(shape: Shape) -> Shape:
    """Return an optional value as required: a test beside it excludes None."""
    if isinstance(shape, Maybe):
        return shape.value
    return 0 if shape is None else shape
