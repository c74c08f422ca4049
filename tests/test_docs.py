"""The documentation: pages that show commands are run, printed pages are fresh, it builds."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from opslifecycle_codegen.emit.reference import PAGES

from tests.docs_runner import run_page

DOCS = Path(__file__).parents[1] / "docs"
RUN = [
    "tutorial",
    "operations",
    "howto/add-a-status",
    "howto/rename",
    "howto/ci",
    "howto/effects",
    "howto/run",
]


@pytest.mark.parametrize("page", RUN)
def test_what_it_shows_is_what_happens(page: str, tmp_path: Path) -> None:
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    assert run_page(text, tmp_path) >= 1


def test_every_page_with_commands_is_run() -> None:
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}
    shown = {
        page
        for page in pages
        if re.search(r"^```(console|python)", (DOCS / f"{page}.md").read_text("utf-8"), re.M)
    }
    assert shown == set(RUN)


@pytest.mark.parametrize("name", PAGES)
def test_the_reference_is_what_the_tables_say(name: str) -> None:
    assert (DOCS / "reference" / name).read_text(encoding="utf-8") == PAGES[name]()


def test_it_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", str(DOCS), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Where an action leads from each status" in (
        tmp_path / "generated/ops_lifecycle.html"
    ).read_text(encoding="utf-8")
