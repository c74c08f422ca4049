"""The documentation: pages that show commands are run, printed pages are fresh, it builds."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import opslifecycle
import opslifecycle.work
import pytest
from opslifecycle_codegen.cli.scaffold import begin
from opslifecycle_codegen.emit import reference

from docs import command_pages
from tests.support.docs_runner import run_page
from tests.support.postgres.server import PostgresServer

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
LINES_MAX = 400
#: The pages that are printed from tables and commands, by their file names.
PRINTED = {**reference.PAGES, **command_pages.PAGES}
PAGE_NAMES = sorted(
    path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")
)
#: Pages beside these four folders: the first page, and what others link to.
ELSEWHERE = {"index", "generated", "decisions"}

#: Pages whose commands take the longest, or resemble those of other pages.
AT_NIGHT = {
    *["howto/operations", "howto/rename", "howto/add-a-status", "howto/postgres", "howto/draft"],
    *["howto/numbers", "howto/collections", "howto/regions", "howto/times", "howto/verify"],
    *["howto/pages", "howto/calls", "howto/guards", "howto/groups", "howto/changes"],
}


def text_of(page: str) -> str:
    return (DOCS / f"{page}.md").read_text(encoding="utf-8")


def pages_with_commands() -> list[str]:
    return [page for page in PAGE_NAMES if re.search(r"^```(console|python)", text_of(page), re.M)]


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.nightly] * (page in AT_NIGHT))
        for page in pages_with_commands()
    ],
)
def test_what_a_page_shows_is_what_happens(
    page: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "postgresql:///app" in text_of(page):
        server: PostgresServer = request.getfixturevalue("postgres_server")
        server.create_database("app")
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
    assert run_page(text_of(page), tmp_path) >= 1


def test_the_pages_that_run_include_tutorials_guides_and_explanations() -> None:
    folders = {page.partition("/")[0] for page in pages_with_commands()}
    assert {"tutorial", "howto", "explanation"} <= folders


def test_every_page_is_in_one_of_the_four_folders() -> None:
    folders = {page.partition("/")[0] for page in PAGE_NAMES} - ELSEWHERE
    assert folders == {"tutorial", "howto", "reference", "explanation"}
    for folder in folders:
        assert f"{folder}/index" in PAGE_NAMES


@pytest.mark.parametrize("page", [page for page in PAGE_NAMES if page.startswith("reference/")])
def test_reference_pages_are_short(page: str) -> None:
    if page.removeprefix("reference/") + ".md" not in PRINTED:
        assert text_of(page).count("\n") <= LINES_MAX


def headings(text: str) -> set[str]:
    """The anchors of a page: its headings as the builder spells them."""
    fenced = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    found = re.findall(r"^#+ (.*)", fenced, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in found}


@pytest.mark.parametrize("page", PAGE_NAMES)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text_of(page)):
        path, _, anchor = target.partition("#")
        linked = (DOCS / f"{page}.md").parent / path if path else DOCS / f"{page}.md"
        assert linked.exists(), target
        if anchor:
            assert anchor in headings(linked.read_text(encoding="utf-8")), target


def test_the_tutorial_explains_what_init_writes(tmp_path: Path) -> None:
    begin(tmp_path, "parcel")
    machine = (tmp_path / "machine/parcel.yaml").read_text(encoding="utf-8")
    shown = re.findall(r"^```yaml\n(.*?)^```", text_of("tutorial/first-machine"), re.M | re.S)
    assert len(shown) >= 8
    for each in shown:
        assert each in machine


@pytest.mark.parametrize("name", PRINTED)
def test_printed_pages_are_up_to_date(name: str) -> None:
    assert (DOCS / "reference" / name).read_text(encoding="utf-8") == PRINTED[name](), (
        "run: make generate"
    )


def test_every_public_name_is_on_a_page_of_the_api() -> None:
    pages = "\n".join(text_of(page) for page in PAGE_NAMES if page.startswith("reference/api/"))
    names = [*opslifecycle.__all__, *opslifecycle.work.__all__]
    missing = [name for name in names if not re.search(rf"\b{name}\b", pages)]
    assert missing == [], "add it to a page in docs/reference/api"


@pytest.mark.nightly
def test_it_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", str(DOCS), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Where an action leads from each status" in (
        tmp_path / "generated/ops_lifecycle.html"
    ).read_text(encoding="utf-8")
