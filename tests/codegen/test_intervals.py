"""The passes that keep numbers in their ranges, each by itself, as tables."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st
from opslifecycle_codegen.analysis.counters import live_counters, small_steps
from opslifecycle_codegen.analysis.expressions import compile_expression
from opslifecycle_codegen.analysis.interval import ANYTHING, Interval
from opslifecycle_codegen.analysis.intervals import State, linear, substituted
from opslifecycle_codegen.analysis.zones import ZERO, Sum, Zone
from opslifecycle_codegen.base.diagnostics import Diagnostics, InvalidMachineError, Location
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression, Root
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.scope import Scope
from opslifecycle_codegen.ir.symbols import Symbols
from opslifecycle_codegen.ir.types import BOOL, INT, INT_MAX, Limits, Type, optional
from opslifecycle_codegen.source.words import Expr

from tests.support.scale import whole_or

ROOT = Path(__file__).parents[2]
S = Type("int", "Change", limits=Limits(-9, 9))
NAMES = {"a": INT, "b": INT, "c": INT, "o": optional(INT), "f": BOOL, "s": S}


def compiled(text: str) -> Expression | None:
    """Return a typed expression over some numbers `a`, `b`, `c`, an optional `o` and a flag `f`.

    None for a condition that is refused because parts of it decide or repeat each other.
    """
    names: dict[str, Expression] = {
        name: nodes.Name(type, Root.PARAMETER, name) for name, type in NAMES.items()
    }
    found = Diagnostics()
    made = compile_expression(Expr(text, Location("m", 1, 1)), Scope(Symbols(), names), found)
    refused = {"always-true", "always-false", "expression-form"}
    assert made is not None or {each.rule for each in found.findings} <= refused, found.findings
    return made


def tree(text: str) -> Expression:
    made = compiled(text)
    assert made is not None, text
    return made


def state(*tests: str) -> State:
    known = State(lambda name: ANYTHING)
    for test in tests:
        known = known.assuming(tree(test))
    return known


class TestZone:
    def test_bounds_are_closed_over_what_follows(self) -> None:
        zone = Zone().with_bound("x", "y", 3)
        assert zone is not None
        zone = zone.with_bound("y", ZERO, 4)
        assert zone is not None
        assert zone.difference_max("x", ZERO) == 7
        assert zone.most(Sum({"x": 1, "y": 1})) == 11

    def test_a_circle_below_zero_is_no_zone(self) -> None:
        zone = Zone().with_bound("x", "y", -1)
        assert zone is not None
        assert zone.with_bound("y", "x", 0) is None
        assert zone.with_bound("y", "x", 1) is not None
        assert zone.with_bound("x", "x", -1) is None

    def test_a_variable_can_be_shifted_and_forgotten(self) -> None:
        zone = Zone().with_bound("x", ZERO, 4)
        assert zone is not None
        assert zone.shifted("x", 2).most(Sum({"x": 1})) == 6
        assert not zone.without(["x"]).knows("x")


BOUNDS: list[tuple[tuple[str, ...], str, int | None, int | None]] = [
    ((), "7", 7, 7),
    ((), "a", 0, INT_MAX),
    ((), "a + 1", 1, INT_MAX + 1),
    ((), "a - 1", -1, INT_MAX - 1),
    (("a > 0",), "a - 1", 0, INT_MAX - 1),
    (("b <= a",), "a - b", 0, INT_MAX),
    (("b < a",), "a - b - 1", 0, INT_MAX - 1),
    (("b < a", "c < b"), "a - c", 2, INT_MAX),
    (("a == b",), "a - b", 0, 0),
    (("a + 2 <= b",), "b - a", 2, INT_MAX),
    (("a >= 3 and a <= 5",), "a + a", 6, 10),
    (("a in [2, 4]",), "a", 2, 4),
    (("a <= 5 or a <= 9",), "a", 0, 9),
    (("not (a > 5)",), "a", 0, 5),
    (("3 <= a <= 5",), "a", 3, 5),
    (("a != 0",), "a", 1, INT_MAX),
    (("o is not None", "f"), "a", 0, INT_MAX),
    ((), "max(a - 1, 0)", 0, INT_MAX - 1),
    ((), "min(a, 10)", 0, 10),
    ((), "min(a, b) - max(a, b)", -INT_MAX, INT_MAX),
    (("a <= min(b, 4)",), "b - a", 0, INT_MAX),
    (("max(a, b) <= 4",), "a + b", 0, 8),
    (("a < max(b, 4)",), "a", 0, INT_MAX - 1),
    ((), "a + 1 if a < 9 else a", 1, INT_MAX),
    ((), "a - b if b <= a else 0", 0, INT_MAX),
    (("(a if f else b) <= 4",), "min(a, b)", 0, 4),
    (("a + b <= 4",), "a + b", 0, 2 * INT_MAX),
    ((), "s", -9, 9),
    ((), "-s + 1", -8, 10),
    ((), "s * s", -81, 81),
    ((), "a * 3 - a", 0, 2 * INT_MAX),
    ((), "-2 * s", -18, 18),
    ((), "s // 2", -5, 4),
    ((), "s // -2", -5, 4),
    (("s != 0",), "100 // s", -100, 100),
    (("s > 2",), "100 // s", 11, 33),
    ((), "a % 7", 0, 6),
    (("a <= 4",), "a % 7", 0, 4),
    ((), "s % 7", 0, 6),
    ((), "a % -7", -6, 0),
    (("a >= 1",), "s // a", -9, 9),
    ((), "s * a", -9 * INT_MAX, 9 * INT_MAX),
]


@pytest.mark.parametrize(("tests", "text", "least", "most"), BOUNDS, ids=str)
def test_tests_bound_a_number(
    tests: tuple[str, ...], text: str, least: int | None, most: int | None
) -> None:
    assert state(*tests).bounds(tree(text)) == Interval(least, most)


@pytest.mark.parametrize(
    ("tests", "reached"),
    [
        (("a > 100 and a < 50",), False),
        (("a > 100", "a < 50"), False),
        (("a < b", "b < c", "c < a"), False),
        (("a < b", "b < c", "c <= a + 1"), False),
        (("a < b", "b < c", "c <= a + 2"), True),
        (("a == 3", "a != 3"), False),
        (("a < 0",), False),
        (("a in [2, 4]", "a > 4"), False),
        (("a > 100 or f", "a < 50"), True),
        (("false",), False),
        (("o == 3 or o is None", "a < 5"), True),
        (("o != 3",), True),
        (("s * s > 81",), False),
        (("s * s == 81",), True),
        (("a % 3 == 3",), False),
        (("-s > 9",), False),
        (("s == -9",), True),
    ],
    ids=str,
)
def test_contradictions_are_found_and_no_others(tests: tuple[str, ...], reached: bool) -> None:
    assert state(*tests).reached is reached


@pytest.mark.parametrize(
    ("updates", "text", "least", "most"),
    [
        ([("a", "a - 1")], "a", 0, INT_MAX - 1),
        ([("a", "b")], "a - b", 0, 0),
        ([("a", "b + 1")], "a - b", 1, 1),
        ([("a", "3 if f else 5")], "a", 3, 5),
        ([("a", "max(b, 2)")], "a", 2, INT_MAX),
        ([("a", "7"), ("b", "a")], "b", 7, 7),
        ([("a", "b"), ("b", "0")], "a", 0, INT_MAX),
    ],
    ids=str,
)
def test_an_update_moves_the_bounds(
    updates: list[tuple[str, str]], text: str, least: int, most: int
) -> None:
    known = state("a > 0")
    for target, value in updates:
        known = known.after(tree(target), tree(value))
    assert known.bounds(tree(text)) == Interval(least, most)


def test_sums_are_read_and_values_put_in() -> None:
    assert linear(tree("a - b + 3 - a")) == Sum({"b": -1}, 3)
    assert linear(tree("min(a, b)")) is None
    assert linear(tree("f")) is None
    written = substituted(tree("a - b if a > b else c"), {"a": tree("b + 1")})
    assert notation(written) == "b + 1 - b if b + 1 > b else c"


numbers = st.integers(0, 6)
atoms = st.sampled_from(["a", "b", "c", "s", "0", "1", "3", "-2"])
terms = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "//", "%"]), inner).map(
            lambda t: f"({' '.join(t)})"
        ),
        inner.map(lambda text: f"(-{text})"),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(
            lambda t: f"{t[0]}({t[1]}, {t[2]})"
        ),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} < {t[2]} else {t[1]})"),
    ),
    max_leaves=5,
)
comparisons = st.tuples(terms, st.sampled_from(["<", "<=", "==", "!=", ">", ">="]), terms).map(
    " ".join
)
tests_ = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([" and ", " or "]), inner).map(
            lambda t: f"({''.join(t)})"
        ),
        inner.map(lambda text: f"(not {text})"),
    ),
    max_leaves=4,
)


@settings(max_examples=whole_or(300, 50))
@given(st.lists(tests_, max_size=3), terms, terms, numbers, numbers, numbers, st.integers(-9, 9))
def test_whatever_can_happen_is_inside(
    tests: list[str], value: str, after: str, a: int, b: int, c: int, s: int
) -> None:
    names = {"a": a, "b": b, "c": c, "s": s}

    def run(text: str) -> int:
        code = compile(ast.parse(text, mode="eval"), "", "eval")
        try:
            number: int = eval(code, {**names})
        except ZeroDivisionError:
            # A command whose divisor is 0 is rejected before it is made.
            reject()
        return number

    assume(None not in map(compiled, tests))
    if not all(run(test) for test in tests):
        return
    known = state(*tests)
    assert known.reached
    assert inside(run(value), known.bounds(tree(value)))
    known = known.after(tree("a"), tree(value))
    names["a"] = run(value)
    assert inside(run(after), known.bounds(tree(after)))


def inside(number: int, bounds: Interval) -> bool:
    return Interval(number, number).within(bounds)


class TestCounters:
    def test_the_shipped_machine(self) -> None:
        path = ROOT / "machine/ops_lifecycle.yaml"
        program = program_of(path.read_bytes(), str(path))
        assert live_counters(program) == {"registry.active_count": 1}
        assert small_steps(program) >= {
            "registry.active_count", "registry.next_completion_seq", "operation.sequence",
            "operation.progress_count",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("create", "ends", "recovered", "verdict"),
        [
            ("registry.open + 1", "registry.open - 1", "", "counted"),
            ("registry.open + 2", "registry.open - 1", "", "counted"),
            ("registry.open + 1", "registry.open - 1", "count(g for g in gates)", "counted"),
            ("registry.open + 1", "registry.open - 2", "", "refused"),
            ("registry.open", "registry.open - 1", "", "refused"),
            ("registry.open + 1", "registry.open - 1", "0", "refused"),
            (
                "registry.open + 1",
                "registry.open - 1",
                "count(g for g in gates if g.place == 'a')",
                "refused",
            ),
            ("registry.open + 1", "0", "", "accepted"),
            ("registry.open + 1", "max(registry.open - 1, 0)", "", "accepted"),
        ],
    )
    def test_a_count_of_live_records_is_bounded_by_them_or_refused(
        self, create: str, ends: str, recovered: str, verdict: str
    ) -> None:
        text = (ROOT / "tests/codegen/turnstile.yaml").read_text()
        again = f", recovered_as: {recovered}" if recovered else ""
        field = f"registry:\n  open: {{type: int, initial: '0', summary: Open ones.{again}}}\n"
        text = text.replace("errors:", f"{field}\nrecovery: {{persist_if: true}}\n\nerrors:")
        update = f"  to: locked\n  update: {{registry.open: {create}}}\n"
        text = text.replace("  to: locked\n", update, 1)
        ending = f"on_terminal:\n  - update: {{registry.open: '{ends}'}}\n"
        text = text.replace("actions:\n", f"{ending}\nactions:\n", 1)
        if verdict == "refused":
            with pytest.raises(InvalidMachineError, match=r"registry\.open may be below 0 here"):
                program_of(text.encode(), "gate.yaml")
            return
        counters = live_counters(program_of(text.encode(), "gate.yaml"))
        assert ("registry.open" in counters) is (verdict == "counted")
