"""Evaluate expressions: each tree becomes a function of the names that it may use.

The values are plain (`state.Value`); a record is a tuple of its fields behind id and status.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator, Sequence

from attrs import frozen

from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression, Root, nodes_of
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.several import (
    DICT,
    SET,
    Get,
    Items,
    Joined,
    Put,
    Without,
    element_of,
)
from opslifecycle_codegen.ir.sized import HasAffix, Length
from opslifecycle_codegen.ir.times import NOW
from opslifecycle_codegen.ir.types import ENTITY, Type
from opslifecycle_codegen.modelcheck.functions import (
    ARITHMETIC,
    COMPARISONS,
    FUNCTIONS,
    Function,
    Names,
    Setting,
    conjunction,
    constructed,
    disjunction,
    is_one_of,
)
from opslifecycle_codegen.modelcheck.layouts import Layouts
from opslifecycle_codegen.modelcheck.several import items_of, listed, of_dict, set_of
from opslifecycle_codegen.modelcheck.state import Value


@frozen
class Term:
    """A compiled tree: its function, and whether it reads a record."""

    of: Function
    of_record: bool = False
    #: The source that it reads: a name, or a field of a type.
    source: str | tuple[str, str] = ""


class Evaluator:
    """Compiles the expressions of one machine to functions, and records which fields they read.

    Args:
        program: The machine.
        layouts: The places of its fields.
        dated: Whether what stamps shows the time of its command, and not 0.
    """

    def __init__(self, program: Program, layouts: Layouts, *, dated: bool = False) -> None:
        self._program = program
        self._dated = dated
        self._layouts = layouts
        #: Fields of values that an expression reads: (type, field); and their index in a record.
        self.looked_at: set[tuple[str, str]] = set()
        self.looked_at_in_records: set[tuple[str, str]] = set()
        self._settings: dict[str, list[Setting]] = {}
        #: Names whose values are inspected, not only passed on.
        self.names_looked_at: set[str] = set()
        #: Names and fields whose texts or ids are compared with others.
        self.compared: set[str | tuple[str, str]] = set()
        #: Those of them that are compared with more than texts that rules name.
        self.compared_with_others: set[str | tuple[str, str]] = set()
        #: The texts that rules name in comparisons, by what they compare them with.
        self.literals: dict[str | tuple[str, str], set[str]] = {}
        #: Texts of which rules test parts; and the literals that texts are tested to end with.
        self.characters: set[str | tuple[str, str]] = set()
        self.endings: set[object] = set()
        #: The keys of dicts that rules name, and what else is a key.
        self.keys: set[str] = set()
        self.key_sources: set[str | tuple[str, str]] = set()
        #: Closed sets of which an expression names a member, or reads a property.
        self.told_apart: set[str] = set()
        #: The value whose derived field is compiled: its fields are names there.
        self._derived_in = ""

    def function(self, tree: Expression, *, whole: bool = False) -> Function:
        """Return the function of an expression.

        Args:
            tree: The expression.
            whole: Whether a name alone counts as inspected, and not only as passed on.
        """
        if whole or not isinstance(tree, nodes.Name | nodes.Construct):
            self._note_names(tree)
        return self._term(tree).of

    def derived(self, record: str, tree: Expression) -> Function:
        """Return the function of a field that the constructor of a value derives."""
        outer, self._derived_in = self._derived_in, record
        function = self.function(tree)
        self._derived_in = outer
        return function

    def _note_names(self, tree: Expression) -> None:
        for node in nodes_of(tree):
            if isinstance(node, nodes.Name) and node.root not in (Root.ENTRY, Root.STAMP):
                self.names_looked_at.add(node.name)

    def _term(self, tree: Expression) -> Term:
        match tree:
            case nodes.Literal(value=value):
                return Term(lambda names: value)
            case nodes.Member(type=enum, word=word):
                self.told_apart.add(enum.required.name)
                return Term(lambda names: word)
            case nodes.StatusSet(members=members):
                return Term(lambda names: members)
            case nodes.Name():
                return self._name(tree)
            case nodes.Field():
                return self._field(tree)
            case nodes.Count(base=base, key=key):
                many, one, place = self._of(base), self._of(key), self._layouts.places(base.type)
                return Term(lambda names: many(names)[place[one(names)]])
            case nodes.Conditional(test=test, then=then, otherwise=otherwise):
                asked, yes, no = self._of(test), self._of(then), self._of(otherwise)
                return Term(lambda names: yes(names) if asked(names) else no(names))
            case nodes.Extreme(function=function, operands=operands):
                parts = self._all(operands)
                choose = min if function == "min" else max
                return Term(lambda names: choose(part(names) for part in parts))
            case nodes.Arithmetic(operator=sign, left=left, right=right):
                one, other = self._of(left), self._of(right)
                apply = ARITHMETIC[sign]
                return Term(lambda names: apply(one(names), other(names)))
            case nodes.Negative(operand=operand):
                of = self._of(operand)
                return Term(lambda names: -of(names))
            case nodes.Construct():
                return self._construct(tree)
            case Length(value=value):
                (of,) = self._noted(value)
                return Term(lambda names: len(of(names)))
            case Items() | Joined():
                return self._several(tree)
            case Put(base=base, key=key) | Without(base=base, key=key) | Get(base=base, key=key):
                more = [tree.value] if isinstance(tree, Put) else []
                more += [tree.default] if isinstance(tree, Get) and tree.default else []
                functions = (*self._keyed(key, base), *self._all(more))
                return Term(of_dict(tree, (functions[1], functions[0], *functions[2:])))
            case nodes.Holder(found=found) | nodes.IsLive(found=found):
                return self._term(found)
            case nodes.Quantified(function=function, element=element, loops=loops):
                if function == "distinct":
                    self._look_into(element)
                    self._noted(element, element)
                values, counted = self._values(element, loops), FUNCTIONS[function]
                return Term(lambda names: counted(values(names)))
        return self._test(tree)

    def _of(self, tree: Expression) -> Function:
        return self._term(tree).of

    def _all(self, trees: Sequence[Expression]) -> tuple[Function, ...]:
        return tuple(map(self._of, trees))

    # Leaves -------------------------------------------------------------------------------------

    def _name(self, tree: nodes.Name) -> Term:
        name = tree.name
        if tree.root is Root.STAMP:
            return Term((lambda names: names[NOW]) if self._dated else (lambda names: 0))
        if tree.root is Root.ENTRY:
            entity = str(self._program.machine.entity)
            record = nodes.Name(ENTITY, Root.RECORD, entity)
            return self._field(nodes.Field(tree.type, record, name))
        source = (self._derived_in, name) if tree.root is Root.OWN else name
        return Term(lambda names: names[name], tree.type.required == ENTITY, source)

    def _field(self, tree: nodes.Field) -> Term:
        layouts, field = self._layouts, tree.name
        if isinstance(tree.base, nodes.Name) and tree.type.kind == "counts":
            # In a state, the cursors before and after a step are not fields of the registry.
            path = f"{tree.base.name}.{field}"
            return Term(lambda names: names[path])
        base = self._term(tree.base)
        of, type = base.of, _declared(tree.base.type.required)
        if type.kind == "enum":
            self.told_apart.add(type.name)
            table, _ = layouts.property(type.name, field)
            return Term(lambda names: table[of(names)])
        source = (type.name or type.kind, field)
        self.looked_at.add(source)
        if base.of_record:
            self.looked_at_in_records.add(source)
        if type.kind == "union":
            return self._of_variant(type, field, base)
        place, _ = layouts.field(type, field)
        return Term(lambda names: of(names)[place], base.of_record, source)

    def _of_variant(self, union: Type, field: str, base: Term) -> Term:
        """Return a field of a variant, or the tag; the variant is known at evaluation alone."""
        of, tags = base.of, self._layouts.tags(union, field)
        if tags is not None:
            kinds, _ = tags
            return Term(lambda names: kinds[of(names)[0]], base.of_record)
        places, _ = self._layouts.variant_field(union, field)

        def read(names: Names) -> Value:
            value = of(names)
            return value[places[value[0]]]

        return Term(read, base.of_record)

    # Tests --------------------------------------------------------------------------------------

    def _test(self, tree: Expression) -> Term:
        match tree:
            case nodes.And(operands=operands):
                return Term(conjunction(self._all(operands)))
            case nodes.Or(operands=operands):
                return Term(disjunction(self._all(operands)))
            case nodes.Not(operand=operand):
                of = self._of(operand)
                return Term(lambda names: not of(names))
            case nodes.Compare():
                return self._compare(tree)
            case nodes.IsNone(value=value, negated=negated):
                # That tells no two texts apart.
                of = self._of(value)
                return Term(lambda names: (of(names) is None) is not negated)
            case nodes.IsMember(value=value, member=member, negated=negated):
                of, word = self._of(value), self._of(member)
                return Term(lambda names: (of(names) == word(names)) is not negated)
            case nodes.IsVariant(value=value, variant=variant, negated=negated):
                of, variants = self._of(value), self._layouts.variants(variant)
                return Term(lambda names: is_one_of(of(names), variants) is not negated)
            case HasAffix(text=text, method=method, affix=affix):
                of, _ = self._noted(text, affix)
                self._note_characters(text, affix, is_end=method == "endswith")
                test = operator.methodcaller(method, affix.value)
                return Term(lambda names: test(of(names)))
            case nodes.Among(value=value, many=many, negated=negated):
                return self._among(value, many, negated=negated)
        raise TypeError(type(tree).__name__)

    def _noted(self, *trees: Expression) -> list[Function]:
        """Return the functions of compared operands, and record compared texts and ids."""
        terms = [self._term(tree) for tree in trees]
        texts = {
            tree.value
            for tree in trees
            if isinstance(tree, nodes.Literal) and isinstance(tree.value, str)
        }
        for tree, term in zip(trees, terms, strict=True):
            if element_of(tree.type).kind in ("id", "str", "bytes", "name"):
                self.compared.add(term.source)
                if sum(not isinstance(each, nodes.Literal) for each in trees) > 1:
                    self.compared_with_others.add(term.source)
                self.literals.setdefault(term.source, set()).update(texts)
        return [term.of for term in terms]

    def _look_into(self, *trees: Expression) -> None:
        """Note the fields of values that are compared whole; a variant has one value anyway."""
        records = self._program.symbols.records
        waiting = [element_of(tree.type) for tree in trees]
        while waiting:
            type = waiting.pop()
            fields = records[type.name].fields if type.kind == "record" else {}
            for name, info in fields.items():
                source = (type.name, name)
                self.looked_at.add(source)
                self.looked_at_in_records.add(source)
                self.compared.add(source)
                self.compared_with_others.add(source)
                waiting.append(element_of(info.type))

    def _keyed(self, key: Expression, many: Expression) -> list[Function]:
        """Return the functions of a key and of a dict; every key may meet every other."""
        term = self._term(key)
        if isinstance(key, nodes.Literal):
            self.keys.add(str(key.value))
        else:
            self.compared.add(term.source)
            self.key_sources.add(term.source)
        return [term.of, self._of(many)]

    def _note_characters(self, text: Expression, part: Expression, *, is_end: bool = False) -> None:
        self.characters |= {self._term(each).source for each in (text, part)} - {""}
        if is_end and isinstance(part, nodes.Literal):
            self.endings.add(part.value)

    def _compare(self, tree: nodes.Compare) -> Term:
        self._look_into(*tree.operands)
        functions = self._noted(*tree.operands)
        if len(functions) == 2:
            left, right = functions
            compare = COMPARISONS[tree.operators[0]]
            return Term(lambda names: compare(left(names), right(names)))
        sides = itertools.pairwise(functions)
        tests = [
            (one, COMPARISONS[sign], other)
            for sign, (one, other) in zip(tree.operators, sides, strict=True)
        ]
        return Term(
            lambda names: all(compare(one(names), other(names)) for one, compare, other in tests)
        )

    def _among(
        self, value: Expression, many: Expression | tuple[Expression, ...], *, negated: bool
    ) -> Term:
        if isinstance(many, Expression) and many.type.kind == DICT:
            of, among = self._keyed(value, many)
            return Term(
                lambda names: any(key == of(names) for key, _ in among(names)) is not negated
            )
        self._look_into(value)
        if isinstance(many, Expression):
            of, among = self._noted(value, many)
            if many.type.kind == "str":
                self._note_characters(many, value)
            return Term(lambda names: (of(names) in among(names)) is not negated)
        of, *items = self._noted(value, *many)
        return Term(lambda names: (of(names) in [item(names) for item in items]) is not negated)

    # Values -------------------------------------------------------------------------------------

    def _construct(self, tree: nodes.Construct) -> Term:
        variant = tree.variant
        for argument in tree.arguments:
            if not isinstance(argument, nodes.Name):
                self._note_names(argument)
        made, set_by_it = self._all(tree.arguments), self._set_by_constructor(variant)
        return Term(
            lambda names: (variant, *constructed([each(names) for each in made], set_by_it))
        )

    def _several(self, tree: Items | Joined) -> Term:
        parts = self._all(tree.elements if isinstance(tree, Items) else (tree.left, tree.right))
        if tree.type.kind == DICT:
            nothing = items_of({})
            return Term(lambda names: nothing)
        if tree.type.kind != SET:
            return Term(listed(tree, parts))
        members = self._layouts.members(element_of(tree.type).name)
        return Term(set_of(tree, members, parts))

    def _set_by_constructor(self, record: str) -> list[Setting]:
        """Return the fields that a constructor always sets itself."""
        if record not in self._settings:
            # Stored before it is complete: such a field may have the type that contains it.
            found = self._settings[record] = []
            fields = tuple(self._layouts.record(record))
            for place, name in enumerate(fields):
                tree = self._program.always.get((record, name))
                if tree is not None:
                    found.append((place, fields, self.derived(record, tree)))
        return self._settings[record]

    def _values(self, element: Expression, loops: Sequence[nodes.Loop]) -> Function:
        """Return the values of an element for every iteration of nested loops."""
        loop, *rest = loops
        variable = loop.variable
        if isinstance(loop.many, str):
            members = self._layouts.members(loop.many)
            many: Function = lambda names: members  # noqa: E731
        else:
            many = self._of(loop.many)
        passes = conjunction(self._all(loop.tests))
        if rest:
            below = self._values(element, rest)

            def values_of_each(names: Names) -> Iterator[Value]:
                for value in many(names):
                    names[variable] = value
                    if passes(names):
                        yield from below(names)

            return values_of_each
        of = self._of(element)

        def values(names: Names) -> Iterator[Value]:
            for value in many(names):
                names[variable] = value
                if passes(names):
                    yield of(names)

        return values


def _declared(type: Type) -> Type:
    """Return the declared type of a value: the union of a variant."""
    return type.inner if type.kind == "variant" and type.inner is not None else type
