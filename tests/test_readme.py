"""The README: its program runs, its commands exist, its YAML is the machine's."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml

from tests.docs_runner import run_page

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_its_programs_run() -> None:
    program, *keeping = blocks("python")
    assert len(keeping) == 2
    for each in keeping:
        subprocess.run([sys.executable, "-c", each], check=True, timeout=60)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    first, second, third = done.stdout.splitlines()
    assert first.startswith("Completed(")
    assert second.startswith("WaitAllSatisfied(")
    assert third.startswith("1 Completed(")


def test_its_commands_work(tmp_path: Path) -> None:
    assert run_page(README, tmp_path) == 1


def test_its_yaml_is_the_machines() -> None:
    machine = yaml.safe_load((ROOT / "machine/ops_lifecycle.yaml").read_text(encoding="utf-8"))
    shown = yaml.safe_load(blocks("yaml")[0])
    for name, action in shown["actions"].items():
        assert machine["actions"][name] == action
    for name, status in shown["statuses"].items():
        declared = machine["statuses"]["members"][name]
        assert status.items() <= declared.items()
    (kind,) = yaml.safe_load(blocks("yaml")[1]).values()
    assert set(kind) == {"summary", *machine["enums"]["OperationKind"]["properties"]}


def test_its_make_targets_and_links_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^    make (\w+)", README, re.MULTILINE)
    assert len(targets) >= 4
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    links = re.findall(r"\]\(([\w./-]+)\)", README)
    assert len(links) >= 4
    for link in links:
        assert (ROOT / link).exists(), link
