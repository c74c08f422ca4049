"""The shipped machine, edited and searched."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.modelcheck.search import Search
from opslifecycle_codegen.modelcheck.slices import Slice, slices

ROOT = Path(__file__).parents[2]
SHIPPED = (ROOT / "machine/ops_lifecycle.yaml").read_text(encoding="utf-8")


def edited(*edits: tuple[str, str]) -> Program:
    """The shipped machine with some of its text replaced."""
    text = SHIPPED
    for old, new in edits:
        assert text.count(old) == 1, f"{text.count(old)} places have {old!r}"
        text = text.replace(old, new)
    return program_of(text.encode(), "edited.yaml")


def slice_of(program: Program, name: str) -> Slice:
    return next(each for each in slices(program) if each.name == name)


@cache
def search(name: str) -> Search:
    """The search of a slice of the shipped machine, done once for all tests."""
    done = Search(slice_of(edited(), name))
    done.run()
    return done


SLICES = [each.name for each in slices(edited()) if not each.declared.large]
