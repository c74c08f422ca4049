"""What the documentation says of a user's machine: each section runs, or names tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
#: Pages that list others, and pages that `make` writes with their figures.
WITHOUT_CLAIMS = {"index", "assurance", "performance", "sizing"}
PAGES = sorted(
    path
    for pages in ("reference/language/*", "reference/versioning", "explanation/*", "howto/*")
    for path in DOCS.glob(f"{pages}.md")
    if path.stem not in WITHOUT_CLAIMS
)
_RUNS = re.compile(r"^```(console|python)", re.MULTILINE)
_NAMED = re.compile(r"^<!-- tests:\n(.*?)^-->", re.DOTALL | re.MULTILINE)
#: A section of so few lines only leads to the next one.
_LINES_MIN = 8


def sections(page: Path) -> list[tuple[str, str]]:
    """Return the sections of a page: heading and text; the first has no heading."""
    parts = re.split(r"^## (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [("", parts[0]), *zip(parts[1::2], parts[2::2], strict=True)]


@cache
def names_of_tests(path: Path) -> frozenset[str]:
    """Return the names of the tests, and of their classes, in a module or a folder of modules."""
    files = sorted(path.rglob("test_*.py")) if path.is_dir() else [path]
    return frozenset(
        node.name
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and node.name.startswith(("test_", "Test"))
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_each_section_runs_or_names_its_tests(page: Path) -> None:
    bare = [
        heading or "the beginning"
        for heading, text in sections(page)
        if text.count("\n") >= _LINES_MIN and not _RUNS.search(text) and not _NAMED.search(text)
    ]
    assert bare == [], "name tests behind the section: <!-- tests: … -->"


def test_each_named_test_exists() -> None:
    named = [
        line
        for page in PAGES
        for block in _NAMED.findall(page.read_text(encoding="utf-8"))
        for line in block.split()
    ]
    assert len(named) > 60
    for each in named:
        place, _, name = each.partition("::")
        assert (ROOT / place).exists(), each
        found = names_of_tests(ROOT / place)
        assert found, each
        assert not name or name in found, each
