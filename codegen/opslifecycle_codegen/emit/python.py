"""The one printer of expressions: a typed tree to Python, and where it may be broken."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve, frozen

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.code import AND, ATOM, OR, SUM, Code, chain
from opslifecycle_codegen.emit.constants import StatusConstants
from opslifecycle_codegen.ir import expr, several, sized
from opslifecycle_codegen.ir.expr import Expression, Root, negation
from opslifecycle_codegen.ir.moments import datetime_arguments, timedelta_arguments
from opslifecycle_codegen.ir.naming import attribute, entry_local, key_index, parameter, variable
from opslifecycle_codegen.ir.program import Assignment
from opslifecycle_codegen.ir.symbols import Symbols
from opslifecycle_codegen.ir.types import (
    BARRIER,
    BOOL,
    DATETIME,
    NONE,
    REGISTRY,
    TIMEDELTA,
    decimal_notation,
)

#: How names are written that are the same wherever they may stand.
_FIXED = {
    Root.BEFORE: "before",
    Root.AFTER: "after",
    Root.ID: "id",
    Root.ACTION: "action",
    Root.ACTION_LABEL: "label",
    Root.ACTION_STATUSES: "from_statuses",
    Root.FEED: "rows",
    Root.BARRIERS: "barriers",
    Root.WATCHERS: "watcher_count",
}
_SPELLED = {
    Root.RECORD: variable,
    Root.PARAMETER: parameter,
    Root.LOCAL: parameter,
    Root.LOOP: parameter,
    Root.ENTRY: entry_local,
}
_QUANTIFIERS = {"all": "all", "any": "any", "count": "sum", "distinct": "_distinct"}
#: What computes with decimal numbers, whatever the context of the calling thread is.
_EXACT = {"+": "add", "-": "subtract", "*": "multiply"}
#: What a linter wants negated by another operator, `a is not b` for `not a is b`.
_NEGATED = (expr.Compare, expr.Among, expr.IsNone, expr.IsVariant, expr.IsMember, expr.Not)


def constant(tree: Expression, symbols: Symbols, room: int) -> Code:
    """Return an expression without names; a text is in pieces where it needs more room."""
    match tree:
        case expr.Literal(value=str() as text):
            return layout.string_code(text, room)
    return Printer(symbols).code(tree)


@frozen
class Printer:
    """Prints expressions for a place where `registry` holds the authority."""

    symbols: Symbols
    registry: str = "self"
    #: Whether parameters stand under the names that callers know.
    public: bool = False
    #: The constants of a module that compares statuses.
    statuses: StatusConstants | None = None

    def code(self, tree: Expression) -> Code:
        """Return an expression."""
        match tree:
            case expr.Literal():
                return _literal(tree)
            case expr.Member(type=enum, word=word):
                constant = self.symbols.enums[enum.required.name].members[word].constant
                return Code(f"{enum.required.name}.{constant}")
            case expr.StatusSet(members=members):
                return self._statuses(members)
            case expr.Name(root=Root.NOW | Root.STAMP):
                parts = [Code("self.clock_offset_ms"), Code("self.now_ms")]
                return layout.joined("+", parts, SUM)
            case expr.Name():
                return Code(self._name(tree))
            case expr.Field():
                return self._field(tree)
            case expr.Count(base=base, key=key):
                return Code(f"{self.code(base).text}[{self.code(key).text}]")
            case expr.And(operands=operands):
                return layout.joined("and", [self.code(each) for each in operands], AND)
            case expr.Or(operands=operands):
                return self._or(operands)
            case expr.Not(operand=operand):
                return self._not(operand)
            case expr.Arithmetic(operator=operator, left=left, right=right) if (
                tree.type.required.kind == "decimal"
            ):
                function = f"_rt.EXACT.{_EXACT[operator]}"
                return layout.called(function, [self.code(left), self.code(right)])
            case expr.Arithmetic(operator=operator, left=left, right=right):
                return layout.calculated(self.code(left), operator, self.code(right))
            case expr.Negative(operand=operand) if tree.type.required.kind == "decimal":
                return layout.called("_rt.EXACT.minus", [self.code(operand)])
            case expr.Negative(operand=operand):
                return layout.negative(self.code(operand))
            case expr.Extreme(function=function, operands=operands):
                return layout.called(function, [self.code(each) for each in operands])
            case expr.Conditional(test=test, then=then, otherwise=otherwise):
                branches = self.code(then), self.code(test), self.code(otherwise)
                # A linter refuses a choice between two that are the same.
                return branches[0] if branches[0] == branches[2] else layout.conditional(*branches)
            case expr.Construct(variant=variant, arguments=arguments):
                return layout.called(variant, [self.code(each) for each in arguments])
            case several.Items(type=type, elements=()) if type.required.kind == several.DICT:
                return Code("_rt.FrozenDict()")
            case several.Put() | several.Without() | several.Get():
                return self._of_dict(tree)
            case several.Items() | several.Joined():
                return self._several(tree)
            case sized.Length() | sized.HasAffix():
                return self._sized(tree)
            case expr.Holder() | expr.IsLive():
                return self._of_another(tree)
            case expr.Quantified():
                return self._quantified(tree)
        return self._test(tree)

    def refusal(self, refusal: expr.Refusal) -> Code:
        """Return the error of a refused command."""
        name = f"_rt.{refusal.error}" if refusal.built_in else refusal.error
        return layout.called(name, [self.code(field) for field in refusal.fields])

    def assignment(self, update: Assignment) -> tuple[str, Code]:
        """What stands before the value of an update, and the value: `x = x + 1` as `x += 1`."""
        target, value = self.code(update.target), update.value
        exact = value.type.required.kind == "decimal"
        if (
            isinstance(value, expr.Arithmetic)
            and not exact
            and self.code(value.left).text == target.text
        ):
            return f"{target.text} {value.operator}= ", self.code(value.right)
        return f"{target.text} = ", self.code(value)

    def _of_another(self, tree: expr.Holder | expr.IsLive) -> Code:
        """Return what a command reads of another record than its own."""
        if isinstance(tree, expr.IsLive):
            return layout.called(f"{self.registry}._is_live", [self.code(tree.id)])
        codes = [self.code(each) for each in tree.keys]
        whole = codes[0] if len(codes) == 1 else layout.called("", codes)
        return layout.called(f"{self.registry}.{key_index(tree.method)}.get", [whole])

    def _several(self, tree: several.Items | several.Joined) -> Code:
        is_set = tree.type.required.kind == several.SET
        if isinstance(tree, several.Items):
            elements = [self.code(each) for each in tree.elements]
            if not is_set:
                return layout.called("", elements)
            return layout.called("frozenset", [layout.set_of(elements)] if elements else [])
        if is_set:
            left, right = self.code(tree.left).at(ATOM), self.code(tree.right).at(ATOM)
            return chain(SUM, (left, evolve(right, prefix=f"{tree.operator} ")))
        # A linter asks for one tuple in place of a sum with a tuple.
        sides = tree.left, tree.right
        spread = [
            part
            for side in sides
            for part in (
                [self.code(each) for each in side.elements]
                if isinstance(side, several.Items)
                else [Code(f"*{self.code(side).at(ATOM).text}")]
            )
        ]
        return layout.called("", spread)

    def _of_dict(self, tree: several.Put | several.Without | several.Get) -> Code:
        if isinstance(tree, several.Put):
            first, items = several.puts_of(tree)
            pairs = [layout.behind(f"{self.code(k).text}: ", self.code(v)) for k, v in items]
            inside = layout.set_of(pairs)
            if isinstance(first, several.Items):
                return layout.called("_rt.FrozenDict", [inside])
            return chain(SUM, (self.code(first).at(ATOM), evolve(inside, prefix="| ")))
        base = self.code(tree.base).at(ATOM).text
        if isinstance(tree, several.Without):
            return layout.called(f"{base}.without", [self.code(tree.key)])
        if tree.default is not None:
            return layout.called(f"{base}.get", [self.code(tree.key), self.code(tree.default)])
        if tree.type.optional or tree.type == NONE:
            return layout.called(f"{base}.get", [self.code(tree.key)])
        # A test has made sure that it is there, which type checkers do not know of a call.
        return Code(f"{base}[{self.code(tree.key).text}]")

    def _sized(self, tree: sized.Length | sized.HasAffix) -> Code:
        if isinstance(tree, sized.Length):
            return layout.called("len", [self.code(tree.value)])
        function = f"{self.code(tree.text).at(ATOM).text}.{tree.method}"
        return layout.called(function, [self.code(tree.affix)])

    # Kinds of nodes -----------------------------------------------------------------------------

    def _name(self, tree: expr.Name) -> str:
        if tree.root is Root.REGISTRY:
            return self.registry
        if tree.root is Root.RECORDS:
            return f"{self.registry}.records.values()"
        if tree.root is Root.CURSORS:
            return f"{self.registry}.cursors"
        if tree.root is Root.OWN:
            return f"self.{tree.name}"
        if tree.root is Root.PARAMETER and self.public:
            return tree.name
        if tree.root in _FIXED:
            return _FIXED[tree.root]
        return _SPELLED[tree.root](tree.name)

    def _field(self, tree: expr.Field) -> Code:
        base = self.code(tree.base).at(ATOM).text
        if tree.base.type == BARRIER:
            return Code(f"{base}.{tree.name}_ids()")
        own = tree.base.type == REGISTRY and tree.type.kind != "counts"
        return Code(f"{base}.{attribute(tree.name) if own else tree.name}")

    def _statuses(self, members: tuple[str, ...]) -> Code:
        assert self.statuses is not None, "only the authority compares with several statuses"
        return self.statuses.starting(members)

    def _not(self, operand: Expression) -> Code:
        if isinstance(operand, _NEGATED):
            opposite = negation(operand)
            if opposite != expr.Not(BOOL, operand):
                return self.code(opposite)
        return layout.negated(self.code(operand))

    def _or(self, operands: Sequence[Expression]) -> Code:
        # A formatter keeps the brackets that make `and` inside `or` plain to see, and a linter asks
        # for them.
        codes = [self.code(each) for each in operands]
        plain = [code.at(ATOM) if code.binds == AND else code for code in codes]
        return layout.joined("or", plain, OR)

    def _test(self, tree: Expression) -> Code:
        match tree:
            case expr.Compare():
                return layout.compared(list(map(self.code, tree.operands)), tree.operators)
            case expr.Among(value=value, many=expr.StatusSet(members=(only,)), negated=negated):
                one = expr.Member(value.type, only)
                return self._test(expr.IsMember(tree.type, value, one, negated))
            case expr.Among(value=value, many=many, negated=negated):
                sides = [self.code(value), self._many(many)]
                return layout.compared(sides, ["not in" if negated else "in"])
            case expr.IsNone(value=value, negated=negated):
                sides = [self.code(value), Code("None")]
                return layout.compared(sides, ["is not" if negated else "is"])
            case expr.IsVariant(value=value, variant=variant, negated=negated):
                test = layout.called("isinstance", [self.code(value), Code(variant)])
                return layout.negated(test) if negated else test
            case expr.IsMember(value=value, member=member, negated=negated):
                sides = [self.code(value), self.code(member)]
                return layout.compared(sides, ["is not" if negated else "is"])
        raise TypeError(type(tree).__name__)

    def _many(self, many: Expression | tuple[Expression, ...]) -> Code:
        if isinstance(many, Expression):
            return self.code(many)
        return layout.called("", [self.code(item) for item in many])

    def _quantified(self, tree: expr.Quantified) -> Code:
        clauses = [clause for loop in tree.loops for clause in self._clauses(loop)]
        element = self.code(tree.element)
        if tree.function == "count":
            element = Code("1")
            if len(tree.loops) == 1 and not tree.loops[0].tests:
                # Nothing is asked of what is counted, so it needs no name.
                clauses = self._clauses(evolve(tree.loops[0], variable="_"))
        return layout.comprehension(_QUANTIFIERS[tree.function], element, clauses)

    def _clauses(self, loop: expr.Loop) -> list[Code]:
        many = Code(loop.many) if isinstance(loop.many, str) else self.code(loop.many)
        clauses = [evolve(many, prefix=f"for {parameter(loop.variable)} in ")]
        tests = (self.code(test).at(OR) for test in loop.tests)
        return [*clauses, *(evolve(test, prefix="if ") for test in tests)]


def _literal(tree: expr.Literal) -> Code:
    value, type = tree.value, tree.type.required
    if isinstance(value, float):
        # Without the sign of a positive exponent, as formatters leave it.
        return Code(repr(value).replace("e+", "e"))
    if isinstance(value, str):
        return Code(layout.quoted(value))
    if not isinstance(value, int):
        return Code(repr(value))
    if type == DATETIME:
        figures = [*datetime_arguments(value), "tzinfo=_dt.UTC"]
        return layout.called("_dt.datetime", [Code(each) for each in figures])
    if type == TIMEDELTA:
        return layout.called("_dt.timedelta", [Code(each) for each in timedelta_arguments(value)])
    if type.kind == "decimal":
        text = Code(layout.quoted(decimal_notation(value, type.places)))
        return layout.called("_dec.Decimal", [text])
    return Code(repr(value))
