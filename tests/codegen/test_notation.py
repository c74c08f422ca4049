"""Expressions in the notation of the machine file: as they are written, with few brackets."""

from __future__ import annotations

import pytest
from opslifecycle_codegen.analysis.expressions import compile_expression
from opslifecycle_codegen.base.diagnostics import Diagnostics, Location
from opslifecycle_codegen.ir.expr import Expression, Name, Root
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.scope import Scope
from opslifecycle_codegen.ir.symbols import EnumInfo, MemberInfo, Symbols
from opslifecycle_codegen.ir.types import BOOL, INT, Type, collection, optional
from opslifecycle_codegen.source.words import Expr

COLOUR = Type("enum", "Colour")
TYPES = {
    "a": INT, "b": INT, "o": optional(INT), "f": BOOL, "g": BOOL, "c": COLOUR,
    "many": collection(INT),
}  # fmt: skip


def tree(text: str) -> Expression:
    members = {word: MemberInfo(word, "") for word in ("red", "blue")}
    names: dict[str, Expression] = {n: Name(t, Root.PARAMETER, n) for n, t in TYPES.items()}
    found = Diagnostics()
    symbols = Symbols(enums={"Colour": EnumInfo("Colour", "", members)})
    made = compile_expression(Expr(text, Location("m", 1, 1)), Scope(symbols, names), found)
    assert made is not None, found.findings
    return made


WRITTEN = [
    "a + b - 1",
    "a - (b - 1)",
    "a + 1 <= b",
    "(a < b) == f",
    "f or g and a < b",
    "(f or g) and a < b",
    "not (f and g)",
    "not f or g",
    "not a < b",
    "a if f or g else b if g else 1",
    "(a if f else b) + 1",
    "a < (b if f else 1)",
    "o is None or o + 1 < a",
    "c is red or c == blue",
    "c in [red, blue]",
    "Colour.red == c",
    "a in many",
    "max(a, b + 1) < 2 <= a",
    "count(x for x in many if f and x < a) > 1",
    "all(x < y or f for x in many for y in many)",
    "any(k is red for k in Colour)",
]


@pytest.mark.parametrize("text", WRITTEN)
def test_what_is_written_is_read_back(text: str) -> None:
    assert notation(tree(text)) == text


@pytest.mark.parametrize("text", WRITTEN)
def test_brackets_that_change_nothing_are_left_out(text: str) -> None:
    assert notation(tree(f"({text})")) == text
