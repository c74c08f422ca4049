"""Mistakes in a machine: every one is reported at its place, and nothing is a traceback."""

from __future__ import annotations

import ast
import io
import random
import re
from pathlib import Path, PurePosixPath

import pytest
from opslifecycle_codegen.analysis.analyze import analyze
from opslifecycle_codegen.base.config import MachineConfig
from opslifecycle_codegen.base.diagnostics import Diagnostics, InvalidMachineError
from opslifecycle_codegen.base.rule_catalogue import FIXES, RULES
from opslifecycle_codegen.cli.explain import explained
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.cli.report import report_findings
from opslifecycle_codegen.compat import compare
from opslifecycle_codegen.compat.meanings import MEANINGS
from opslifecycle_codegen.emit.render import Renderer
from opslifecycle_codegen.modelcheck.sampling import sampled
from opslifecycle_codegen.source.parser import parse
from opslifecycle_codegen.source.reader import read

from tests.support.scale import whole_or

TURNSTILE = (Path(__file__).parent / "turnstile.yaml").read_text(encoding="utf-8")

SHIPPED = (Path(__file__).parents[2] / "machine/ops_lifecycle.yaml").read_text(encoding="utf-8")
CONFIG = MachineConfig(
    source=PurePosixPath("m.yaml"),
    package=PurePosixPath("p"),
    module="p",
    lock=PurePosixPath("m.lock.json"),
    tests=PurePosixPath("tests"),
    docs=PurePosixPath("docs"),
    line_length=100,
)


def mistakes(source: bytes) -> list[str]:
    """Everything that is wrong with a machine: place, rule and message."""
    diagnostics = Diagnostics()
    try:
        analyze(parse(read(source, "m.yaml"), diagnostics), diagnostics)
    except InvalidMachineError as error:
        return [f"{f.mark.line}:{f.mark.column} {f.rule}: {f.message}" for f in error.findings]
    return []


def test_the_turnstile_has_none() -> None:
    assert mistakes(TURNSTILE.encode()) == []


CASES = sorted(path for path in (Path(__file__).parent / "cases").iterdir() if path.is_dir())


@pytest.mark.parametrize("case", CASES, ids=lambda path: str(path.name))
def test_a_machine_is_refused_or_explained_as_its_case_says(case: Path) -> None:
    """A folder with a machine, and what is said of it: its mistakes, or what it means."""
    source = (case / "machine.yaml").read_bytes()
    if (case / "explain.txt").exists():
        explanation = explained(program_of(source, "machine.yaml"))
        assert explanation + "\n" == (case / "explain.txt").read_text(encoding="utf-8")
        return
    with pytest.raises(InvalidMachineError) as caught:
        program_of(source, "machine.yaml")
    out = io.StringIO()
    report_findings(caught.value.findings, case, "text", out)
    assert out.getvalue() == (case / "errors.txt").read_text(encoding="utf-8")


def test_each_rule_of_changes_has_a_meaning() -> None:
    assert [*MEANINGS] == [*compare.RULES]
    assert len({*MEANINGS.values()}) == len(MEANINGS)


#: What no single small file can show: tests of their own do.
ELSEWHERE = {"yaml-size", "breaking-change", "published", "template-error"}


def test_there_is_a_case_for_every_rule() -> None:
    told = {
        rule
        for case in CASES
        if (case / "errors.txt").exists()
        for rule in re.findall(
            r"error: .* \[([a-z-]+)\]$", (case / "errors.txt").read_text("utf-8"), re.MULTILINE
        )
    }
    assert set(RULES) - told == ELSEWHERE


def test_every_rule_has_a_fix_and_every_finding_shows_one() -> None:
    assert FIXES.keys() == RULES.keys()
    for case in CASES:
        errors = case / "errors.txt"
        text = errors.read_text("utf-8") if errors.exists() else ""
        found = re.findall(r"error: .* \[[a-z-]+\]$", text, re.MULTILINE)
        assert len(re.findall(r"^    hint: \S", text, re.MULTILINE)) == len(found), case.name


HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "1:1 yaml-shape"),
    "scalar": (b"x", "1:1 yaml-shape"),
    "list": (b"- a", "1:1 yaml-shape"),
    "tab": (b"a:\n\t- b", "2:1 yaml-syntax"),
    "depth": (b"[" * 100000, "1:41 yaml-depth"),
    "maps": (b"{a: " * 5000, "1:161 yaml-depth"),
    "size": (b"a" * 2000000, "1:1 yaml-size"),
    "encoding": (b"machine: \xff", "1:10 yaml-encoding"),
    "nul": (b"machine: a\x00b", "1:11 yaml-encoding"),
    "documents": (b"a: 1\n---\nb: 2", "2:1 yaml-shape"),
    "bomb": (b"a: &a [x]\nb: [*a,*a]", "1:4 yaml-alias"),
    "unclosed": (b"a: 'x", "1:6 yaml-syntax"),
    "merge": (b"a: {<<: b}", "1:5 yaml-alias"),
    "key": (b"? [a]\n: b", "1:3 yaml-shape"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_yaml(name: str) -> None:
    source, expected = HOSTILE[name]
    first = mistakes(source)[0]
    assert first.startswith(f"{expected}:")


def test_all_mistakes_are_reported_at_once() -> None:
    text = TURNSTILE.replace("to: unlocked", "to: open").replace("gate.coins\n", "gate.coin\n")
    text = text.replace("coins: gate.coins}", "coins: gate.coin}")
    assert {line.split(":")[0] for line in mistakes(text.encode())} >= {"45", "53"}


@pytest.mark.parametrize("length", range(0, len(TURNSTILE), 97))
def test_a_machine_cut_anywhere_is_no_traceback(length: int) -> None:
    assert mistakes(TURNSTILE[:length].encode())


WORD = re.compile(r"[\w.]+")


@pytest.mark.parametrize("seed", range(whole_or(150, 8)))
def test_a_machine_changed_at_random_is_no_traceback(seed: int) -> None:
    """Lines deleted, repeated and indented, words exchanged: mistakes are found, or it compiles."""
    chance = random.Random(seed)
    source = SHIPPED if seed % 2 else TURNSTILE
    words, lines = WORD.findall(source), source.split("\n")
    for _ in range(chance.choice([1, 1, 2, 3])):
        place = chance.randrange(len(lines))
        match chance.randrange(4):
            case 0:
                del lines[place]
            case 1:
                lines.insert(place, chance.choice(lines))
            case 2:
                lines[place] = f"  {lines[place]}"
            case _:
                found = WORD.findall(lines[place]) or ["x"]
                lines[place] = lines[place].replace(chance.choice(found), chance.choice(words), 1)
    tree = "\n".join(lines).encode()
    if not mistakes(tree):
        program = program_of(tree, "m.yaml")
        for path, text in Renderer(program, CONFIG, "0", sampled(program)).files().items():
            if path.suffix == ".py":
                ast.parse(text)
