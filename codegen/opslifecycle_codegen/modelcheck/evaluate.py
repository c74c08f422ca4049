"""Expressions carried out: the tree of each becomes a function of the names it may use.

The values are plain: a member of a closed set is its wire spelling, a value a tuple of its fields,
a variant a tuple that its name begins, a record a tuple of its fields behind id and status.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from opslifecycle_codegen.ir.types import BOOL, ENTITY, INT, NONE, STR, UNKNOWN, Type
from opslifecycle_codegen.modelcheck.layouts import Layouts

Names = dict[str, Any]
Function = Callable[[Names], Any]
#: A field that a constructor sets: its place, the names of all fields, and its value by theirs.
_Setting = tuple[int, tuple[str, ...], Function]

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.eq,
    ast.IsNot: operator.ne,
    ast.In: lambda one, many: one in many,
    ast.NotIn: lambda one, many: one not in many,
}


@frozen
class Term:
    """What a tree became: its type, its function, and whether it is read of a record."""

    type: Type
    of: Function
    of_record: bool = False
    #: Where it is read: a name, or a field of a type.
    source: str | tuple[str, str] = ""


class Evaluator:
    """Turns the expressions of one machine into functions, and notes what they look at."""

    def __init__(self, layouts: Layouts) -> None:
        self._layouts = layouts
        #: Fields of values that an expression looks at: (type, field); and where in a record.
        self.looked_at: set[tuple[str, str]] = set()
        self.looked_at_in_records: set[tuple[str, str]] = set()
        self._settings: dict[str, list[_Setting]] = {}
        #: Names that are looked at, and not just handed on whole.
        self.names_looked_at: set[str] = set()
        #: Names and fields whose texts or identifiers are compared with others.
        self.compared: set[str | tuple[str, str]] = set()
        #: Closed sets of which a member is named, or told from the others by a property.
        self.told_apart: set[str] = set()

    def function(
        self,
        text: str,
        types: Mapping[str, Type],
        wanted: Type | None = None,
        *,
        whole: bool = False,
    ) -> Function:
        """Return the function of an expression that analysis has found to be right.

        `whole` says that a name alone is looked at, too, and not just handed on.
        """
        tree = ast.parse(text.strip(), mode="eval").body
        term = self._term(tree, types, wanted)
        if whole or (not isinstance(tree, ast.Name) and not _constructs(tree)):
            self._note_names(tree)
        return term.of

    def type_of(self, text: str, types: Mapping[str, Type]) -> Type:
        """Return the type of an expression."""
        return self._term(ast.parse(text.strip(), mode="eval").body, types, None).type

    def _note_names(self, tree: ast.expr) -> None:
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                self.names_looked_at.add(node.id)

    def _term(self, node: ast.expr, types: Mapping[str, Type], wanted: Type | None) -> Term:
        makers: dict[type[ast.expr], Callable[..., Term]] = {
            ast.Name: self._name,
            ast.Attribute: self._attribute,
            ast.Constant: self._constant,
            ast.Compare: self._compare,
            ast.BoolOp: self._bool_op,
            ast.UnaryOp: self._not,
            ast.BinOp: self._arithmetic,
            ast.IfExp: self._conditional,
            ast.Call: self._call,
            ast.Subscript: self._subscript,
        }
        return makers[type(node)](node, types, wanted)

    # Leaves -------------------------------------------------------------------------------------

    def _constant(self, node: ast.Constant, types: Mapping[str, Type], wanted: Type | None) -> Term:
        value = node.value
        kinds: dict[type, Type] = {bool: BOOL, int: INT, str: STR}
        return Term(kinds.get(type(value), NONE), lambda names: value)

    def _name(self, node: ast.Name, types: Mapping[str, Type], wanted: Type | None) -> Term:
        name = node.id
        if name in types:
            of_record = types[name] == ENTITY
            return Term(types[name], lambda names: names[name], of_record, name)
        if name in ("true", "false"):
            truth = name == "true"
            return Term(BOOL, lambda names: truth)
        # Nothing else is left than a member, as its place asks for one.
        self.told_apart.add(wanted.required.name if wanted else "")
        return Term(wanted.required if wanted else UNKNOWN, lambda names: name)

    def _attribute(
        self, node: ast.Attribute, types: Mapping[str, Type], wanted: Type | None
    ) -> Term:
        layouts, field = self._layouts, node.attr
        bare = node.value.id if isinstance(node.value, ast.Name) else ""
        if bare not in types and layouts.is_enum(bare):
            self.told_apart.add(bare)
            return Term(Type("enum", bare), lambda names: field)
        whole = ast.unparse(node)
        if whole in types:
            return Term(types[whole], lambda names: names[whole])
        base = self._term(node.value, types, None)
        of, type = base.of, base.type.required
        if type.kind == "enum":
            self.told_apart.add(type.name)
            table, found = layouts.property(type.name, field)
            return Term(found, lambda names: table[of(names)])
        self.looked_at.add((type.name or type.kind, field))
        if base.of_record:
            self.looked_at_in_records.add((type.name or type.kind, field))
        if type.kind in ("union", "variant"):
            return self._of_variant(type, field, of, base.of_record)
        place, found = layouts.field(type, field)
        source = (type.name or type.kind, field)
        return Term(found, lambda names: of(names)[place], base.of_record, source)

    def _of_variant(self, type: Type, field: str, of: Function, of_record: bool) -> Term:
        """Return a field of a variant, or the tag: which variant it is shows only now."""
        tags = self._layouts.tags(type, field)
        if tags is not None:
            kinds, found = tags
            return Term(found, lambda names: kinds[of(names)[0]], of_record)
        places, found = self._layouts.variant_field(type, field)

        def read(names: Names) -> Any:
            value = of(names)
            return value[places[value[0]]]

        return Term(found, read, of_record)

    def _subscript(
        self, node: ast.Subscript, types: Mapping[str, Type], wanted: Type | None
    ) -> Term:
        base = self._term(node.value, types, None)
        key = self._term(node.slice, types, base.type.inner)
        many, one = base.of, key.of
        place = self._layouts.places(base.type)
        return Term(INT, lambda names: many(names)[place[one(names)]])

    # Operators ----------------------------------------------------------------------------------

    def _bool_op(self, node: ast.BoolOp, types: Mapping[str, Type], wanted: Type | None) -> Term:
        parts = [self._term(each, types, BOOL).of for each in node.values]
        if isinstance(node.op, ast.And):
            if len(parts) == 2:
                one, other = parts
                return Term(BOOL, lambda names: one(names) and other(names))
            return Term(BOOL, lambda names: all(part(names) for part in parts))
        return Term(BOOL, lambda names: any(part(names) for part in parts))

    def _not(self, node: ast.UnaryOp, types: Mapping[str, Type], wanted: Type | None) -> Term:
        of = self._term(node.operand, types, BOOL).of
        return Term(BOOL, lambda names: not of(names))

    def _arithmetic(self, node: ast.BinOp, types: Mapping[str, Type], wanted: Type | None) -> Term:
        one, other = (self._term(each, types, None).of for each in (node.left, node.right))
        if isinstance(node.op, ast.Add):
            return Term(INT, lambda names: one(names) + other(names))
        return Term(INT, lambda names: one(names) - other(names))

    def _conditional(self, node: ast.IfExp, types: Mapping[str, Type], wanted: Type | None) -> Term:
        test = self._term(node.test, types, BOOL).of
        then, otherwise = (self._term(each, types, wanted) for each in (node.body, node.orelse))
        yes, no = then.of, otherwise.of
        type = otherwise.type if then.type == NONE else then.type
        return Term(type, lambda names: yes(names) if test(names) else no(names))

    def _compare(self, node: ast.Compare, types: Mapping[str, Type], wanted: Type | None) -> Term:
        left = self._term(node.left, types, None)
        tests: list[tuple[Function, Callable[[Any, Any], Any], Function]] = []
        for sign, operand in zip(node.ops, node.comparators, strict=True):
            right = self._operand(sign, operand, left, types)
            if left.type.required.kind in ("id", "str", "name"):
                self.compared.update({left.source, right.source})
            tests.append((left.of, _COMPARISONS[type(sign)], right.of))
            left = right
        if len(tests) == 1:
            ((one, compare, other),) = tests
            return Term(BOOL, lambda names: compare(one(names), other(names)))
        return Term(
            BOOL,
            lambda names: all(compare(one(names), other(names)) for one, compare, other in tests),
        )

    def _operand(
        self, sign: ast.cmpop, node: ast.expr, left: Term, types: Mapping[str, Type]
    ) -> Term:
        """What stands behind an operator; a variant or union after `is` is asked for as itself."""
        if isinstance(sign, ast.In | ast.NotIn) and isinstance(node, ast.List | ast.Tuple):
            items = [self._term(item, types, left.type).of for item in node.elts]
            return Term(UNKNOWN, lambda names: [item(names) for item in items])
        if isinstance(sign, ast.Is | ast.IsNot) and isinstance(node, ast.Name):
            variants = self._layouts.variants(node.id) if node.id not in types else None
            if variants is not None:
                return Term(UNKNOWN, lambda names: _OneOf(variants))
        return self._term(node, types, left.type)

    # Calls --------------------------------------------------------------------------------------

    def _call(self, node: ast.Call, types: Mapping[str, Type], wanted: Type | None) -> Term:
        assert isinstance(node.func, ast.Name)
        name = node.func.id
        if name in ("min", "max"):
            parts = [self._term(each, types, None).of for each in node.args]
            choose = min if name == "min" else max
            return Term(INT, lambda names: choose(part(names) for part in parts))
        if name not in ("all", "any", "count", "distinct"):
            fields = self._layouts.fields_of(name)
            made = [
                self._term(each, types, type).of
                for each, type in zip(node.args, fields, strict=True)
            ]
            for argument in node.args:
                if not isinstance(argument, ast.Name):
                    self._note_names(argument)
            set_by_it = self._set_by_constructor(name)
            return Term(
                Type("variant", name),
                lambda names: (name, *_constructed([each(names) for each in made], set_by_it)),
            )
        generator = node.args[0]
        assert isinstance(generator, ast.GeneratorExp)
        values = self._values(generator, types)
        if name == "all":
            return Term(BOOL, lambda names: all(values(names)))
        if name == "any":
            return Term(BOOL, lambda names: any(values(names)))
        if name == "count":
            return Term(INT, lambda names: sum(1 for _ in values(names)))
        return Term(BOOL, lambda names: _distinct(list(values(names))))

    def _set_by_constructor(self, record: str) -> list[_Setting]:
        """Return the fields that a constructor sets, whatever it is given."""
        if record not in self._settings:
            # Noted before it is complete: such a field may be of the type that it stands in.
            found = self._settings[record] = []
            fields = self._layouts.record(record)
            for place, info in enumerate(fields.values()):
                if info.declared.always is not None:
                    types = {each: info.type for each, info in fields.items()}
                    function = self.function(info.declared.always, types, info.type)
                    found.append((place, tuple(fields), function))
        return self._settings[record]

    def _values(self, node: ast.GeneratorExp, types: Mapping[str, Type]) -> Function:
        """Return the values of a generator, one clause inside another."""
        (part, *rest), inner = node.generators, dict(types)
        assert isinstance(part.target, ast.Name)
        target = part.target.id
        if isinstance(part.iter, ast.Name) and self._layouts.is_enum(part.iter.id):
            members = self._layouts.members(part.iter.id)
            many: Function = lambda names: members  # noqa: E731
            inner[target] = Type("enum", part.iter.id)
        else:
            term = self._term(part.iter, types, None)
            assert term.type.inner is not None
            many, inner[target] = term.of, term.type.inner
        tests = [self._term(test, inner, BOOL).of for test in part.ifs]
        if rest:
            below = self._values(ast.GeneratorExp(node.elt, rest), inner)
        else:
            element = self._term(node.elt, inner, None).of
            below = lambda names: (element(names),)  # noqa: E731

        def values(names: Names) -> Any:
            for value in many(names):
                names[target] = value
                if all(test(names) for test in tests):
                    yield from below(names)

        return values


def _constructed(fields: list[Any], set_by_it: list[_Setting]) -> list[Any]:
    for place, names, function in set_by_it:
        fields[place] = function(dict(zip(names, fields, strict=True)))
    return fields


class _OneOf:
    """Equal to every value of some variants."""

    def __init__(self, variants: frozenset[str]) -> None:
        self._variants = variants

    def __eq__(self, other: object) -> bool:
        return isinstance(other, tuple) and other[0] in self._variants

    def __hash__(self) -> int:
        return hash(self._variants)


def _constructs(tree: ast.expr) -> bool:
    return (
        isinstance(tree, ast.Call)
        and isinstance(tree.func, ast.Name)
        and (tree.func.id[:1].isupper())
    )


def _distinct(values: list[Any]) -> bool:
    return len(set(values)) == len(values)
