"""The files by which a public project is found, checked and extended say what is true."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
QUESTIONS = 10


def loaded(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def test_every_answer_names_a_file_and_what_is_in_it() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    answers = re.findall(r"^\| [^|]*\? \| (.*) \|$", text, re.MULTILINE)
    assert len(answers) == QUESTIONS
    for answer in answers:
        paths = [ROOT / each for each in re.findall(r"`(\w+/[\w/.]+)`", answer)]
        assert paths, answer
        for path in paths:
            assert path.exists(), path
        for name in re.findall(r"`([A-Za-z_]+)`", answer):
            sources = [path.read_text(encoding="utf-8") for path in paths if path.is_file()]
            assert any(re.search(rf"(def|class) {name}\b", each) for each in sources), name


def test_contributing_names_existing_targets() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in ("CONTRIBUTING.md", "README.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        for target in re.findall(r"(?:`|^    )make ([\w-]+)", text, re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_links_of_the_project_pages_lead_somewhere() -> None:
    for page in ROOT.glob("*.md"):
        for link in re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text(encoding="utf-8")):
            assert (ROOT / link).exists(), f"{page.name}: {link}"


def test_the_matrix_has_every_version_that_is_declared() -> None:
    declared = {
        each.rpartition(" ")[2] for each in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", each)
    }
    matrix = loaded(".github/workflows/tests.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert set(matrix["python"]) == declared
    assert {each.partition("-")[0] for each in matrix["os"]} == {"ubuntu", "macos"}


def test_the_hook_for_users_installs_what_the_compiler_needs() -> None:
    (hook,) = loaded(".pre-commit-hooks.yaml")
    assert hook["additional_dependencies"] == PROJECT["optional-dependencies"]["codegen"]
    command, subcommand = hook["entry"].split()
    assert command in PROJECT["scripts"]
    assert subcommand == "check"


def test_our_hooks_run_what_make_check_runs() -> None:
    (repository,) = loaded(".pre-commit-config.yaml")["repos"]
    entries = {each["entry"].removeprefix(".venv/bin/") for each in repository["hooks"]}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "\ncheck: checks\n" in makefile
    targets = re.findall(r"^checks?:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert len(targets) == 2
    commands = [line.removeprefix("\t$(BIN)/") for line in "".join(targets).splitlines()]
    assert {re.sub(r" \.$", "", each) for each in commands} == entries


def test_the_issue_template_asks_for_the_machine_and_what_explain_prints() -> None:
    asked = {each["id"]: each for each in loaded(".github/ISSUE_TEMPLATE/bug.yml")["body"]}
    for field in ("machine", "explain"):
        assert asked[field]["validations"]["required"] is True


def test_read_the_docs_builds_the_pages_with_the_extra_that_has_their_tools() -> None:
    settings = loaded(".readthedocs.yaml")
    assert (ROOT / settings["sphinx"]["configuration"]).exists()
    (install,) = settings["python"]["install"]
    for extra in install["extra_requirements"]:
        assert extra in PROJECT["optional-dependencies"]
