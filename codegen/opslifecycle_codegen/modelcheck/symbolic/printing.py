"""Print formulas: each operator in a language's spelling, shared parts once and by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from attrs import frozen

from opslifecycle_codegen.emit.texts import block_comment
from opslifecycle_codegen.modelcheck.scenarios import Scenario
from opslifecycle_codegen.modelcheck.state import Call
from opslifecycle_codegen.modelcheck.symbolic.terms import Formula, Member, Term


@frozen
class Spelling:
    """The spelling of operators and constants in a language."""

    operators: dict[str, str]
    negation: str
    choice: Callable[[str, str, str], str]
    truths: tuple[str, str]
    #: The maximum of all numbers in a state; comparisons with larger ones are decided.
    number_max: int | None = None


class Printer:
    """Prints the formulas of one step; shared parts are defined first."""

    def __init__(self, spelling: Spelling, formulas: Iterable[Formula]) -> None:
        self._spelling = spelling
        self._names: dict[int, str] = {}
        #: The shared parts by name, each after its operands.
        self.definitions: list[tuple[str, str]] = []
        counts: Counter[int] = Counter()
        order: list[Term] = []
        for formula in formulas:
            self._count(formula, counts, order)
        for term in order:
            if counts[id(term)] > 1 and _is_large(term):
                text = self.text(term)
                name = f"t{len(self.definitions) + 1}"
                self.definitions.append((name, text))
                self._names[id(term)] = name

    def _count(self, formula: Formula, counts: Counter[int], order: list[Term]) -> None:
        if not isinstance(formula, Term):
            return
        counts[id(formula)] += 1
        if counts[id(formula)] == 1:
            for each in formula.args:
                self._count(each, counts, order)
            order.append(formula)

    def text(self, formula: Formula) -> str:
        """Return the text of a formula, with names for shared parts."""
        spelling = self._spelling
        if isinstance(formula, Member):
            return formula.label
        if isinstance(formula, bool):
            return spelling.truths[formula]
        if not isinstance(formula, Term):
            return str(formula)
        if id(formula) in self._names:
            return self._names[id(formula)]
        if formula.op == "var":
            return formula.name
        most = spelling.number_max
        if formula.op in ("<", "<=") and most is not None:
            one, other = formula.args
            if _is_more(other, most) or _is_less(one, -most):
                return spelling.truths[True]
            if _is_more(one, most) or _is_less(other, -most):
                return spelling.truths[False]
        parts = [self.text(each) for each in formula.args]
        if formula.op == "not":
            return f"{spelling.negation}{parts[0]}"
        if formula.op == "ite":
            return spelling.choice(*parts)
        return f"({f' {spelling.operators[formula.op]} '.join(parts)})"


def _is_more(formula: Formula, most: int) -> bool:
    return not isinstance(formula, Term) and formula > most


def _is_less(formula: Formula, least: int) -> bool:
    return not isinstance(formula, Term) and formula < least


def _is_large(term: Term) -> bool:
    return len(term.args) > 2 or any(isinstance(e, Term) and e.op != "var" for e in term.args)


def members(formulas: Iterable[Formula]) -> dict[str, int]:
    """Return the members of closed sets that formulas name, with their numbers."""
    found: dict[str, int] = {}
    seen: set[int] = set()

    def look(formula: Formula) -> None:
        if isinstance(formula, Member):
            found[formula.label] = int(formula)
        elif isinstance(formula, Term) and id(formula) not in seen:
            seen.add(id(formula))
            for each in formula.args:
                look(each)

    for each in formulas:
        look(each)
    return dict(sorted(found.items()))


def header(scenario: Scenario, source: str) -> list[str]:
    """Return the comment at the top of a model."""
    left_out = ", ".join(scenario.declared.exclude) or "nothing"
    return [
        block_comment(f"Scenario {scenario.name} of {source}: {scenario.declared.summary}"),
        f"Records: {', '.join(scenario.interpreter.ids)}. Left out: {left_out}.",
        "Written by opslifecycle-codegen export.",
    ]


def call_text(call: Call) -> str:
    """Return the description of a call in a comment."""
    given = [f"{name}={_short(value)}" for name, value in call.arguments if value is not None]
    about = [call.id] if call.id is not None else []
    return block_comment(f"{call.method}({', '.join([*about, *given])})")


def _short(value: object) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(_short(each) for each in value)})"
    return str(value)
