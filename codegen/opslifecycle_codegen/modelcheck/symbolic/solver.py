"""Solve formulas with z3 (`pip install z3-solver`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from attrs import frozen

from opslifecycle_codegen.modelcheck.symbolic.terms import Formula, Term, is_bool

#: z3 and its objects, which have no type annotations.
_Z3 = Any


@frozen
class Model:
    """Values for which a formula is false.

    Attributes:
        values: Returns the value of any formula; None if z3 could not decide.
        unknown: Why it could not.
    """

    values: Callable[[Formula], int] | None
    unknown: str = ""

    def value(self, formula: Formula) -> int:
        """Return the value of a formula."""
        assert self.values is not None, self.unknown
        return self.values(formula)


#: Returns values that satisfy what is assumed but not a formula; None if there are none.
Refute = Callable[[Formula], Model | None]
#: Printed if z3 is not installed; it does not count as success.
SKIPPED = "SKIPPED: needs z3 (pip install z3-solver)"


class Solver:
    """A connection to z3; raises ImportError if it is not installed."""

    def __init__(self) -> None:
        import z3

        self._z3: _Z3 = z3
        self._known: dict[int, _Z3] = {}

    def valid(self, formula: Formula) -> bool:
        """Return whether a formula is valid."""
        return self.assuming([])(formula) is None

    def assuming(self, given: Iterable[Formula]) -> Refute:
        """Return what finds values against formulas where some others hold."""
        # A solver of its own for each question takes four times as long.
        solver = self._z3.SimpleSolver()
        solver.add(*(self._of(each) for each in given))

        def refute(formula: Formula) -> Model | None:
            solver.push()
            try:
                solver.add(self._z3.Not(self._of(formula)))
                answer = solver.check()
                if answer == self._z3.unsat:
                    return None
                if answer == self._z3.unknown:
                    return Model(None, f"z3 cannot decide: {solver.reason_unknown()}")
                return Model(self._values(solver.model()))
            finally:
                solver.pop()

        return refute

    def _values(self, model: _Z3) -> Callable[[Formula], int]:
        def value(formula: Formula) -> int:
            found = model.evaluate(self._of(formula), model_completion=True)
            if self._z3.is_bool(found):
                return bool(self._z3.is_true(found))
            return int(found.as_long())

        return value

    def _of(self, formula: Formula) -> _Z3:
        z3 = self._z3
        if not isinstance(formula, Term):
            return z3.BoolVal(formula) if isinstance(formula, bool) else z3.IntVal(int(formula))
        found = self._known.get(id(formula))
        if found is None:
            found = self._known[id(formula)] = self._made(formula)
        return found

    def _made(self, term: Term) -> _Z3:
        z3 = self._z3
        if term.op == "var":
            return z3.Bool(term.name) if is_bool(term) else z3.Int(term.name)
        parts = [self._of(each) for each in term.args]
        if term.op == "call":
            result = z3.BoolSort() if is_bool(term) else z3.IntSort()
            return z3.Function(term.name, *(z3.IntSort() for _ in parts), result)(*parts)
        if term.op == "and":
            return z3.And(*parts)
        if term.op == "or":
            return z3.Or(*parts)
        if term.op == "not":
            return z3.Not(parts[0])
        if term.op == "ite":
            return z3.If(*parts)
        one, other = parts
        return {
            "==": lambda: one == other, "<": lambda: one < other, "<=": lambda: one <= other,
            "+": lambda: one + other, "-": lambda: one - other,
            "*": lambda: one * other, "/": lambda: one / other,
        }[term.op]()  # fmt: skip
