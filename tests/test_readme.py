"""The README: its program runs, its commands exist, its YAML is the machine's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from tests.support.docs_runner import run_page

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES_MAX, PROGRAM_LINES_MAX = 120, 20


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}[^\n]*\n(.*?)```", text, re.DOTALL)


def machine() -> Any:
    return yaml.safe_load((ROOT / "machine/ops_lifecycle.yaml").read_text(encoding="utf-8"))


def test_it_is_short() -> None:
    assert README.count("\n") <= LINES_MAX
    (program,) = blocks("python")
    assert program.count("\n") <= PROGRAM_LINES_MAX
    assert "import *" not in README


def test_its_program_and_its_commands_work(tmp_path: Path) -> None:
    # The program, what it prints, and the commands of the compiler.
    assert run_page(README, tmp_path) == 3
    assert (tmp_path / "machine/order.yaml").exists()


def test_it_names_every_extra_for_users() -> None:
    for extra in ("codegen", "cli"):
        assert f"pip install 'opslifecycle[{extra}]'" in README


def test_its_yaml_is_the_machines() -> None:
    (text,) = blocks("yaml")
    shown = yaml.safe_load(text)
    for name, action in shown["actions"].items():
        assert machine()["actions"][name] == action
    for name, status in shown["statuses"].items():
        declared = machine()["statuses"]["members"][name]
        assert status.items() <= declared.items()


def test_the_kind_in_the_guide_has_every_property() -> None:
    guide = (ROOT / "docs/howto/shipped-machine.md").read_text(encoding="utf-8")
    (text,) = blocks("yaml", guide)
    (kind,) = yaml.safe_load(text).values()
    assert set(kind) == {"summary", *machine()["enums"]["OperationKind"]["properties"]}


def test_its_make_targets_and_links_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"`make (\w+)`", README)
    assert len(targets) >= 2
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    links = re.findall(r"\]\(([\w./-]+)\)", README)
    assert len(links) >= 10
    for link in links:
        assert (ROOT / link).exists(), link
