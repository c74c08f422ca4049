"""Type checking, legality and printing, each pass by itself, as tables."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from opslifecycle_codegen.analysis.expressions import compile_expression, narrowed_by
from opslifecycle_codegen.base.diagnostics import Diagnostics, InvalidMachineError, Location
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.emit.python import Printer
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.built_ins import LEGAL_STATUS
from opslifecycle_codegen.ir.expr import Expression, Root
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.scope import Scope
from opslifecycle_codegen.ir.symbols import EnumInfo, MemberInfo, PropertyInfo, Symbols
from opslifecycle_codegen.ir.types import BOOL, FLOAT, INT, STR, Type, optional
from opslifecycle_codegen.source.words import Expr

TURNSTILE = Path(__file__).with_name("turnstile.yaml").read_text(encoding="utf-8")
HERE = Location("m.yaml", 1, 1)
COLOUR = Type("enum", "Colour")
SYMBOLS = Symbols()
SYMBOLS.enums["Colour"] = EnumInfo(
    "Colour",
    "A colour.",
    {
        "red": MemberInfo("red", "Warm.", {"warm": True}),
        "blue": MemberInfo("blue", "Cold.", {"warm": False}),
    },
    {"warm": PropertyInfo(BOOL, "Whether it is warm.")},
)
NAMES = {
    "a": INT, "b": INT, "o": optional(INT), "x": FLOAT, "f": BOOL, "s": STR, "t": optional(STR),
    "c": COLOUR, "d": optional(COLOUR),
}  # fmt: skip


def scope() -> Scope:
    names: dict[str, Expression] = {
        name: nodes.Name(type, Root.PARAMETER, name) for name, type in NAMES.items()
    }
    return Scope(SYMBOLS, names)


def tree(text: str) -> Expression:
    found = Diagnostics()
    made = compile_expression(Expr(text, HERE), scope(), found)
    assert made is not None, found.findings
    return made


TYPES = [
    ("1", "int"),
    ("true", "bool"),
    ("'x'", "str"),
    ("a + 1", "int"),
    ("a - b", "int"),
    ("a + x", "float"),
    ("max(a, b)", "int"),
    ("min(a, x)", "float"),
    ("a < b <= 3", "bool"),
    ("a == x", "bool"),
    ("s == 'x'", "bool"),
    ("c is red", "bool"),
    ("c.warm and f", "bool"),
    ("c in [red, blue]", "bool"),
    ("o is None or o > a", "bool"),
    ("o is not None and o > a", "bool"),
    ("o if o is not None else a", "int"),
    ("a if f else None", "int | None"),
    ("a if f else o", "int | None"),
    ("t if t is not None else s", "str"),
    ("not (o is None) and o < 3", "bool"),
    ("d is not None and d.warm", "bool"),
    ("c if f else d", "Colour | None"),
]


@pytest.mark.parametrize(("text", "type"), TYPES, ids=[text for text, _ in TYPES])
def test_an_expression_has_its_type(text: str, type: str) -> None:
    assert str(tree(text).type) == type


MISTAKES = [
    ("o + 1", "wrong-type"),
    ("o > a", "wrong-type"),
    ("o is None and o > a", "wrong-type"),
    ("o is not None or o > a", "wrong-type"),
    ("d.warm", "may-be-none"),
    ("a is None", "always-false"),
    ("s is not None", "always-true"),
    ("f or true", "always-true"),
    ("f or c.warm or f", "expression-form"),
    ("f and false", "always-false"),
    ("f or not f", "always-true"),
    ("a < b and a >= b", "always-false"),
    ("s + 1", "wrong-type"),
    ("s < a", "wrong-type"),
    ("s == a", "wrong-type"),
    ("f and a", "wrong-type"),
    ("not a", "wrong-type"),
    ("c is green", "unknown-member"),
    ("c == 'red'", "wrong-type"),
    ("c.cold", "unknown-name"),
    ("z", "unknown-name"),
    ("a if a else b", "wrong-type"),
    ("a ** b", "expression-form"),
    ("lambda: a", "expression-form"),
    ("a.__class__", "unknown-name"),
    ("[a for a in s]", "expression-form"),
    ("open('x')", "unknown-name"),
    ("a +", "expression-syntax"),
]


@pytest.mark.parametrize(("text", "rule"), MISTAKES, ids=[text for text, _ in MISTAKES])
def test_a_mistake_is_reported_once_by_its_rule(text: str, rule: str) -> None:
    found = Diagnostics()
    assert compile_expression(Expr(text, HERE), scope(), found) is None
    assert [each.rule for each in found.findings] == [rule]


NARROWED = [
    ("o is not None", True, "int"),
    ("o is not None", False, "none"),
    ("o is None", True, "none"),
    ("o is None", False, "int"),
    ("not o is None", True, "int"),
    ("f and o is not None", True, "int"),
    ("f and o is not None", False, "int | None"),
    ("f or o is not None", True, "int | None"),
    ("f or o is None", False, "int"),
    ("f", True, "int | None"),
]


@pytest.mark.parametrize(("text", "truth", "type"), NARROWED)
def test_a_test_narrows_what_it_speaks_of(text: str, truth: bool, type: str) -> None:
    after = narrowed_by(Expr(text, HERE), scope(), Diagnostics(), truth)
    assert str(after.narrowed.get("o", NAMES["o"])) == type


PRINTED = [
    ("a + 1 - b", "a + 1 - b"),
    ("a - (b - 1)", "a - (b - 1)"),
    ("(f or c.warm) and f", "(f or c.warm) and f"),
    ("not (a < b)", "a >= b"),
    ("not (c is red)", "c is not Colour.RED"),
    ("not (o is None)", "o is not None"),
    ("c in [red, blue]", "c in (Colour.RED, Colour.BLUE)"),
    ("s == 'it is \"so\"'", "s == 'it is \"so\"'"),
    ("a if f else b", "a if f else b"),
    ("a if f else a", "a"),
    ("max(a, 3)", "max(a, 3)"),
    ("o is not None and o > 3", "o is not None and o > 3"),
    ("true", "True"),
]


@pytest.mark.parametrize(("text", "python"), PRINTED, ids=[text for text, _ in PRINTED])
def test_a_tree_is_printed_as_python(text: str, python: str) -> None:
    assert Printer(SYMBOLS).code(tree(text)).text == python


def test_a_tree_that_is_made_by_hand_is_printed_too() -> None:
    record = nodes.Name(Type("entity"), Root.RECORD, "gate")
    count = nodes.Field(INT, record, "coins")
    test = nodes.Compare(BOOL, (count, nodes.number(3)), ("<",))
    assert Printer(SYMBOLS).code(test).text == "gate.coins < 3"
    assert notation(test) == "gate.coins < 3"


def turnstile(guards: str, checks: str) -> str:
    """The turnstile whose `coin` has these guards, which are declared as said."""
    text = TURNSTILE.replace("\nillegal_transition:", f"{guards}\nillegal_transition:", 1)
    old = re.search(r"  coin: \{.*methods: \[coin\], ", text)
    assert old is not None
    return text.replace(old[0], f"{old[0]}guards: {checks}, ", 1)


FEW = "  few: {when: gate.coins < 9, error: {no_such_gate: {id: id}}}\n"
LEGALITY = [
    # Where the list does not say it, the test of the status follows what makes the record certain.
    ("", "[known]", ["known", LEGAL_STATUS]),
    (FEW, "[known, few]", ["known", LEGAL_STATUS, "few"]),
    (FEW, "[known, few, legal_status]", ["known", "few", LEGAL_STATUS]),
    (FEW, "[known, legal_status, few]", ["known", LEGAL_STATUS, "few"]),
]


@pytest.mark.parametrize(("guards", "checks", "placed"), LEGALITY)
def test_every_action_tests_the_status(guards: str, checks: str, placed: list[str]) -> None:
    program = program_of(turnstile(guards, checks).encode(), "m.yaml")
    coin = next(action for action in program.actions if action.name == "coin")
    assert [each.guard for each in coin.guards if "range" not in each.guard] == placed
    test = next(each.test for each in coin.guards if each.guard == LEGAL_STATUS)
    assert isinstance(test, nodes.Among)
    assert notation(test.value) == "gate.status"


ILLEGAL = [
    "gate.status in action.from_statuses",
    "gate.status in action.from_statuses or gate.coins > 0",
    "gate.status not in action.from_statuses",
]


@pytest.mark.parametrize("when", ILLEGAL)
def test_no_guard_decides_legality(when: str) -> None:
    guard = f"  free: {{when: {when}, error: {{no_such_gate: {{id: id}}}}}}\n"
    with pytest.raises(InvalidMachineError) as caught:
        program_of(turnstile(guard, "[known, free]").encode(), "m.yaml")
    assert "legality" in {each.rule for each in caught.value.findings}
