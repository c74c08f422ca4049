"""Solve formulas with z3 (`pip install z3-solver`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from opslifecycle_codegen.modelcheck.symbolic.terms import Formula, Term, is_bool

#: z3 and its objects, which have no type annotations.
_Z3 = Any
#: Returns values that satisfy what is assumed but not a formula; None if there are none.
Example = Callable[[Formula], dict[str, str] | None]
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

    def assuming(self, given: Iterable[Formula]) -> Example:
        """Return what finds examples against formulas where some others hold."""
        # A solver of its own for each question takes four times as long.
        solver = self._z3.SimpleSolver()
        solver.add(*(self._of(each) for each in given))

        def example(formula: Formula) -> dict[str, str] | None:
            solver.push()
            try:
                solver.add(self._z3.Not(self._of(formula)))
                answer = solver.check()
                if answer == self._z3.unsat:
                    return None
                if answer == self._z3.unknown:
                    return {"z3": f"unknown: {solver.reason_unknown()}"}
                model = solver.model()
                return {each.name(): str(model[each]) for each in sorted(model.decls(), key=str)}
            finally:
                solver.pop()

        return example

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
